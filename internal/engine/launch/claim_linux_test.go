package launch

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"github.com/upkeep-project/upkeep/internal/engine/core"
	"github.com/upkeep-project/upkeep/internal/sys/find"
)

// reading is a shell that reads its commands, with a title of its own, of somebody else.
func reading(t *testing.T, args ...string) (pid int, in io.Writer) {
	t.Helper()
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip(err)
	}
	cmd := exec.Command(sh)
	cmd.Args = args
	w, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	over := make(chan struct{})
	go func() {
		defer close(over)
		_ = cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-over
	})
	until(t, "it shows its title", func() bool {
		p, err := find.Read(cmd.Process.Pid)
		return err == nil && p.Line() == strings.Join(args, " ")
	})
	return cmd.Process.Pid, w
}

// TestClaim: what was seen is taken only when it is still that process, and still fits. Source: spec/reliability R11.
func TestClaim(t *testing.T) {
	n := unique()
	r := newRig(t, nil, nil)
	pid := sleeper(t, n, os.Getuid())
	seen, err := find.Read(pid)
	if err != nil {
		t.Fatal(err)
	}
	s := r.slots(r.seeking("x", n))[0]
	other := seen
	other.StartTicks++
	yes, no := func(*find.Process) bool { return true }, func(*find.Process) bool { return false }
	for name, tt := range map[string]struct {
		p    find.Process
		fits func(*find.Process) bool
	}{"the number is another's": {other, yes}, "it does not fit any more": {seen, no}} {
		inst, err := r.host.claim(core.Instance{Slot: s, Gen: 1}, &tt.p, tt.fits)
		if !errors.Is(err, ErrNoProcess) || inst != nil || r.host.Known(pid) {
			t.Errorf("%s: %v, known %v", name, err, r.host.Known(pid))
		}
	}
	if !alive(pid) {
		t.Error("it was ended")
	}
}

// TestOldLook: a look that is shared may be older than what has happened since, and nobody is taken or missed for it.
func TestOldLook(t *testing.T) {
	n := unique()
	r := newRig(t, nil, nil)
	look := func() { // one that is not renewed for as long as the test takes
		r.host.crowd.forget()
		if _, err := r.host.crowd.since(t.Context(), 0, func() time.Duration { return r.host.Now() + time.Hour }); err != nil {
			t.Fatal(err)
		}
	}
	seek := func(name, match string, asked time.Duration) int {
		p := r.seeking(name, n)
		p.Attach.Match = match
		inst, err := r.host.seek(core.Instance{Slot: r.slots(p)[0], Gen: 1}, p, asked)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if inst == nil {
			return 0
		}
		defer inst.letGo(true)
		return inst.PID()
	}
	title := fmt.Sprint("sh: ", n)
	pid, in := reading(t, title)
	look()
	if _, err := fmt.Fprintln(in, "exec sleep 1000"); err != nil {
		t.Fatal(err)
	}
	until(t, "it is another program", func() bool {
		p, err := find.Read(pid)
		return err == nil && p.Line() == "sleep 1000"
	})
	if got := seek("changed", "^"+title+"$", 0); got != 0 {
		t.Errorf("pid %d was taken, which is another program by now", got)
	}

	ends := exec.Command("sleep", strconv.Itoa(n+1))
	if err := ends.Start(); err != nil {
		t.Fatal(err)
	}
	until(t, "it sleeps", func() bool {
		p, err := find.Read(ends.Process.Pid)
		return err == nil && p.Line() == fmt.Sprint("sleep ", n+1)
	})
	look()
	_ = ends.Process.Kill()
	_ = ends.Wait()
	if got := seek("ended", fmt.Sprintf("^sleep %d$", n+1), 0); got != 0 {
		t.Errorf("pid %d was taken, which has ended", got)
	}

	look()
	later := sleeper(t, n, os.Getuid())
	r.host.crowd.began = r.host.Now() // as old as it is
	until(t, "time goes on", func() bool { return r.host.Now() > r.host.crowd.began })
	if got := seek("later", "", r.host.Now()); got != later {
		t.Errorf("pid %d, want %d, which began after an earlier look and before this one was asked for", got, later)
	}
}

// TestTitled: a process under a title of its own is the program's when its pid file says so, and not without.
func TestTitled(t *testing.T) {
	r := newRig(t, nil, nil)
	pid, _ := reading(t, fmt.Sprint("sh: master process ", unique()))
	p := r.program("x", fmt.Sprint("sh -c true ", unique()))
	p.Attach.Scan = true
	if q, err := r.host.Find(t.Context(), p); q != nil || err != nil {
		t.Errorf("without a pid file: %+v, %v", q, err)
	}
	p.Attach.PIDFile = r.path("x.pid")
	if err := os.WriteFile(p.Attach.PIDFile, []byte(strconv.Itoa(pid)), 0o600); err != nil {
		t.Fatal(err)
	}
	if q, err := r.host.Find(t.Context(), p); q == nil || q.PID != pid {
		t.Errorf("%+v, %v", q, err)
	}
}

