package procstat

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
	"testing"
)

func TestRSS(t *testing.T) {
	before, err := RSS(os.Getpid())
	if err != nil || before < 1<<20 {
		t.Fatalf("%d bytes, %v", before, err)
	}
	const size = 64 << 20
	block := make([]byte, size)
	for i := 0; i < size; i += 4096 {
		block[i] = 1
	}
	after, err := RSS(os.Getpid())
	if err != nil || after < size {
		t.Errorf("%d bytes with a block of %d, %v", after, len(block), err)
	}
	cmd := exec.Command("true")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if _, err := RSS(cmd.Process.Pid); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("ended process: %v", err)
	}
	if block[0] != 1 {
		t.Error("the block is not used")
	}
}
