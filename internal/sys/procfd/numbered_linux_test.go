package procfd

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/google/go-cmp/cmp"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/sys/procstat"
)

// proc is the seer of this system, so that numbered processes can be tried here with real ones.
func proc() *seer {
	return &seer{look: sightOf, everybody: func() ([]procstat.Sight, error) {
		pids, err := procstat.PIDs()
		var out []procstat.Sight
		for _, pid := range pids {
			if s, err := sightOf(pid); err == nil {
				out = append(out, s)
			}
		}
		return out, err
	}, environ: func(pid int) ([]string, error) {
		b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ")
		return strings.Split(string(b), "\x00"), err
	}}
}

func sightOf(pid int) (procstat.Sight, error) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return procstat.Sight{}, syscall.ESRCH
	}
	st, err := procstat.Parse(b)
	s := procstat.Sight{Stat: st}
	if f := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:]); s.Dead() && len(f) > 49 {
		raw, _ := strconv.ParseUint(string(f[49]), 10, 32)
		s.Raw = uint32(raw)
	}
	return s, err
}

// offspring starts a shell script in a group of its own and returns when it has said that it is ready.
func offspring(t *testing.T, script string, env ...string) *numbered {
	t.Helper()
	c := exec.Command("/bin/sh", "-c", script)
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c.Env = append(os.Environ(), env...)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	c.Stdout = w
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	_, _ = r.Read(make([]byte, 100)) // a script that says nothing ends
	h := newNumbered(c.Process.Pid, true, proc())
	t.Cleanup(func() {
		_ = h.Signal(int(unix.SIGKILL), model.ReachTree)
		shortly(t, "the child to end", func() bool { _, done, err := h.Wait(false); return done || err != nil })
		h.Close()
	})
	return h
}

func shortly(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("timed out: %s", what)
		}
	}
}

func TestNumberedEnds(t *testing.T) {
	for _, tc := range []struct {
		script string
		want   model.Exit
	}{
		{"exit 0", model.Exit{Known: true}},
		{"exit 7", model.Exit{Known: true, Raw: 7 << 8, Status: 7}},
		{"kill -9 $$", model.Exit{Known: true, Raw: 9, Signal: 9}},
	} {
		h := offspring(t, tc.script)
		id := h.Identity()
		shortly(t, tc.script, func() bool { _, done, _ := h.Wait(true); return done })
		for _, peek := range []bool{true, true, false, false, true} {
			if e, done, err := h.Wait(peek); err != nil || !done || e != tc.want {
				t.Errorf("%s: peek %v: %+v, %v, %v", tc.script, peek, e, done, err)
			}
		}
		if err := h.Signal(0, model.ReachProcess); !errors.Is(err, syscall.ESRCH) {
			t.Errorf("%s: a signal after it was reaped: %v", tc.script, err)
		}
		if id.StartTicks == 0 || id.PID != h.pid || h.Identity() != id {
			t.Errorf("%s: identity %+v, then %+v", tc.script, id, h.Identity())
		}
		if _, err := adoptNumbered(id, id.BootID, proc()); !errors.Is(err, ErrGone) {
			t.Errorf("%s: adopted after it was reaped: %v", tc.script, err)
		}
	}
}

// The status that came with the news of the end is believed before the system shows it, and reaping waits for the rest.
func TestNumberedToldEarly(t *testing.T) {
	h := offspring(t, "echo ready; exec sleep 1000")
	h.ended(true, 3<<8)
	if e, done, err := h.Wait(true); err != nil || !done || e.Status != 3 {
		t.Errorf("%+v, %v, %v", e, done, err)
	}
	go func() { _ = unix.Kill(h.pid, unix.SIGTERM) }() // the end that was announced
	if e, done, err := h.Wait(false); err != nil || !done || e.Signal != int(unix.SIGTERM) {
		t.Errorf("the status that was collected: %+v, %v, %v", e, done, err)
	}
}

func TestAdoptNumbered(t *testing.T) {
	h := offspring(t, "echo ready; exec sleep 1000")
	id := h.Identity()
	good, err := adoptNumbered(id, id.BootID, proc())
	if err != nil || !good.child {
		t.Fatalf("%+v, %v", good, err)
	}
	later, poor := id, id
	later.StartTicks++
	poor.StartTicks = 0
	for _, tc := range []struct {
		name, boot string
		id         Identity
		want       error
	}{
		{"another start", id.BootID, later, ErrStranger},
		{"no start", id.BootID, poor, ErrStranger},
		{"another boot", "another", id, ErrGone},
		{"nobody", id.BootID, Identity{PID: 1 << 30, StartTicks: 1}, ErrGone},
	} {
		if _, err := adoptNumbered(tc.id, tc.boot, proc()); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", tc.name, err, tc.want)
		}
	}
}

