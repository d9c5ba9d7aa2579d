package explain

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/upkeep-project/upkeep/internal/base/words"
	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/sys/peek"
)

// notSpawned and noCommand, notAllowed are exit codes: of a process of ours that could not become its program, and of
// shells whose command cannot be found or run.
const (
	notSpawned = 127
	noCommand  = 127
	notAllowed = 126
)

// notStarted recognises a start that came to nothing: refused by the daemon, or by the process before it became the
// program, which says so in its output.
func notStarted(pattern string) func(*inquiry) []match {
	return func(q *inquiry) []match {
		re := regexp.MustCompile(pattern)
		if s := q.st.SpawnErr; s != "" && !ended(s) {
			if g := re.FindStringSubmatch(s); g != nil {
				return without(g...)
			}
			return nil
		}
		if q.last == nil || !q.last.Exit.Known || q.last.Exit.Status != notSpawned {
			return nil
		}
		var out []match
		for _, m := range q.find(`^supervisor: (couldn't .*)$`) {
			if g := re.FindStringSubmatch(m.groups[1]); g != nil {
				out = append(out, match{g, m.line})
			}
		}
		return out
	}
}

// said is what a check has found: the rest of the headline when nothing was started at all, else a line of its own.
func (q *inquiry) said(text string) {
	if q.f.Adding && q.v.Cause == CauseStartFailed && !strings.Contains(q.v.Headline, ":") {
		q.v.Headline += ": " + clean(text)
		q.v.Facts = nil // the daemon's words for the same
		return
	}
	q.checked(text)
}

func commandSyntax(q *inquiry, _ context.Context, _ match) bool {
	if len(q.argv) > 0 {
		return false
	}
	if strings.TrimSpace(q.p.Command.Line) == "" {
		q.said("its command is empty")
		return true
	}
	q.said("its command has a quote that does not end: " + q.p.Command.Line)
	return true
}

func directoryMissing(q *inquiry, _ context.Context, _ match) bool {
	o := q.obstacle(q.dir, peek.Here)
	if o == nil || (o.Reason != peek.Missing && o.Reason != peek.NotADirectory) {
		return false
	}
	text := "the directory " + q.dir + " does not exist"
	if o.Path != q.dir {
		text += ": " + o.Error()
	}
	q.said(text)
	if o.Reason == peek.Missing {
		q.hint("Make it:", "mkdir -p "+words.Quote(q.dir)+q.andStart())
	}
	return true
}

func directoryForbidden(q *inquiry, _ context.Context, _ match) bool {
	o := q.obstacle(q.dir, peek.Exec)
	if o == nil || (o.Reason != peek.NotSearchable && o.Reason != peek.NotAllowed) {
		return false
	}
	q.said(q.userText() + " may not enter " + o.Path + q.mode(o.Path) + ", which leads to its directory " + q.dir)
	return true
}

func userUnknown(q *inquiry, _ context.Context, _ match) bool {
	name := q.p.Command.User
	if name == "" {
		return false
	}
	if _, err := q.sys.UserNamed(name); err == nil {
		return false
	}
	q.said("there is no user " + name + " on this machine")
	q.hint("Name one that exists (user=), or make it.", "")
	return true
}

func userForbidden(q *inquiry, _ context.Context, _ match) bool {
	self := q.sys.Self()
	if self.UID == 0 || q.p.Command.UID < 0 || q.p.Command.UID == self.UID {
		return false
	}
	q.said("upkeep runs as " + q.userName(self.UID) + " and may not start programs as " + q.userText())
	q.hint("Leave user= out, or run it under the instance of root or of that user.", "")
	return true
}

// lookup finds the file that a command word stands for, as the program's user would: the first in the PATH that can be
// executed, else the first that exists says what is wrong with it.
func (q *inquiry) lookup(word string) (path string, o *peek.Obstacle) {
	if strings.Contains(word, "/") {
		path = q.path(word)
		return path, q.obstacle(path, peek.Exec)
	}
	first := &peek.Obstacle{Path: word, Reason: peek.Missing}
	for _, dir := range q.searched() {
		path = filepath.Join(dir, word)
		found := q.obstacle(path, peek.Exec)
		if found == nil {
			return path, nil
		}
		if first.Reason == peek.Missing && found.Reason != peek.Missing && found.Reason != peek.NotADirectory {
			first = found
		}
	}
	return first.Path, first
}

