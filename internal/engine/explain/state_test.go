package explain

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/sys/peek"
	"github.com/upkeep-project/upkeep/internal/sys/procnet"
)

func TestStates(t *testing.T) {
	const s, ms = time.Second, time.Millisecond
	code := func(n int) model.Exit { return model.Exit{Known: true, Status: n} }
	for name, c := range map[string]struct {
		state  model.State
		change func(*Facts)
		cause  Cause
		failed bool
		want   string
	}{
		"running": {model.Running, func(f *Facts) {
			f.Status.PID, f.Status.Start = 42, noon().Add(-70*time.Minute)
			f.Listening = []procnet.Addr{{Network: "tcp", AddrPort: netip.MustParseAddrPort("0.0.0.0:8000")}}
		}, CauseRunning, false, "is running for 1h 10m (since 10:50:00), pid 42\n  listening on :8000\n"},
		"running again": {model.Running, func(f *Facts) {
			*f = f.ran(code(3), 200*ms)
			f.Status.PID, f.Status.Start, f.Restarts = 42, noon().Add(-3*s), 3
		}, CauseRunning, false, "is running for 3.0s (since 11:59:57), pid 42\n  3 restarts, the last one 3.0s ago, since it exited with code 3 after 0.2s\n"},
		"adopted": {model.Running, func(f *Facts) {
			f.Adopted, f.Status.PID, f.Status.Start = true, 42, noon().Add(-76*time.Hour)
		}, CauseAdopted, false, "is running for 3d 4h (since 18 Nov 08:00), pid 42\n  upkeep did not start this process but took it over: its output is not logged until its next start\n"},
		"starting": {model.Starting, func(f *Facts) { f.Status.PID, f.Status.Start = 42, noon().Add(-400*ms) }, CauseStarting, false, "is starting: it lives for 0.4s, and counts as running after 1s (startsecs)\n"},
		"waits for another": {model.Starting, func(f *Facts) {
			f.Status.Waiting = "db: ready"
			f.Neighbours = []Neighbour{{ID: model.ID{Group: "cache", Name: "cache"}}, {ID: model.ID{Group: "db", Name: "db"}, State: model.Fatal}}
		}, CauseWaiting, false, "waits for db: ready\n  db is FATAL\n  hint: Why it is not there:  upkeep why db\n"},
		"waits for one that somebody has stopped": {model.Starting, func(f *Facts) {
			f.Status.Waiting = "shop:db: started"
			f.Neighbours = []Neighbour{{ID: model.ID{Group: "shop", Name: "db"}}}
		}, CauseWaiting, false, "waits for shop:db: started\n  shop:db is STOPPED\n  hint: It does not start by itself:  upkeep start shop:db\n"},
		"waits for one that is disabled": {model.Starting, func(f *Facts) {
			f.Status.Waiting = "db: ready"
			f.Neighbours = []Neighbour{{ID: model.ID{Group: "db", Name: "db"}, Disabled: true}}
		}, CauseWaiting, false, "waits for db: ready\n  db is disabled\n  hint: To have it started again:  upkeep set db enabled=true && upkeep start db\n"},
		"waits for one that is not ready": {model.Starting, func(f *Facts) {
			f.Status.Waiting = "db: ready"
			f.Neighbours = []Neighbour{{ID: model.ID{Group: "db", Name: "db"}, State: model.Running}}
		}, CauseWaiting, false, "waits for db: ready\n  db is RUNNING\n  hint: Why it is not ready:  upkeep why db\n"},
		"waits for one to complete": {model.Starting, func(f *Facts) {
			f.Status.Waiting = "db: completed"
			f.Neighbours = []Neighbour{{ID: model.ID{Group: "db", Name: "db"}, State: model.Running}}
		}, CauseWaiting, false, "waits for db: completed\n  db is RUNNING\n"},
		"waits for nobody": {model.Starting, func(f *Facts) { f.Status.Waiting = "db: ready" }, CauseWaiting, false, "waits for db: ready\n  there is no program db\n"},
		"its checks have not passed": {model.Starting, func(f *Facts) {
			f.Status.PID, f.Status.Start = 42, noon().Add(-4*s)
			f.Status.Program.Checks = []model.Check{{Name: "port", Stage: model.StageStartup}}
			f.Status.Program.Start.Timeout = 90 * s
		}, CauseUnproved, false, "is starting: it lives for 4.0s, and its startup checks have not passed yet\n  they have 90s to pass (start_timeout)\n"},
		"its checks have failed": {model.Fatal, func(f *Facts) {
			*f = f.ran(model.Exit{Known: true, Signal: 15}, s)
			f.Runs[0].By = Check
			f.Status.SpawnErr, f.Status.Tries = "startup check port: connection refused", 1
		}, CauseCheck, true, "gave up after 1 try\n  startup check port: connection refused\n  was ended by SIGTERM after 1.0s\n"},
		"not ready": {model.Running, func(f *Facts) {
			f.Status.PID, f.Status.Start = 42, noon().Add(-4*s)
			f.Status.Program.Checks = []model.Check{{Name: "port", Stage: model.StageReady}}
		}, CauseNotReady, false, "is running for 4.0s (since 11:59:56), pid 42, and is not ready: what depends on it waits\n"},
		"restarted by a check": {model.Running, func(f *Facts) {
			*f = f.ran(code(3), 200*ms)
			f.Status.PID, f.Status.Start, f.Restarts = 42, noon().Add(-3*s), 1
			f.Status.Past.Check, f.Status.Past.CheckText = "memory", "612 MB, limit 512 MB"
		}, CauseRunning, false, "is running for 3.0s (since 11:59:57), pid 42\n  1 restart, the last one 3.0s ago, by the check memory: 612 MB, limit 512 MB\n"},
		"disabled": {
			model.Stopped, func(f *Facts) { f.Status.Program.Disabled = true }, CauseDisabled, false,
			"is disabled: nobody can start it (enabled=false)\n  hint: To have it started again:  upkeep set web enabled=true && upkeep start web\n",
		},
		"runs on, disabled": {model.Running, func(f *Facts) {
			f.Status.PID, f.Status.Start, f.Status.Program.Disabled = 42, noon().Add(-4*s), true
		}, CauseRunning, false, "is running for 4.0s (since 11:59:56), pid 42\n  it is disabled (enabled=false): when it has ended it is not started again\n"},
		"waits for its delay": {model.Backoff, func(f *Facts) {
			*f = f.ran(code(3), 200*ms)
			f.Status.Program.Start.Delay, f.NextTry = 30*s, noon().Add(20*s)
		}, CauseDelayed, false, "is started again in 20s (restart_delay=30s)\n  exited with code 3 after 0.2s\n"},
		"tries without end": {model.Backoff, func(f *Facts) {
			f.Status.Tries, f.Status.Program.Start.Retries, f.NextTry = 7, model.Endless, noon().Add(7*s)
		}, CauseUnknownEnd, true, "does not stay up (try 7, next in 7.0s)\n"},
		"starting again": {
			model.Starting, func(f *Facts) { *f = f.ran(code(3), 200*ms, 200*ms); f.Status.Tries = 2 },
			CauseStarting, false, "is starting, try 2 of 4\n  exited with code 3 after 0.2s, twice\n",
		},
		"waits for the next try": {
			model.Backoff, func(f *Facts) {
				*f = f.ran(code(3), 200*ms, 200*ms)
				f.Status.Tries, f.NextTry = 2, noon().Add(1400*ms)
			},
			CauseExited, true, "does not stay up (try 2 of 4, next in 1.4s)\n  exited with code 3 after 0.2s, twice\n",
		},
		"the next try is due": {model.Backoff, func(f *Facts) { f.Status.Tries, f.NextTry = 1, noon() }, CauseUnknownEnd, true, "does not stay up (try 1 of 4, next now)\n"},
		"gave up": {
			model.Fatal, func(f *Facts) { *f = f.ran(code(1), s, s, s, 1500*ms); f.Status.Tries = 4 },
			CauseExited, true, "gave up after 4 tries in 7.5s\n  exited with code 1 each time, after 1.0s, 1.0s, 1.0s and 1.5s\n",
		},
		"gave up, nobody knows why": {
			model.Fatal, func(f *Facts) { *f = f.ran(model.Exit{Reason: "the manager was gone"}, s); f.Status.Tries = 1 },
			CauseUnknownEnd, true, "gave up after 1 try\n  ended, nobody knows how (the manager was gone) after 1.0s\n",
		},
		"could not be started": {
			model.Fatal, func(f *Facts) { f.Status.SpawnErr, f.Status.Tries = "too many open files to spawn 'web'", 4 },
			CauseStartFailed, true, "gave up after 4 tries\n  too many open files to spawn 'web'\n",
		},
		"stopping": {
			model.Stopping, func(f *Facts) { f.StopSent, f.KillDue, f.StoppedBy = noon().Add(-4*s), noon().Add(6*s), "alice" },
			CauseStopping, false, "is stopping: SIGTERM was sent 4.0s ago\n  SIGKILL follows in 6.0s (stopwaitsecs=10s)\n  asked for by alice\n  hint: It need not be waited for:  upkeep stop web --now\n",
		},
		"stopping, killed": {
			model.Stopping, func(f *Facts) { f.StopSent, f.KillDue = noon().Add(-14*s), noon().Add(-4*s) },
			CauseStopping, false, "is stopping: SIGTERM was sent 14s ago\n  SIGKILL was sent, since 10s (stopwaitsecs) were over; the system has not ended it yet\n",
		},
		"stopped": {
			model.Stopped, func(f *Facts) {
				*f = f.ran(model.Exit{Known: true, Signal: 9}, s)
				f.Runs[0].By, f.StoppedBy, f.Status.Stop = Kill, "alice", noon().Add(-48*time.Hour)
			},
			CauseStopped, false, "was stopped by alice 2d ago (19 Nov 12:00)\n  it was ended by SIGKILL: it had not ended within 10s (stopwaitsecs)\n  hint: Start it:  upkeep start web\n",
		},
		"let go of": {
			model.Stopped, func(f *Facts) {
				*f = f.ran(model.Exit{}, s)
				f.Status.Stop, f.Status.Past.Released = noon().Add(-3*time.Hour), 4711
			},
			CauseReleased, false, "was let go of 3h ago (09:00:00)\n  its process, pid 4711, ran on without upkeep\n" +
				"  hint: Take it back while it runs:  upkeep adopt web\n  hint: Start another one:  upkeep start web\n",
		},
		"off": {
			model.Stopped, func(f *Facts) { f.Off = true }, CauseOff, false,
			"is off: it does not start by itself, and nobody has started it\n  it does not start at boot\n  hint: Start it:  upkeep start web\n  hint: Start it at boot too:  upkeep on web\n",
		},
		"never started": {model.Stopped, func(*Facts) {}, CauseNotStarted, false, "has not been started yet\n  hint: Start it:  upkeep start web\n"},
		"finished": {
			model.Exited, func(f *Facts) { *f = f.ran(code(0), 6*s); f.Status.Stop = noon().Add(-6 * time.Hour) }, CauseFinished, false,
			"has finished: exited with code 0 after 6.0s\n  code 0 is one that is expected (exitcodes)\n  that was 6h ago (06:00:00)\n  it is not started again since only an unexpected end asks for that (autorestart=unexpected)\n",
		},
		"ended badly": {
			model.Exited, func(f *Facts) { *f = f.ran(code(2), 60*s); f.Status.Program.Exit.Restart = model.RestartNever }, CauseExited, true,
			"exited with code 2 after 1m\n  that was 1.0s ago (11:59:59)\n  it is not started again since autorestart=false\n  hint: To have it started again when it fails:  upkeep set web autorestart=unexpected && upkeep start web\n",
		},
		"unknown": {model.Unknown, func(f *Facts) { f.Status.SpawnErr = "unknown problem" }, CauseUnknownEnd, true, "is in a state that cannot be told\n  unknown problem\n"},
	} {
		f := fakeFacts(c.state)
		c.change(&f)
		v := Explain(t.Context(), f, &fake{uid: 1000})
		if got := render(v); got != "["+string(c.cause)+"] "+c.want || v.Failed != c.failed {
			t.Errorf("%s: failed %v\n%swant\n%s", name, v.Failed, got, c.want)
		}
	}
}

