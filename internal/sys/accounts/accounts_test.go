package accounts

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const passwdText = `# a comment
root:x:0:0:root:/root:/bin/bash
daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin
web:x:1000:1001:Web,,,:/home/web:/bin/sh
twin:x:1000:9:second of that number:/:/bin/sh
Größe:x:1100:1100::/:/bin/sh
with space:x:1101:1101::/:/bin/sh
0day:x:1102:1102::/:/bin/sh
1103:x:1104:1104:a name of digits:/:/bin/sh
top:x:4294967294:4294967294::/:/bin/sh
toobig:x:4294967295:0::/:/bin/sh
wraps:x:4294967296:0::/:/bin/sh
huge:x:18446744073709551616:0::/:/bin/sh
neg:x:-1:-1::/:/bin/sh
plus:x:+0:0::/:/bin/sh
hex:x:0x0:0::/:/bin/sh
oct:x:010:010::/:/bin/sh
blank:x: 0:0::/:/bin/sh
empty:x::0::/:/bin/sh
emptygid:x:1200:::/:/bin/sh
float:x:0.0:0::/:/bin/sh
exp:x:0e0:0::/:/bin/sh
arab:x:٠:0::/:/bin/sh
short:x:1300
badgid:x:1301:x::/:/bin/sh
+:x:0:0::/:/bin/sh
+nis:x:0:0::/:/bin/sh
-gone:x:0:0::/:/bin/sh
:x:0:0::/:/bin/sh
last:x:1400:1400::/:/bin/sh`

const groupText = `root:x:0:
web:x:1001:
adm:x:4:web,daemon
disk:x:6:webmaster,aweb
again:x:4:web
audio:x:29:web
own:x:1001:web
odd:x:-5:web
big:x:4294967295:web
+:::web
nonumber:x::web
short:x:77
blank: x:78: web
last:x:99:last,web`

