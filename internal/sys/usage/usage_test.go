package usage

import (
	"errors"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/upkeep-project/upkeep/internal/sys/procstat"
)

// entry is a process with round figures.
func entry(pid, parent int) procstat.Entry {
	return procstat.Entry{PID: pid, Parent: parent, Known: true, Figures: procstat.Figures{
		CPU: 3 * time.Second, User: 2 * time.Second, System: time.Second, Reaped: 10 * time.Second, Memory: 1000, Threads: 2,
	}}
}

func TestTree(t *testing.T) {
	table := tableOf([]procstat.Entry{entry(1, 0), entry(10, 1), entry(11, 10), entry(12, 11), entry(20, 1), entry(21, 20)})
	for root, want := range map[int][]int{10: {10, 11, 12}, 20: {20, 21}, 12: {12}, 99: nil, 1: {1, 10, 11, 12, 20, 21}} {
		got := table.Tree(root)
		slices.Sort(got)
		if !slices.Equal(got, want) {
			t.Errorf("the tree of %d: %v, want %v", root, got, want)
		}
	}
	f, err := table.Read(10, true, 0)
	if want := (Figures{User: 6 * time.Second, System: 3 * time.Second, Total: 39 * time.Second, Memory: 3000, Threads: 6, Processes: 3}); err != nil || f != want {
		t.Errorf("%+v, %v, want %+v", f, err, want)
	}
	f, err = table.Read(10, false, 0)
	if want := (Figures{User: 2 * time.Second, System: time.Second, Total: 3 * time.Second, Memory: 1000, Threads: 2, Processes: 1}); err != nil || f != want {
		t.Errorf("%+v, %v, want %+v", f, err, want)
	}
	for _, tree := range []bool{false, true} {
		if _, err := table.Read(99, tree, 0); !errors.Is(err, syscall.ESRCH) {
			t.Errorf("nobody: %v", err)
		}
	}
	for pid, want := range map[int]int{12: 10, 10: 10, 21: 20, 1: 0, 99: 0} {
		if got := table.Root(pid, map[int]bool{10: true, 20: true}); got != want {
			t.Errorf("%d descends from %d, want %d", pid, got, want)
		}
	}
}

// TestCircle: parents that are read at different moments can make a circle.
func TestCircle(t *testing.T) {
	table := tableOf([]procstat.Entry{entry(10, 11), entry(11, 10), entry(12, 12)})
	if got := table.Tree(10); !slices.Equal(got, []int{10, 11}) {
		t.Errorf("%v", got)
	}
	if got := table.Root(12, map[int]bool{10: true}); got != 0 {
		t.Errorf("12 descends from %d", got)
	}
}
