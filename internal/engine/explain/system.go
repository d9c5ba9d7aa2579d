package explain

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/upkeep-project/upkeep/internal/sys/accounts"
	"github.com/upkeep-project/upkeep/internal/sys/oom"
	"github.com/upkeep-project/upkeep/internal/sys/peek"
	"github.com/upkeep-project/upkeep/internal/sys/procnet"
	"github.com/upkeep-project/upkeep/internal/sys/procstat"
)

// System is what a rule may look at. No method executes anything or waits for somebody; paths are absolute and are
// looked at with the eyes of who.
type System interface {
	// Enter takes one of a few places for looking, until leave is called; false: all of them are taken.
	Enter() (leave func(), ok bool)
	// Walk, File, Head and Names are those of peek.Who; their errors are *peek.Obstacle.
	Walk(who peek.Who, path string, right peek.Right) (peek.Found, error)
	File(who peek.Who, path string, limit int) ([]byte, error)
	Head(who peek.Who, path string, limit int) ([]byte, error)
	Names(who peek.Who, dir string, limit int) ([]string, error)
	// Space is the room in the file system of an existing path.
	Space(path string) (peek.Space, error)

	// Self is the user as whom the daemon runs, Directory its directory.
	Self() peek.Who
	Directory() string
	// User finds a user by number, with all its groups; UserNamed by what a configuration says.
	User(uid int) (accounts.User, []int, error)
	UserNamed(name string) (accounts.User, error)

	// Holders lists who listens on a port (procnet.Holders).
	Holders(ctx context.Context, network string, port int) ([]procnet.Holder, error)
	// Addresses are those of this machine's interfaces.
	Addresses() ([]netip.Addr, error)
	// Process tells of a living process; false when there is none, or nothing can be told.
	Process(pid int) (Process, bool)
	// KilledForMemory reports whether the kernel's log says that it killed the process for lack of memory at or after a
	// time, and whether that log may be read. OOMKills is how often a control group says so.
	KilledForMemory(pid int, since time.Time) (killed, known bool)
	OOMKills(cgroup string) int
	// CorePattern is how the kernel names memory images, "" where it cannot be told.
	CorePattern() string
	// Arch is this machine, in the words of runtime.GOARCH.
	Arch() string
}

// Process is a living process.
type Process struct {
	PID     int
	Command []string // may be empty
	UID     int      // -1 = not known
	Age     time.Duration
}

// Machine is the System of this machine.
type Machine struct {
	accounts accounts.DB
	places   chan struct{}
}

// maxLooks is how many explanations look at the machine at the same time.
const maxLooks = 4

// ThisMachine is the System over the machine's own files. A daemon has one.
func ThisMachine() Machine {
	return Machine{accounts: accounts.System(), places: make(chan struct{}, maxLooks)}
}

// Enter takes a place.
func (m Machine) Enter() (leave func(), ok bool) { return enter(m.places) }

func enter(places chan struct{}) (leave func(), ok bool) {
	select {
	case places <- struct{}{}:
		return func() { <-places }, true
	default:
		return nil, false
	}
}

// Walk is peek.Who.Walk.
func (Machine) Walk(who peek.Who, path string, right peek.Right) (peek.Found, error) {
	return who.Walk(path, right)
}

// File is peek.Who.File.
func (Machine) File(who peek.Who, path string, limit int) ([]byte, error) {
	return who.File(path, limit)
}

// Head is peek.Who.Head.
func (Machine) Head(who peek.Who, path string, limit int) ([]byte, error) {
	return who.Head(path, limit)
}

// Names is peek.Who.Names.
func (Machine) Names(who peek.Who, dir string, limit int) ([]string, error) {
	return who.Names(dir, limit)
}

// Space is peek.SpaceAt.
func (Machine) Space(path string) (peek.Space, error) { return peek.SpaceAt(path) }

// Self is the user of this process, by its effective number.
func (Machine) Self() peek.Who {
	groups, _ := os.Getgroups() // none on systems without
	return peek.Who{UID: os.Geteuid(), Groups: append(groups, os.Getegid())}
}

// Directory is the working directory, "/" when there is none any more.
func (Machine) Directory() string {
	if dir, err := os.Getwd(); err == nil {
		return dir
	}
	return "/"
}

// User asks the account files.
func (m Machine) User(uid int) (accounts.User, []int, error) {
	u, err := m.accounts.ByUID(uid)
	if err != nil {
		return u, nil, err
	}
	groups, err := m.accounts.Groups(u)
	return u, groups, err
}

// UserNamed asks the account files.
func (m Machine) UserNamed(name string) (accounts.User, error) { return m.accounts.User(name) }

// Holders is procnet.Holders.
func (Machine) Holders(ctx context.Context, network string, port int) ([]procnet.Holder, error) {
	return procnet.Holders(ctx, network, port)
}

// Addresses asks the system for its interfaces.
func (Machine) Addresses() ([]netip.Addr, error) {
	list, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("addresses of this machine: %w", err)
	}
	var out []netip.Addr
	for _, a := range list {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			out = append(out, p.Addr())
		}
	}
	return out, nil
}

// Process asks the process table.
func (Machine) Process(pid int) (Process, bool) {
	st, err := procstat.Read(pid)
	if err != nil || st.Dead() {
		return Process{}, false
	}
	p := Process{PID: pid, UID: -1}
	p.Command, _ = procstat.Cmdline(pid) // it may have ended meanwhile
	if len(p.Command) == 0 {
		p.Command = []string{st.Comm}
	}
	p.Age, _ = procstat.Age(st.StartTicks)
	if info, err := os.Lstat("/proc/" + strconv.Itoa(pid)); err == nil {
		p.UID = peek.Owner(info)
	}
	return p, true
}

// KilledForMemory is oom.Logged.
func (Machine) KilledForMemory(pid int, since time.Time) (killed, known bool) {
	return oom.Logged(pid, since)
}

// OOMKills is oom.Kills.
func (Machine) OOMKills(cgroup string) int { return oom.Kills(cgroup) }

// CorePattern reads the kernel's setting.
func (Machine) CorePattern() string {
	b, err := peek.Who{UID: os.Geteuid()}.File("/proc/sys/kernel/core_pattern", 256)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// Arch is the one that this program was built for.
func (Machine) Arch() string { return runtime.GOARCH }
