package app_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/upkeep-project/upkeep/client/upkeep"
	"github.com/upkeep-project/upkeep/internal/sys/home"
)

// stormCallers apply at once; stormSize is how often all of them do together, unless UPKEEP_STORM says it.
const (
	stormCallers = 20
	stormSize    = 60
)

// storm is an instance whose files change while it is told to apply them.
type storm struct {
	*daemon
	at       home.Instance
	files    sync.Mutex // one writer at a time; readers and appliers are not held up
	done     atomic.Int64
	refused  atomic.Int64
	looked   atomic.Int64
	included string
}

// value is what the changing program has in its environment: half of it is no value of the storm.
func value(n int) string { return fmt.Sprintf("%d-%d", n, n) }

func live(n int) string {
	return "[program:live]\ncommand=/bin/sleep 1000\nstartsecs=0\nenv.V=" + value(n) + "\n"
}

// calm changes with n in what counts at once: its process stays.
func calm(n int) string {
	return "[program:calm]\ncommand=/bin/sleep 1001\nstartsecs=0\nstopwaitsecs=" + strconv.Itoa(10+n%50) + "\n"
}

const stormMain = "[include]\nfiles=conf.d/*.conf\n[program:own]\ncommand=/bin/sleep 1002\nstartsecs=0\n[program:member]\ncommand=/bin/sleep 1003\nstartsecs=0\n" +
	"[group:shop]\nprograms=member,guest\n"

// replace puts a file in the place of another one, as editors do.
func replace(t *testing.T, path, text string) {
	put(t, path+".new", text)
	if err := os.Rename(path+".new", path); err != nil {
		t.Error(err)
	}
}

// pieces writes a file in place and in pieces, so that whoever looks finds half of it for a while.
func pieces(t *testing.T, path, text string) {
	f, err := os.Create(path)
	if err != nil {
		t.Error(err)
		return
	}
	defer f.Close()
	for _, part := range []string{text[:len(text)/3], text[len(text)/3 : len(text)-3], text[len(text)-3:]} {
		if _, err := f.WriteString(part); err != nil {
			t.Error(err)
		}
		<-time.After(3 * time.Millisecond)
	}
}

// change does something to the files.
func (s *storm) change(n int) {
	s.files.Lock()
	defer s.files.Unlock()
	program := filepath.Join(s.at.Programs, "live.conf")
	switch n % 8 {
	case 0, 1:
		replace(s.t, program, live(n))
	case 2:
		pieces(s.t, program, live(n))
	case 3:
		put(s.t, program, "[program:live]\ncommand=/bin/sleep 1000\nstartsecs=never\n")
	case 4:
		replace(s.t, filepath.Join(s.at.Programs, "calm.conf"), calm(n))
	case 5: // a file that vanishes, and one that is broken, while its members are in use
		if err := os.Remove(s.included + "b.conf"); err != nil && !errors.Is(err, os.ErrNotExist) {
			s.t.Error(err)
		}
		put(s.t, s.included+"a.conf", "[program:guest]\nnonsense\n")
	case 6:
		replace(s.t, s.at.File, stormMain+"broken\n")
	case 7:
		pieces(s.t, s.at.File, stormMain)
		replace(s.t, s.included+"a.conf", "[program:guest]\ncommand=/bin/sleep 1004\nstartsecs=0\n")
		put(s.t, s.included+"b.conf", "[program:extra]\ncommand=/bin/sleep 1005\nstartsecs=0\n")
	}
}

// whole makes every file right.
func (s *storm) whole(n int) {
	replace(s.t, s.at.File, stormMain)
	replace(s.t, filepath.Join(s.at.Programs, "live.conf"), live(n))
	replace(s.t, filepath.Join(s.at.Programs, "calm.conf"), calm(0))
	replace(s.t, s.included+"a.conf", "[program:guest]\ncommand=/bin/sleep 1004\nstartsecs=0\n")
	replace(s.t, s.included+"b.conf", "[program:extra]\ncommand=/bin/sleep 1005\nstartsecs=0\n")
}

