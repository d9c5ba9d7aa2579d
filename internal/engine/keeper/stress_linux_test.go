package keeper

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/upkeep-project/upkeep/internal/sys/fdpass"
	"github.com/upkeep-project/upkeep/internal/sys/procstat"
)

// The files of a stress run, in the folder that holds the control socket. Every line is one write.
const (
	ledgerFile  = "ledger"  // "start KEY STATUS", written by the programs themselves
	journalFile = "journal" // "exit KEY STATUS", written by the managers
	stopFile    = "stop"    // when it is there, nothing new is started
)

const stressLive = 12 // programs at once

// stressMain is a manager that starts programs all the time and writes down how they end, in an order that
// loses nothing: written down first, then reaped, then dropped. Source: spec/reliability R9.
func stressMain() int {
	l, items, err := Attach()
	if err != nil || l == nil {
		fmt.Fprintln(os.Stderr, "attach:", err)
		return 3
	}
	s := &stress{l: l, dir: filepath.Dir(os.Getenv(controlVar)), exits: make(chan [2]string, 1<<16)}
	if err := s.run(items); err != nil {
		fmt.Fprintln(os.Stderr, "stress:", err)
		return 4
	}
	return 0
}

type program struct{ pid, pidfd int }

type stress struct {
	l       *Link
	dir     string
	journal *os.File
	known   map[string]bool // keys whose end is written down
	own     map[string]program
	foreign map[string]bool // keys that the keeper will tell about
	exits   chan [2]string
	lost    atomic.Bool
}

func (s *stress) run(items []Item) (err error) {
	if s.journal, err = os.OpenFile(filepath.Join(s.dir, journalFile), os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600); err != nil {
		return err
	}
	s.known, s.own, s.foreign = map[string]bool{}, map[string]program{}, map[string]bool{}
	for lines := bufio.NewScanner(s.journal); lines.Scan(); {
		s.known[strings.Fields(lines.Text())[1]] = true
	}
	for _, it := range items {
		fdpass.CloseAll(it.FDs)
		switch {
		case it.PID == 0 || s.known[it.Key]:
			// It never was let off, or only the drop is missing.
			if err := s.l.Drop(it.Key); err != nil {
				return err
			}
		default:
			s.foreign[it.Key] = true
		}
	}
	s.l.Serve(Events{
		Exit: func(key string, raw uint32) { s.exits <- [2]string{key, strconv.Itoa(int(raw))} },
		Lost: func(error) { s.lost.Store(true) },
	})
	if err := s.l.Ready(); err != nil {
		return err
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for n := 0; ; {
		if s.lost.Load() {
			return ErrLost
		}
		stop := false
		if _, err := os.Stat(filepath.Join(s.dir, stopFile)); err == nil {
			stop = true
		}
		if stop && len(s.own)+len(s.foreign) == 0 {
			return s.l.End(0)
		}
		if !stop && len(s.own)+len(s.foreign) < stressLive {
			n++
			if err := s.start(fmt.Sprintf("%d.%d", os.Getpid(), n)); err != nil {
				return err
			}
			continue
		}
		select {
		case e := <-s.exits:
			if s.foreign[e[0]] {
				delete(s.foreign, e[0])
				if err := s.ended(e[0], e[1], func() {}); err != nil {
					return err
				}
			}
		case <-tick.C:
			for key, p := range s.own {
				raw, ended, err := fdpass.Peek(p.pidfd, p.pid)
				if err != nil {
					return err
				}
				if !ended {
					continue
				}
				delete(s.own, key)
				reap := func() {
					_, _, _ = fdpass.Reap(p.pidfd, p.pid)
					fdpass.CloseAll([]int{p.pidfd})
				}
				if err := s.ended(key, strconv.Itoa(int(raw)), reap); err != nil {
					return err
				}
			}
		}
	}
}

// ended writes an end down and lets go of the program.
func (s *stress) ended(key, raw string, reap func()) error {
	if !s.known[key] {
		if _, err := s.journal.WriteString("exit " + key + " " + raw + "\n"); err != nil {
			return err
		}
		s.known[key] = true
	}
	reap()
	return s.l.Drop(key)
}

// start starts a program that tells the ledger how it will end.
func (s *stress) start(key string) error {
	end, want := fmt.Sprintf("exit %d", rand.IntN(90)), 0
	fmt.Sscanf(end, "exit %d", &want)
	want <<= 8
	if rand.IntN(4) == 0 {
		end, want = "kill -9 $$", 9
	}
	script := fmt.Sprintf("echo start %s %d >> %s; sleep 0.0%d; %s", key, want, filepath.Join(s.dir, ledgerFile), rand.IntN(10), end)
	pid, pidfd, err := startGated(s.l, key, []string{"sh", "-c", script})
	if err != nil {
		return err
	}
	s.own[key] = program{pid, pidfd}
	return nil
}

// records reads "WORD KEY NUMBER" lines.
func records(t *testing.T, path string) map[string][]int {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]int{}
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) != 3 {
			t.Fatalf("%s: %q", path, line)
		}
		n, err := strconv.Atoi(f[2])
		if err != nil {
			t.Fatal(err)
		}
		out[f[1]] = append(out[f[1]], n)
	}
	return out
}

