package procnet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/upkeep-project/upkeep/internal/sys/procstat"
)

// Bounds of what is read: a table of 4 MiB has some 25,000 sockets, and a process may have a million descriptors.
const (
	maxTable       = 4 << 20
	maxDescriptors = 16384
)

// tables are the files to read and the state that counts.
var tables = [...]struct{ network, file, state string }{
	{"tcp", "tcp", tcpListen},
	{"tcp", "tcp6", tcpListen},
	{"udp", "udp", udpOpen},
	{"udp", "udp6", udpOpen},
}

// Listening lists the addresses on which any of the processes listens, each once, sorted by network and port. A process
// that is gone, or whose descriptors may not be seen, has none. Each process is asked in its own network namespace.
// Of UDP sockets only those on ports below the ephemeral ones count, since every client has one of the others.
func Listening(ctx context.Context, pids ...int) ([]Addr, error) {
	var out []Addr
	seen := map[string]map[uint64]Addr{} // by namespace
	for _, pid := range pids {
		if err := ctx.Err(); err != nil {
			return sortAddrs(out), fmt.Errorf("listening sockets: %w", err)
		}
		held := sockets(pid)
		if len(held) == 0 {
			continue
		}
		space, err := os.Readlink(dir(pid) + "/ns/net")
		if err != nil {
			space = "pid " + strconv.Itoa(pid)
		}
		all, ok := seen[space]
		if !ok {
			all = byInode(dir(pid))
			seen[space] = all
		}
		for _, inode := range held {
			if a, ok := all[inode]; ok {
				out = append(out, a)
			}
		}
	}
	return sortAddrs(out), nil
}

// firstEphemeral is the lowest port that the system gives to clients, unless it is set up otherwise.
const firstEphemeral = 32768

// byInode is what listens in the network namespace of a process.
func byInode(proc string) map[uint64]Addr {
	out := map[uint64]Addr{}
	for _, t := range tables {
		b, err := read(proc+"/net/"+t.file, maxTable)
		if err != nil {
			continue
		}
		for _, s := range parseTable(string(b), t.state) {
			if t.network != "udp" || s.addr.Port() < firstEphemeral {
				out[s.inode] = Addr{t.network, s.addr}
			}
		}
	}
	return out
}

// Holders lists who listens on a TCP or UDP port of this process's network namespace, whatever the address. No holder
// and no error: nobody does. The processes are looked for only while ctx allows: later ones have PID 0.
func Holders(ctx context.Context, network string, port int) ([]Holder, error) {
	var out []Holder
	wanted := map[uint64]int{} // inode → index
	read1 := false
	for _, t := range tables {
		if t.network != network {
			continue
		}
		b, err := read("/proc/self/net/"+t.file, maxTable)
		if err != nil {
			continue // IPv6 may be switched off
		}
		read1 = true
		for _, s := range parseTable(string(b), t.state) {
			if int(s.addr.Port()) == port {
				wanted[s.inode] = len(out)
				out = append(out, Holder{Addr: Addr{t.network, s.addr}, UID: s.uid})
			}
		}
	}
	if !read1 {
		return nil, fmt.Errorf("table of sockets: %w", ErrUnsupported)
	}
	if len(wanted) == 0 {
		return nil, nil
	}
	pids, err := procstat.PIDs()
	if err != nil {
		return out, nil //nolint:nilerr // the sockets are known, their processes are not
	}
	// Who made a socket most often holds it: the processes of its owner come first.
	owners := map[int]bool{}
	for _, h := range out {
		owners[h.UID] = true
	}
	for _, theirs := range []bool{true, false} {
		for _, pid := range pids {
			if len(wanted) == 0 || ctx.Err() != nil {
				return out, nil
			}
			var st unix.Stat_t
			if unix.Lstat(dir(pid), &st) != nil || owners[int(st.Uid)] != theirs {
				continue
			}
			for _, inode := range sockets(pid) {
				if i, ok := wanted[inode]; ok {
					out[i].PID = pid // of several that share it, the first: lower pids come first
					delete(wanted, inode)
				}
			}
		}
	}
	return out, nil
}

// sockets are the inodes of the sockets that a process holds, as far as that may be seen.
func sockets(pid int) []uint64 {
	d, err := os.Open(dir(pid) + "/fd")
	if err != nil {
		return nil
	}
	defer d.Close()
	var out []uint64
	var target [64]byte // longer ones are no sockets
	for n := 0; n < maxDescriptors; {
		names, err := d.Readdirnames(512)
		n += len(names)
		for _, name := range names {
			k, err := unix.Readlinkat(int(d.Fd()), name, target[:])
			if err != nil {
				continue
			}
			if inode, ok := inodeOf(string(target[:k])); ok {
				out = append(out, inode)
			}
		}
		if err != nil { // io.EOF too
			break
		}
	}
	return out
}

func dir(pid int) string { return "/proc/" + strconv.Itoa(pid) }

// read reads at most max bytes of a file.
func read(path string, max int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, max))
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return b, nil
}
