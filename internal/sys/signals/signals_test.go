//go:build unix

package signals

import (
	"syscall"
	"testing"
	"time"
)

func TestSignalsAreTranslated(t *testing.T) {
	r := Receive(true)
	defer r.Close()
	for sig, want := range table {
		if want.Kind == Child {
			continue // the test's own children would interfere
		}
		if err := syscall.Kill(syscall.Getpid(), sig.(syscall.Signal)); err != nil {
			t.Fatal(err)
		}
		deadline := time.After(5 * time.Second)
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