func TestKernelLog(t *testing.T) {
	f := fakeFacts(model.Fatal).ran(model.Exit{Known: true, Signal: 9}, time.Second)
	for _, c := range []struct {
		sys   *fake
		cause Cause
		says  string
	}{
		{&fake{logged: true}, CauseOutOfMemory, "the kernel's log says that it killed it for lack of memory"},
		{&fake{}, CauseKilledByOther, "somebody else sent the signal"},
		{&fake{unread: true}, CauseKilledByOther, "the kernel's log may not be read here"},
	} {
		if v := Explain(t.Context(), f, c.sys); v.Cause != c.cause || !strings.Contains(render(v), c.says) {
			t.Errorf("%+v: %s", c.sys, render(v))
		}
	}
}

func TestHolderThatCannotBeSeen(t *testing.T) {
	f := fakeFacts(model.Backoff).ran(model.Exit{Known: true, Status: 1}, time.Second)
	f.Stderr = []byte("12:22:01 bind: Address already in use\n")
	at := func(s string, uid, pid int) procnet.Holder {
		return procnet.Holder{Addr: procnet.Addr{Network: "tcp", AddrPort: netip.MustParseAddrPort(s)}, UID: uid, PID: pid}
	}
	// Port 22 is in the time of the day only, port 8000 is in the command line.
	sys := &fake{uid: 1000, holders: []procnet.Holder{at("0.0.0.0:22", 0, 5), at("0.0.0.0:8000", 7, 0)}}
	if v := Explain(t.Context(), f, sys); v.Cause != CausePortInUse || len(v.Checked) != 1 || v.Checked[0] != "port 8000 is held by a process of user 7" {
		t.Error(render(v))
	}
}

