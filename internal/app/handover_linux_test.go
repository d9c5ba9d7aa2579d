package app

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/upkeep-project/upkeep/internal/engine/launch"
)

func closesOnExec(t *testing.T, fd int) bool {
	t.Helper()
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	if err != nil {
		t.Fatal(err)
	}
	return flags&unix.FD_CLOEXEC != 0
}

// What is handed over passes the execution, and what was taken does not pass the next one.
func TestHandOver(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	fd := int(r.Fd())
	held := []launch.Held{{Key: "a", Roles: "o", FDs: []int{fd}, PID: 7}, {Key: "b"}}
	list, environ, err := handOver(held)
	if err != nil {
		t.Fatal(err)
	}
	if closesOnExec(t, fd) || closesOnExec(t, int(list.Fd())) {
		t.Error("the next image would not get it")
	}
	dup, err := unix.Dup(int(list.Fd())) // the number that the next image would have
	if err != nil {
		t.Fatal(err)
	}
	list.Close()
	name, _, _ := strings.Cut(environ, "=")
	t.Setenv(name, strconv.Itoa(dup))
	if diff := cmp.Diff(held, handedOver()); diff != "" {
		t.Error(diff)
	}
	if !closesOnExec(t, fd) {
		t.Error("programs would get it")
	}
	for _, bad := range []string{strconv.Itoa(dup), "x", "1", "-1", ""} { // dup is closed
		t.Setenv(name, bad)
		if got := handedOver(); got != nil {
			t.Errorf("%q: %v", bad, got)
		}
		if _, still := os.LookupEnv(name); still {
			t.Errorf("%q is left for programs", bad)
		}
	}
	if _, _, err := handOver([]launch.Held{{FDs: []int{1 << 20}}}); err == nil {
		t.Error("a descriptor that is not there was handed over")
	}
}
