package spawn

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/upkeep-project/upkeep/internal/sys/accounts"
)

// TestUnprivileged: a daemon that is not root cannot switch, and says so through the program.
func TestUnprivileged(t *testing.T) {
	needRoot(t)
	d := newDirect(t, Options{})
	exe := copySelf(t)
	for _, tc := range []struct{ script, want string }{
		{"cred:0,0,0", "couldn't setuid to 0: Can't drop privilege as nonroot user\n"},
		{"cred:1,1,1", "couldn't setuid to 1: Can't drop privilege as nonroot user\n"},
		{"cred:-1,-1,-1", "couldn't setuid to -1: Can't drop privilege as nonroot user\n"},
		{"cred:65534,0,0", "ran\n"}, // itself: no step
		// A process that has given up root may not look at itself in every way.
		{"drop:/", "ran\n"},
		{"drop:/nonexistent", "couldn't chdir to /nonexistent: ENOENT\n"},
	} {
		r := request(exe, "helper-daemon", tc.script)
		if !strings.HasPrefix(tc.script, "drop") {
			r.Cred = &Cred{UID: 65534, GID: 65534}
		}
		o := run(t, d, r)
		if !strings.Contains(o.Stdout, tc.want) || o.Exit.Code() != 0 {
			t.Errorf("%s: got %+v", tc.script, o)
		}
	}
}

// TestFailingSteps makes each step of a switch fail, in a user namespace that knows few users: the program
// is not started, whichever it is.
func TestFailingSteps(t *testing.T) {
	needRoot(t)
	exe := copySelf(t)
	for _, tc := range []struct {
		cred string
		want string
	}{
		{"5,5,5", "couldn't setuid to 5: Could not set groups of effective user\n"},
		{"5,5,0", "couldn't setuid to 5: Could not set group id of effective user\n"},
		{"5,1,0", "couldn't setuid to 5: Could not set user id of effective user"},
		{"1,1,1", "ran\n"},
	} {
		c := exec.Command(exe, "helper-daemon", "cred:"+tc.cred)
		ids := []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 2}}
		c.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags: syscall.CLONE_NEWUSER, UidMappings: ids, GidMappings: ids, GidMappingsEnableSetgroups: true,
		}
		out, err := c.CombinedOutput()
		if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSPC) {
			t.Skipf("no user namespaces here: %v", err)
		}
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if !strings.Contains(string(out), tc.want) {
			t.Errorf("%s: got %s", tc.cred, out)
		}
		if ran := strings.Contains(string(out), "ran\n"); ran != (tc.want == "ran\n") {
			t.Errorf("%s: ran=%v", tc.cred, ran)
		}
	}
}

func TestLookupCred(t *testing.T) {
	dir := t.TempDir()
	db := accounts.DB{Passwd: filepath.Join(dir, "passwd"), Group: filepath.Join(dir, "group")}
	write := func(path, text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(db.Passwd, "root:x:0:0::/:/bin/sh\nweb:x:5:6::/:/bin/sh\n")
	write(db.Group, "a:x:7:web\nb:x:6:web\nc:x:8:other\nd:x:9:x,web\n")
	for uid, want := range map[int]*Cred{
		0:       {UID: 0, GID: 0, Groups: []int{0}},
		5:       {UID: 5, GID: 6, Groups: []int{6, 7, 9}},
		6:       {UID: 6, GID: -1, Refused: "Can't find uid 6"},
		-1:      {UID: -1, GID: -1, Refused: "Can't find uid -1"},
		1 << 32: {UID: 1 << 32, GID: -1, Refused: "Can't find uid 4294967296"},
	} {
		got, err := lookupCred(db, uid)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%d: %s", uid, diff)
		}
	}
	if _, err := lookupCred(accounts.DB{Passwd: dir, Group: dir}, 5); err == nil {
		t.Error("unreadable accounts gave credentials")
	}
	if c, err := LookupCred(0); err != nil || c.UID != 0 || c.Refused != "" {
		t.Errorf("root: %+v, %v", c, err)
	}
}
