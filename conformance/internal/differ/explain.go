package differ

import (
	"fmt"
	"path"
	"strconv"
	"strings"
)

// Difference is one deliberate difference from the original, as data.
type Difference struct {
	// Scenario is the name of a scenario, or a pattern for several.
	Scenario string
	// Step is the line of the step; "#2" after it means its second occurrence. "*" with edits means
	// every step of the scenario, before other entries apply.
	Step       string
	Occurrence int
	// By says whose behaviour it is, "daemon" or "ctl": it is expected wherever ours plays that part.
	By string
	// Reason names the settled point or the F-number of spec/supervisor 10.2.
	Reason string
	// Ours is the text expected from our side.
	Ours string
	// Edits, instead of Ours, are replacements that turn the original's text into ours, in order.
	Edits [][2]string
	// line is where the entry starts in the file.
	line int
}

// expected is our text, given the original's.
func (d *Difference) expected(ref string) string {
	if len(d.Edits) == 0 {
		return d.Ours
	}
	for _, e := range d.Edits {
		ref = strings.ReplaceAll(ref, e[0], e[1])
	}
	return ref
}

func (d *Difference) appliesTo(scenario, step string, occurrence int) bool {
	ok, err := path.Match(d.Scenario, scenario)
	return err == nil && (ok || d.Scenario == scenario) && d.Step == step && d.Occurrence == occurrence
}

// ParseDifferences reads the list. An entry is a block of lines
//
//	scenario: NAME
//	step: LINE [#N]
//	by: daemon|ctl
//	reason: F21 …
//	ours:
//	| expected text, a bar and a blank before each line
//
// or, instead of ours, pairs "edit: FROM => TO" with Go-quoted texts, applied to the original's text.
// Entries are separated by blank lines; "#" starts a comment line.
func ParseDifferences(text string) ([]Difference, error) {
	var out []Difference
	var cur *Difference
	for n, line := range strings.Split(text, "\n") {
		trimmed := strings.TrimSpace(line)
		if strings.HasPrefix(trimmed, "#") {
			continue
		}
		if trimmed == "" {
			cur = nil
			continue
		}
		if cur == nil {
			out = append(out, Difference{line: n + 1, Occurrence: 1})
			cur = &out[len(out)-1]
		}
		if err := cur.parseLine(line); err != nil {
			return nil, fmt.Errorf("line %d: %w", n+1, err)
		}
	}
	for i := range out {
		d := &out[i]
		if d.Scenario == "" || d.Step == "" || d.Reason == "" || (d.By != "daemon" && d.By != "ctl") {
			return nil, fmt.Errorf("line %d: scenario, step, reason and by (daemon or ctl) are needed", d.line)
		}
	}
	return out, nil
}

func (d *Difference) parseLine(line string) error {
	if text, ok := strings.CutPrefix(line, "|"); ok {
		d.Ours += strings.TrimPrefix(text, " ") + "\n"
		return nil
	}
	key, value, found := strings.Cut(line, ":")
	if !found {
		return fmt.Errorf("not understood: %s", line)
	}
	value = strings.TrimSpace(value)
	switch key {
	case "scenario":
		d.Scenario = value
	case "step":
		d.Step = value
		if i := strings.LastIndex(value, " #"); i >= 0 {
			if n, err := strconv.Atoi(value[i+2:]); err == nil {
				d.Step, d.Occurrence = value[:i], n
			}
		}
	case "by":
		d.By = value
	case "reason":
		d.Reason = value
	case "ours":
	case "edit":
		from, to, ok := strings.Cut(value, " => ")
		if !ok {
			return fmt.Errorf("edit needs FROM => TO: %s", value)
		}
		a, errA := strconv.Unquote(from)
		b, errB := strconv.Unquote(to)
		if errA != nil || errB != nil || a == "" {
			return fmt.Errorf("edit needs two Go-quoted texts: %s", value)
		}
		d.Edits = append(d.Edits, [2]string{a, b})
	default:
		return fmt.Errorf("unknown key %s", key)
	}
	return nil
}

