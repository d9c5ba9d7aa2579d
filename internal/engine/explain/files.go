package explain

import (
	"context"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/upkeep-project/upkeep/internal/base/words"
	"github.com/upkeep-project/upkeep/internal/sys/peek"
)

// clockSlack is what the times of files and the clock may differ by.
const clockSlack = time.Second

// pathText is a path in the words of a program: quoted, or absolute, or with a slash or an ending.
const pathText = `(?:^|[^\w])['"‘“]([^'"‘’“”]+)['"’”]|(?:^|[\s(=:,])((?:/|\./|\.\./|~/)[^\s'"():,;]+|[\w.-]+/[^\s'"():,;]+|[\w-]+\.\w{1,5}\b)`

// maxPaths bounds the paths of one line that are looked at.
const maxPaths = 8

// paths reads the paths out of a line, as they are written. The name of the program itself, with which many begin what
// they say, is left out.
func paths(text string) []string {
	var out []string
	for _, g := range regexp.MustCompile(pathText).FindAllStringSubmatch(text, maxPaths) {
		p := g[1] + g[2]
		if len(p) < 1024 && strings.ContainsAny(p, "/.") && !slices.Contains(out, p) && !strings.Contains(p, "://") {
			out = append(out, strings.TrimRight(p, "."))
		}
	}
	if len(out) > 1 && strings.HasPrefix(text, out[0]+":") {
		return out[1:]
	}
	return out
}

// named are the paths near a line: its own, else those of the lines beside it.
func (q *inquiry) named(at int) []string {
	if l := paths(q.lines[at].text); len(l) > 0 {
		return l
	}
	var out []string
	for _, i := range []int{at - 1, at + 1} {
		if i >= 0 && i < len(q.lines) {
			out = append(out, paths(q.lines[i].text)...)
		}
	}
	return out
}

func tooManyFiles(q *inquiry, _ context.Context, _ match) bool {
	if q.f.FilesLimit == 0 || q.f.FilesLimit > 1<<40 {
		return false
	}
	q.checked("it may have " + strconv.FormatUint(q.f.FilesLimit, 10) + " files and connections open at once")
	q.hint("Raise minfds in the daemon's configuration, or see whether it forgets to close them.", "")
	return true
}

// Bounds below which a file system counts as full.
const (
	fullBytes = 1 << 20
	fullFiles = 16
)

func noSpace(q *inquiry, _ context.Context, m match) bool {
	text := q.lines[m.line].text
	if regexp.MustCompile(`(?i)watch`).MatchString(text) {
		const file = "/proc/sys/fs/inotify/max_user_watches"
		b, err := q.sys.File(q.who, file, 32)
		if err != nil {
			return false
		}
		q.checked("a user may watch " + strings.TrimSpace(string(b)) + " files (fs.inotify.max_user_watches); the disk is not full")
		q.hint("Allow more:", "sysctl fs.inotify.max_user_watches=524288")
		return true
	}
	quota := regexp.MustCompile(`(?i)quota`).MatchString(text)
	places := q.named(m.line)
	for i, p := range places {
		places[i] = q.path(p)
	}
	for _, p := range append(places, q.dir, "/tmp", "/var/tmp", "/dev/shm") {
		for !q.exists(p) && p != filepath.Dir(p) {
			p = filepath.Dir(p)
		}
		s, err := q.sys.Space(p)
		if err != nil || s.Size == 0 {
			continue
		}
		switch {
		case s.Free < fullBytes || s.Free < s.Size/1000:
			q.checked("the file system of " + p + " is full: " + words.Size(s.Free) + " of " + words.Size(s.Size) + " are free")
			q.hint("See what fills it:", "du -xh "+words.Quote(p)+" | sort -h | tail")
			return true
		case s.MaxFiles > 0 && s.FreeFiles < fullFiles:
			q.checked("the file system of " + p + " has no room for more files (inodes), although " + words.Size(s.Free) + " are free")
			return true
		case quota:
			q.checked("the file system of " + p + " is not full (" + words.Size(s.Free) + " free): it is the quota of " + q.userText())
			return true
		}
	}
	return false
}

