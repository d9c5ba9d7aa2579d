//go:build linux

package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

func ms(d time.Duration) float64 { return float64(d) / 1e6 }

// quantile is the nearest-rank value at q of 0 … 1; NaN for no values.
func quantile(values []float64, q float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	v := slices.Clone(values)
	slices.Sort(v)
	return v[min(len(v)-1, max(0, int(math.Ceil(q*float64(len(v))))-1))]
}

// median is the middle value, or the mean of the two in the middle.
func median(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	v := slices.Clone(values)
	slices.Sort(v)
	n := len(v)
	return (v[(n-1)/2] + v[n/2]) / 2
}

// number prints three significant digits without an exponent.
func number(v float64) string {
	switch a := math.Abs(v); {
	case v == 0:
		return "0"
	case a >= 100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case a >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	case a >= 1:
		return strconv.FormatFloat(v, 'f', 2, 64)
	}
	return strconv.FormatFloat(v, 'g', 2, 64)
}

// reportFiles is "bench report FILE...": the tables of recorded runs.
func reportFiles(files []string, stdout, stderr io.Writer) int {
	var rows []row
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			fmt.Fprintln(stderr, "bench report:", err)
			return 1
		}
		for sc, line := bufio.NewScanner(f), 1; sc.Scan(); line++ {
			var r row
			if err := json.Unmarshal(sc.Bytes(), &r); err != nil {
				fmt.Fprintf(stderr, "bench report: %s:%d: %v\n", name, line, err)
				f.Close()
				return 1
			}
			rows = append(rows, r)
		}
		f.Close()
	}
	if len(rows) == 0 {
		fmt.Fprintln(stderr, "usage: bench report FILE...")
		return 2
	}
	if err := report(rows, rows[0].System, stdout); err != nil {
		fmt.Fprintln(stderr, "bench report:", err)
		return 1
	}
	return 0
}

// report prints a table for each workload: medians, their range, and the ratio to the base.
func report(rows []row, base string, w io.Writer) error {
	var t strings.Builder
	for _, workload := range distinct(rows, func(r row) string { return r.Workload }) {
		of := filter(rows, func(r row) bool { return r.Workload == workload })
		fmt.Fprintf(&t, "\n### %s\n", workload)
		for _, kase := range distinct(of, func(r row) string { return r.Case }) {
			table(&t, kase, filter(of, func(r row) bool { return r.Case == kase }), base)
		}
	}
	_, err := io.WriteString(w, t.String())
	return err
}

func table(t *strings.Builder, kase string, rows []row, base string) {
	var keys []string
	for _, r := range rows {
		for _, k := range r.Order {
			if !slices.Contains(keys, k) {
				keys = append(keys, k)
			}
		}
	}
	systems := distinct(rows, func(r row) string { return r.System })
	fmt.Fprintf(t, "\n| %s | %s |\n|---%s|\n", kase, strings.Join(systems, " | "), strings.Repeat("|---", len(systems)))
	for _, k := range keys {
		reference := median(column(rows, base, k))
		fmt.Fprintf(t, "| %s |", k)
		for _, s := range systems {
			fmt.Fprintf(t, " %s |", cell(column(rows, s, k), reference, s != base))
		}
		t.WriteString("\n")
	}
	for _, s := range systems {
		var said []string
		for _, r := range rows {
			if r.System == s && r.Error != "" && !slices.Contains(said, r.Error) {
				said = append(said, r.Error)
			}
		}
		if len(said) > 0 {
			fmt.Fprintf(t, "\n%s: %s\n", s, strings.Join(said, "; "))
		}
	}
}

// cell is "median (least–most) ×ratio".
func cell(values []float64, reference float64, ratio bool) string {
	if len(values) == 0 {
		return "–"
	}
	m := median(values)
	text := number(m)
	if lo, hi := slices.Min(values), slices.Max(values); lo != hi {
		text += " (" + number(lo) + "–" + number(hi) + ")"
	}
	if ratio && reference > 0 {
		text += " ×" + number(m/reference)
	}
	return text
}

func column(rows []row, system, key string) []float64 {
	var out []float64
	for _, r := range rows {
		if v, ok := r.Figures[key]; ok && r.System == system {
			out = append(out, v)
		}
	}
	return out
}

func distinct(rows []row, key func(row) string) []string {
	var out []string
	for _, r := range rows {
		if k := key(r); !slices.Contains(out, k) {
			out = append(out, k)
		}
	}
	return out
}

func filter(rows []row, keep func(row) bool) []row {
	var out []row
	for _, r := range rows {
		if keep(r) {
			out = append(out, r)
		}
	}
	return out
}