// TestFindNotOurs: whatever a pid file says and a pattern fits, this process, who has it look, instances that there are and
// other programs are not found.
func TestFindNotOurs(t *testing.T) {
	n := unique()
	r := newRig(t, nil, nil)
	own := r.program("own", fmt.Sprint("sleep ", n))
	r.launch(r.slots(own)[0])
	instance := r.started("own").PID()
	for name, pid := range map[string]int{"this process": os.Getpid(), "an instance": instance} {
		p := r.seeking("x", n)
		p.Attach.Match, p.Attach.Scan, p.Attach.PIDFile = ".", false, r.path("x.pid")
		if err := os.WriteFile(p.Attach.PIDFile, []byte(strconv.Itoa(pid)), 0o600); err != nil {
			t.Fatal(err)
		}
		if q, err := r.host.Find(t.Context(), p); q != nil || err != nil {
			t.Errorf("%s, by its pid file: %+v, %v", name, q, err)
		}
		seen, err := find.Read(pid)
		if err != nil {
			t.Fatal(err)
		}
		p.Attach.Match, p.Attach.Scan, p.Attach.PIDFile = "^"+regexp.QuoteMeta(seen.Line())+"$", true, ""
		if q, err := r.host.Find(t.Context(), p); q != nil || err != nil {
			t.Errorf("%s, by its command: %+v, %v", name, q, err)
		}
	}
	p := r.seeking("x", n)
	p.Attach.PIDFile = r.path("x.pid")
	if err := os.WriteFile(p.Attach.PIDFile, []byte(strconv.Itoa(sleeper(t, n+1, os.Getuid()))), 0o600); err != nil {
		t.Fatal(err)
	}
	if q, err := r.host.Find(t.Context(), p); q != nil || err != nil {
		t.Errorf("another program: %+v, %v", q, err)
	}
	above, err := find.Read(os.Getppid())
	if err != nil || above.PID <= 1 || len(above.Args) == 0 {
		t.Skip("nobody is above who could be taken for a program: ", err)
	}
	p.Attach.Match, p.Attach.PIDFile = "^"+regexp.QuoteMeta(above.Line())+"$", ""
	if q, err := r.host.Find(t.Context(), p); q != nil {
		t.Errorf("who has had it look: %+v, %v", q, err)
	}
}

// TestFindOf: a process of another user is not found for a program, nor is one below an instance.
func TestFindOf(t *testing.T) {
	n := unique()
	r := newRig(t, nil, nil)
	r.notToTake(n)
	if q, err := r.host.Find(t.Context(), r.seeking("x", n)); q != nil || err != nil {
		t.Errorf("%+v, %v", q, err)
	}
}

// TestAdoptable: what is proposed can be taken; the daemon, who asks, instances and the first process are not.
func TestAdoptable(t *testing.T) {
	n := unique()
	r := newRig(t, nil, nil)
	r.launch(r.slots(r.program("own", fmt.Sprint("sleep ", n)))[0])
	instance := r.started("own").PID()
	pid := sleeper(t, n+1, os.Getuid())
	dead := exec.Command("true") // it is not collected yet
	if err := dead.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = dead.Wait() })
	until(t, "it has ended", func() bool {
		_, err := find.Read(dead.Process.Pid)
		return err != nil
	})
	all, can, err := r.host.Adoptable(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got := map[int]bool{}
	for k := range all.All() {
		if p := &all.All()[k]; can(p) {
			got[p.PID] = true
			if os.Geteuid() != 0 && p.UID != os.Geteuid() {
				t.Errorf("of another user: %+v", p)
			}
		}
	}
	if !got[pid] || got[1] || got[os.Getpid()] || got[os.Getppid()] || got[instance] || got[dead.Process.Pid] {
		t.Errorf("%v; the one is %d, we are %d below %d, an instance is %d, dead is %d", got, pid, os.Getpid(), os.Getppid(), instance, dead.Process.Pid)
	}
	silent := find.Process{UID: os.Geteuid(), EUID: os.Geteuid()}
	if silent.PID = 1 << 30; can(&silent) {
		t.Error("one that shows no command line is proposed")
	}
}

// TestDeaf: who takes a process that ignores what is to stop it says so. Source: spec/usrsvc US-22.
func TestDeaf(t *testing.T) {
	n := unique()
	for k, tt := range []struct {
		ignored string
		want    bool
	}{{"TERM INT", true}, {"HUP INT", false}} {
		n := n + 10*k // the one before is there still
		r := newRig(t, nil, nil)
		pid, in := reading(t, "sh")
		if _, err := fmt.Fprintf(in, "trap '' %s; exec sleep %d\n", tt.ignored, n); err != nil {
			t.Fatal(err)
		}
		until(t, "it sleeps", func() bool {
			p, err := find.Read(pid)
			return err == nil && p.Line() == fmt.Sprint("sleep ", n)
		})
		p := r.seeking("x", n)
		p.Stop.Signal = int(unix.SIGTERM)
		r.launch(r.slots(p)[0])
		until(t, "it is found", func() bool { return len(r.all("found", "x")) > 0 })
		want := fmt.Sprintf("x (pid %d) ignores TERM and INT: a stop will need KILL, until its next start", pid)
		if got := strings.Contains(r.activity(), want); got != tt.want {
			t.Errorf("%s: %q", tt.ignored, r.activity())
		}
		if got := strings.Contains(r.activity(), "ignores"); got != tt.want {
			t.Errorf("%s: %q", tt.ignored, r.activity())
		}
	}
}

// TestNamed: a text names as many candidates as people read, and as much of each.
func TestNamed(t *testing.T) {
	var list []*find.Process
	for k := range namedMost + 2 {
		p := &find.Process{Args: []string{"x", strings.Repeat("é", 100) + "\xff"}}
		p.PID = 100 + k
		list = append(list, p)
	}
	text := Named(list)
	if !utf8.ValidString(text) || !strings.HasSuffix(text, ", and 2 more") || !strings.HasPrefix(text, "100 (x é") || strings.Contains(text, "110") || len(text) > namedMost*(shownMost+20) {
		t.Errorf("%q", text)
	}
	if text := Named(list[:1]); strings.Contains(text, "more") || !strings.Contains(text, "…") {
		t.Errorf("%q", text)
	}
}