func db(t testing.TB) DB {
	t.Helper()
	dir := t.TempDir()
	d := DB{Passwd: filepath.Join(dir, "passwd"), Group: filepath.Join(dir, "group")}
	for p, text := range map[string]string{d.Passwd: passwdText, d.Group: groupText} {
		if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

// TestUser is the table of odd names: none of them may come out as root.
func TestUser(t *testing.T) {
	d := db(t)
	for _, tc := range []struct {
		in   string
		want int // -1 = unknown
	}{
		{"root", 0},
		{"0", 0},
		{"00", 0}, // a plain decimal number, as for the original
		{"daemon", 1},
		{"1", 1},
		{"web", 1000},
		{"1000", 1000},
		{"twin", 1000},
		{"Größe", 1100},
		{"with space", 1101},
		{"0day", 1102},
		{"1102", 1102},
		{"1104", 1104},
		{"top", 4294967294},
		{"4294967294", 4294967294},
		{"oct", 10}, // decimal, never octal
		{"10", 10},
		{"last", 1400},
		{"1103", -1}, // a number that nobody has, although it is somebody's name
		{"", -1},
		{" ", -1},
		{"Root", -1},
		{"ROOT", -1},
		{"root ", -1},
		{" root", -1},
		{"root\n", -1},
		{"root\x00", -1},
		{"root:x", -1},
		{"root:x:0:0", -1},
		{"#", -1},
		{"# a comment", -1},
		{"*", -1},
		{"+", -1},
		{"-", -1},
		{"+nis", -1},
		{"-gone", -1},
		{"-0", -1},
		{"+0", -1},
		{"-1", -1},
		{"-2", -1},
		{" 0", -1},
		{"0 ", -1},
		{"0x0", -1},
		{"0x3e8", -1},
		{"0b0", -1},
		{"0o0", -1},
		{"0_0", -1},
		{"1_000", -1},
		{"1e3", -1},
		{"0.0", -1},
		{"1000.0", -1},
		{"1,000", -1},
		{"٠", -1},
		{"１０００", -1},
		{"0day ", -1},
		{"0root", -1},
		{"1000web", -1},
		{"2", -1},
		{"999999", -1},
		{"2147483648", -1},
		{"4294967295", -1},
		{"4294967296", -1}, // 2³² would wrap to root
		{"8589934592", -1},
		{"18446744073709551615", -1},
		{"18446744073709551616", -1},
		{"340282366920938463463374607431768211456", -1},
		{strings.Repeat("0", 400) + "1", 1},
		{strings.Repeat("9", 400), -1},
		{strings.Repeat("a", 100000), -1},
		{"toobig", -1},
		{"wraps", -1},
		{"huge", -1},
		{"neg", -1},
		{"plus", -1},
		{"hex", -1},
		{"blank", -1},
		{"empty", -1},
		{"emptygid", -1},
		{"float", -1},
		{"exp", -1},
		{"arab", -1},
		{"short", -1},
		{"badgid", -1},
		{"1300", -1},
		{"1301", -1},
		{"inf", -1},
		{"NaN", -1},
		{"True", -1},
		{"None", -1},
		{"$USER", -1},
		{"~", -1},
		{"~root", -1},
		{"../root", -1},
		{"uid=0", -1},
	} {
		u, err := d.User(tc.in)
		got := u.UID
		if errors.Is(err, ErrUnknown) {
			got = -1
		} else if err != nil {
			t.Errorf("%.40q: %v", tc.in, err)
		}
		if got != tc.want {
			t.Errorf("%.40q is user %d, want %d", tc.in, got, tc.want)
		}
	}
}

func TestByUID(t *testing.T) {
	d := db(t)
	u, err := d.ByUID(1000)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(User{Name: "web", UID: 1000, GID: 1001, Home: "/home/web", Shell: "/bin/sh"}, u); diff != "" {
		t.Error(diff)
	}
	for _, uid := range []int{-1, -2, 4294967295, 4294967296, 1 << 40, 2} {
		if u, err := d.ByUID(uid); !errors.Is(err, ErrUnknown) {
			t.Errorf("%d is %+v, %v", uid, u, err)
		}
	}
}

func TestGroups(t *testing.T) {
	d := db(t)
	for name, want := range map[string][]int{
		"web": {1001, 4, 29, 99}, "daemon": {1, 4}, "root": {0}, "last": {1400, 99}, "Größe": {1100},
	} {
		u, err := d.ByName(name)
		if err != nil {
			t.Fatal(err)
		}
		got, err := d.Groups(u)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestGroupByName(t *testing.T) {
	d := db(t)
	for name, want := range map[string]int{"adm": 4, "root": 0, "last": 99} {
		if got, err := d.GroupByName(name); err != nil || got != want {
			t.Errorf("%s: %d, %v; want %d", name, got, err, want)
		}
	}
	for _, name := range []string{"", "odd", "big", "+", "nonumber", "short", "nosuch", "ADM"} {
		if got, err := d.GroupByName(name); !errors.Is(err, ErrUnknown) || got == 0 {
			t.Errorf("%q: %d, %v", name, got, err)
		}
	}
}

func TestFiles(t *testing.T) {
	d := DB{Passwd: "/nonexistent/passwd", Group: "/nonexistent/group"}
	if _, err := d.ByName("root"); !errors.Is(err, ErrUnknown) {
		t.Errorf("no file: %v", err)
	}
	if g, err := d.Groups(User{Name: "x", GID: 5}); err != nil || !cmp.Equal(g, []int{5}) {
		t.Errorf("no file: %v, %v", g, err)
	}
	d = DB{Passwd: t.TempDir(), Group: t.TempDir()} // directories cannot be read
	if _, err := d.ByName("root"); err == nil || errors.Is(err, ErrUnknown) {
		t.Errorf("unreadable: %v", err)
	}
	if _, err := d.Groups(User{}); err == nil {
		t.Error("unreadable groups were read")
	}
	if _, err := d.GroupByName("x"); err == nil || errors.Is(err, ErrUnknown) {
		t.Errorf("unreadable groups: %v", err)
	}
}

func TestSystem(t *testing.T) {
	if u, err := System().ByUID(0); err != nil || u.GID != 0 {
		t.Errorf("%+v, %v", u, err)
	}
}

func FuzzUser(f *testing.F) {
	f.Add(passwdText, "0day")
	f.Add("a:x:00000000000000000000:0::/:/", "a")
	f.Fuzz(func(t *testing.T, text, name string) {
		d := DB{Passwd: filepath.Join(t.TempDir(), "passwd")}
		if err := os.WriteFile(d.Passwd, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		u, err := d.User(name)
		if err != nil {
			return
		}
		if u.UID < 0 || u.UID > MaxID || u.GID < 0 || u.GID > MaxID {
			t.Errorf("%q gives %+v", name, u)
		}
	})
}
