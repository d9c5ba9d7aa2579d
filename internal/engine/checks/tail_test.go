package checks

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/core"
)

// put writes text at the end of a file.
func put(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// following is a check of a file.
func following(path string) model.Check {
	return model.Check{
		Name: "l", Kind: model.CheckLog, Pattern: "^panic", Target: path, Every: time.Second, Failures: 1, Passes: 1, Action: model.CheckEvent,
	}
}

// TestFollowedLog: a file is looked through from its end on, over all that can become of it, each line once.
func TestFollowedLog(t *testing.T) {
	r := newRig(t)
	path := filepath.Join(t.TempDir(), "log")
	put(t, path, "panic: of yesterday\n")
	r.start("a", following(path))
	failed := uint64(0)
	step := func(what, found string) {
		t.Helper()
		r.run(time.Second)
		s := r.state("a")
		want := model.CheckState{Verdict: model.Passing, Text: "no such line"}
		if found != "" {
			failed++
			want.Verdict, want.Text = model.Failing, found
		}
		if s.Verdict != want.Verdict || s.Text != want.Text || s.Failed != failed {
			t.Errorf("%s: %+v, want %q", what, s, want.Text)
		}
	}
	step("what was there", "")
	put(t, path, "well\npanic: one\nwell\n")
	step("a line", "panic: one")
	step("once", "")
	put(t, path, "panic: in ")
	step("half a line", "")
	put(t, path, "halves\n")
	step("the other half", "panic: in halves")
	put(t, path, "panic: last of the old\n")
	ok(t, os.Rename(path, path+".1"))
	put(t, path, "well\n")
	step("rotation", "panic: last of the old")
	put(t, path, "panic: first of the new\n")
	step("the new file", "panic: first of the new")
	ok(t, os.Rename(path, path+"-20260101")) // another way to rotate
	step("no file", "")
	put(t, path, "panic: elsewhere\n")
	step("a file again", "panic: elsewhere")
	ok(t, os.Truncate(path, 0))
	step("truncation", "")
	put(t, path, "panic: t\n")
	step("after truncation", "panic: t")
	ok(t, os.Remove(path))
	ok(t, os.Mkdir(path, 0o700))
	step("a folder", "")
	ok(t, os.Remove(path))
	put(t, path, strings.Repeat("x", 1<<20)+"\npanic: after a long line\n")
	step("a long line", "panic: after a long line")
	var many strings.Builder
	for n := range 100_000 {
		fmt.Fprintln(&many, "panic:", n)
	}
	put(t, path, many.String())
	step("a flood", "panic: 99999")
	step("after it", "")
}

// TestFollowedAfter: a file is followed from the begin on, also where the check is to wait with its judgement.
func TestFollowedAfter(t *testing.T) {
	r := newRig(t)
	path := filepath.Join(t.TempDir(), "log")
	put(t, path, "panic: of yesterday\n")
	k := following(path)
	k.After, k.Action = time.Minute, model.CheckRestart
	r.start("a", k)
	r.run(10 * time.Second)
	put(t, path, "panic: while it begins\n")
	r.run(49 * time.Second)
	r.told("")
	r.run(2 * time.Second)
	r.told("a bounce: l: panic: while it begins")
}

// TestFollowedLater: a file that is not there yet is looked through from its begin.
func TestFollowedLater(t *testing.T) {
	r := newRig(t)
	path := filepath.Join(t.TempDir(), "not", "yet")
	r.start("a", following(path))
	r.run(time.Second)
	if s := r.state("a"); s.Verdict != model.Passing || s.Text != "no such line: "+path+" is not there" {
		t.Errorf("%+v", s)
	}
	ok(t, os.Mkdir(filepath.Dir(path), 0o700))
	put(t, path, "panic: at once\n")
	r.run(time.Second)
	if s := r.state("a"); s.Text != "panic: at once" {
		t.Errorf("%+v", s)
	}
}

// TestFollowedTrouble: what is no file is not read, and says nothing about the program.
func TestFollowedTrouble(t *testing.T) {
	r := newRig(t)
	path := t.TempDir()
	k := following(path)
	k.Action = model.CheckRestart
	r.start("a", k)
	r.run(5 * time.Second)
	r.told("")
	if s := r.state("a"); s.Verdict != model.Unjudged || !strings.HasPrefix(s.Text, "cannot look: ") {
		t.Errorf("%+v", s)
	}
	ok(t, os.Remove(path))
	put(t, path, "")
	r.run(time.Second)
	put(t, path, "panic: now\n")
	r.run(time.Second)
	r.told("a bounce: l: panic: now")
}

// TestFollowedStart: a line that is written before anybody has looked counts when the instance has written it, and no other.
func TestFollowedStart(t *testing.T) {
	for _, stage := range []model.Stage{model.StageStartup, model.StageReady} {
		r := newRig(t)
		path := filepath.Join(t.TempDir(), "log")
		put(t, path, "panic: of the instance before\n")
		k := following(path)
		k.Stage, k.Passes = stage, 2
		r.gens["a"]++
		i := core.Instance{Slot: &core.Slot{}, Gen: r.gens["a"]}
		r.up["a"] = i
		p := r.program("a", k)
		r.c.Begin(i, p)
		put(t, path, "panic: of this one\n")
		r.tellUp(i, p, 101)
		r.run(3 * time.Second)
		want := map[model.Stage]string{model.StageStartup: "a proved", model.StageReady: "a ready=true"}[stage]
		r.told(want)
		if s := r.state("a"); s.Text != "panic: of this one" || s.Verdict != model.Passing {
			t.Errorf("%+v", s)
		}
		r.c.Up(i, r.program("a", k, http()), 101, r.clock())
		r.run(time.Minute)
		r.told("")
	}
	r := newRig(t)
	path := filepath.Join(t.TempDir(), "log")
	put(t, path, "panic: of the instance before\n")
	k := following(path)
	k.Stage = model.StageStartup
	r.start("a", k)
	r.run(20 * time.Second)
	r.told("a start failed: l: no such line yet, not within 20s")
}

// TestFollowedClosed: no file stays open for what is not there any more.
func TestFollowedClosed(t *testing.T) {
	dir := t.TempDir()
	open := func() (n int) {
		list, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skip("the system does not tell what is open: ", err)
		}
		for _, fd := range list {
			if path, err := os.Readlink("/proc/self/fd/" + fd.Name()); err == nil && strings.HasPrefix(path, dir) {
				n++
			}
		}
		return n
	}
	r := newRig(t)
	ready := following(filepath.Join(dir, "ready"))
	ready.Name, ready.Stage, ready.Pattern = "r", model.StageReady, "go"
	put(t, ready.Target, "")
	for round := range 3 {
		for n := range 10 {
			name := fmt.Sprint("p", n)
			live := following(filepath.Join(dir, name))
			put(t, live.Target, "x\n")
			p := r.program(name, live, ready)
			i := core.Instance{Slot: &core.Slot{}, Gen: uint64(2 * round)}
			r.c.Begin(i, p) // and does not come to be
			i.Gen++
			r.c.Begin(i, p)
			r.up[name] = i
			r.tellUp(i, p, 100+n)
		}
		put(t, ready.Target, "go\n")
		r.run(10 * time.Second)
		r.c.flying.Wait()
		if n := open(); n != 10 {
			t.Errorf("%d files are followed, want 10: those that were waited for are read", n)
		}
		for n := range 10 {
			name := fmt.Sprint("p", n)
			if n%2 == 0 {
				r.c.Up(r.up[name], r.program(name), 100+n, r.clock())
			}
			r.c.Down(r.up[name])
		}
		r.c.flying.Wait()
		if n := open(); n != 0 {
			t.Errorf("%d files are left open", n)
		}
	}
	r.start("a", following(filepath.Join(dir, "p0")))
	r.c.Begin(core.Instance{Slot: &core.Slot{}, Gen: 1}, r.program("b", following(filepath.Join(dir, "p1"))))
	r.run(time.Second)
	r.c.end()
	if n := open(); n != 0 {
		t.Errorf("%d files are left open at the end", n)
	}
}

// TestHangingFile: a file whose file system hangs holds up a start for a moment only, and no more than a few of them are tried.
func TestHangingFile(t *testing.T) {
	r := newRig(t)
	hang, late := make(chan struct{}), make(chan struct{})
	var starts sync.WaitGroup
	for range maxBegins {
		starts.Go(func() {
			if r.c.within(func() { <-hang }, func() { late <- struct{}{} }) {
				t.Error("it was done before it could be")
			}
		})
	}
	starts.Wait()
	if r.c.within(func() { t.Error("one more is tried") }, func() {}) {
		t.Error("there is no bound")
	}
	close(hang)
	for range maxBegins {
		<-late
	}
	r.c.flying.Wait()
	if !r.c.within(func() {}, func() { t.Error("it was done in time") }) {
		t.Error("nothing is done any more")
	}
}
