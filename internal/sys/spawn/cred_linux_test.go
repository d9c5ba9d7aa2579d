package spawn

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/upkeep-project/upkeep/internal/sys/accounts"
)

// ids is what a started program says about itself.
type ids struct {
	UIDs, GIDs [3]int // real, effective, saved
	Groups     []int
	Regained   bool // it could become root again
	CapEff     string
}

func helperIDs() {
	var v ids
	v.UIDs[0], v.UIDs[1], v.UIDs[2] = unix.Getresuid()
	v.GIDs[0], v.GIDs[1], v.GIDs[2] = unix.Getresgid()
	for i := range 3 { // the system's numbers have no sign
		v.UIDs[i], v.GIDs[i] = int(uint32(v.UIDs[i])), int(uint32(v.GIDs[i]))
	}
	v.Groups, _ = os.Getgroups()
	slices.Sort(v.Groups)
	v.CapEff, _ = statusField("CapEff:")
	if v.UIDs[0] != 0 {
		v.Regained = syscall.Setuid(0) == nil || syscall.Setreuid(-1, 0) == nil || syscall.Seteuid(0) == nil
	}
	_ = json.NewEncoder(os.Stdout).Encode(v)
}

// TestCredentials starts programs as other users and has them tell what they are.
func TestCredentials(t *testing.T) {
	needRoot(t)
	d := newDirect(t, Options{})
	exe := copySelf(t)
	const tail = "\nsupervisor: child process was not spawned\n"
	huge := make([]int, 70000)
	for _, shim := range []bool{false, true} {
		for _, tc := range []struct {
			name string
			cred *Cred
			want ids
			err  string
		}{
			{name: "nobody", cred: &Cred{UID: 65534, GID: 65534, Groups: []int{65534}}, want: same(65534, 65534, 65534)},
			{name: "no groups", cred: &Cred{UID: 1234, GID: 4321}, want: same(1234, 4321)},
			{name: "several groups", cred: &Cred{UID: 1, GID: 2, Groups: []int{2, 7, 3}}, want: same(1, 2, 2, 3, 7)},
			{name: "highest ids", cred: &Cred{UID: 1<<32 - 2, GID: 1<<32 - 2, Groups: []int{1<<32 - 2}}, want: same(1<<32-2, 1<<32-2, 1<<32-2)},
			{name: "ourselves: no step", cred: &Cred{UID: 0, GID: 55, Groups: []int{55}}, want: rootIDs(t)},
			{name: "unchanged marker uid", cred: &Cred{UID: 1<<32 - 1, GID: 1}, err: "couldn't setuid to 4294967295: user 4294967295 or one of its groups has an impossible number"},
			{name: "negative uid", cred: &Cred{UID: -1, GID: 1}, err: "couldn't setuid to -1: user -1 or one of its groups has an impossible number"},
			{name: "overflow to root", cred: &Cred{UID: 1 << 32, GID: 1}, err: "couldn't setuid to 4294967296: user 4294967296 or one of its groups has an impossible number"},
			{name: "negative gid", cred: &Cred{UID: 1, GID: -1}, err: "couldn't setuid to 1: user 1 or one of its groups has an impossible number"},
			{name: "group overflow", cred: &Cred{UID: 1, GID: 1, Groups: []int{1 << 32}}, err: "couldn't setuid to 1: user 1 or one of its groups has an impossible number"},
			{name: "too many groups", cred: &Cred{UID: 1, GID: 1, Groups: huge}, err: "couldn't setuid to 1: Could not set groups of effective user"},
			{name: "refused", cred: &Cred{UID: 0, GID: 0, Refused: "for a test"}, err: "couldn't setuid to 0: for a test"},
		} {
			t.Run(fmt.Sprintf("shim=%v/%s", shim, tc.name), func(t *testing.T) {
				r := request(exe, "helper-ids")
				r.Cred, r.IgnoreSIGPIPE = tc.cred, shim
				o := run(t, d, r)
				if tc.err != "" {
					if o.Stdout != "" || o.Stderr != "supervisor: "+tc.err+tail || o.Exit.Code() != 127 {
						t.Errorf("got %+v", o)
					}
					return
				}
				var got ids
				if err := json.Unmarshal([]byte(o.Stdout), &got); err != nil {
					t.Fatalf("%v in %+v", err, o)
				}
				if got.UIDs[0] == 0 {
					got.CapEff = ""
				}
				if diff := cmp.Diff(tc.want, got); diff != "" {
					t.Error(diff)
				}
			})
		}
	}
}

func same(uid, gid int, groups ...int) ids {
	return ids{UIDs: [3]int{uid, uid, uid}, GIDs: [3]int{gid, gid, gid}, Groups: groups, CapEff: "0000000000000000"}
}

func rootIDs(t *testing.T) ids {
	t.Helper()
	v := ids{}
	v.GIDs[0], v.GIDs[1], v.GIDs[2] = unix.Getresgid()
	v.Groups, _ = os.Getgroups()
	slices.Sort(v.Groups)
	return v
}

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
