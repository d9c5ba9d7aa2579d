package manager

import (
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/upkeep-project/upkeep/internal/service"
)

// TestGrow looks at a process with a child.
func TestGrow(t *testing.T) {
	cmd := exec.Command("sh", "-c", "sleep 1000 & wait")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var list []service.Branch
	defer func() {
		for _, b := range list {
			if p, err := os.FindProcess(b.PID); err == nil {
				_ = p.Kill()
			}
		}
		_ = cmd.Wait()
	}()
	// One that has executed just now has no memory that the kernel would count.
	for end := time.Now().Add(patience); len(list) < 2 || list[1].Command != "sleep 1000" || list[1].Memory <= 0; time.Sleep(10 * time.Millisecond) {
		if list = grow(t.Context(), nil, cmd.Process.Pid, 0); time.Now().After(end) {
			t.Fatalf("%+v", list)
		}
	}
	if list[0].PID != cmd.Process.Pid || list[0].Parent != 0 || list[1].Parent != cmd.Process.Pid || list[1].Ended {
		t.Errorf("%+v", list)
	}
	if got := grow(t.Context(), nil, 1<<30, 1); len(got) != 0 {
		t.Errorf("nobody: %+v", got)
	}
}
