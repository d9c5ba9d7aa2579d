package procstat

import (
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const plain = "4711 (sleep) S 1 4711 99 0 -1 4194304 100 0 0 0 0 0 0 0 20 0 1 0 123456 5000 200 18446744073709551615 0 0\n"

func TestParse(t *testing.T) {
	for _, tc := range []struct {
		name, line string
		want       Stat
		bad        bool
	}{
		{name: "plain", line: plain, want: Stat{PID: 4711, Comm: "sleep", State: 'S', PPID: 1, PGRP: 4711, Session: 99, StartTicks: 123456}},
		{
			name: "hostile name", line: "7 (a) R 1 2 (x) Z 5 6 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 42 0 0",
			want: Stat{PID: 7, Comm: "a) R 1 2 (x", State: 'Z', PPID: 5, PGRP: 6, Session: 7, StartTicks: 42},
		},
		{
			name: "line break in the name", line: "7 (a\nb) S 5 6 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 42",
			want: Stat{PID: 7, Comm: "a\nb", State: 'S', PPID: 5, PGRP: 6, Session: 7, StartTicks: 42},
		},
		{
			name: "thread of the kernel", line: "2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 0 0 0 20 0 1 0 7",
			want: Stat{PID: 2, Comm: "kthreadd", State: 'S', StartTicks: 7, Kernel: true},
		},
		{name: "flags are no number", line: "7 (a) S 5 6 7 0 -1 x 0 0 0 0 0 0 0 0 20 0 1 0 42", bad: true},
		{name: "empty", line: "", bad: true},
		{name: "no name", line: "7 S 1 2 3", bad: true},
		{name: "parentheses in the wrong order", line: "7 )x( S", bad: true},
		{name: "pid is no number", line: "x (a) S 5 6 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 42", bad: true},
		{name: "too short", line: "7 (a) S 5 6 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0", bad: true},
		{name: "parent is no number", line: "7 (a) S x 6 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 42", bad: true},
		{name: "start is negative", line: "7 (a) S 5 6 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 -42", bad: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := Parse([]byte(tc.line))
			if (err != nil) != tc.bad {
				t.Fatalf("error %v", err)
			}
			if diff := cmp.Diff(tc.want, got); !tc.bad && diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestHasEnded: it has, be its end taken note of or not.
func TestHasEnded(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "-test.run=^$")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	pid := cmd.Process.Pid
	if _, err := Read(pid); err == nil { // it has ended also before anybody asks how
		for end := time.Now().Add(30 * time.Second); !Gone(pid) && time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		}
		if !Gone(pid) {
			t.Error("it has ended, and its parent takes no notice")
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if !Gone(pid) {
		t.Error("it is there no more")
	}
	if Gone(os.Getpid()) || Gone(os.Getppid()) || Gone(0) || Gone(-1) {
		t.Error("what lives, or is no process, has not ended")
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(plain))
	f.Add([]byte("1 (") /* cut */)
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := Parse(b)
		if err == nil && s.State == 0 {
			t.Errorf("no state in %q", b)
		}
	})
}

func TestParsePIDs(t *testing.T) {
	if diff := cmp.Diff([]int{9, 1, 22}, parsePIDs([]byte("1 22 x -3 0 \n"), []int{9})); diff != "" {
		t.Error(diff)
	}
}
