package history

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/upkeep-project/upkeep/internal/engine/logs"
	"github.com/upkeep-project/upkeep/internal/engine/streams"
)

// pumpEnv makes the test binary a process that moves its descriptors 3 and 4 into the logs PATH.out and PATH.err.
const pumpEnv = "HISTORY_TEST_PUMP"

func TestMain(m *testing.M) {
	if path := os.Getenv(pumpEnv); path != "" {
		pumpMain(path)
		return
	}
	os.Exit(m.Run())
}

func kept() logs.Options { return logs.Options{MaxBytes: 2000, Backups: 900, Times: true} }

func pumpMain(path string) {
	p, err := streams.NewPump(streams.Options{})
	if err != nil {
		os.Exit(5)
	}
	store := logs.NewStore()
	ended := make(chan struct{}, 2)
	for k, name := range []string{".out", ".err"} {
		f, err := store.Open(path+name, kept())
		if err != nil {
			os.Exit(6)
		}
		p.Attach(3+k, streams.Output{File: f, Closed: func() { ended <- struct{}{} }})
	}
	<-ended
	<-ended
	if p.Close() != nil {
		os.Exit(7)
	}
}

// script writes numbered lines to its standard output and, each tenth, to its standard error, in bursts.
const script = `i=0
while [ $i -lt %d ]; do
	echo "line $i"
	[ $((i %% 10)) != 0 ] || echo "error $i" >&2
	i=$((i+1))
	[ $((i %% 100)) != 0 ] || sleep 0.01
done`

// TestKilledPump: a real program, whose output is moved over rotations by a process that is killed again and again. Every line
// is there, to who follows and to who reads later, and the times of each log do not go back.
func TestKilledPump(t *testing.T) {
	const lines, kills = 3000, 8
	path := filepath.Join(t.TempDir(), "log")
	var readers, writers []*os.File
	for range 2 {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		readers, writers = append(readers, r), append(writers, w)
	}
	begun := time.Now()
	sh := exec.Command("sh", "-c", fmt.Sprintf(script, lines))
	sh.Stdout, sh.Stderr = writers[0], writers[1]
	if err := sh.Start(); err != nil {
		t.Fatal(err)
	}
	q := Query{Logs: []Source{{path + ".out", "p"}, {path + ".err", "p"}}}
	followed := make(chan error, 1)
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	go func() {
		f := q
		f.Follow = true
		r, err := Open(ctx, f)
		if err == nil {
			defer r.Close()
			err = complete(ctx, r, lines, begun)
		}
		followed <- err
	}()
	pump := func() *exec.Cmd {
		c := exec.Command(os.Args[0])
		c.Env = append(os.Environ(), pumpEnv+"="+path)
		c.ExtraFiles = readers
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		return c
	}
	for range kills {
		c := pump()
		time.Sleep(60 * time.Millisecond)
		_ = c.Process.Kill()
		_ = c.Wait()
	}
	last := pump()
	for _, w := range writers {
		w.Close()
	}
	if err := sh.Wait(); err != nil {
		t.Fatal(err)
	}
	if err := last.Wait(); err != nil {
		t.Fatal(err)
	}
	if err := <-followed; err != nil {
		t.Error("following:", err)
	}
	r, err := Open(ctx, q)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := complete(ctx, r, lines, begun); err != nil {
		t.Error("reading:", err)
	}
	if l, err := r.Next(ctx); !errors.Is(err, io.EOF) {
		t.Errorf("%+v, %v", l, err)
	}
	if parts := list(path + ".out"); len(parts) < 5 {
		t.Errorf("only %d files", len(parts))
	}
}

// complete reads all lines of the program.
func complete(ctx context.Context, r *Reader, lines int, begun time.Time) error {
	next := [2]int{}
	latest := [2]time.Time{begun, begun}
	for next[0] < lines || next[1] < lines {
		l, err := r.Next(ctx)
		if err != nil {
			return fmt.Errorf("at %d: %w", next, err)
		}
		k := l.Source
		if want := fmt.Sprintf("%s %d", [2]string{"line", "error"}[k], next[k]); string(l.Text) != want || l.Mark != "" {
			return fmt.Errorf("%q %q, want %q", l.Text, l.Mark, want)
		}
		next[k] += [2]int{1, 10}[k]
		if l.Time.Before(latest[k].Add(-timeSlack)) || l.Time.After(time.Now()) {
			return fmt.Errorf("%q came at %v, what was before it at %v", l.Text, l.Time, latest[k])
		}
		latest[k] = l.Time
	}
	return nil
}

// timeSlack is how much earlier than the test a time may be: the file system's clock is coarse.
const timeSlack = 20 * time.Millisecond
