package launch

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/upkeep-project/upkeep/internal/sys/procfd"
	"github.com/upkeep-project/upkeep/internal/sys/spawn"
)

// TestBegun: a process that has been let go and has not noticed yet is taken for one that has begun, whatever the
// machine makes it wait for; one whose gate is shut is not.
func TestBegun(t *testing.T) {
	if !spawn.Gated() {
		t.Skip("no gate on this architecture")
	}
	marks, err := spawn.OpenMarks(filepath.Join(t.TempDir(), "marks"))
	if err != nil {
		t.Fatal(err)
	}
	defer marks.Close()
	m, err := spawn.StartMaker("", marks)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { m.Dismiss(); m.Wait() }()
	shut := errors.New("shut")
	for k, c := range []struct {
		name        string
		answer      error
		withMarks   bool
		ended, want bool
	}{
		{"let go", nil, true, false, true},
		{"let go, and ended", nil, true, true, true},
		{"shut", shut, true, false, false},
		{"let go, no marks", nil, false, false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, func(o *Options) {
				if c.withMarks {
					o.Marks = marks
				}
			}, nil)
			b := birth{Mark: spawn.Mark{At: uint32(k), Tag: 77}}
			req := &spawn.Request{Path: "/bin/sleep", Argv: []string{"sleep", "1000"}, Umask: -1, Mark: b.Mark}
			if c.ended {
				req.Argv[1] = "0"
			}
			if req.Pipes, err = spawn.MakePipes(req); err != nil {
				t.Fatal(err)
			}
			defer req.Pipes.Close()
			answer := make(chan bool, 1)
			req.Identified = func(pid, _ int) error {
				id, err := procfd.Identify(pid)
				if err != nil {
					return err
				}
				h, err := procfd.Adopt(id)
				if err != nil {
					return err
				}
				// It stands still, as on a machine that is too busy to run it, and is asked about meanwhile.
				if err := unix.Kill(pid, unix.SIGSTOP); err != nil {
					return err
				}
				go func() {
					answer <- r.host.begun(b, h)
					h.Close()
				}()
				time.AfterFunc(20*gateLook, func() { _ = unix.Kill(pid, unix.SIGCONT) })
				return c.answer
			}
			res, err := m.Start(req)
			if !errors.Is(err, c.answer) {
				t.Fatal(err)
			}
			if err == nil {
				defer func() {
					_ = unix.Kill(res.PID, unix.SIGKILL)
					until(t, "it is reaped", func() bool { // or another test would find it
						_, over, err := res.Handle.Wait(false)
						return over || err != nil
					})
					res.Handle.Close()
				}()
			}
			select {
			case got := <-answer:
				if got != c.want {
					t.Errorf("begun %v, want %v", got, c.want)
				}
			case <-time.After(patience):
				t.Fatal("no answer")
			}
		})
	}
}
