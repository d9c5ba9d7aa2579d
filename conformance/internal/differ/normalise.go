package differ

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// rule replaces what legitimately differs between two runs (a pid, a time, a random name) by a word.
// A rule never touches text that carries meaning.
type rule struct {
	re   *regexp.Regexp
	with string
}

// normaliser turns raw output into comparable text.
type normaliser struct {
	plain *strings.Replacer
	rules []rule
}

// newNormaliser knows the scratch directory and the ports of one scenario.
func newNormaliser(dir string, ports []int) *normaliser {
	pairs := []string{dir, "$DIR"}
	for i, p := range ports {
		pairs = append(pairs, strconv.Itoa(p), portName(i))
	}
	n := &normaliser{plain: strings.NewReplacer(pairs...)}
	for _, r := range [][2]string{
		{`(?m)^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} `, "TIME "},
		{`\bpid \d+`, "pid PID"},
		{`(killing '[^']*' )\(\d+\)`, "${1}(PID)"},
		{`(has left processes running: )\d+`, "${1}PID"},
		{`(process '[^']*' )\(\d+\)`, "${1}(PID)"},
		{`uptime (?:\d+ days?, )?\d+:\d\d:\d\d`, "uptime T"},
		{`\b(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) \d\d \d\d:\d\d [AP]M`, "DATE"},
		{`\b(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) (?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) [ \d]\d \d\d:\d\d:\d\d \d{4}`, "CTIME"},
		{`at%20\w{3}%20\w{3}%20(?:%20)?\d+%20\d\d%3A\d\d%3A\d\d%20\d{4}`, "at%20CTIME"},
		{`(?m)^(Date|Last-Modified): .* GMT`, "${1}: HTTPDATE"},
		{`(---[A-Za-z0-9_]+)-[a-z0-9_]{8}\.log`, "${1}-RANDOM.log"},
		{`\b(at|fd) 0?x?[0-9a-f]{8,}\b`, "${1} ADDR"},
		{`\bfd \d+ closed`, "fd N closed"},
		{`file: [^'\s]\S* line: \d+`, "file: FILE line: N"},
		{`(s\.sock|\.sock)\.\d+`, "${1}.PID"},
	} {
		n.rules = append(n.rules, rule{regexp.MustCompile(r[0]), r[1]})
	}
	return n
}

func portName(i int) string {
	if i == 0 {
		return "$PORT"
	}
	return fmt.Sprintf("$PORT%d", i+1)
}

// text normalises s; bytes that are no UTF-8 and control characters become visible escapes.
func (n *normaliser) text(s string) string {
	s = n.plain.Replace(visible(s))
	for _, r := range n.rules {
		s = r.re.ReplaceAllString(s, r.with)
	}
	return s
}

func visible(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1, r < ' ' && r != '\n' && r != '\t', r == 0x7f:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		default:
			b.WriteString(s[i : i+size])
		}
		i += size
	}
	return b.String()
}

// logLine is one record of an activity log: level, message with its continuation lines.
type logLine struct {
	Level, Text string
}

var logHead = regexp.MustCompile(`^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} ([A-Z]{4}) (.*)$`)

// parseLog splits an activity log into records. Text before the first record becomes a record without level.
func parseLog(data string) []logLine {
	var out []logLine
	for line := range strings.SplitSeq(strings.TrimSuffix(data, "\n"), "\n") {
		if m := logHead.FindStringSubmatch(line); m != nil {
			out = append(out, logLine{m[1], m[2]})
			continue
		}
		if len(out) == 0 {
			if line != "" {
				out = append(out, logLine{"", line})
			}
			continue
		}
		out[len(out)-1].Text += "\n" + line
	}
	return out
}