// searched are the directories of the PATH, absolute.
func (q *inquiry) searched() []string {
	var out []string
	for _, dir := range filepath.SplitList(q.f.PathOfPrograms) {
		if dir = q.path(dir); len(out) < 64 && !slices.Contains(out, dir) {
			out = append(out, dir)
		}
	}
	return out
}

// obstacle is what stands between the program's user and a path, nil = nothing.
func (q *inquiry) obstacle(path string, right peek.Right) *peek.Obstacle {
	_, err := q.sys.Walk(q.who, path, right)
	var o *peek.Obstacle
	switch {
	case err == nil:
		return nil
	case errors.As(err, &o):
		return o
	}
	return &peek.Obstacle{Path: path, Reason: peek.Failed, Err: err}
}

// mode is " (owner root, mode 0700)" of a path that the daemon can see.
func (q *inquiry) mode(path string) string {
	f, err := q.sys.Walk(q.who, path, peek.Here)
	if err != nil || peek.Owner(f.Info) < 0 {
		return ""
	}
	return fmt.Sprintf(" (owner %s, mode %04o)", strings.TrimPrefix(q.userName(peek.Owner(f.Info)), "user "), f.Info.Mode().Perm())
}

func commandNotFound(q *inquiry, _ context.Context, _ match) bool {
	return len(q.argv) > 0 && q.missing(q.argv[0], 0)
}

// missing says that a command word leads nowhere, and what is close by. at is its place in the command line, -1 = it is
// used inside of the program.
func (q *inquiry) missing(word string, at int) bool {
	path, o := q.lookup(word)
	if o == nil || (o.Reason != peek.Missing && o.Reason != peek.NotADirectory) {
		return false
	}
	if strings.Contains(word, "/") {
		q.said("there is no file " + path)
	} else {
		gets := "gets"
		if q.f.Adding {
			gets = "would get"
		}
		q.said(fmt.Sprintf("there is no %q in the PATH this program %s", word, gets))
	}
	near := q.closeBy(word)
	if len(near) > 0 {
		q.fact("close by: " + strings.Join(near, "  "))
	}
	if !strings.Contains(word, "/") {
		text := "PATH for programs: " + q.f.PathOfPrograms
		if q.f.PathFrom != "" {
			text += "  (from " + q.f.PathFrom + ")"
		}
		q.fact(text)
	}
	if len(near) > 0 && at >= 0 {
		argv := slices.Clone(q.argv)
		argv[at] = q.typed(near[0])
		q.hint("Use:", q.instead(argv))
	}
	return true
}

// typed is how a command is best written: bare when the PATH finds it, else relative to the program's directory.
func (q *inquiry) typed(path string) string {
	if found, o := q.lookup(filepath.Base(path)); o == nil && found == path {
		return filepath.Base(path)
	}
	if short := q.brief(path); short != filepath.Base(path) {
		return short
	}
	if filepath.Dir(path) == q.dir {
		return "./" + filepath.Base(path)
	}
	return path
}

// Where commands are that are in no PATH: below a project's directory, and on the machine.
var (
	projectBins = []string{".venv/bin", "venv/bin", "env/bin", "node_modules/.bin", "bin", "vendor/bin", ".", "target/release"}
	machineBins = []string{"/usr/local/bin", "/usr/bin", "/bin", "/usr/local/sbin", "/usr/sbin", "/sbin", "/opt/bin", "/snap/bin"}
)

// maxNames bounds the names of one directory that are compared.
const maxNames = 4096