// What is not our child is signalled only if it is still the same, and its end is known or said to be unknown.
func TestNumberedOfOthers(t *testing.T) {
	h := offspring(t, "sleep 1000 & echo ready; wait")
	var kid int
	shortly(t, "the sleep", func() bool {
		kids, _ := procstat.Children(h.pid)
		kid = slices.Max(append(kids, 0))
		return kid > 0
	})
	s, err := sightOf(kid)
	if err != nil {
		t.Fatal(err)
	}
	o, err := adoptNumbered(Identity{PID: kid, StartTicks: s.StartTicks}, "", proc())
	if err != nil || o.child {
		t.Fatalf("%+v, %v", o, err)
	}
	if _, done, err := o.Wait(true); done || err != nil {
		t.Errorf("it lives: %v, %v", done, err)
	}
	wrong := newNumbered(kid, false, proc())
	wrong.id = Identity{PID: kid, StartTicks: s.StartTicks + 1}
	if err := wrong.Signal(int(unix.SIGKILL), model.ReachProcess); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("a stranger was signalled: %v", err)
	}
	if e, done, _ := wrong.Wait(true); !done || e.Known {
		t.Errorf("the number is another's: %+v, %v", e, done)
	}
	if err := o.Signal(int(unix.SIGTERM), model.ReachProcess); err != nil {
		t.Fatal(err)
	}
	shortly(t, "its end", func() bool { _, done, _ := o.Wait(true); return done })
	if e, _, _ := o.Wait(true); e.Known && e.Signal != int(unix.SIGTERM) {
		t.Errorf("%+v", e)
	}
}

// TestNumberedGroupShrinks: that one of a group has ended since it was seen does not mean that its leader was reaped.
func TestNumberedGroupShrinks(t *testing.T) {
	c := offspring(t, "echo; while :; do sleep 1; done")
	h, err := adoptNumbered(c.Identity(), "", proc())
	if err != nil {
		t.Fatal(err)
	}
	h.child = false
	gone := procstat.Sight{Stat: procstat.Stat{PID: 1 << 22, PGRP: c.PID(), PPID: 1, State: 'S', StartTicks: c.Identity().StartTicks}}
	h.see = &seer{look: sightOf, everybody: func() ([]procstat.Sight, error) { return []procstat.Sight{gone}, nil }}
	if err := h.Signal(int(unix.SIGCONT), model.ReachGroup); err != nil {
		t.Error(err)
	}
}

func TestNumberedSetExit(t *testing.T) {
	h := offspring(t, "echo ready; exec sleep 1000")
	h.SetExit(5 << 8) // a child is asked itself
	if _, done, _ := h.Wait(true); done {
		t.Error("a child is taken for ended")
	}
	o := newNumbered(h.pid, false, proc())
	o.id = h.Identity()
	o.SetExit(5 << 8)
	if e, done, _ := o.Wait(true); !done || e.Status != 5 {
		t.Errorf("%+v, %v", e, done)
	}
}

// An end without a status, of a process that is still shown as living, is waited for with a bound.
func TestNumberedLingers(t *testing.T) {
	h := offspring(t, "echo ready; exec sleep 1000")
	o := newNumbered(h.pid, false, proc())
	o.id = h.Identity()
	now := time.Now()
	o.now = func() time.Time { return now }
	o.ended(false, 0)
	if _, done, _ := o.Wait(true); done {
		t.Error("at once")
	}
	now = now.Add(lingers)
	if e, done, _ := o.Wait(true); !done || e.Known {
		t.Errorf("%+v, %v", e, done)
	}
}

