package differ

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
)

// Scenario is one conversation with a daemon: files to lay out, then steps.
type Scenario struct {
	// Name identifies the scenario: the file's name, a slash and the case where a file holds several.
	Name string
	// Title is the first comment line of the script.
	Title string
	// Files are laid out in the scratch directory before the first step.
	Files []File
	// Steps are run in order.
	Steps []Step
}

// File is one file of a scenario. $DIR, $PORT and $BASE in Data are replaced when it is written.
type File struct {
	Name string
	Data string
}

// Step is one line of a script.
type Step struct {
	// Line is the text as written: it is the step's name in transcripts and in differences.
	Line string
	// Verb is the first word, Args the others with quotes removed.
	Verb string
	Args []string
	// Rest is the text after the verb, untouched.
	Rest string
}

// baseConfig is what $BASE stands for: one unix socket, an activity log, a pid file, AUTO logs, all
// in the scratch directory.
const baseConfig = `[unix_http_server]
file=$DIR/s.sock
[supervisord]
logfile=$DIR/d.log
pidfile=$DIR/d.pid
childlogdir=$DIR
user=root
[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=unix://$DIR/s.sock`

// clientScript is a file beside the scenarios' directory that scenarios may run.
const clientScript = "xmlrpc_all.py"

// loadScenarios reads every scenario below dir of fsys, sorted by name.
func loadScenarios(fsys fs.FS, dir string) ([]Scenario, error) {
	entries, err := fs.ReadDir(fsys, dir)
	if err != nil {
		return nil, err
	}
	var all []Scenario
	for _, e := range entries {
		base, ok := strings.CutSuffix(e.Name(), ".txtar")
		if !ok {
			continue
		}
		data, err := fs.ReadFile(fsys, path.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		var more []File
		if strings.Contains(string(data), clientScript) {
			client, err := fs.ReadFile(fsys, clientScript)
			if err != nil {
				return nil, err
			}
			more = append(more, File{Name: clientScript, Data: string(client)})
		}
		list, err := ParseScenarios(base, string(data), more...)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", e.Name(), err)
		}
		all = append(all, list...)
	}
	slices.SortFunc(all, func(a, b Scenario) int { return strings.Compare(a.Name, b.Name) })
	for i := 1; i < len(all); i++ {
		if all[i].Name == all[i-1].Name {
			return nil, fmt.Errorf("two scenarios are named %s", all[i].Name)
		}
	}
	return all, nil
}

// ParseScenarios reads one file. A file is one scenario, unless it has members named
// "conf: NAME" (each is the supervisord.conf of a scenario with the common script) or
// "case: NAME" (each is a script that follows the common one). more are files every scenario gets.
func ParseScenarios(name, text string, more ...File) ([]Scenario, error) {
	script, members := splitArchive(text)
	common := slices.Clone(more)
	var cases []File
	for _, m := range members {
		if strings.HasPrefix(m.Name, "conf: ") || strings.HasPrefix(m.Name, "case: ") {
			cases = append(cases, m)
			continue
		}
		common = append(common, m)
	}
	if len(cases) == 0 {
		sc, err := newScenario(name, script, common)
		return []Scenario{sc}, err
	}
	var out []Scenario
	for _, c := range cases {
		kind, label, _ := strings.Cut(c.Name, ": ")
		body, files := script, slices.Clone(common)
		if kind == "conf" {
			files = append(files, File{Name: "supervisord.conf", Data: c.Data})
		} else {
			body += c.Data
		}
		sc, err := newScenario(name+"/"+label, body, files)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", label, err)
		}
		if kind == "case" {
			if t := firstComment(c.Data); t != "" {
				sc.Title = t
			}
		}
		out = append(out, sc)
	}
	return out, nil
}

func newScenario(name, script string, files []File) (Scenario, error) {
	sc := Scenario{Name: name, Title: firstComment(script), Files: files}
	for n, line := range strings.Split(script, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		st, err := parseStep(line)
		if err != nil {
			return sc, fmt.Errorf("script line %d: %w", n+1, err)
		}
		if _, known := verbs()[st.Verb]; !known {
			return sc, fmt.Errorf("script line %d: unknown verb %q", n+1, st.Verb)
		}
		sc.Steps = append(sc.Steps, st)
	}
	if len(sc.Steps) == 0 {
		return sc, errors.New("no steps")
	}
	return sc, checkDevices(sc)
}

