// Package accounts looks up users and groups in the system's account files, /etc/passwd and /etc/group.
// Directory services behind the C library are not asked: the binary is static.
//
// The parsing is strict where leniency would be dangerous: an entry whose user or group number is not a
// plain decimal number that fits is no entry, so that nothing odd ever comes out as 0, which is root.
// Source: spec/reliability S12.
package accounts

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
)

// ErrUnknown says that there is no such user or group.
var ErrUnknown = errors.New("no such account")

// MaxID is the highest usable user and group number; the one above it means "unchanged" to the kernel.
const MaxID = 1<<32 - 2

// User is one entry of the user database.
type User struct {
	Name     string
	UID, GID int // GID of the primary group
	Home     string
	Shell    string
}

// DB reads the account files anew for each question: they change while a daemon runs.
type DB struct {
	Passwd, Group string // paths
}

// System is the database of this machine.
func System() DB { return DB{Passwd: "/etc/passwd", Group: "/etc/group"} }

// ByUID finds the first user with a number; ErrUnknown when there is none.
func (d DB) ByUID(uid int) (User, error) {
	return d.user(func(u *User) bool { return u.UID == uid })
}

// ByName finds the first user with a name; ErrUnknown when there is none.
func (d DB) ByName(name string) (User, error) {
	if name == "" {
		return User{}, ErrUnknown
	}
	return d.user(func(u *User) bool { return u.Name == name })
}

// User resolves what a configuration names: a number of a user that exists, or a name. Something that
// looks like a number is only ever a number, and one that is not a plain decimal is only ever a name:
// "0day" is not 0. Source: spec/supervisor 1.6.
func (d DB) User(s string) (User, error) {
	if uid, ok := ParseID(s); ok {
		return d.ByUID(uid)
	}
	if strings.Trim(s, "0123456789") == "" {
		return User{}, ErrUnknown
	}
	return d.ByName(s)
}

// GroupByName is the number of the group with a name; ErrUnknown when there is none.
func (d DB) GroupByName(name string) (int, error) {
	gid := -1
	err := d.groups(func(g group) {
		if gid < 0 && name != "" && g.name == name {
			gid = g.gid
		}
	})
	if err == nil && gid < 0 {
		err = ErrUnknown
	}
	return gid, err
}

// Groups are all groups of a user: the primary one, then every group that lists the user's name, without
// repetition. Source: spec/supervisor 2.5.
func (d DB) Groups(u User) ([]int, error) {
	out := []int{u.GID}
	err := d.groups(func(g group) {
		if slices.Contains(g.members, u.Name) && !slices.Contains(out, g.gid) {
			out = append(out, g.gid)
		}
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// ParseID reads a user or group number: decimal digits alone, no sign, at most MaxID.
func ParseID(s string) (int, bool) {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || n > MaxID || n > uint64(^uint(0)>>1) {
		return 0, false
	}
	return int(n), true
}

func (d DB) user(want func(*User) bool) (User, error) {
	var found *User
	err := lines(d.Passwd, func(f []string) bool {
		if u, ok := parseUser(f); ok && want(&u) {
			found = &u
		}
		return found == nil
	})
	if err != nil {
		return User{}, err
	}
	if found == nil {
		return User{}, ErrUnknown
	}
	return *found, nil
}

// parseUser reads name:password:uid:gid:comment:home:shell.
func parseUser(f []string) (User, bool) {
	if len(f) < 7 || !plainName(f[0]) {
		return User{}, false
	}
	uid, ok := ParseID(f[2])
	gid, ok2 := ParseID(f[3])
	return User{Name: f[0], UID: uid, GID: gid, Home: f[5], Shell: f[6]}, ok && ok2
}

type group struct {
	name    string
	gid     int
	members []string
}

// groups calls fn for each group: name:password:gid:member,member.
func (d DB) groups(fn func(group)) error {
	return lines(d.Group, func(f []string) bool {
		if len(f) < 4 || !plainName(f[0]) {
			return true
		}
		if gid, ok := ParseID(f[2]); ok {
			fn(group{name: f[0], gid: gid, members: strings.Split(f[3], ",")})
		}
		return true
	})
}

// plainName refuses empty names and the "+" and "-" entries that refer to a directory service.
func plainName(s string) bool { return s != "" && s[0] != '+' && s[0] != '-' }

// lines calls fn with the fields of each line until it returns false. A missing file has no lines.
func lines(path string, fn func(fields []string) bool) error {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("account database: %w", err)
	}
	defer f.Close()
	r := bufio.NewReader(f) // no limit of the length of a line: groups can be large
	for {
		line, err := r.ReadString('\n')
		line = strings.TrimSuffix(line, "\n")
		if line != "" && line[0] != '#' && !fn(strings.Split(line, ":")) {
			return nil
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("account database: %w", err)
		}
	}
}
