package cgroup

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	hybrid = `31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
39 31 0:36 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
`
	unified   = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
	container = "30 23 0:26 / /sys/fs/cgroup ro,nosuid - cgroup2 cgroup ro\n"
	bound     = `30 23 0:26 /a/b /mnt/with\040blank rw - cgroup2 x rw` + "\n"
	above     = "30 23 0:26 /../../.. /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
	v1only    = "31 23 0:28 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n"
)

func TestWhere(t *testing.T) {
	for _, tc := range []struct {
		name, mountinfo, cgroups string
		dirs                     []string
		cause                    Cause
	}{
		{"hybrid", hybrid, "9:name=systemd:/\n8:pids:/\n0::/\n", []string{"/sys/fs/cgroup/unified"}, Outside},
		{"unified", unified, "0::/system.slice/x.service\n", []string{"/sys/fs/cgroup/system.slice/x.service"}, Outside},
		{"read-only", container, "0::/\n", []string{"/sys/fs/cgroup"}, ReadOnly},
		{"read-only and not", container + hybrid, "0::/x\n", []string{"/sys/fs/cgroup/unified/x", "/sys/fs/cgroup/x"}, ReadOnly},
		{"bind mount", bound, "0::/a/b/c\n", []string{"/mnt/with blank/c"}, Outside},
		{"bind mount of exactly our group", bound, "0::/a/b\n", []string{"/mnt/with blank"}, Outside},
		{"bind mount of another group", bound, "0::/a/bc\n", nil, Outside},
		{"above our namespace", above, "0::/\n", nil, Outside},
		{"we are outside of our namespace", unified, "0::/../x\n", nil, Outside},
		{"version 1 only", v1only, "8:pids:/\n", nil, NotMounted},
		{"version 1 only, later kernel", v1only, "8:pids:/\n0::/\n", nil, NotMounted},
		{"nothing", "", "", nil, NotMounted},
		{"no position", unified, "8:pids:/\n", nil, NotMounted},
		{"damaged", "x\n30 23 - cgroup2\n\n", "0::x\n", nil, NotMounted},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dirs, _, cause := where(tc.mountinfo, tc.cgroups)
			if diff := cmp.Diff(tc.dirs, dirs); diff != "" {
				t.Error(diff)
			}
			if cause != tc.cause {
				t.Errorf("cause %d, want %d", cause, tc.cause)
			}
		})
	}
}

func TestMember(t *testing.T) {
	for _, tc := range []struct {
		group, of string
		want      bool
	}{
		{"/a/b", "/a/b", true},
		{"/a/b/c", "/a/b", true},
		{"/a/bc", "/a/b", false},
		{"/a", "/a/b", false},
		{"/a", "/", true},
		{"/", "/", true},
	} {
		if got := member(tc.group, tc.of); got != tc.want {
			t.Errorf("%s in %s: %v", tc.group, tc.of, got)
		}
	}
}

// hostile are names that would do harm as they are.
var hostile = []string{
	"", ".", "..", "/", "../../x", "a/b", "cgroup.procs", "cgroup.kill", "p/web:web_0/17", "a\nb", "a\x00b", "%41", "ä", "\xff",
	strings.Repeat("x", 300), strings.Repeat("ü", 120), "p-", "a~b", " ", "-",
}

func TestEscape(t *testing.T) {
	seen := map[string]string{}
	for _, name := range append(hostile, strings.Repeat("x", 301)) {
		dir := escape(name)
		if len(dir) > longest || strings.ContainsAny(dir, "/\n\x00") || !strings.HasPrefix(dir, prefix) {
			t.Errorf("%q becomes %q", name, dir)
		}
		if other, ok := seen[dir]; ok {
			t.Errorf("%q and %q are both %q", name, other, dir)
		}
		seen[dir] = name
		back, ok := unescape(dir)
		if short := !strings.Contains(dir, "~"); ok != short || ok && back != name {
			t.Errorf("%q comes back as %q, %v", name, back, ok)
		}
	}
	for _, dir := range []string{"", "x", "p-%", "p-%4", "p-%zz", "p-%41", "p-.x", "p-a b"} {
		if name, ok := unescape(dir); ok {
			t.Errorf("%q was read as %q", dir, name)
		}
	}
}

func FuzzEscape(f *testing.F) {
	for _, n := range hostile {
		f.Add(n)
	}
	f.Fuzz(func(t *testing.T, name string) {
		dir := escape(name)
		if len(dir) > longest || strings.ContainsAny(dir, "/\n\x00") || dir == "." || dir == ".." {
			t.Fatalf("%q", dir)
		}
		if back, ok := unescape(dir); ok && back != name {
			t.Errorf("%q comes back as %q", name, back)
		}
		if back, ok := unescape(name); ok && escape(back) != name {
			t.Errorf("%q is read as %q", name, back)
		}
	})
}

func FuzzWhere(f *testing.F) {
	f.Add(hybrid, "0::/\n")
	f.Add(bound, "0::/a/b/c\n")
	f.Fuzz(func(t *testing.T, mountinfo, cgroups string) {
		dirs, group, _ := where(mountinfo, cgroups)
		if len(dirs) > 0 && !strings.HasPrefix(group, "/") {
			t.Errorf("%q in %q", dirs, group)
		}
	})
}
