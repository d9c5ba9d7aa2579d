//go:build amd64 || arm64

package spawn

import (
	"encoding/binary"
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/sys/procfd"
)

const (
	// makerName is argument 0 of a maker, and how the list of processes shows it.
	makerName = "upkeep-spawner"

	makerSocket = 3 // where a maker has its socket
	makerBoard  = 4 // and its board
	makerMarks  = 5 // and Marks, when there are any

	makerVersion = 2
	maxInline    = 32 << 10 // longer requests are sent as a file

	// makerPatience is how long a maker may take to make a process before it is taken for hanging. It takes
	// some hundred microseconds, but on an overloaded machine killing it would make things worse.
	makerPatience = 20 * time.Second
	// gatePatience is how long a process may then take to come to the gate. Until then it waits for nothing
	// but its control group, which may be frozen.
	gatePatience = 30 * time.Second

	boardSize = 4096
	boardUses = boardSize / 4
)

// A request to a maker is one message: the version, what comes with it, the number of a word of the board, the
// number of its mark or noMark, and the encoded request, unless it is in a file. Its descriptors are the gate, those of the program, and
// those that the flags name, in the order of the flags.
const (
	withCgroup = 1 << iota
	withFile
)

const makerHeader = 10

const noMark = 1<<32 - 1

// marksVariable says that a maker has Marks.
const marksVariable = "UPKEEP_MARKS"

// Maker is a process of ours that makes processes, with few descriptors, so that it costs the same however
// many we have. What it makes are our children. It ends when we do. Linux only.
//
// It can be killed at any instant. Between it and us is a page of memory, the board, on which the kernel
// itself writes the number of a process that it makes; and each process stands at a gate. So we always know
// whether there is a process for a request.
type Maker struct {
	self   procfd.Handle
	null   *os.File
	socket *os.File
	raw    syscall.RawConn
	board  []int32

	patience, gatePatience time.Duration

	mu    sync.Mutex
	free  []uint16 // words of the board
	room  *sync.Cond
	users int
	over  bool // Wait has returned: the last user closes
}

// StartMaker starts one: self, which has to call MakerMain, or this binary when empty. It inherits the umask,
// the directory, the user and the limits of this process for its programs. marks notes which programs were let go; nil =
// nothing does.
func StartMaker(self string, marks *Marks) (*Maker, error) {
	if self == "" {
		self, _ = selfPath()
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, &PipeError{err}
	}
	m := &Maker{null: null, free: make([]uint16, boardUses), patience: makerPatience, gatePatience: gatePatience}
	m.room = sync.NewCond(&m.mu)
	for i := range m.free {
		m.free[i] = uint16(i)
	}
	if err := m.start(self, marks); err != nil {
		m.closeAll()
		return nil, err
	}
	return m, nil
}

func (m *Maker) start(self string, marks *Marks) error {
	board, err := unix.MemfdCreate("board", unix.MFD_CLOEXEC)
	if err != nil {
		return os.NewSyscallError("memfd_create", err)
	}
	defer unix.Close(board)
	if err := unix.Ftruncate(board, boardSize); err != nil {
		return os.NewSyscallError("ftruncate", err)
	}
	if m.board, err = mapBoard(board); err != nil {
		return err
	}
	p, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return &PipeError{err}
	}
	defer unix.Close(p[1])
	if err := unix.SetNonblock(p[0], true); err != nil {
		unix.Close(p[0])
		return &PipeError{err}
	}
	m.socket = os.NewFile(uintptr(p[0]), "spawner")
	if m.raw, err = m.socket.SyscallConn(); err != nil {
		return err
	}
	files := []uintptr{m.null.Fd(), m.null.Fd(), 2, uintptr(p[1]), uintptr(board)}
	env := []string{"GOMAXPROCS=2", "GOTRACEBACK=single"}
	if marks != nil {
		files = append(files, marks.file.Fd())
		env = append(env, marksVariable+"=1")
	}
	pidfd := -1
	pid, err := syscall.ForkExec(self, []string{makerName}, &syscall.ProcAttr{
		Env:   env,
		Files: files,
		// What a terminal sends to our group is not for it.
		Sys: &syscall.SysProcAttr{Setpgid: true, PidFD: &pidfd},
	})
	if err != nil {
		return startError(err)
	}
	m.self = procfd.Own(pidfd, pid)
	return nil
}

func mapBoard(fd int) ([]int32, error) {
	mem, err := unix.Mmap(fd, 0, boardSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, os.NewSyscallError("mmap", err)
	}
	return unsafe.Slice((*int32)(unsafe.Pointer(&mem[0])), boardUses), nil
}

// PID is the number of the maker.
func (m *Maker) PID() int { return m.self.PID() }

// Kill ends the maker.
func (m *Maker) Kill() { _ = m.self.Signal(int(unix.SIGKILL), model.ReachProcess) }

