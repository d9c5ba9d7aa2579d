package spawn

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

func openMarks(t testing.TB, path string) *Marks {
	t.Helper()
	m, err := OpenMarks(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}

// TestMarks: the mark is there when the program was let go, and only then, for whoever opens the file.
func TestMarks(t *testing.T) {
	needGate(t)
	path := filepath.Join(t.TempDir(), "marks")
	marks := openMarks(t, path)
	maker, err := StartMaker("", marks)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { maker.Dismiss(); maker.Wait() }()
	at := uint32(0)
	for name, s := range map[string]Spawner{
		"direct": newDirect(t, Options{Marks: marks}), "maker": viaMaker{maker},
		"ungated": ungated{newDirect(t, Options{Marks: marks})},
	} {
		for _, refused := range []bool{false, true} {
			at += 7000
			k := Mark{At: at % MarkLimit, Tag: 1<<63 + uint64(at)}
			r := request("/bin/true")
			r.Mark = k
			asked := false
			r.Identified = func(int, int) error {
				asked = true
				if marks.Passed(k) {
					t.Errorf("%s: marked before it is let go", name)
				}
				if refused {
					return errors.New("no")
				}
				return nil
			}
			if refused {
				if res, err := s.Spawn(r); err == nil {
					t.Errorf("%s: started as %d", name, res.PID)
				}
			} else if o := run(t, s, r); o.Exit.Code() != 0 {
				t.Errorf("%s: %+v", name, o.Exit)
			}
			other := openMarks(t, path)
			if got := other.Passed(k); !asked || got == refused {
				t.Errorf("%s, refused %v: asked %v, marked %v", name, refused, asked, got)
			}
			if k.Tag++; other.Passed(k) {
				t.Errorf("%s: a mark that nobody has", name)
			}
		}
	}
	if marks.Passed(Mark{}) || marks.Passed(Mark{At: MarkLimit, Tag: 1}) {
		t.Error("a mark that cannot be")
	}
}

// ungated is a Direct on a system that cannot have a process wait.
type ungated struct{ *Direct }

func (u ungated) Spawn(r *Request) (*Result, error) {
	u.cloner.mu.Lock()
	u.cloner.cannot = true
	u.cloner.mu.Unlock()
	return u.Direct.Spawn(r)
}

// TestMarksTellTheTruth: whoever starts programs is killed at any instant; each mark says whether its program ran.
func TestMarksTellTheTruth(t *testing.T) {
	needGate(t)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ran, not := 0, 0
	for round := range 25 {
		dir := t.TempDir()
		c := exec.Command(exe, "helper-marks", dir)
		c.Stderr = os.Stderr
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		for end := time.Now().Add(patience); ; {
			if names, _ := filepath.Glob(filepath.Join(dir, "ran-*")); len(names) > round%5 || time.Now().After(end) {
				break
			}
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Duration(round*173%1000) * time.Microsecond) // at different moments; none decides the test
		c.Process.Kill()
		c.Wait()
		marks := openMarks(t, filepath.Join(dir, "marks"))
		for n := uint32(0); ; n++ {
			if _, err := os.Stat(filepath.Join(dir, fmt.Sprint("asked-", n))); err != nil {
				break
			}
			passed, file := marks.Passed(helperMark(n)), filepath.Join(dir, fmt.Sprint("ran-", n))
			if !passed {
				not++
				if _, err := os.Stat(file); err == nil {
					t.Errorf("round %d: program %d has run without a mark", round, n)
				}
				continue
			}
			ran++
			for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
				if _, err := os.Stat(file); err == nil {
					break
				}
				if time.Now().After(end) {
					t.Fatalf("round %d: program %d has a mark and has not run", round, n)
				}
			}
		}
	}
	t.Logf("%d programs ran, %d were not let go", ran, not)
	if ran == 0 {
		t.Error("nothing ran")
	}
}

func helperMark(n uint32) Mark { return Mark{At: n, Tag: 1000 + uint64(n)} }

// helperMarks starts programs until it is killed; each makes a file as the first thing it does.
func helperMarks() {
	dir := os.Args[2]
	fail := func(err error) {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	marks, err := OpenMarks(filepath.Join(dir, "marks"))
	fail(err)
	m, err := StartMaker("", marks)
	fail(err)
	for n := uint32(0); n < MarkLimit; n++ {
		number := strconv.Itoa(int(n))
		r := request("/bin/touch", filepath.Join(dir, "ran-"+number))
		r.Stdout, r.Stderr = StdioNull, StdioNull
		r.Mark = helperMark(n)
		r.Identified = func(int, int) error { return os.WriteFile(filepath.Join(dir, "asked-"+number), nil, 0o600) }
		res, err := viaMaker{m}.Spawn(r)
		fail(err)
		res.Handle.Close()
	}
}
