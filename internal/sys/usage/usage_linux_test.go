package usage

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/upkeep-project/upkeep/internal/sys/procstat"
)

// TestMain plays processes: "hold" holds memory and descriptors and begins a child that does the same.
func TestMain(m *testing.M) {
	switch os.Getenv("USAGE_TEST") {
	case "hold", "child":
		os.Exit(hold())
	}
	os.Exit(m.Run())
}

// held is how much each of the two holds.
const (
	heldBytes = 32 << 20
	heldFiles = 40
)

func hold() int {
	room := make([]byte, heldBytes)
	for i := 0; i < len(room); i += 512 {
		room[i] = 1
	}
	var files []*os.File
	for range heldFiles {
		f, err := os.Open("/dev/null")
		if err != nil {
			return 1
		}
		files = append(files, f)
	}
	if os.Getenv("USAGE_TEST") == "hold" {
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), "USAGE_TEST=child")
		child.Stdin, child.Stdout = os.Stdin, os.Stdout
		if child.Start() != nil {
			return 1
		}
	}
	os.Stdout.WriteString("up\n")
	_, _ = io.Copy(io.Discard, os.Stdin)
	room[0]++
	for _, f := range files {
		f.Close()
	}
	return 0
}

func TestReal(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "USAGE_TEST=hold")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		_ = cmd.Wait()
	})
	lines := bufio.NewReader(out)
	for range 2 {
		if line, err := lines.ReadString('\n'); line != "up\n" {
			t.Fatalf("%q, %v", line, err)
		}
	}
	pid := cmd.Process.Pid
	shared := NewShared(func() time.Duration { return 1 }, time.Second)
	want := PSS | Files | IO
	for name, read := range map[string]func(bool) (Figures, error){
		"alone":  func(tree bool) (Figures, error) { return Read(pid, tree, want) },
		"shared": func(tree bool) (Figures, error) { return shared.Read(pid, tree, want) },
	} {
		one, err := read(false)
		if err != nil {
			t.Fatal(err)
		}
		both, err := read(true)
		if err != nil {
			t.Fatal(err)
		}
		if one.Processes != 1 || both.Processes != 2 || one.Memory < heldBytes || both.Memory < 2*heldBytes || both.Memory <= one.Memory ||
			both.Threads <= one.Threads || one.Total <= 0 {
			t.Errorf("%s: %+v, of both %+v", name, one, both)
		}
		if one.Has&Files == 0 || one.Files < heldFiles || both.Files < 2*heldFiles {
			t.Errorf("%s: %d files, of both %d", name, one.Files, both.Files)
		}
		if names, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid)); err != nil || one.Files != len(names) {
			t.Errorf("%s: %d files, the system names %d, %v", name, one.Files, len(names), err)
		}
		if _, err := os.Stat(fmt.Sprintf("/proc/%d/smaps_rollup", pid)); err == nil {
			if one.Has&PSS == 0 || one.PSS < heldBytes || one.PSS > one.Memory+heldBytes/4 || both.PSS < 2*heldBytes {
				t.Errorf("%s: proportional %d of %d, of both %d", name, one.PSS, one.Memory, both.PSS)
			}
		}
	}
	if _, err := Read(1<<30, false, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("nobody: %v", err)
	}
	if _, err := shared.Read(1<<30, true, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("nobody: %v", err)
	}
}

// TestDirections: what is read and what is written is told as the system counts it.
func TestDirections(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "x"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write(make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); err != nil { // on a disk it is written now
		t.Fatal(err)
	}
	count := func() (read, written int64) {
		b, err := os.ReadFile("/proc/self/io")
		if err != nil {
			t.Skip(err)
		}
		for line := range strings.Lines(string(b)) {
			_, _ = fmt.Sscanf(line, "read_bytes: %d", &read)
			_, _ = fmt.Sscanf(line, "write_bytes: %d", &written)
		}
		return read, written
	}
	r0, w0 := count()
	got, err := Read(os.Getpid(), false, IO)
	r1, w1 := count()
	if err != nil || got.Has != IO || got.Read < r0 || got.Read > r1 || got.Written < w0 || got.Written > w1 {
		t.Errorf("%+v, %v; read %d to %d, written %d to %d", got, err, r0, r1, w0, w1)
	}
}

// TestUnknownOfTree: what is not known of one process is not known of the tree, but who has ended has nothing any more.
func TestUnknownOfTree(t *testing.T) {
	self, nobody := os.Getpid(), 1<<30
	unseen, dead, unread := entry(nobody, self), entry(nobody, self), entry(nobody, self)
	dead.Memory, unread.Known = 0, false
	for name, tt := range map[string]struct {
		child procstat.Entry
		has   Want
		sum   int64
	}{"one that may not be looked at": {unseen, 0, 2000}, "one that has ended": {dead, Files, 1000}, "one that ends now": {unread, Files, 1000}} {
		f, err := tableOf([]procstat.Entry{entry(self, 1), tt.child}).Read(self, true, Files)
		if err != nil || f.Has != tt.has || f.Memory != tt.sum {
			t.Errorf("%s: %+v, %v", name, f, err)
		}
	}
	if _, err := tableOf([]procstat.Entry{unread}).Read(nobody, false, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("who has ended meanwhile: %v", err)
	}
}

// TestSharedLook: those who ask within the time get the same look, and who is not in it gets a new one.
func TestSharedLook(t *testing.T) {
	now := time.Duration(0)
	s := NewShared(func() time.Duration { return now }, time.Second)
	first, err := s.Table()
	if err != nil {
		t.Fatal(err)
	}
	now = time.Second - 1
	if again, _ := s.Table(); again != first {
		t.Error("a look of the same second is not shared")
	}
	second, _ := s.with(1 << 30)
	if second == first {
		t.Error("nobody has looked again for a process that was not there")
	}
	now += time.Second
	if again, _ := s.Table(); again == second {
		t.Error("an old look is shared")
	}
}

func TestLabelled(t *testing.T) {
	for _, c := range []struct {
		text string
		want int64 // -1 = an error
	}{
		{"Rss: 7 kB\nPss:   12 kB\nPss_Anon: 3 kB\n", 12},
		{"Pss: 0 kB", 0},
		{"Pss:\n", -1},
		{"", -1},
		{"Pss: x kB\n", -1},
		{"Pss: -5 kB\n", -1},
		{"Pss: 99999999999999999999 kB\n", -1},
	} {
		v, err := labelled([]byte(c.text), "Pss:")
		if (err != nil) != (c.want < 0) || err == nil && v[0] != c.want {
			t.Errorf("%q: %v, %v", c.text, v, err)
		}
	}
}

func FuzzLabelled(f *testing.F) {
	f.Add([]byte("Pss: 5 kB\n"), "Pss:")
	f.Add([]byte("read_bytes: 5\nwrite_bytes: 7\n"), "write_bytes:")
	f.Fuzz(func(t *testing.T, b []byte, label string) {
		v, err := labelled(b, label)
		if err == nil && (len(v) != 1 || v[0] < 0 || !strings.Contains(string(b), label)) {
			t.Errorf("%q: %d of %q", label, v, b)
		}
	})
}