// deviceLog finds log files that are devices of the machine.
var deviceLog = regexp.MustCompile(`(?im)logfile\s*=\s*/dev/(\S*)`)

// checkDevices refuses scenarios that would make a supervisor replace a device of the machine by a
// plain file: the original unlinks and recreates the log it clears or rotates, whatever it is.
func checkDevices(sc Scenario) error {
	for _, f := range sc.Files {
		for _, m := range deviceLog.FindAllStringSubmatch(f.Data, -1) {
			if m[1] != "stdout" && m[1] != "stderr" {
				return fmt.Errorf("%s logs to /dev/%s", f.Name, m[1])
			}
			for _, st := range sc.Steps {
				if strings.Contains(strings.ToLower(st.Line), "clear") {
					return fmt.Errorf("%s logs to /dev/%s and step %q clears logs", f.Name, m[1], st.Line)
				}
			}
		}
	}
	for _, st := range sc.Steps {
		if deviceLog.MatchString(st.Line) {
			return fmt.Errorf("step %q sets a device as log", st.Line)
		}
	}
	return nil
}

func firstComment(script string) string {
	for line := range strings.SplitSeq(script, "\n") {
		if t, ok := strings.CutPrefix(strings.TrimSpace(line), "#"); ok {
			return strings.TrimSpace(t)
		}
	}
	return ""
}

// parseStep splits a line into words. Single quotes keep everything; double quotes know \n, \t, \\ and \".
func parseStep(line string) (Step, error) {
	words, err := splitWords(line)
	if err != nil {
		return Step{}, err
	}
	verb, rest, _ := strings.Cut(line, " ")
	return Step{Line: line, Verb: verb, Args: words[1:], Rest: strings.TrimSpace(rest)}, nil
}

var errQuote = errors.New("a quote is not closed")

func splitWords(s string) ([]string, error) {
	var words []string
	var cur strings.Builder
	inWord := false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case ' ', '\t':
			if inWord {
				words = append(words, cur.String())
				cur.Reset()
				inWord = false
			}
		case '\'':
			end := strings.IndexByte(s[i+1:], '\'')
			if end < 0 {
				return nil, errQuote
			}
			cur.WriteString(s[i+1 : i+1+end])
			i += end + 1
			inWord = true
		case '"':
			n, err := doubleQuoted(s[i+1:], &cur)
			if err != nil {
				return nil, err
			}
			i += n
			inWord = true
		default:
			cur.WriteByte(c)
			inWord = true
		}
	}
	if inWord {
		words = append(words, cur.String())
	}
	return words, nil
}

// doubleQuoted appends the text up to the closing quote and reports how many bytes it took, quote included.
func doubleQuoted(s string, out *strings.Builder) (int, error) {
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '"':
			return i + 1, nil
		case '\\':
			i++
			if i == len(s) {
				return 0, errQuote
			}
			switch s[i] {
			case 'n':
				out.WriteByte('\n')
			case 't':
				out.WriteByte('\t')
			default:
				out.WriteByte(s[i])
			}
		default:
			out.WriteByte(s[i])
		}
	}
	return 0, errQuote
}

// splitArchive separates the leading text from the members; a member starts at a line "-- NAME --".
func splitArchive(text string) (string, []File) {
	var head strings.Builder
	var members []File
	var body strings.Builder
	flush := func() {
		if len(members) > 0 {
			members[len(members)-1].Data = body.String()
		}
		body.Reset()
	}
	for line := range strings.SplitAfterSeq(text, "\n") {
		trimmed := strings.TrimSpace(line)
		if name, ok := strings.CutPrefix(trimmed, "-- "); ok && strings.HasSuffix(name, " --") {
			flush()
			members = append(members, File{Name: strings.TrimSpace(strings.TrimSuffix(name, " --"))})
			continue
		}
		if len(members) == 0 {
			head.WriteString(line)
		} else {
			body.WriteString(line)
		}
	}
	flush()
	return head.String(), members
}