// called lists the living processes with a mark in their command line.
func called(mark string) (pids []int) {
	all, _ := procstat.PIDs()
	for _, pid := range all {
		s, err := sightOf(pid)
		argv, _ := procstat.Cmdline(pid)
		if err == nil && !s.Dead() && slices.Contains(argv, mark) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// A stop of the whole tree reaches who has left group and session, as long as its parent lives or it was found before.
func TestNumberedTree(t *testing.T) {
	mark := fmt.Sprint(31000 + os.Getpid()%1000)
	h := offspring(t, `sleep `+mark+` & setsid sh -c 'sleep `+mark+` & exec sleep `+mark+`' & echo ready; wait`)
	shortly(t, "three sleeps", func() bool { return len(called(mark)) == 3 })
	h.marks = &Marks{Group: "g", Name: "n"}
	found, err := h.survivors()
	if err != nil || len(found) != 3 {
		t.Fatalf("%+v, %v", found, err)
	}
	for _, p := range found {
		if !p.Mark.Sure() || p.Name != "sleep" || p.StartTicks == 0 {
			t.Errorf("%+v", p)
		}
	}
	if err := h.Signal(int(unix.SIGURG), model.ReachTree); err != nil { // harmless, and the tree is known now
		t.Fatal(err)
	}
	if err := unix.Kill(h.pid, unix.SIGKILL); err != nil { // the leader alone
		t.Fatal(err)
	}
	shortly(t, "the leader to end", func() bool { _, done, _ := h.Wait(true); return done })
	if found, err := h.survivors(); err != nil || len(found) != 3 {
		t.Errorf("after the leader's end: %+v, %v", found, err)
	}
	if err := h.Signal(int(unix.SIGKILL), model.ReachTree); err != nil {
		t.Error(err)
	}
	shortly(t, "all to end", func() bool { return len(called(mark)) == 0 })
	if found, err := h.survivors(); err != nil || len(found) != 0 {
		t.Errorf("%+v, %v", found, err)
	}
}

func TestLineage(t *testing.T) {
	p := func(pid, ppid, pgrp, session int, start uint64) procstat.Sight {
		return procstat.Sight{Stat: procstat.Stat{PID: pid, PPID: ppid, PGRP: pgrp, Session: session, StartTicks: start, State: 'S'}}
	}
	dead := p(17, 10, 10, 9, 58)
	dead.State = 'Z'
	leader := Identity{PID: 10, StartTicks: 50}
	all := []procstat.Sight{
		p(1, 0, 1, 1, 1), p(2, 1, 2, 2, 10),
		p(10, 2, 10, 9, 50), // the instance
		p(11, 10, 10, 9, 51), p(12, 11, 12, 12, 52), p(13, 12, 12, 12, 53),
		p(14, 1, 10, 9, 54),  // its parent has died
		p(15, 1, 15, 10, 55), // in the instance's session
		p(16, 14, 16, 16, 56), dead,
		p(20, 1, 20, 20, 57),                      // seen before
		p(21, 20, 20, 20, 58),                     // below it
		p(22, 1, 22, 22, 59),                      // another has its number now
		p(30, 2, 30, 9, 60), p(31, 30, 30, 9, 61), // somebody else
		p(40, 10, 40, 40, 62), p(41, 40, 40, 40, 63), // known: another instance
	}
	seen := map[int]procstart{20: 57, 22: 58}
	known := func(pid int) bool { return pid == 10 || pid == 40 }
	pids := func(list []relative) (out []int) {
		for _, r := range list {
			out = append(out, r.PID)
		}
		return out
	}
	if diff := cmp.Diff([]int{11, 12, 13, 14, 15, 16, 20, 21}, pids(lineage(all, leader, seen, known))); diff != "" {
		t.Error(diff)
	}
	gone := slices.DeleteFunc(slices.Clone(all), func(s procstat.Sight) bool { return s.PID == 10 })
	if diff := cmp.Diff([]int{11, 12, 13, 14, 15, 16, 20, 21}, pids(lineage(gone, leader, map[int]procstart{20: 57}, known))); diff != "" {
		t.Errorf("the leader was reaped, and its group and session live: %s", diff)
	}
	taken := append(gone, p(10, 2, 10, 9, 70), p(50, 10, 10, 9, 71))
	if diff := cmp.Diff([]int{20, 21}, pids(lineage(taken, leader, seen, known))); diff != "" {
		t.Errorf("another process has the leader's number: %s", diff)
	}
}

func TestSeerProgram(t *testing.T) {
	h := offspring(t, "echo ready; exec sleep 1000", "SUPERVISOR_GROUP_NAME=g", "SUPERVISOR_PROCESS_NAME=n", "SUPERVISOR_SERVER_URL=unix:///x")
	var group, name, server string
	shortly(t, "the environment", func() (ok bool) { group, name, server, ok = proc().program(h.pid); return ok })
	if group != "g" || name != "n" || server != "unix:///x" {
		t.Errorf("%q %q %q", group, name, server)
	}
	s := &seer{environ: func(int) ([]string, error) {
		return []string{"SUPERVISOR_GROUP_NAME=first", "SUPERVISOR_GROUP_NAME=second", "X"}, nil
	}}
	if group, _, _, ok := s.program(1); ok || group != "first" {
		t.Errorf("%q, %v: half of the marks is none", group, ok)
	}
}

// book is a source of ends that is told what to say.
type book struct {
	mu      sync.Mutex
	watched map[int]int
	ends    []ending
	refuse  error
}

func (b *book) add(pid int, _ bool) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.refuse == nil {
		b.watched[pid]++
	}
	return b.refuse
}

func (b *book) remove(pid int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.watched, pid)
	b.ends = slices.DeleteFunc(b.ends, func(e ending) bool { return e.pid == pid })
}

