package manager

import (
	"context"
	"testing"
	"time"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/core"
	"github.com/upkeep-project/upkeep/internal/service"
)

func TestStartOfOne(t *testing.T) {
	for line, want := range map[string]string{
		"stay":    "x:x ok",
		"broken":  "x:x spawn error: x",
		"missing": "x:x no such file: can't find command 'missing'",
		"noexec":  "x:x not executable: command at 'noexec' is not executable",
	} {
		for _, wait := range []service.Wait{service.WaitOutcome, service.NoWait} {
			s := newStage(t, group("x", 999, line))
			rs, err := s.Start(context.Background(), one("x"), wait)
			is(t, line, rs, err, want)
		}
	}
	s := newStage(t, group("x", 999, "quick"))
	rs, err := s.Start(context.Background(), one("x"), service.WaitOutcome)
	is(t, "quick with startsecs=0", rs, err, "x:x ok")
}

func TestStartThatEndsTooEarly(t *testing.T) {
	g := group("x", 999, "quick")
	g.Programs[0].Start.Secs = time.Hour
	s := newStage(t, g)
	rs, err := s.Start(context.Background(), one("x"), service.WaitOutcome)
	is(t, "start", rs, err, "x:x spawn error: x")
	s.state("x", model.Fatal)
}

func TestStartOfWhatIsUp(t *testing.T) {
	g := group("x", 999, "stay")
	s := newStage(t, g, group("refused", 1, "missing"))
	ctx := context.Background()
	rs, err := s.Start(ctx, one("x"), service.WaitOutcome)
	is(t, "first", rs, err, "x:x ok")
	rs, err = s.Start(ctx, one("x"), service.WaitOutcome)
	is(t, "again", rs, err, "x:x already started: x")
	rs, err = s.Start(ctx, service.Selector{Group: "x"}, service.WaitOutcome)
	is(t, "its group", rs, err, "")
	rs, err = s.Start(ctx, everything, service.WaitOutcome)
	is(t, "all", rs, err, "refused:refused no such file: can't find command 'missing'")
	rs, err = s.Start(ctx, one("y"), service.WaitOutcome)
	is(t, "unknown", rs, err, "error no such program: y")
	rs, err = s.Start(ctx, service.Selector{Group: "y"}, service.WaitOutcome)
	is(t, "unknown group", rs, err, "error no such program: y")
	rs, err = s.Start(ctx, member("x", "y"), service.WaitOutcome)
	is(t, "unknown member", rs, err, "error no such program: x:y")
}

// TestStartChecksTheCommandFirst: also of a program that runs, as the original does.
func TestStartChecksTheCommandFirst(t *testing.T) {
	g := group("x", 999, "stay")
	s := newStage(t, g)
	if _, err := s.Start(context.Background(), one("x"), service.WaitOutcome); err != nil {
		t.Fatal(err)
	}
	g.Programs[0].Command.Line = "missing"
	rs, err := s.Start(context.Background(), one("x"), service.WaitOutcome)
	is(t, "start", rs, err, "x:x no such file: can't find command 'missing'")
	rs, err = s.Start(context.Background(), service.Selector{Group: "x"}, service.WaitOutcome)
	is(t, "start of the group", rs, err, "")
}

// TestOrderOfResults: what is decided at once comes first, then what is decided later; orders reach the
// programs by priority.
func TestOrderOfResults(t *testing.T) {
	// In a group the later members have the lower numbers, so they come first.
	s := newStage(t, group("z", 1, "z1=later", "z2=stay", "z3=missing"), group("a", 2, "a1=broken", "a2=later", "a3=noexec"))
	done := make(chan struct{})
	var rs []service.Result
	var err error
	go func() {
		defer close(done)
		rs, err = s.Start(context.Background(), everything, service.WaitOutcome)
	}()
	s.until("the quick ones have been decided", func() bool {
		a1, _ := s.Get(context.Background(), model.ID{Group: "a", Name: "a1"})
		z2, _ := s.Get(context.Background(), model.ID{Group: "z", Name: "z2"})
		return a1.State == model.Fatal && z2.State == model.Running
	})
	select {
	case <-done:
		t.Fatal("answered before all was decided")
	default:
	}
	if got, want := s.took(), "start z2, start z1, start a2, start a1"; got != want {
		t.Errorf("launches: %s; want %s", got, want)
	}
	close(s.gate)
	<-done
	if err != nil || len(rs) != 6 {
		t.Fatalf("%v, %v", rs, err)
	}
	is(t, "at once", rs[:4], nil, "z:z3 no such file: can't find command 'missing'; "+
		"a:a3 not executable: command at 'noexec' is not executable; z:z2 ok; a:a1 spawn error: a:a1")
	names := map[string]bool{rs[4].ID.Name: true, rs[5].ID.Name: true}
	if !names["z1"] || !names["a2"] || rs[4].Err != nil || rs[5].Err != nil {
		t.Errorf("later: %v", rs[4:])
	}
}

