package boot

import (
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// stanza is a word that a job of upstart may have at the beginning of a line: what may follow it, as a pattern of words with
// one blank between them, and whether it may be there more than once.
type stanza struct {
	pattern string
	often   bool
}

// stanzas are those that the manual of upstart's jobs names. Source: init(5), upstart 1.13.
func stanzas() map[string]stanza {
	const process, event = `(exec .+|script)`, `on .+`
	return map[string]stanza{
		"exec": {pattern: `.+`}, "script": {pattern: ``},
		"pre-start": {pattern: process}, "post-start": {pattern: process}, "pre-stop": {pattern: process}, "post-stop": {pattern: process},
		"start": {pattern: event}, "stop": {pattern: event}, "manual": {pattern: ``},
		"env": {pattern: `[A-Za-z_][A-Za-z0-9_]*(=.*)?`, often: true}, "export": {pattern: `[A-Za-z_][A-Za-z0-9_]*( [A-Za-z_][A-Za-z0-9_]*)*`, often: true},
		"task": {pattern: ``}, "respawn": {pattern: `(limit ([0-9]+ [0-9]+|unlimited))?`, often: true},
		"normal": {pattern: `exit [A-Z0-9]+( [A-Z0-9]+)*`, often: true}, "instance": {pattern: `\S+`},
		"author": {pattern: `.+`}, "description": {pattern: `.+`}, "version": {pattern: `.+`}, "usage": {pattern: `.+`}, "emits": {pattern: `.+`, often: true},
		"apparmor": {pattern: `(load \S+|switch \S+)`}, "cgroup": {pattern: `\S+( .+)?`, often: true},
		"console": {pattern: `(none|log|output|owner)`}, "umask": {pattern: `[0-7]{1,4}`}, "nice": {pattern: `-?[0-9]+`},
		"oom": {pattern: `score (-?[0-9]+|never)`}, "chroot": {pattern: `/.*`}, "chdir": {pattern: `/.*`},
		"limit": {
			pattern: `(as|core|cpu|data|fsize|memlock|msgqueue|nice|nofile|nproc|rss|rtprio|sigpending|stack) ([0-9]+|unlimited) ([0-9]+|unlimited)`, often: true,
		},
		"setuid": {pattern: `\S+`}, "setgid": {pattern: `\S+`}, "reload": {pattern: `signal [A-Z0-9]+`},
		"kill": {pattern: `(signal [A-Z0-9]+|timeout [0-9]+)`, often: true}, "expect": {pattern: `(stop|daemon|fork)`},
	}
}

// upstartWords are the words of a line: blanks separate, quotes of both kinds keep together, a # begins a comment.
func upstartWords(line string) (out []string, err error) {
	word, inside, quote := "", false, rune(0)
	for _, r := range line {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			word += string(r)
		case r == '"' || r == '\'':
			quote, inside = r, true
		case r == '#' && !inside:
			return out, nil
		case r == ' ' || r == '\t':
			if inside {
				out = append(out, word)
			}
			word, inside = "", false
		default:
			word, inside = word+string(r), true
		}
	}
	if quote != 0 {
		return nil, fmt.Errorf("a quote without its end: %s", line)
	}
	if inside {
		out = append(out, word)
	}
	return out, nil
}

// upstartWrong is what upstart would not take, and the text of the script.
func upstartWrong(source string) (out []string, script string) {
	known, seen := stanzas(), map[string]int{}
	lines := strings.Split(source, "\n")
	for i := 0; i < len(lines); i++ {
		words, err := upstartWords(lines[i])
		if err != nil {
			out = append(out, err.Error())
		}
		if len(words) == 0 {
			continue
		}
		s, ok := known[words[0]]
		rest := strings.Join(words[1:], " ")
		seen[words[0]]++
		switch {
		case !ok:
			out = append(out, words[0]+": there is no such stanza")
		case !regexp.MustCompile(`^` + s.pattern + `$`).MatchString(rest):
			out = append(out, words[0]+": "+rest)
		case seen[words[0]] > 1 && !s.often:
			out = append(out, words[0]+": twice")
		}
		if words[len(words)-1] != "script" {
			continue
		}
		from := i + 1
		for i++; i < len(lines) && strings.Join(strings.Fields(lines[i]), " ") != "end script"; i++ {
		}
		if i >= len(lines) {
			return append(out, "script: without its end"), ""
		}
		script = strings.Join(lines[from:i], "\n")
	}
	if seen["exec"]+seen["script"] != 1 {
		out = append(out, "neither exec nor script, or both")
	}
	if seen["start"] == 0 {
		out = append(out, "nothing starts it")
	}
	return out, script
}

// TestUpstartSchema holds the texts against what upstart documents, and the check against texts that it must refuse.
func TestUpstartSchema(t *testing.T) {
	machine := newFake(t, 0)
	var good string
	for _, target := range []Target{plain(), rich()} {
		source, err := upstart{machine.Host}.whole(target).text()
		if err != nil {
			t.Fatal(err)
		}
		found, script := upstartWrong(source)
		if len(found) > 0 {
			t.Errorf("%s: %q", target.Name, found)
		}
		if sh, err := exec.LookPath("sh"); err == nil { // what upstart gives to a shell is a shell's
			cmd := exec.Command(sh, "-n")
			cmd.Stdin = strings.NewReader(script)
			if said, err := cmd.CombinedOutput(); err != nil || script == "" {
				t.Errorf("%s: %v %s in %q", target.Name, err, said, script)
			}
		}
		good = source
	}
	for _, c := range []struct{ old, new, want string }{
		{"respawn\n", "respwan\n", "respwan: there is no such stanza"},
		{"respawn limit unlimited", "respawn limit forever", "respawn: limit forever"},
		{"kill timeout 120", "kill timeout 120s", "kill: timeout 120s"},
		{"umask 022", "umask 0o22", "umask: 0o22"},
		{"limit nofile 1024 524288", "limit files 1024 524288", "limit: files 1024 524288"},
		{"setuid alice", "setuid alice\nsetuid bob", "setuid: twice"},
		{"start on runlevel [2345]", "", "nothing starts it"},
		{"end script", "end", "script: without its end"},
		{"script\n", "exec true\nscript\n", "neither exec nor script, or both"},
		{`description "`, `description '`, "a quote without its end: description '100% of 'alice'\""},
	} {
		bad := strings.Replace(good, c.old, c.new, 1)
		if found, _ := upstartWrong(bad); bad == good || !slices.Contains(found, c.want) {
			t.Errorf("%q for %q: %q, want %q", c.new, c.old, found, c.want)
		}
	}
}