func TestTimeIsUp(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	f := fakeFacts(model.Backoff).ran(model.Exit{Known: true}, 10*time.Millisecond)
	f.Stderr = []byte("last words\n")
	v := Explain(ctx, f, &fake{})
	if v.Cause != CauseExited || len(v.Evidence) != 1 || len(v.Hints) != 0 {
		t.Errorf("without time: %s", render(v))
	}
}

// stuck is a machine on which a look at a file does not come back.
type stuck struct {
	fake
	places chan struct{}
	until  chan struct{}
}

func (s *stuck) Walk(w peek.Who, path string, r peek.Right) (peek.Found, error) {
	<-s.until
	return s.fake.Walk(w, path, r)
}

func (s *stuck) Enter() (func(), bool) { return enter(s.places) }

func TestDeadFileSystem(t *testing.T) {
	sys := &stuck{places: make(chan struct{}, 1), until: make(chan struct{})}
	f := fakeFacts(model.Fatal).ran(model.Exit{Known: true, Status: 1}, time.Second)
	f.Stderr, f.Status.Program.Command.UID = []byte("open '/mnt/x': Permission denied\n"), 1000
	for _, c := range []string{"the first hangs", "no place for the second"} {
		if v := Explain(t.Context(), f, sys); v.Cause != CauseExited || len(v.Evidence) != 1 || len(v.Checked) != 1 || v.Checked[0] != tooLong {
			t.Errorf("%s: %s", c, render(v))
		}
	}
	close(sys.until)
	for end := time.Now().Add(time.Minute); len(sys.places) > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the look does not end")
		}
	}
}

