package explain

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/upkeep-project/upkeep/internal/base/units"
	"github.com/upkeep-project/upkeep/internal/base/words"
	"github.com/upkeep-project/upkeep/internal/sys/peek"
)

// shellSignal is what shells add to the number of the signal that ended what they ran.
const shellSignal = 128

// signal is the signal that ended the last run, 0 = none; inner = it ended something that the program ran, and the
// program passed that on as its exit code.
func (q *inquiry) signal() (n int, inner bool) {
	if q.last == nil || !q.last.Exit.Known {
		return 0, false
	}
	if n = q.last.Exit.Signal; n != 0 {
		return n, false
	}
	if n = q.last.Exit.Status - shellSignal; n > 0 && n < 32 {
		return n, true
	}
	return 0, false
}

// signalled recognises an end by one of the signals, by name.
func signalled(names ...string) func(*inquiry) []match {
	return func(q *inquiry) []match {
		n, _ := q.signal()
		for _, name := range names {
			if n != 0 && units.SignalName(n) == name {
				return without(name)
			}
		}
		return nil
	}
}

func killed(q *inquiry) []match { return signalled("SIGKILL")(q) }

// passedOn explains an exit code that stands for a signal.
func (q *inquiry) passedOn(name string) {
	if _, inner := q.signal(); inner {
		q.fact("code " + strconv.Itoa(q.last.Exit.Status) + " says that something it ran was ended by " + name)
	}
}

// plainly says what a signal alone means.
func plainly(text string) func(*inquiry, context.Context, match) bool {
	return func(q *inquiry, _ context.Context, m match) bool {
		if q.last.By != Nobody {
			return false
		}
		q.fact(text)
		q.passedOn(m.groups[0])
		return true
	}
}

func outOfMemory(q *inquiry, _ context.Context, m match) bool {
	kills := q.last.OOMKills
	if kills == 0 && q.f.Cgroup != "" {
		kills = q.sys.OOMKills(q.f.Cgroup)
	}
	logged := false
	if kills == 0 && q.last.PID != 0 {
		logged, _ = q.sys.KilledForMemory(q.last.PID, q.last.Start)
	}
	text := ""
	switch {
	case q.last.By == MemoryLimit:
		text = "upkeep ended it since it used more memory than it may"
	case kills > 0 && q.last.MemoryLimit > 0:
		text = "memory reached its limit"
	case kills > 0:
		text = "the memory of its control group was used up"
	case logged:
		text = "the kernel's log says that it killed it for lack of memory"
	default:
		return false
	}
	if q.last.MemoryLimit > 0 {
		text += ": limit " + words.Size(q.last.MemoryLimit)
	}
	if q.last.MemoryPeak > 0 {
		text += ", peak " + words.Size(q.last.MemoryPeak)
	}
	if kills > 0 {
		text += ", " + words.Count(kills, "kill", "kills") + " by the kernel"
	}
	q.checked(text)
	if q.last.By == Nobody {
		q.fact("so the kernel ended it for memory, it did not crash by itself")
	}
	q.passedOn(m.groups[0])
	return true
}

func killedByUs(q *inquiry, _ context.Context, _ match) bool {
	switch q.last.By {
	case Kill:
		q.fact("upkeep ended it, since a stop was asked for and it had not ended within " + words.Limit(q.p.Stop.Wait) + " (stopwaitsecs)")
		q.hint("If it needs longer to end:", q.set("stopwaitsecs="+strconv.Itoa(max(1, int(q.p.Stop.Wait.Seconds()*3)))))
	case Check:
		q.fact("upkeep ended it since its health check failed")
	default:
		return false
	}
	return true
}

// sender says who sent a signal through us.
func (q *inquiry) sender(name string) {
	by := "somebody"
	if q.last.Who != "" {
		by = q.last.Who
	}
	q.fact(by + " sent " + name + " through upkeep")
}

func killedByOther(q *inquiry, _ context.Context, m match) bool {
	switch q.last.By {
	case SignalOrder:
		q.sender(m.groups[0])
		return true
	case Nobody:
	default:
		return false
	}
	q.fact("upkeep did not send SIGKILL")
	if _, known := q.sys.KilledForMemory(q.last.PID, q.last.Start); known && q.last.PID != 0 {
		q.checked("the kernel's log does not say that it was killed for lack of memory: somebody else sent the signal")
	} else {
		q.checked("the kernel's log may not be read here: lack of memory, or somebody else")
	}
	q.passedOn(m.groups[0])
	return true
}

func terminatedByOther(q *inquiry, _ context.Context, m match) bool {
	switch q.last.By {
	case SignalOrder:
		q.sender(m.groups[0])
	case Nobody:
		q.fact("upkeep did not send " + m.groups[0] + ": somebody else did, or the program itself")
	default:
		return false
	}
	q.passedOn(m.groups[0])
	return true
}

