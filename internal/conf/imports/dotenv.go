package imports

import (
	"regexp"
	"strings"
)

// envLine is one line of a .env file.
const envLine = `^\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_.-]*)\s*[=]\s*(.*)$`

// badLine is a line that is neither a variable nor a comment.
type badLine struct {
	line int
	text string
}

// dotenv reads NAME=VALUE lines. 'a value' is taken as it is, "a value" has \n, \t, \" and \\, a value without quotes
// ends at a # behind a blank. Nothing is expanded. Quoted values stay on their line.
func dotenv(text string) (vars []EnvVar, bad []badLine) {
	pattern := regexp.MustCompile(envLine)
	number := 0
	for line := range strings.Lines(strings.TrimPrefix(text, "\ufeff")) {
		number++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		m := pattern.FindStringSubmatch(line)
		if m == nil {
			bad = append(bad, badLine{number, "not NAME=VALUE"})
			continue
		}
		value, ok := envValue(m[2])
		if !ok {
			bad = append(bad, badLine{number, m[1] + " has a quote that does not end"})
			continue
		}
		vars = append(vars, EnvVar{Name: m[1], Value: value})
	}
	return vars, bad
}

// envValue takes the quotes off a value; false when they do not end on the line.
func envValue(s string) (string, bool) {
	if s == "" || s[0] != '\'' && s[0] != '"' {
		for i := 1; i < len(s); i++ {
			if s[i] == '#' && (s[i-1] == ' ' || s[i-1] == '\t') {
				s = s[:i]
			}
		}
		if strings.HasPrefix(s, "#") {
			s = ""
		}
		return strings.TrimSpace(s), true
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == s[0]:
			rest := strings.TrimSpace(s[i+1:])
			return b.String(), rest == "" || rest[0] == '#'
		case c == '\\' && s[0] == '"' && i+1 < len(s):
			i++
			switch s[i] {
			case 'n':
				b.WriteByte('\n')
			case 't':
				b.WriteByte('\t')
			default:
				b.WriteByte(s[i])
			}
		default:
			b.WriteByte(c)
		}
	}
	return "", false
}

// envFile reads a file of variables that belongs to the source.
func (r *reader) envFile(path string) []EnvVar {
	text, err := r.file(path)
	if err != nil {
		r.problem(path, 0, "%v", err)
		return nil
	}
	vars, bad := dotenv(string(text))
	for _, b := range bad {
		r.problem(path, b.line, "%s", b.text)
	}
	return vars
}