func (b *book) take() []ending {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := b.ends
	b.ends = nil
	return out
}

func TestRoll(t *testing.T) {
	b := &book{watched: map[int]int{}}
	kicks := 0
	r := newRoll(b, func(time.Duration) { kicks++ })
	fired := map[string]int{}
	watch := func(h *numbered, name string) {
		t.Helper()
		if err := r.watch(h, func() { fired[name]++ }); err != nil {
			t.Fatal(err)
		}
	}
	h := offspring(t, "echo ready; exec sleep 1000")
	watch(h, "child")
	r.run()
	if len(fired) != 0 || b.watched[h.pid] != 1 || kicks != 0 {
		t.Fatalf("%v, %v, %d kicks", fired, b.watched, kicks)
	}
	// The news comes before the system shows it, with the status.
	b.ends = []ending{{h.pid, true, 4 << 8}, {h.pid + 1, true, 0}}
	r.run()
	r.run()
	if fired["child"] != 1 {
		t.Errorf("%v", fired)
	}
	if e, done, _ := h.Wait(true); !done || e.Status != 4 {
		t.Errorf("%+v, %v", e, done)
	}

	// An adopted process whose number was given to a child of ours before its end was taken.
	old := newNumbered(h.pid, false, proc())
	old.id = Identity{PID: h.pid, StartTicks: h.Identity().StartTicks - 1}
	fresh := newNumbered(h.pid, true, proc())
	watch(old, "old")
	b.ends = []ending{{h.pid, true, 1 << 8}}
	watch(fresh, "fresh")
	if kicks != 1 {
		t.Errorf("%d kicks", kicks)
	}
	r.run()
	if fired["old"] != 1 || fired["fresh"] != 0 || b.watched[h.pid] != 1 {
		t.Errorf("%v, %v", fired, b.watched)
	}
	if e, done, _ := fresh.Wait(true); done {
		t.Errorf("the end of another was taken for its own: %+v", e)
	}

	// Two handles of one process, one of which is closed.
	second := newNumbered(h.pid, true, proc())
	watch(second, "second")
	second.Close()
	b.ends = []ending{{h.pid, true, 2 << 8}}
	r.run()
	if fired["fresh"] != 1 || fired["second"] != 0 {
		t.Errorf("%v", fired)
	}
	if err := r.watch(second, func() {}); !errors.Is(err, os.ErrClosed) {
		t.Errorf("a closed handle was watched: %v", err)
	}

	// It is ending when it is to be watched, and shown as such a little later.
	late := newNumbered(h.pid, true, proc())
	b.refuse = syscall.ESRCH
	watch(late, "late")
	kicks = 0
	r.run()
	if fired["late"] != 0 || kicks != 1 {
		t.Errorf("%v, %d kicks", fired, kicks)
	}
	_ = unix.Kill(h.pid, unix.SIGKILL)
	shortly(t, "it to be told", func() bool { r.run(); return fired["late"] == 1 })
	b.refuse = syscall.EPERM
	if err := r.watch(newNumbered(h.pid, true, proc()), func() {}); !errors.Is(err, syscall.EPERM) {
		t.Errorf("%v", err)
	}
	if len(r.of) != 0 || len(r.due) != 0 {
		t.Errorf("left: %v, %v", r.of, r.due)
	}
}

// What is told of an adopted process, and what is reaped, ends the watch.
func TestRollByOthers(t *testing.T) {
	b := &book{watched: map[int]int{}}
	r := newRoll(b, func(time.Duration) {})
	h := offspring(t, "echo ready; exec sleep 1000")
	o := newNumbered(h.pid, false, proc())
	o.id = h.Identity()
	fired := 0
	if err := r.watch(o, func() { fired++ }); err != nil {
		t.Fatal(err)
	}
	o.SetExit(6 << 8)
	r.run()
	if fired != 1 || len(b.watched) != 0 {
		t.Errorf("fired %d times, watched %v", fired, b.watched)
	}
	if err := r.watch(h, func() { fired++ }); err != nil {
		t.Fatal(err)
	}
	_ = unix.Kill(h.pid, unix.SIGKILL)
	shortly(t, "it to be reaped", func() bool { _, done, _ := h.Wait(false); return done })
	r.run()
	if fired != 1 || len(b.watched) != 0 || len(r.of) != 0 {
		t.Errorf("fired %d times, watched %v, %v", fired, b.watched, r.of)
	}
}