// crashes says what the signals of a crash mean.
var crashes = map[string]string{
	"SIGSEGV": "it used memory that is not its own (segmentation fault)",
	"SIGBUS":  "it used memory that cannot be reached (bus error): a file it had mapped became shorter, or a disk failed",
	"SIGABRT": "it ended itself because something was wrong (abort)",
	"SIGILL":  "it came upon an instruction that this processor does not have",
	"SIGFPE":  "it divided by zero",
	"SIGTRAP": "it came upon a trap for a debugger",
	"SIGSYS":  "it made a system call that it may not make (a sandbox ended it)",
}

func crashed(q *inquiry, _ context.Context, m match) bool {
	if q.last.By != Nobody {
		return false
	}
	q.fact(crashes[m.groups[0]])
	q.passedOn(m.groups[0])
	pattern := q.sys.CorePattern()
	switch {
	case !q.last.Exit.Core:
	case strings.HasPrefix(pattern, "|") && strings.Contains(pattern, "systemd-coredump"):
		q.hint("Its memory image is kept by systemd:", "coredumpctl info "+strconv.Itoa(q.last.PID))
	default:
		if path := q.core(pattern); path != "" {
			q.checked("its memory image is " + path)
			q.hint("Look into it:", "gdb "+words.Quote(q.argv0())+" "+words.Quote(path))
		}
	}
	return true
}

// core finds the memory image of the last run: the kernel's pattern with what is known put in.
func (q *inquiry) core(pattern string) string {
	if pattern == "" || strings.HasPrefix(pattern, "|") {
		return ""
	}
	name := filepath.Base(q.argv0())
	r := strings.NewReplacer("%p", strconv.Itoa(q.last.PID), "%P", strconv.Itoa(q.last.PID), "%e", name[:min(len(name), 15)],
		"%u", strconv.Itoa(q.who.UID), "%s", strconv.Itoa(q.last.Exit.Signal), "%%", "%")
	path := q.path(r.Replace(pattern))
	for _, p := range []string{path, path + "." + strconv.Itoa(q.last.PID)} {
		f, err := q.sys.Walk(q.who, p, peek.Here)
		if err == nil && f.Info.Mode().IsRegular() && !f.Info.ModTime().Before(q.last.Start.Add(-clockSlack)) {
			return p
		}
	}
	return ""
}

// argv0 is the file that was executed, as well as it can be told.
func (q *inquiry) argv0() string {
	if len(q.argv) == 0 {
		return ""
	}
	if path, o := q.lookup(q.argv[0]); o == nil {
		return path
	}
	return q.argv[0]
}

// shellMissing is how shells and env say that there is no such command.
const shellMissing = `^(?:\S+: )(?:line )?(?:\d+: )?(?:exec: )?([^\s:]+): (?:command )?not found$` +
	`|^\S*env: ['"‘]?([^'"’]+?)['"’]?: No such file or directory` + `|command not found: (\S+)$`

func commandOfShell(q *inquiry, _ context.Context, m match) bool {
	for _, word := range m.groups[1:] {
		if word != "" {
			return q.missing(word, -1)
		}
	}
	return false
}

func commandOfShellForbidden(q *inquiry, _ context.Context, m match) bool {
	return q.forbidden(m.groups[1])
}

const libraryMissing = `error while loading shared libraries: ([\w.+-]+): cannot open shared object file|Error loading shared library ([\w.+-]+):`

// library looks where the loader looks, as far as that is the same everywhere.
func library(q *inquiry, _ context.Context, m match) bool {
	name := m.groups[1] + m.groups[2]
	var dirs []string
	for _, kv := range q.f.Environ {
		if list, ok := strings.CutPrefix(kv, "LD_LIBRARY_PATH="); ok {
			dirs = filepath.SplitList(list)
		}
	}
	triplet := map[string]string{"amd64": "x86_64-linux-gnu", "arm64": "aarch64-linux-gnu"}[q.sys.Arch()]
	for _, d := range []string{"/lib", "/usr/lib", "/lib64", "/usr/lib64"} {
		dirs = append(dirs, d, filepath.Join(d, triplet))
	}
	for _, d := range dirs {
		if filepath.IsAbs(d) && q.there(filepath.Join(d, name), peek.Read) {
			return false // it is there: another reason
		}
	}
	q.checked("the library " + name + " is not where the loader looks")
	exe := filepath.Dir(q.argv0())
	for _, d := range []string{"/usr/local/lib", exe, filepath.Join(exe, "lib"), filepath.Join(exe, "../lib"), q.dir, filepath.Join(q.dir, "lib")} {
		if !filepath.IsAbs(d) || !q.there(filepath.Join(d, name), peek.Read) {
			continue
		}
		q.checked(fmt.Sprintf("it is in %s", d))
		q.hint("Tell the loader:", q.set("env.LD_LIBRARY_PATH="+d))
		break
	}
	return true
}
