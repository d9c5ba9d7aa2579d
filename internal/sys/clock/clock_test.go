package clock

import (
	"os"
	"os/exec"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	if os.Getenv("CLOCK_TEST_CHILD") != "" {
		os.Stdout.WriteString(Monotonic().String())
		return
	}
	os.Exit(m.Run())
}

// TestMonotonic: it runs, and another process that lives between two looks sees a time between them.
func TestMonotonic(t *testing.T) {
	before := Monotonic()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "CLOCK_TEST_CHILD=1")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	after := Monotonic()
	if after <= before {
		t.Fatalf("%v, then %v", before, after)
	}
	if !Shared {
		return
	}
	seen, err := time.ParseDuration(string(out))
	if err != nil || seen <= before || seen >= after {
		t.Errorf("the child saw %q (%v), not between %v and %v", out, err, before, after)
	}
}
