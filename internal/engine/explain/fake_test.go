package explain

import (
	"context"
	"fmt"
	"io/fs"
	"net/netip"
	"strings"
	"syscall"
	"time"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/sys/accounts"
	"github.com/upkeep-project/upkeep/internal/sys/peek"
	"github.com/upkeep-project/upkeep/internal/sys/procnet"
)

// fake is a machine without files, with one user, sam, number 1000.
type fake struct {
	uid       int
	holders   []procnet.Holder
	processes map[int]Process
	logged    bool // the kernel's log says that the process was killed
	unread    bool // the log may not be read
	kills     int
	space     peek.Space
	addresses []netip.Addr
	core      string
}

func (*fake) Enter() (func(), bool) { return func() {}, true }

func (*fake) Walk(_ peek.Who, path string, _ peek.Right) (peek.Found, error) {
	return peek.Found{}, &peek.Obstacle{Path: path, Reason: peek.Failed, Err: fs.ErrInvalid}
}

func (f *fake) File(w peek.Who, path string, _ int) ([]byte, error) {
	_, err := f.Walk(w, path, peek.Read)
	return nil, err
}

func (f *fake) Head(w peek.Who, path string, n int) ([]byte, error) { return f.File(w, path, n) }

func (f *fake) Names(w peek.Who, path string, _ int) ([]string, error) {
	_, err := f.Walk(w, path, peek.Read)
	return nil, err
}
func (f *fake) Space(string) (peek.Space, error) { return f.space, nil }
func (f *fake) Self() peek.Who                   { return peek.Who{UID: f.uid} }
func (*fake) Directory() string                  { return "/home/sam" }

func (*fake) User(uid int) (accounts.User, []int, error) {
	if uid == 1000 {
		return accounts.User{Name: "sam", UID: uid, Home: "/home/sam"}, nil, nil
	}
	return accounts.User{}, nil, accounts.ErrUnknown
}

func (f *fake) UserNamed(string) (accounts.User, error) { return accounts.User{}, nil }

func (f *fake) Holders(_ context.Context, _ string, port int) ([]procnet.Holder, error) {
	var out []procnet.Holder
	for _, h := range f.holders {
		if int(h.AddrPort.Port()) == port {
			out = append(out, h)
		}
	}
	return out, nil
}
func (f *fake) Addresses() ([]netip.Addr, error) { return f.addresses, nil }

func (f *fake) Process(pid int) (Process, bool) {
	p, ok := f.processes[pid]
	return p, ok
}
func (f *fake) KilledForMemory(int, time.Time) (killed, known bool) { return f.logged, !f.unread }
func (f *fake) OOMKills(string) int                                 { return f.kills }
func (f *fake) CorePattern() string                                 { return f.core }
func (*fake) Arch() string                                          { return "amd64" }

// noon is the time of the tests that need none.
func noon() time.Time { return time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC) }

// fakeFacts are those of a program in a state.
func fakeFacts(s model.State) Facts {
	p := &model.Program{
		ID:      model.ID{Group: "web", Name: "web"},
		Command: model.Command{Line: "server --port 8000", Dir: "/home/sam/shop", UID: -1},
		Start:   model.StartPolicy{Auto: true, Secs: time.Second, Retries: 3},
		Stop:    model.StopPolicy{Signal: int(syscall.SIGTERM), Wait: 10 * time.Second},
		Exit:    model.ExitPolicy{Codes: []int{0}},
	}
	return Facts{Now: noon(), Status: model.Status{Program: p, ID: p.ID, State: s}, PathOfPrograms: "/usr/bin:/bin"}
}

// ran adds runs that ended in the same way, one after the other until now.
func (f Facts) ran(exit model.Exit, lasted ...time.Duration) Facts {
	at := f.Now
	for _, d := range lasted {
		at = at.Add(-d - time.Second)
	}
	for _, d := range lasted {
		f.Runs = append(f.Runs, Run{Start: at, End: at.Add(d), PID: 77, Exit: exit})
		at = at.Add(d + time.Second)
	}
	last := f.Runs[len(f.Runs)-1]
	f.Status.Start, f.Status.Stop, f.Status.Exit, f.Status.HasExit = last.Start, last.End, exit, true
	return f
}

// render writes a verdict as a command would.
func render(v Verdict) string {
	var b strings.Builder
	fmt.Fprintf(&b, "[%s] %s\n", v.Cause, v.Headline)
	for _, s := range v.Facts {
		fmt.Fprintf(&b, "  %s\n", s)
	}
	for _, e := range v.Evidence {
		fmt.Fprintf(&b, "  last %s lines\n", e.Kind)
		for _, l := range e.Lines {
			fmt.Fprintf(&b, "    %s\n", l)
		}
	}
	for _, s := range v.Checked {
		fmt.Fprintf(&b, "  checked: %s\n", s)
	}
	for _, h := range v.Hints {
		fmt.Fprintf(&b, "  hint: %s  %s\n", h.Text, h.Command)
	}
	return b.String()
}
