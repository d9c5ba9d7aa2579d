//go:build linux

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// logCase is one shape of output.
type logCase struct {
	name        string
	writers     int
	line, block int
	bytes       int64 // of each writer, at most
	maxBytes    string
	backups     int
}

func logCases(o *options) []logCase {
	total := o.logMiB << 20
	each := total / 50
	return []logCase{
		{"100 B, 50MB x 10", 1, 100, 100, total, "50MB", 10},
		{"100 B, no rotation", 1, 100, 100, total, "0", 0},
		{"4 KiB, 50MB x 10", 1, 64, 4096, total, "50MB", 10},
		{"4 KiB, no rotation", 1, 64, 4096, total, "0", 0},
		{"50 writers, 50MB x 10", 50, 64, 4096, each, "50MB", 10},
		{"50 writers, 1MB x 5", 50, 64, 4096, each, "1MB", 5},
	}
}

// runLogs: how fast output gets to its files, and whether all of it does.
func runLogs(ctx context.Context, b *bench) error {
	for _, c := range logCases(b.o) {
		err := b.each(ctx, "logs", c.name, func(ctx context.Context, sys system) (*figures, error) {
			return b.logs(ctx, sys, c)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) logs(ctx context.Context, sys system, c logCase) (*figures, error) {
	s, err := b.newSession(sys, nil)
	if err != nil {
		return nil, err
	}
	defer s.end()
	logs, err := b.logDirectory(s.dir)
	if err != nil {
		return nil, err
	}
	if logs != s.dir {
		defer os.RemoveAll(logs)
	}
	gate := filepath.Join(s.dir, "gate")
	progs := make([]program, c.writers)
	results := make([]string, c.writers)
	for i := range progs {
		results[i] = filepath.Join(s.dir, fmt.Sprintf("result%d", i))
		argv, err := b.child("child-write", "-line="+strconv.Itoa(c.line), "-block="+strconv.Itoa(c.block),
			"-bytes="+strconv.FormatInt(c.bytes, 10), "-for="+b.o.secs.String(), "-gate="+gate, "-result="+results[i])
		if err != nil {
			return nil, err
		}
		progs[i] = program{
			name: fmt.Sprintf("w%02d", i), argv: argv, log: filepath.Join(logs, fmt.Sprintf("w%02d.log", i)),
			maxBytes: c.maxBytes, backups: c.backups,
		}
	}
	if err := os.WriteFile(s.conf, []byte(configuration(s.dir, s.sock, progs)), 0o644); err != nil {
		return nil, err
	}
	if err := s.up(c.writers); err != nil {
		return nil, err
	}
	pids := managers(s.pid())
	before := measureCost(pids, false)
	if err := os.WriteFile(gate, nil, 0o644); err != nil {
		return nil, err
	}
	said, err := b.awaitWriters(ctx, results)
	if err != nil {
		return nil, err
	}
	last, err := b.awaitFiles(progs, c.line)
	if err != nil {
		return nil, err
	}
	after := measureCost(pids, false)
	return judgeLogs(c, progs, said, last, after.cpu-before.cpu)
}

// awaitWriters waits for the reports of all writers.
func (b *bench) awaitWriters(ctx context.Context, results []string) ([]written, error) {
	said := make([]written, len(results))
	for i, name := range results {
		ok := until(b.o.limit, 2*time.Millisecond, func() bool {
			text, err := os.ReadFile(name)
			return ctx.Err() != nil || err == nil && json.Unmarshal(text, &said[i]) == nil
		})
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if !ok {
			return nil, fmt.Errorf("writer %d does not get rid of its output", i)
		}
	}
	return said, nil
}

// awaitFiles waits until the last line of every writer is in its file and returns when that was.
func (b *bench) awaitFiles(progs []program, width int) (int64, error) {
	for _, p := range progs {
		tail := make([]byte, width)
		ok := until(b.o.limit, time.Millisecond, func() bool {
			// Right after a rotation the last line is in the youngest backup.
			return endsComplete(p.log, tail) || endsComplete(p.log+".1", tail)
		})
		if !ok {
			return 0, fmt.Errorf("%s: its last line never came", filepath.Base(p.log))
		}
	}
	return monotonic(), nil
}

func endsComplete(name string, tail []byte) bool {
	f, err := os.Open(name)
	if err != nil {
		return false
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil || st.Size() < int64(len(tail)) {
		return false
	}
	if _, err := f.ReadAt(tail, st.Size()-int64(len(tail))); err != nil {
		return false
	}
	_, ok := lineNumber(tail)
	return ok && tail[digits+1] == '!'
}

// judgeLogs reads back what was kept and makes the figures.
func judgeLogs(c logCase, progs []program, said []written, last int64, cpu time.Duration) (*figures, error) {
	var total, kept, cut, begin, longest, spent int64
	shortest, slowest := int64(-1), int64(0)
	var wrong error
	for i, p := range progs {
		w := said[i]
		total += w.Bytes
		if begin == 0 || w.Begin < begin {
			begin = w.Begin
		}
		longest = max(longest, w.Longest)
		spent += w.CPU
		took := w.End - w.Begin
		slowest = max(slowest, took)
		if shortest < 0 || took < shortest {
			shortest = took
		}
		a, err := auditFiles(c.line, rotated(p.log))
		if err != nil {
			return nil, err
		}
		kept += a.bytes
		cut += a.cut
		if text := a.wrong(c.maxBytes != "0"); text != "" && wrong == nil {
			wrong = fmt.Errorf("%s: %s", p.name, text)
		}
		if c.maxBytes == "0" && a.bytes != w.Bytes && wrong == nil {
			wrong = fmt.Errorf("%s: %d of %d bytes kept", p.name, a.bytes, w.Bytes)
		}
	}
	f := &figures{}
	f.set("mb_per_s", float64(total)/1e6/(float64(last-begin)/1e9))
	f.set("manager_cpu_s_per_gb", cpu.Seconds()/(float64(total)/1e9))
	f.set("writer_cpu_s_per_gb", float64(spent)/float64(total))
	f.set("longest_write_ms", float64(longest)/1e6)
	if c.writers > 1 {
		f.set("fairness", float64(shortest)/float64(slowest))
	}
	f.set("kept_mb", float64(kept)/1e6)
	f.set("cut_lines", float64(cut))
	return f, wrong
}
