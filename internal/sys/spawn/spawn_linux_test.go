package spawn

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestSharedUmask: where threads cannot have a umask of their own, the shim sets it.
func TestSharedUmask(t *testing.T) {
	d := newDirect(t, Options{Threads: 1})
	own, err := processUmask()
	if err != nil {
		t.Fatal(err)
	}
	d.forks.private = false
	for _, want := range []int{0o77, own, -1, 0} {
		r := shell("umask")
		r.Umask = want
		if got := d.needsShim(r); got != (want >= 0 && want != own) {
			t.Errorf("umask %#o: shim %v", want, got)
		}
		if want < 0 {
			want = own
		}
		if got := run(t, d, r).Stdout; got != fmt.Sprintf("%04o\n", want) {
			t.Errorf("umask %q, want %04o", got, want)
		}
	}
}

// TestOddDaemon: a daemon that was started with ignored and blocked signals and odd limits starts clean
// programs with the limits that it was given.
func TestOddDaemon(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	d := newDirect(t, Options{})
	for _, path := range []string{"plain", "ignore"} {
		// A python program is the odd parent: it can ignore and block what a shell cannot.
		r := request("/usr/bin/python3", "-c", `
import os, resource, signal, sys
for s in (1, 2, 3, 10, 13, 15, 17, 18, 20, 21, 22, 25):
    signal.signal(s, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (777, hard))
resource.setrlimit(resource.RLIMIT_NPROC, (5000, 6000))
os.dup2(0, 47)
os.execv(sys.argv[1], sys.argv[1:])
`, exe, "helper-daemon", path)
		if _, err := os.Stat(r.Path); err != nil {
			t.Skip("no python3 to make an odd parent with")
		}
		o := run(t, d, r)
		want := "0000000000000000"
		if path == "ignore" {
			want = "0000000001001000"
		}
		if got := field(o.Stdout, "SigIgn:"); got != want {
			t.Errorf("%s: ignored signals %s in %+v", path, got, o)
		}
		if got := field(o.Stdout, "SigBlk:"); got != "0000000000000000" {
			t.Errorf("%s: blocked signals %s", path, got)
		}
		if f := strings.Fields(field(o.Stdout, "Max open files")); len(f) == 0 || f[0] != "777" {
			t.Errorf("%s: descriptor limit %v", path, f)
		}
		if got := field(o.Stdout, "exit:"); got != "true 0" { // although SIGCHLD was ignored
			t.Errorf("%s: exit %s", path, got)
		}
		if f := strings.Fields(field(o.Stdout, "Max processes")); len(f) < 2 || f[0] != "5000" || f[1] != "6000" {
			t.Errorf("%s: process limit %v", path, f)
		}
	}
}