func TestEmptyFacts(t *testing.T) {
	for s := model.Stopped; s <= model.Unknown; s++ {
		v := Explain(t.Context(), Facts{Status: model.Status{State: s, Tries: 1, SpawnErr: "x"}}, &fake{})
		if v.Headline == "" || v.Cause == "" {
			t.Errorf("%v: %+v", s, v)
		}
	}
}

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"plain": "plain", "\x1b[31mred\x1b[0m": "red", "\x1b]0;title\x07x": "x", "\x1b]8;;http://x\x1b\\link": "link", "a\x08\x07b\r": "ab", "a\nb": "a b", "a\tb": "a b",
		"\xff": `\xff`, "\u202egnp": `\u{202e}gnp`, "\u009b31m": "", "\x1b": "", "\x1b[": "", "\x1bP": "", "größe": "größe", "\x1bc!": "!",
	} {
		if got := clean(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	if n := len(clean(strings.Repeat("ü", 10000))); n > maxText+utf8.UTFMax {
		t.Errorf("%d bytes are shown of a long line", n)
	}
}

// FuzzExplain holds for every output: what is said is short, safe to be shown, and never has the value of a variable.
func FuzzExplain(f *testing.F) {
	for _, s := range []string{
		"listen tcp :8000: bind: address already in use", "connect ECONNREFUSED 127.0.0.1:5432", "KeyError: 'SECRET'", "sh: 1: x: not found",
		"No module named 'a'", "Cannot find module 'b'", "open '/x': Permission denied", "SyntaxError in \"a.py\", line 3", "env: 'python3\r': No such file or directory",
		"\x1b[2J\x1b]0;x\x07", "supervisor: couldn't exec x: ENOENT", "error while loading shared libraries: l.so: cannot open shared object file", "No space left on device",
	} {
		f.Add(s, "", uint8(1), uint8(0), "server")
		f.Add("", s, uint8(127), uint8(0), "sh -c 'x'")
		f.Add(s, s, uint8(0), uint8(9), "nginx")
	}
	f.Add("s3cr3t\x1b[0m-value", "\xc3", uint8(1), uint8(0), "\xa9 \ufffd") // what is left out joins what stood beside it
	f.Fuzz(func(t *testing.T, out, err string, status, sig uint8, line string) {
		hidden := '\u4e00' // a character that only the value has
		for strings.ContainsRune(out+err+line, hidden) {
			hidden++
		}
		facts := fakeFacts(model.Backoff).ran(model.Exit{Known: true, Status: int(status), Signal: int(sig % 32)}, 10*time.Millisecond)
		facts.Stdout, facts.Stderr, facts.Environ = []byte(out), []byte(err), []string{"SECRET=" + strings.Repeat(string(hidden), 3), "PORT=8000"}
		facts.Status.Program.Command.Line, facts.FilesLimit, facts.StdinEnds = line, 10, true
		v := Explain(t.Context(), facts, &fake{uid: 1000, kills: int(status) % 2})
		if v.Cause == "" || len(v.Facts)+len(v.Checked)+len(v.Hints) > 24 || len(v.Evidence) > 2 {
			t.Errorf("%+v", v)
		}
		for _, s := range strings.Split(render(v), "\n") {
			if strings.ContainsRune(s, hidden) || strings.ContainsFunc(s, unicode.IsControl) || !utf8.ValidString(s) || len(s) > 4*maxText {
				t.Errorf("%q", s)
			}
		}
	})
}
