//go:build linux

package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
)

// examples is how many violations of a kind are shown.
const examples = 3

// table prints the verdict: a column for every run.
func table(w io.Writer, results []*result) error {
	var t strings.Builder
	row := func(title string, cell func(*result) string) {
		fmt.Fprintf(&t, "| %s |", title)
		for _, r := range results {
			fmt.Fprintf(&t, " %s |", cell(r))
		}
		t.WriteString("\n")
	}
	t.WriteString("\n")
	row("role", func(r *result) string { return r.name })
	t.WriteString("|---" + strings.Repeat("|---", len(results)) + "|\n")
	row("faults", func(r *result) string { return strconv.Itoa(r.kills) })
	for _, kind := range actions(results) {
		row("… "+kind, func(r *result) string { return strconv.Itoa(r.kinds[kind]) })
	}
	row("API back p50 / p99 / max, ms", backCell)
	row("programs", func(r *result) string { return strconv.Itoa(r.programs) })
	row("instances checked", func(r *result) string { return strconv.Itoa(r.instances) })
	row("log bytes checked, MB", func(r *result) string { return fmt.Sprintf("%.1f", float64(r.bytes)/1e6) })
	row("… bytes that ended with their pipe while all was down", func(r *result) string { return strconv.FormatInt(r.gone, 10) })
	row("rotations", func(r *result) string { return strconv.Itoa(r.rotations) })
	row("exits checked (unknown, stopped before the first word)", func(r *result) string {
		return fmt.Sprintf("%d (%d, %d)", r.exits.checked, r.exits.unknown, r.exits.unseen)
	})
	row("commands acknowledged and checked", func(r *result) string { return fmt.Sprintf("%d of %d calls", r.commands, r.calls) })
	row("looks at the process table (longest pause)", func(r *result) string {
		return fmt.Sprintf("%d (%v)", r.looks, r.longest.Round(time.Millisecond))
	})
	row("time", func(r *result) string { return r.span.Round(100 * time.Millisecond).String() })
	for _, kind := range violationKinds() {
		row(kind, func(r *result) string {
			n := int64(0)
			for _, v := range r.violations {
				if v.Kind == kind {
					n += v.Count
				}
			}
			if n == 0 {
				return "0"
			}
			return fmt.Sprintf("**%d**", n)
		})
	}
	row("verdict", verdict)
	for _, r := range results {
		shown(&t, r)
	}
	_, err := io.WriteString(w, t.String())
	return err
}

func actions(results []*result) []string {
	var out []string
	for _, r := range results {
		for k := range r.kinds {
			if !slices.Contains(out, k) {
				out = append(out, k)
			}
		}
	}
	slices.Sort(out)
	return out
}

func verdict(r *result) string {
	switch {
	case r.err != nil:
		return "NOT JUDGED"
	case len(r.violations) > 0:
		return "BROKEN"
	}
	return "kept"
}

// shown prints the first violations of every kind.
func shown(t *strings.Builder, r *result) {
	if r.err != nil {
		fmt.Fprintf(t, "\n%s: the harness failed: %v\n", r.name, r.err)
	}
	for _, kind := range violationKinds() {
		n := 0
		for _, v := range r.violations {
			if v.Kind != kind {
				continue
			}
			if n++; n <= examples {
				fmt.Fprintf(t, "\n%s: %s: %s", r.name, kind, v.Text)
			}
		}
		if n > examples {
			fmt.Fprintf(t, "\n%s: %s: … %d in all", r.name, kind, n)
		}
	}
	if len(r.violations) > 0 {
		for _, text := range r.remarks[:min(len(r.remarks), examples)] {
			t.WriteString("\n  not all of it came: " + text)
		}
		t.WriteString("\n")
	}
}

func backCell(r *result) string {
	if len(r.back) == 0 {
		return "–"
	}
	v := slices.Clone(r.back)
	slices.Sort(v)
	ms := func(q float64) int64 { return quantile(v, q).Milliseconds() }
	return fmt.Sprintf("%d / %d / %d", ms(0.5), ms(0.99), ms(1))
}

// quantile is the nearest-rank value at q of 0 … 1 of sorted values.
func quantile(v []time.Duration, q float64) time.Duration {
	i := int(q*float64(len(v))+0.999999) - 1
	return v[min(len(v)-1, max(0, i))]
}