// missingRights are what a user may lack, in the order in which programs need them.
var missingRights = []struct {
	right peek.Right
	verb  string
}{{peek.Read, "read"}, {peek.Write, "write"}, {peek.Exec, "execute"}}

func permission(q *inquiry, _ context.Context, m match) bool {
	if q.who.UID == 0 {
		return false // permission bits do not stop root
	}
	for _, p := range q.named(m.line) {
		path := q.path(p)
		o := q.obstacle(path, peek.Here)
		if o != nil && o.Reason == peek.NotSearchable {
			q.checked(q.userText() + " may not enter " + o.Path + q.mode(o.Path) + ", which leads to " + path)
			return true
		}
		if o != nil && o.Reason == peek.Missing {
			dir := filepath.Dir(path)
			if q.exists(dir) && !q.there(dir, peek.Write) {
				q.checked(q.userText() + " may not make files in " + dir + q.mode(dir))
				return true
			}
			continue
		}
		for _, r := range missingRights {
			if r.right == peek.Exec && !strings.HasSuffix(path, ".sh") {
				continue
			}
			if o := q.obstacle(path, r.right); o != nil && o.Reason == peek.NotAllowed {
				q.checked(q.userText() + " may not " + r.verb + " " + path + q.mode(path))
				q.hint("Change its owner or mode, or run the program as another user (user=).", "")
				return true
			}
		}
	}
	return false
}

func readOnly(q *inquiry, _ context.Context, m match) bool {
	for _, p := range q.named(m.line) {
		path := q.path(p)
		for !q.exists(path) && path != filepath.Dir(path) {
			path = filepath.Dir(path)
		}
		if s, err := q.sys.Space(path); err == nil && s.ReadOnly {
			q.checked("the file system of " + path + " is mounted read-only")
			return true
		}
	}
	return false
}

func fileMissing(q *inquiry, _ context.Context, m match) bool {
	for _, p := range q.named(m.line) {
		if strings.HasPrefix(p, "~") || strings.ContainsAny(p, "\n*?") || len(p) < 2 {
			continue
		}
		path := q.path(p)
		o := q.obstacle(path, peek.Here)
		if o == nil || o.Reason != peek.Missing {
			continue
		}
		text := path + " does not exist"
		if o.Path != path {
			text += ": there is no " + o.Path
		}
		q.checked(text)
		if !filepath.IsAbs(p) {
			q.fact("relative paths count from the program's directory, " + q.dir)
		}
		dir := filepath.Dir(o.Path)
		names, _ := q.sys.Names(q.who, dir, maxNames) // none: nothing is close
		slices.Sort(names)
		if near := words.Close(filepath.Base(o.Path), names, 3); len(near) > 0 {
			q.fact("close by: " + filepath.Join(dir, near[0]))
		}
		return true
	}
	return false
}

// place is where a program says that its source is wrong: FILE", line N; FILE:N; FILE: N: ; FILE: line N; FILE line N.
const place = `(?:["' (]|^)(/?[\w@./+-]+?\.?\w+)(?:["']?, line |: line |: |:| line )(\d+)`

func syntaxError(q *inquiry, _ context.Context, m match) bool {
	re := regexp.MustCompile(place)
	for i := m.line; i >= max(0, m.line-6); i-- {
		for _, g := range re.FindAllStringSubmatch(q.lines[i].text, maxPaths) {
			path := q.path(g[1])
			f, err := q.sys.Walk(q.who, path, peek.Read)
			if err != nil || !f.Info.Mode().IsRegular() {
				continue
			}
			q.checked(fmt.Sprintf("the mistake is in %s, line %s", path, g[2]))
			if q.last != nil && f.Info.ModTime().After(q.last.End.Add(clockSlack)) {
				q.checked("the file was changed after that run")
				if q.st.State.Down() {
					q.hint("Try again:", "upkeep start "+words.Quote(q.name))
				}
			}
			if q.key < 0 {
				q.key = i
			}
			return true
		}
	}
	return false
}