// environment is a variable of a program's process; empty when there is no process at this moment.
func (s *storm) environment(name, variable string) string {
	p, err := s.api.Process(s.t.Context(), name)
	if err != nil || p.PID == nil {
		return ""
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", *p.PID))
	if err != nil {
		return ""
	}
	for kv := range strings.SplitSeq(string(text), "\x00") {
		if v, ok := strings.CutPrefix(kv, variable+"="); ok {
			return v
		}
	}
	return ""
}

// apply orders that the configuration be applied. It may be refused for what is in the files, and for nothing else.
func (s *storm) apply() {
	_, err := s.api.Apply(s.t.Context())
	var p *upkeep.Problem
	switch {
	case err == nil:
		s.done.Add(1)
	case errors.As(err, &p) && p.Code == "invalid_config":
		s.refused.Add(1)
	default:
		s.t.Errorf("apply: %v", err)
	}
	if v := s.environment("live", "V"); v != "" {
		a, b, _ := strings.Cut(v, "-")
		if s.looked.Add(1); a != b {
			s.t.Errorf("half of a file is in force: V=%s", v)
		}
	}
}

// TestReloadStorm: many callers apply at once what others write at the same time: valid, broken, half-written and vanishing
// files. What has not changed is not touched, nothing that is half is ever in force, and in the end what was valid last is.
// Source: spec/reliability R24.
func TestReloadStorm(t *testing.T) {
	size := stormSize
	if text := os.Getenv("UPKEEP_STORM"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		size = n
	} else if testing.Short() {
		t.Skip("a storm takes seconds; UPKEEP_STORM=60 makes one")
	}
	root := shortDir(t)
	at := home.Under(root).Native()
	s := &storm{at: at, included: filepath.Join(filepath.Dir(at.File), "conf.d") + "/", daemon: &daemon{t: t}}
	put(t, s.included+"none", "")
	for i := range 5 {
		put(t, filepath.Join(at.Programs, fmt.Sprintf("still%d.conf", i)), fmt.Sprintf("[program:still%d]\ncommand=/bin/sleep 10%d0\nstartsecs=0\ndepends_on=own\n", i, i))
	}
	put(t, filepath.Join(at.Programs, "live.conf"), "")
	s.whole(0)
	s.daemon = native(t, root, 0)
	same := []string{"own", "calm", "shop:member", "shop:guest", "still0", "still1", "still2", "still3", "still4"}
	pids := map[string]int{}
	for _, name := range append([]string{"live", "extra"}, same...) {
		until(t, name, func() bool {
			p, err := s.api.Process(t.Context(), name)
			if err != nil || p.State != "RUNNING" || p.PID == nil {
				return false
			}
			pids[name] = *p.PID
			return true
		})
	}
	begin := time.Now()
	var next atomic.Int64
	var callers sync.WaitGroup
	for range stormCallers {
		callers.Go(func() {
			for n := next.Add(1); n <= int64(size); n = next.Add(1) {
				s.change(int(n))
				s.apply()
			}
		})
	}
	callers.Wait()
	took := time.Since(begin)

	last := size + 1
	s.whole(last)
	if _, err := s.api.Apply(t.Context()); err != nil {
		t.Fatalf("what is valid is refused: %v", err)
	}
	put(t, filepath.Join(at.Programs, "live.conf"), "[program:live]\ncommand=/bin/true\nstartsecs=never\n")
	if _, err := s.api.Apply(t.Context()); err != nil {
		t.Errorf("the mistake of one program hinders the others: %v", err)
	}
	until(t, "what was valid last", func() bool { return s.environment("live", "V") == value(last) })
	touched := 0
	for _, name := range same {
		if p := s.process(name); p.PID == nil || *p.PID != pids[name] {
			touched++
			t.Errorf("%s was touched: pid %d, now %+v", name, pids[name], p)
		}
	}
	if s.done.Load()+s.refused.Load() != int64(size) {
		t.Errorf("%d applied, %d refused, of %d", s.done.Load(), s.refused.Load(), size)
	}
	t.Logf("%d callers, %d applies in %v (%v each): %d carried out, %d refused; %d looks at what is in force; %d of %d unchanged programs touched",
		stormCallers, size, took.Round(time.Millisecond), (took / time.Duration(max(size, 1))).Round(10*time.Microsecond), s.done.Load(), s.refused.Load(), s.looked.Load(), touched, len(same))
}
