//go:build amd64 || arm64

package spawn

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"unsafe"

	"golang.org/x/sys/unix"
)

// smallHeap is how much garbage a maker keeps, in percent of what it uses, which is next to nothing.
const smallHeap = 20

// MakerMain is called first thing in main, also in the main of tests that start programs. When this process
// was started as a maker it works until nobody wants it, and does not return; otherwise it returns false.
func MakerMain() (handled bool) {
	if len(os.Args) != 1 || os.Args[0] != makerName {
		return false
	}
	debug.SetGCPercent(smallHeap)
	if err := makeProcesses(); err != nil {
		_, _ = os.Stderr.WriteString(makerName + ": " + err.Error() + "\n")
		os.Exit(1)
	}
	os.Exit(0)
	return true
}

// makers is how many requests are served at a time; none of them waits for anything.
const makers = 2

// fewFiles is what a maker needs.
const fewFiles = 256

func makeProcesses() error {
	board, err := mapBoard(makerBoard)
	if err != nil {
		return err
	}
	unix.Close(makerBoard)
	unix.CloseOnExec(makerSocket)
	var marks *Marks
	if os.Getenv(marksVariable) != "" {
		if marks, err = mapMarks(makerMarks); err != nil {
			return err
		}
		unix.Close(makerMarks)
	}
	limit, err := originalLimit()
	if err != nil {
		return err
	}
	var programs *unix.Rlimit
	if limit.Cur < fewFiles && limit.Max >= fewFiles {
		programs = &limit
		own := unix.Rlimit{Cur: fewFiles, Max: limit.Max}
		if err := unix.Prlimit(0, unix.RLIMIT_NOFILE, &own, nil); err != nil {
			return os.NewSyscallError("prlimit", err)
		}
	}
	c, err := newCloning(true, programs)
	if err != nil {
		return err
	}
	_ = os.WriteFile("/proc/self/comm", []byte(makerName), 0) // only for people
	done := make(chan error)
	for range makers {
		go func() { done <- serveRequests(c, board, marks) }()
	}
	return <-done
}

func serveRequests(c *cloning, board []int32, marks *Marks) error {
	runtime.LockOSThread()
	name := []byte(makerName + "\x00")
	_ = unix.Prctl(unix.PR_SET_NAME, uintptr(unsafe.Pointer(&name[0])), 0, 0, 0)
	msg := make([]byte, makerHeader+maxInline+1)
	oob := make([]byte, unix.CmsgSpace(4*8))
	for {
		n, oobn, _, _, err := unix.Recvmsg(makerSocket, msg, oob, unix.MSG_CMSG_CLOEXEC)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.ECONNRESET):
			return nil
		case err != nil:
			return os.NewSyscallError("recvmsg", err)
		case n == 0:
			return nil // nobody will ask any more
		}
		fds := descriptors(oob[:oobn])
		if len(fds) > 0 {
			if err := serve(c, board, marks, msg[:n], fds); err != nil {
				refuse(fds[0], err)
			}
		}
		closeAll(fds)
	}
}

func descriptors(oob []byte) []int {
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil
	}
	var fds []int
	for i := range msgs {
		if got, err := unix.ParseUnixRights(&msgs[i]); err == nil {
			fds = append(fds, got...)
		}
	}
	return fds
}

// serve makes one process.
func serve(c *cloning, board []int32, marks *Marks, msg []byte, fds []int) error {
	if len(msg) < makerHeader || msg[0] != makerVersion {
		return unix.EPROTO
	}
	flags, word, body := msg[1], binary.LittleEndian.Uint32(msg[2:]), msg[makerHeader:]
	gate, files, more := fds[0], [3]int{}, fds[min(4, len(fds)):]
	want := 4
	for _, f := range []byte{withCgroup, withFile} {
		if flags&f != 0 {
			want++
		}
	}
	if len(fds) != want {
		return unix.EMFILE // there was no room for them here
	}
	if word >= boardUses {
		return unix.EPROTO
	}
	copy(files[:], fds[1:4])
	cgroup := 0
	if flags&withCgroup != 0 {
		cgroup, more = more[0], more[1:]
	}
	if flags&withFile != 0 {
		var err error
		if body, err = readFile(more[0]); err != nil {
			return err
		}
	}
	r, err := decode(body)
	if err != nil || len(r.Argv) == 0 {
		return unix.EPROTO
	}
	r.CgroupFD = cgroup
	if at := binary.LittleEndian.Uint32(msg[6:]); at != noMark {
		r.Mark = Mark{At: at, Tag: 1} // the tag itself comes through the gate
	}
	_, err = c.clone(r, files, gate, &board[word], marks)
	return err
}

// readFile reads a request from its file, whose offset is the one the writer left.
func readFile(fd int) ([]byte, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, err
	}
	b := make([]byte, st.Size)
	for n := 0; n < len(b); {
		k, err := unix.Pread(fd, b[n:], int64(n))
		if err != nil {
			return nil, err
		}
		if k == 0 {
			return nil, fmt.Errorf("request: %w", io.ErrUnexpectedEOF)
		}
		n += k
	}
	return b, nil
}
