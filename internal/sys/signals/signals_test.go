//go:build unix

package signals

import (
	"syscall"
	"testing"
	"time"
)

func TestSignalsAreTranslated(t *testing.T) {
	r := Receive()
	defer r.Close()
	for sig, want := range table {
		if want.Kind == Child || want.Kind == Failed {
			continue // the test's own children would interfere; see TestFailedWritesAreSurvived
		}
		if err := syscall.Kill(syscall.Getpid(), sig.(syscall.Signal)); err != nil {
			t.Fatal(err)
		}
		deadline := time.After(time.Minute)
		for {
			select {
			case got := <-r.C():
				if got.Kind == Child {
					continue
				}
				if got != want {
					t.Errorf("%v: got %v, want %v", sig, got, want)
				}
			case <-deadline:
				t.Fatalf("%v did not arrive", sig)
			}
			break
		}
	}
}

// TestFailedWritesAreSurvived: they kill nobody and are not delivered.
func TestFailedWritesAreSurvived(t *testing.T) {
	r := Receive()
	defer r.Close()
	for _, sig := range []syscall.Signal{syscall.SIGPIPE, syscall.SIGXFSZ, syscall.SIGUSR2} {
		if err := syscall.Kill(syscall.Getpid(), sig); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case got := <-r.C():
		if got.Kind != Reopen {
			t.Errorf("got %v", got)
		}
	case <-time.After(time.Minute):
		t.Fatal("the signal after them did not arrive")
	}
}

// TestFloodDisplacesNothing: signals that nobody takes are kept once each, whatever else comes.
func TestFloodDisplacesNothing(t *testing.T) {
	r := Receive()
	defer r.Close()
	send := func(s syscall.Signal) {
		t.Helper()
		if err := syscall.Kill(syscall.Getpid(), s); err != nil {
			t.Fatal(err)
		}
	}
	for range 200 {
		send(syscall.SIGCHLD)
		send(syscall.SIGUSR2)
	}
	send(syscall.SIGTERM)
	count := map[Kind]int{}
	for deadline := time.After(time.Minute); count[End] == 0; {
		select {
		case s := <-r.C():
			count[s.Kind]++
		case <-deadline:
			t.Fatalf("the signal after a flood did not arrive: %v", count)
		}
	}
	// One of each, and one more for those that came while the first was being taken.
	if count[Reopen] > 2 || count[Child] > 2 || count[Reopen] == 0 {
		t.Errorf("%v: repeated signals are not merged", count)
	}
}