func TestStop(t *testing.T) {
	s := newStage(t, group("x", 2, "stay"), group("y", 1, "y1=stay", "y2=stay"), group("deaf", 3, "deaf"), group("down", 4, "stay"))
	ctx := context.Background()
	rs, err := s.Stop(ctx, everything, service.WaitOutcome)
	is(t, "nothing runs", rs, err, "")
	rs, err = s.Stop(ctx, one("x"), service.WaitOutcome)
	is(t, "what is down", rs, err, "x:x not running: x")
	for _, sel := range []service.Selector{one("x"), {Group: "y"}, one("deaf")} {
		if _, err := s.Start(ctx, sel, service.WaitOutcome); err != nil {
			t.Fatal(err)
		}
	}
	s.took()
	rs, err = s.Stop(ctx, everything, service.WaitOutcome)
	// The signal that cannot be sent is decided at once.
	is(t, "all", rs, err, "deaf:deaf failed: unknown problem killing deaf (104):[Errno 1] Operation not permitted; y:y2 ok; y:y1 ok; x:x ok")
	if got, want := s.took(), "signal y2, signal y1, signal x, signal deaf"; got != want {
		t.Errorf("signals: %s; want %s", got, want)
	}
	s.state("deaf", model.Unknown)
	rs, err = s.Stop(ctx, one("deaf"), service.WaitOutcome)
	is(t, "unknown", rs, err, "deaf:deaf not running: deaf")
	rs, err = s.Start(ctx, one("deaf"), service.WaitOutcome)
	is(t, "start of unknown", rs, err, "deaf:deaf failed: deaf is in an unknown process state")
	rs, err = s.Stop(ctx, one("nobody"), service.WaitOutcome)
	is(t, "nobody", rs, err, "error no such program: nobody")
}

func TestStopWithoutWaiting(t *testing.T) {
	s := newStage(t, group("x", 1, "mule"))
	ctx := context.Background()
	if _, err := s.Start(ctx, one("x"), service.WaitOutcome); err != nil {
		t.Fatal(err)
	}
	rs, err := s.Stop(ctx, one("x"), service.NoWait)
	is(t, "stop", rs, err, "x:x ok")
	s.state("x", model.Stopping)
	rs, err = s.Stop(ctx, one("x"), service.NoWait)
	is(t, "again", rs, err, "x:x not running: x")
	rs, err = s.Start(ctx, one("x"), service.NoWait) // follows the stop (F16)
	is(t, "start", rs, err, "x:x ok")
	short, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := s.Start(short, one("x"), service.WaitOutcome); err == nil {
		t.Error("a client that has gone was answered")
	}
	if rs, err := s.Signal(ctx, one("x"), "KILL"); err != nil || rs[0].Err != nil {
		t.Errorf("signal while stopping: %v %v", rs, err)
	}
	s.until("it runs again", func() bool {
		st, _ := s.Get(ctx, one("x").ID)
		return st.State == model.Running && st.Generation == 2
	})
}

func TestSignal(t *testing.T) {
	s := newStage(t, group("x", 1, "stay"), group("down", 2, "stay"), group("deaf", 3, "deaf"))
	ctx := context.Background()
	for _, name := range []string{"x", "deaf"} {
		if _, err := s.Start(ctx, one(name), service.WaitOutcome); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		sel    service.Selector
		signal string
		want   string
	}{
		{one("x"), "HUP", "x:x ok"},
		{one("x"), "SIGUSR1", "x:x ok"},
		{one("x"), "usr2", "x:x ok"},
		{one("x"), "0", "x:x ok"},
		{one("x"), "NOPE", "x:x bad signal: NOPE"},
		{one("x"), "", "x:x bad signal"},
		{one("x"), "9999", "x:x bad signal: 9999"},
		{one("down"), "HUP", "down:down not running: down"},
		{one("down"), "NOPE", "down:down bad signal: NOPE"},
		{one("deaf"), "HUP", "deaf:deaf failed: unknown problem sending sig deaf (102):[Errno 1] Operation not permitted"},
		{one("nobody"), "HUP", "error no such program: nobody"},
		{service.Selector{Group: "down"}, "HUP", ""},
		{service.Selector{Group: "x"}, "HUP", "x:x ok"},
		{service.Selector{Group: "x"}, "NOPE", "x:x bad signal: NOPE"},
		{everything, "NOPE", "x:x bad signal: NOPE; deaf:deaf bad signal: NOPE"},
		{everything, "HUP", "x:x ok; deaf:deaf failed: unknown problem sending sig deaf (102):[Errno 1] Operation not permitted"},
	} {
		rs, err := s.Signal(ctx, c.sel, c.signal)
		is(t, c.signal, rs, err, c.want)
	}
	s.state("deaf", model.Running)
}

func TestWriteStdin(t *testing.T) {
	s := newStage(t, group("x", 1, "stay"), group("full", 1, "full"), group("closed", 1, "closed"), group("down", 1, "stay"), group("mule", 1, "mule"))
	ctx := context.Background()
	for _, name := range []string{"x", "full", "closed", "mule"} {
		if _, err := s.Start(ctx, one(name), service.WaitOutcome); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Stop(ctx, one("mule"), service.NoWait); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]service.Code{
		"x": 0, "full": service.CodeFailed, "closed": service.CodeNoFile, "down": service.CodeNotRunning,
		"mule": service.CodeNotRunning, "nobody": service.CodeNoSuchProgram,
	} {
		code(t, name, s.WriteStdin(ctx, one(name).ID, []byte("x")), want)
	}
}

// TestWhatKeepsAStart: what may not be started, and what depends on something that cannot be had, have codes of their own.
func TestWhatKeepsAStart(t *testing.T) {
	for _, c := range []struct {
		err  error
		code service.Code
		text string
	}{
		{core.ErrDisabled, service.CodeDisabled, "disabled: app"},
		{&core.DependencyError{Text: "db: FATAL"}, service.CodeDependency, "a dependency has failed: db: FATAL"},
		{core.ErrDependency, service.CodeDependency, "a dependency has failed: app"},
	} {
		err := failure(c.err, "app")
		if service.CodeOf(err) != c.code || err.Error() != c.text {
			t.Errorf("%v: code %d, %q", c.err, service.CodeOf(err), err)
		}
	}
}