// verdict is the judgement on one scenario.
type verdict struct {
	explained   int
	unexplained int
	// expected and actual are the transcripts to show when something is unexplained; the
	// expected one contains the explained differences already.
	expected, actual string
	// gone lists differences that did not occur.
	gone []string
	// proposals are entries for the list of differences, ready to be judged by a person.
	proposals string
}

// judge compares our steps with the original's under the given differences.
func judge(scenario string, ref, our []StepResult, diffs []Difference, oursDaemon, oursCtl bool) verdict {
	var v verdict
	var expected, actual strings.Builder
	seen := map[string]int{}
	for i := range max(len(ref), len(our)) {
		var r, o StepResult
		if i < len(ref) {
			r = ref[i]
		}
		if i < len(our) {
			o = our[i]
		}
		line := r.Line
		seen[line]++
		want := r.Out
		for k := range diffs {
			if d := &diffs[k]; d.Step == "*" && d.playedBy(oursDaemon, oursCtl) && d.appliesTo(scenario, "*", 1) {
				want = d.expected(want)
			}
		}
		if want != r.Out && o.Out == r.Out {
			v.gone = append(v.gone, fmt.Sprintf("%s: %s: a difference explained for every step does not occur", scenario, line))
			want = r.Out
		}
		if d := find(diffs, scenario, line, seen[line], oursDaemon, oursCtl); d != nil {
			plain := want
			want = d.expected(plain)
			switch {
			case o.Out == want && o.Out != plain:
			case o.Out == plain:
				v.gone = append(v.gone, fmt.Sprintf("%s: %s: the difference explained by %q (line %d) does not occur", scenario, line, d.Reason, d.line))
				want = plain
			}
		}
		if o.Out == want && o.Out != r.Out {
			v.explained++
		}
		if o.Out != want || r.Line != o.Line {
			v.unexplained++
			v.proposals += propose(scenario, line, seen[line], o.Out)
		}
		fmt.Fprintf(&expected, "> %s\n%s", r.Line, want)
		fmt.Fprintf(&actual, "> %s\n%s", o.Line, o.Out)
	}
	v.expected, v.actual = expected.String(), actual.String()
	return v
}

func find(diffs []Difference, scenario, step string, occurrence int, oursDaemon, oursCtl bool) *Difference {
	for i := range diffs {
		d := &diffs[i]
		if d.playedBy(oursDaemon, oursCtl) && d.appliesTo(scenario, step, occurrence) {
			return d
		}
	}
	return nil
}

// playedBy reports whether ours plays the part whose behaviour this is.
func (d *Difference) playedBy(oursDaemon, oursCtl bool) bool {
	return d.By == "daemon" && oursDaemon || d.By == "ctl" && oursCtl
}

func propose(scenario, step string, occurrence int, ours string) string {
	if occurrence > 1 {
		step += fmt.Sprintf(" #%d", occurrence)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "scenario: %s\nstep: %s\nby: \nreason: \nours:\n", scenario, step)
	for _, l := range splitLines(ours) {
		b.WriteString("| " + l + "\n")
	}
	return b.String() + "\n"
}

// checkDifferences reports entries that name no scenario or no step of it.
func checkDifferences(diffs []Difference, all []Scenario) []string {
	var bad []string
	for i := range diffs {
		d := &diffs[i]
		hit := false
		for _, sc := range all {
			count := map[string]int{}
			for _, st := range append(sc.Steps, Step{Line: "(end)"}, Step{Line: "*"}) {
				count[st.Line]++
				hit = hit || d.appliesTo(sc.Name, st.Line, count[st.Line])
			}
		}
		if !hit {
			bad = append(bad, fmt.Sprintf("line %d: no step %q in a scenario %q", d.line, d.Step, d.Scenario))
		}
	}
	return bad
}
