package launch

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/core"
	"github.com/upkeep-project/upkeep/internal/engine/history"
)

// history is what the logs of a program say, of all runs (0) or of one.
func (r *rig) history(p *model.Program, run int) string {
	r.t.Helper()
	id := p.ID.Namespec()
	h, err := history.Open(context.Background(), history.Query{Run: run, Logs: []history.Source{
		{Path: p.IO.Stdout.Path, Name: id}, {Path: p.IO.Stderr.Path, Name: id},
	}})
	if err != nil {
		r.t.Fatal(err)
	}
	defer h.Close()
	var out []string
	for {
		l, err := h.Next(context.Background())
		if errors.Is(err, io.EOF) {
			return strings.Join(out, ", ")
		}
		if err != nil {
			r.t.Fatal(err)
		}
		out = append(out, string(l.Text)+l.Mark)
	}
}

// counting is a program that writes one line to each channel, more and more each time, and ends with how often it ran.
func (r *rig) counting(name string) *model.Program {
	script := r.path(name + ".sh")
	text := "cd " + r.dir + `
n=$(cat count 2>/dev/null || echo 0); n=$((n+1)); echo $n > count
echo out $n; sleep 0.05; echo err $n >&2
exit $n
`
	if err := os.WriteFile(script, []byte(text), 0o700); err != nil {
		r.t.Fatal(err)
	}
	return r.program(name, "sh "+script)
}

// TestRunsAreNoted: where a run begins and how it ended can be told from the logs, over rotations.
func TestRunsAreNoted(t *testing.T) {
	r := newRig(t, func(o *Options) { o.LogTimes = true }, nil)
	p := r.counting("p")
	p.IO.Stdout.MaxBytes, p.IO.Stdout.Backups = 6, 10 // every line is a file
	s := r.slots(p)[0]
	for n := range 3 {
		r.launch(s)
		until(t, "it has ended", func() bool { return len(r.all("ended", "p")) == n+1 })
	}
	want := "out 1, err 1, restarted (exit 1), out 2, err 2, restarted (exit 2), out 3, err 3"
	if d := cmp.Diff(want, r.history(p, 0)); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff("out 2, err 2", r.history(p, -1)); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff("out 1, err 1", r.history(p, -2)); d != "" {
		t.Error(d)
	}
}

// TestRunsAreNotNotedUnasked: the directories of an instance of the original's kind have nothing new in them.
func TestRunsAreNotNotedUnasked(t *testing.T) {
	r := newRig(t, nil, nil)
	r.run(r.counting("p"))
	if got, err := filepath.Glob(r.path(".*")); err != nil || len(got) != 0 {
		t.Errorf("%q, %v", got, err)
	}
}

// TestRunsOverAKill: a process that is taken back goes on with its run, and one that ended meanwhile has an end.
func TestRunsOverAKill(t *testing.T) {
	times := func(o *Options) { o.LogTimes = true }
	v := newVault(t)
	r := mortal(t, v, times)
	script := "cd " + r.dir + `; echo first; while ! test -e go; do sleep 0.01; done; echo second; exit 4`
	p := r.program("p", "sh -c '"+script+"'")
	s := r.slots(p)[0]
	i := r.launch(s)
	r.started("p")
	until(t, "it has written", func() bool { return r.read("p.out") == "first\n" })
	r.die()
	next := v.heir(times)
	if out := next.resume(core.Instance{Slot: s, Gen: i.Gen}, false); out.Process == nil {
		t.Fatalf("%+v", out)
	}
	r.touch("go")
	until(t, "it has ended", func() bool { return len(next.all("ended", "p")) == 1 })
	p2 := *p
	p2.Command.Line = "echo again"
	next.gen = i.Gen
	next.launch(next.slots(&p2)[0])
	until(t, "the next one has ended", func() bool { return len(next.all("ended", "p")) == 2 })
	if d := cmp.Diff("first, second, restarted (exit 4), again", r.history(p, 0)); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff("first, second", r.history(p, -1)); d != "" {
		t.Error(d)
	}
}
