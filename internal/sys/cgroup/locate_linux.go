package cgroup

import (
	"path"
	"slices"
	"strconv"
	"strings"
)

// mount is one place where a cgroup2 hierarchy is visible.
type mount struct {
	root  string // the group that is visible at the point, as seen from our cgroup namespace
	point string
	ro    bool
}

// mounts finds the cgroup2 mounts in a mountinfo file, the latest first: it covers earlier ones.
func mounts(mountinfo string) []mount {
	var out []mount
	for line := range strings.Lines(mountinfo) {
		before, after, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " - ")
		f := strings.Fields(before)
		if !ok || len(f) < 6 || !strings.HasPrefix(after, "cgroup2 ") {
			continue
		}
		m := mount{root: unoctal(f[3]), point: unoctal(f[4])}
		for _, opt := range strings.Split(f[5], ",") {
			m.ro = m.ro || opt == "ro"
		}
		if a := strings.Fields(after); len(a) > 2 { // options of the hierarchy as a whole
			for _, opt := range strings.Split(a[2], ",") {
				m.ro = m.ro || opt == "ro"
			}
		}
		out = append(out, m)
	}
	slices.Reverse(out)
	return out
}

// unoctal undoes the escapes of mountinfo: \040 and the like.
func unoctal(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+4 <= len(s) {
			if c, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(c))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// ownGroup finds the cgroup2 position in a /proc/PID/cgroup file. It has the form 0::/path.
func ownGroup(cgroups string) (string, bool) {
	for line := range strings.Lines(cgroups) {
		if p, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "0::"); ok {
			return p, strings.HasPrefix(p, "/")
		}
	}
	return "", false
}

// dir is the directory of a group below a mount; false when it is not visible there.
func (m mount) dir(group string) (string, bool) {
	if climbs(group) || climbs(m.root) {
		return "", false // outside of what our cgroup namespace covers
	}
	rel, ok := below(m.root, group)
	return path.Join(m.point, rel), ok
}

// group is the group that a directory below a mount stands for.
func (m mount) group(dir string) (string, bool) {
	rel, ok := below(m.point, dir)
	return path.Join(m.root, rel), ok
}

// below is the rest of a path behind a directory; false when it is not inside.
func below(dir, p string) (string, bool) {
	if dir == "/" {
		return p, true
	}
	rest, ok := strings.CutPrefix(p, dir)
	return rest, ok && (rest == "" || rest[0] == '/')
}

// climbs reports whether a position is shown relative to a place above our namespace: /../other.
func climbs(p string) bool { return p == "/.." || strings.HasPrefix(p, "/../") }

// member reports whether a group is another one or below it.
func member(group, of string) bool {
	_, ok := below(of, group)
	return ok
}

// where finds the directories in which a group may be visible, best first. The cause tells why there is
// none.
func where(mountinfo, cgroups string) (dirs []string, group string, cause Cause) {
	all := mounts(mountinfo)
	if len(all) == 0 {
		return nil, "", NotMounted
	}
	group, ok := ownGroup(cgroups)
	if !ok {
		return nil, "", NotMounted
	}
	cause = Outside
	var readOnly []string
	for _, m := range all {
		d, ok := m.dir(group)
		switch {
		case !ok:
		case m.ro:
			readOnly = append(readOnly, d)
		default:
			dirs = append(dirs, d)
		}
	}
	if len(readOnly) > 0 {
		cause = ReadOnly
	}
	return append(dirs, readOnly...), group, cause
}