// Wait waits until the maker has ended, and reaps it. To be called once.
func (m *Maker) Wait() model.Exit {
	var b [1]byte
	for {
		// It never sends anything. Its processes do not have its socket.
		if _, err := m.socket.Read(b[:]); err != nil {
			break
		}
	}
	m.Kill()
	awaitEnd(m.self.PID())
	e, _, err := m.self.Wait(false)
	if err != nil {
		e = model.Exit{Reason: err.Error()}
	}
	m.mu.Lock()
	m.over = true
	last := m.users == 0
	m.room.Broadcast()
	m.mu.Unlock()
	if last {
		m.closeAll()
	}
	return e
}

// Dismiss asks the maker to end when it has done what it was asked to.
func (m *Maker) Dismiss() {
	_ = m.raw.Control(func(fd uintptr) { _ = unix.Shutdown(int(fd), unix.SHUT_RDWR) })
}

func (m *Maker) closeAll() {
	if m.socket != nil {
		m.socket.Close()
	}
	m.null.Close()
	if m.self != nil {
		m.self.Close()
	}
	if m.board != nil {
		_ = unix.Munmap(unsafe.Slice((*byte)(unsafe.Pointer(&m.board[0])), boardSize))
	}
}

// take is a word of the board, for one request; -1 when the maker is over.
func (m *Maker) take() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	for len(m.free) == 0 && !m.over {
		m.room.Wait()
	}
	if m.over {
		return -1
	}
	m.users++
	n := m.free[len(m.free)-1]
	m.free = m.free[:len(m.free)-1]
	atomic.StoreInt32(&m.board[n], 0)
	return int(n)
}

func (m *Maker) giveBack(n int) {
	m.mu.Lock()
	m.users--
	m.free = append(m.free, uint16(n))
	m.room.Signal()
	last := m.over && m.users == 0
	m.mu.Unlock()
	if last {
		m.closeAll()
	}
}

// Start starts a program for a request whose Pipes are made. It closes none of them. The errors are those of
// Spawner and ErrNobody and ErrGone, after which it can be tried again, with another maker or none.
func (m *Maker) Start(r *Request) (*Result, error) {
	if err := r.Check(); err != nil {
		return nil, err
	}
	g, err := newGate()
	if err != nil {
		return nil, err
	}
	pid, err := m.produce(r, g)
	if err != nil {
		g.close()
		return nil, err
	}
	res, err := g.pass(r, pid)
	if err != nil {
		return nil, err
	}
	if p := r.Pipes; p != nil {
		res.Stdin, res.Stdout, res.Stderr = p.Stdin, p.Stdout, p.Stderr
	}
	return res, nil
}

// produce has a process come to the gate.
func (m *Maker) produce(r *Request, g *gate) (int, error) {
	n := m.take()
	if n < 0 {
		return 0, ErrGone
	}
	defer m.giveBack(n)
	err := m.send(r, g.theirs, n)
	g.closeTheirs()
	if err != nil {
		return 0, err
	}
	word := &m.board[n]
	pid, err := g.report(m.patience)
	if errors.Is(err, errLate) {
		if atomic.LoadInt32(word) == 0 {
			m.Kill() // it hangs
		}
		pid, err = g.report(m.gatePatience)
	}
	if err == nil {
		return pid, nil
	}
	if late := int(atomic.LoadInt32(word)); late != 0 {
		// There is, or was, a process. It has executed nothing, and never will.
		abandon(procfd.Own(-1, late))
	}
	if errors.Is(err, errLate) {
		return 0, &ForkError{syscall.ETIMEDOUT}
	}
	return 0, err
}

// send sends a request.
func (m *Maker) send(r *Request, gate, word int) error {
	s, err := openStdio(r, int(m.null.Fd()))
	if err != nil {
		return err
	}
	fds := []int{gate, int(s.theirs[0]), int(s.theirs[1]), int(s.theirs[2])}
	var flags byte
	if r.CgroupFD > 0 {
		flags |= withCgroup
		fds = append(fds, r.CgroupFD)
	}
	body := encode(r)
	if len(body) > maxInline {
		f, err := requestFile(body)
		if err != nil {
			return startError(err)
		}
		defer f.Close()
		flags |= withFile
		fds, body = append(fds, int(f.Fd())), nil
	}
	msg := make([]byte, makerHeader, makerHeader+len(body))
	msg[0], msg[1] = makerVersion, flags
	binary.LittleEndian.PutUint32(msg[2:], uint32(word))
	binary.LittleEndian.PutUint32(msg[6:], noMark)
	if r.Mark.Tag != 0 {
		binary.LittleEndian.PutUint32(msg[6:], r.Mark.At)
	}
	msg = append(msg, body...)
	rights := unix.UnixRights(fds...)
	var sent error
	err = m.raw.Write(func(fd uintptr) bool {
		for {
			if sent = unix.Sendmsg(int(fd), msg, rights, nil, unix.MSG_NOSIGNAL); !errors.Is(sent, unix.EINTR) {
				return !errors.Is(sent, unix.EAGAIN)
			}
		}
	})
	if err == nil {
		err = sent
	}
	switch {
	case errors.Is(err, unix.EPIPE) || errors.Is(err, unix.ECONNRESET) || errors.Is(err, unix.ENOTCONN) || errors.Is(err, os.ErrClosed):
		return ErrGone
	case errors.Is(err, unix.ETOOMANYREFS):
		return &PipeError{err}
	case err != nil:
		return startError(err)
	}
	return nil
}