// managers lists the children of a keeper that are managers.
func managers(t *testing.T, keeper int) (pids []int) {
	t.Helper()
	children, err := procstat.Children(keeper)
	if err != nil {
		t.Fatal(err)
	}
	for _, pid := range children {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if err == nil && strings.Contains(string(b), "-keeper-under-test") {
			pids = append(pids, pid)
		}
	}
	return pids
}

// TestKillLoop kills the manager at random moments while it starts programs and sees them end: every end
// is known, once and exactly. Source: spec/reliability R1, R9.
func TestKillLoop(t *testing.T) {
	kills := 60
	if testing.Short() {
		kills = 10
	}
	tm := quick()
	tm.BackoffMax = 5 * time.Millisecond
	r := newRig(t, rigOptions{Timings: tm, Role: "stress"})
	until(t, "the first manager is READY", func() bool { return strings.Contains(r.output(), "ready") })
	dir := filepath.Dir(r.listen.Addr().String())
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	keeper := r.cmd.Process.Pid
	for done := 0; done < kills; {
		pids := managers(t, keeper)
		until(t, "there is one manager at most", func() bool {
			// A program that is about to be executed looks like the manager that forked it, for a moment.
			alive := 0
			for _, pid := range managers(t, keeper) {
				if s := procState(pid); s != 0 && s != 'Z' && comm(pid) == managerName {
					alive++
				}
			}
			return alive <= 1
		})
		time.Sleep(time.Duration(random.IntN(300)) * time.Millisecond) // the moment is what is random
		for _, pid := range managers(t, keeper) {
			if slices.Contains(pids, pid) && unix.Kill(pid, unix.SIGKILL) == nil {
				done++
			}
		}
	}
	if err := os.WriteFile(filepath.Join(dir, stopFile), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if status := r.end(); status != 0 {
		t.Fatalf("status %d, %q", status, r.output())
	}
	truth, told := records(t, filepath.Join(dir, ledgerFile)), records(t, filepath.Join(dir, journalFile))
	for key, want := range truth {
		if got := told[key]; len(got) != 1 || got[0] != want[0] {
			t.Errorf("%s: told %v, was %v", key, got, want)
		}
	}
	for key, got := range told {
		// One that was let off and killed before its first line, or that nobody let off, has no truth.
		if _, ok := truth[key]; !ok && got[0] != 99<<8 {
			t.Errorf("%s: told %v, and never ran", key, got)
		}
	}
	t.Logf("%d programs, %d kills", len(truth), kills)
	if len(truth) < kills/2 {
		t.Errorf("only %d programs ran", len(truth))
	}
}