// closeBy finds files that a command word may have meant: of its very name where the PATH does not lead, then of a close
// name. All of them can be executed by the program's user.
func (q *inquiry) closeBy(word string) []string {
	const most = 3
	var dirs []string
	base := filepath.Base(word)
	if strings.Contains(word, "/") {
		dirs = append(dirs, filepath.Dir(q.path(word)))
	}
	for _, d := range projectBins {
		dirs = append(dirs, filepath.Join(q.dir, d))
	}
	if u, _, err := q.sys.User(q.who.UID); err == nil && filepath.IsAbs(u.Home) {
		dirs = append(dirs, filepath.Join(u.Home, ".local/bin"), filepath.Join(u.Home, "bin"))
	}
	dirs = append(append(dirs, q.searched()...), machineBins...)
	var exact, near []string
	names := map[string]string{} // name → the first path
	var seen []string            // /bin may be /usr/bin
	for _, d := range dirs {
		at, err := q.sys.Walk(q.who, d, peek.Exec)
		if err != nil || slices.Contains(seen, at.Path) {
			continue
		}
		seen = append(seen, at.Path)
		if path := filepath.Join(d, base); q.runs(path) {
			exact = append(exact, path)
		}
		list, _ := q.sys.Names(q.who, d, maxNames) // none when it cannot be listed
		for _, n := range list {
			if _, ok := names[n]; !ok && n != base {
				names[n] = filepath.Join(d, n)
			}
		}
	}
	if len(exact) > 0 {
		return exact[:min(len(exact), most)]
	}
	known := make([]string, 0, len(names))
	for n := range names {
		known = append(known, n)
	}
	slices.Sort(known)
	for _, n := range words.Close(base, known, 12) {
		if q.runs(names[n]) {
			near = append(near, names[n])
		}
	}
	return near[:min(len(near), most)]
}

// runs reports whether a path is a file that the program's user may execute.
func (q *inquiry) runs(path string) bool {
	f, err := q.sys.Walk(q.who, path, peek.Exec)
	return err == nil && f.Info.Mode().IsRegular()
}

func commandIsDirectory(q *inquiry, _ context.Context, _ match) bool {
	if len(q.argv) == 0 {
		return false
	}
	path, o := q.lookup(q.argv[0])
	f, err := q.sys.Walk(q.who, path, peek.Here)
	if o != nil || err != nil || !f.Info.IsDir() {
		return false
	}
	q.said(path + " is a directory")
	return true
}

func notExecutable(q *inquiry, _ context.Context, _ match) bool {
	return len(q.argv) > 0 && q.forbidden(q.argv[0])
}

// forbidden says that a command is there and lacks the permission to be executed.
func (q *inquiry) forbidden(word string) bool {
	path, o := q.lookup(word)
	if o == nil || o.Reason != peek.NotAllowed {
		return false
	}
	f, err := q.sys.Walk(q.who, path, peek.Here)
	if err != nil || !f.Info.Mode().IsRegular() {
		return false
	}
	if f.Info.Mode().Perm()&0o111 != 0 {
		q.said(q.userText() + " may not execute " + path + q.mode(path))
		return true
	}
	q.said(path + " is not executable" + q.mode(path))
	q.hint("Make it so:", "chmod +x "+words.Quote(path)+q.andStart())
	return true
}

func notSearchable(q *inquiry, _ context.Context, _ match) bool {
	if len(q.argv) == 0 {
		return false
	}
	path, o := q.lookup(q.argv[0])
	if o == nil || o.Reason != peek.NotSearchable {
		return false
	}
	if strings.Contains(q.argv[0], "/") {
		path = q.path(q.argv[0])
	}
	q.said(q.userText() + " may not enter " + o.Path + q.mode(o.Path) + ", which leads to " + path)
	return true
}

func logForbidden(q *inquiry, _ context.Context, _ match) bool {
	for _, s := range []model.Stream{q.p.IO.Stdout, q.p.IO.Stderr} {
		if s.Log != model.LogFile || !filepath.IsAbs(s.Path) {
			continue
		}
		// The daemon opens it, not the program.
		dir := filepath.Dir(s.Path)
		_, err := q.sys.Walk(q.sys.Self(), s.Path, peek.Write)
		if errors.Is(err, fs.ErrNotExist) {
			_, err = q.sys.Walk(q.sys.Self(), dir, peek.Write)
		}
		var o *peek.Obstacle
		if !errors.As(err, &o) {
			continue
		}
		switch o.Reason {
		case peek.Missing:
			q.said("its log " + s.Path + " cannot be made: " + o.Error())
			q.hint("Make the directory:", "mkdir -p "+words.Quote(dir)+q.andStart())
		default:
			q.said("its log " + s.Path + " cannot be written: " + o.Error() + q.mode(o.Path) + " to " + q.userName(q.sys.Self().UID))
		}
		return true
	}
	return false
}
