//go:build linux

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// bench is one run: where it works and what it has found.
type bench struct {
	o      *options
	self   string // our own binary, whose other modes are the measured programs
	dir    string
	rows   []row
	out    *os.File // nil without -out
	stderr io.Writer
	mark   string // in the environment of everything we start: how a stray is known as ours
}

// row is one measurement of one system.
type row struct {
	Workload string             `json:"workload"`
	Case     string             `json:"case"`
	System   string             `json:"system"`
	Rep      int                `json:"rep"`
	Load     float64            `json:"load"` // of the machine, before
	Figures  map[string]float64 `json:"figures,omitempty"`
	Order    []string           `json:"order,omitempty"`
	Error    string             `json:"error,omitempty"`
}

// figures is an ordered list of named numbers; a unit is the end of the name (start_ms).
type figures struct {
	order  []string
	values map[string]float64
}

func (f *figures) set(name string, v float64) {
	if f.values == nil {
		f.values = map[string]float64{}
	}
	if _, ok := f.values[name]; !ok {
		f.order = append(f.order, name)
	}
	f.values[name] = v
}

func newBench(o *options, stderr io.Writer) (*bench, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	base := o.work
	if base == "" {
		base = os.TempDir()
		if st, err := os.Stat("/dev/shm"); err == nil && st.IsDir() && unix.Access("/dev/shm", unix.W_OK) == nil {
			base = "/dev/shm"
		}
	}
	dir, err := os.MkdirTemp(base, "upkeep-bench-")
	if err != nil {
		return nil, err
	}
	b := &bench{o: o, self: self, dir: dir, stderr: stderr, mark: fmt.Sprintf("BENCH_RUN=%d", os.Getpid())}
	if o.out != "" {
		if b.out, err = os.OpenFile(o.out, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644); err != nil {
			os.RemoveAll(dir)
			return nil, err
		}
	}
	// What a daemon leaves behind comes to us, not to init, and can be ended.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		fmt.Fprintln(stderr, "bench: not a subreaper:", err)
	}
	return b, nil
}

// close removes everything that the run made.
func (b *bench) close() {
	if b.out != nil {
		b.out.Close()
	}
	endMarked(b.mark)
	os.RemoveAll(b.dir)
}

// each measures every system in turn, reps times.
func (b *bench) each(ctx context.Context, workload, kase string, measure func(context.Context, system) (*figures, error)) error {
	for rep := range b.o.reps {
		for _, s := range b.o.systems {
			if err := ctx.Err(); err != nil {
				return err
			}
			r := row{Workload: workload, Case: kase, System: s.Name, Rep: rep, Load: loadAverage()}
			f, err := measure(ctx, s)
			if f != nil {
				r.Figures, r.Order = f.values, f.order
			}
			if err != nil {
				r.Error = err.Error()
			}
			if err := b.record(r); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *bench) record(r row) error {
	b.rows = append(b.rows, r)
	var parts []string
	for _, k := range r.Order {
		parts = append(parts, fmt.Sprintf("%s=%s", k, number(r.Figures[k])))
	}
	if r.Error != "" {
		parts = append(parts, "ERROR: "+r.Error)
	}
	fmt.Fprintf(b.stderr, "%-8s %-24s %-10s %s\n", r.Workload, r.Case, r.System, strings.Join(parts, " "))
	if b.out == nil {
		return nil
	}
	line, err := json.Marshal(r)
	if err != nil {
		return err
	}
	_, err = b.out.Write(append(line, '\n'))
	return err
}

// scratch makes an empty directory for one session.
func (b *bench) scratch() (string, error) { return os.MkdirTemp(b.dir, "s") }

// logDirectory is where measured logs go.
func (b *bench) logDirectory(session string) (string, error) {
	if b.o.logDir == "" {
		return session, nil
	}
	dir := filepath.Join(b.o.logDir, filepath.Base(b.dir)+"-"+filepath.Base(session))
	return dir, os.MkdirAll(dir, 0o755)
}
