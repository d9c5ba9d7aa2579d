//go:build linux

package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// children are the modes in which our own binary is a measured program.
func children() map[string]func([]string) int {
	return map[string]func([]string) int{"child-act": childAct, "child-write": childWrite, "child-listen": childListen, "child-stamp": childStamp, "child-hostile": childHostile, "child-cost": childCost, "child-relay": childRelay}
}

// childAct FILE: its first act is a line "pid time" in FILE; then it idles until it is killed.
func childAct(args []string) int {
	now := monotonic()
	f, err := os.OpenFile(args[0], os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return fail(err)
	}
	if _, err := f.WriteString(strconv.Itoa(os.Getpid()) + " " + strconv.FormatInt(now, 10) + "\n"); err != nil {
		return fail(err)
	}
	f.Close()
	idle()
	return 0
}

func idle() {
	for {
		time.Sleep(time.Hour)
	}
}

func fail(err error) int {
	fmt.Fprintln(os.Stderr, "bench child:", err)
	return 1
}

// written is what a writer says of itself.
type written struct {
	Bytes   int64
	Lines   int64
	Begin   int64 // monotonic
	End     int64
	Longest int64 // longest single write, ns
	CPU     int64 // ns, user and system
}

// childWrite writes numbered lines of one width to standard output as fast as they are taken, and then
// what it did into a file.
func childWrite(args []string) int {
	fs := flag.NewFlagSet("child-write", flag.ExitOnError)
	line := fs.Int("line", 100, "")
	block := fs.Int("block", 100, "")
	most := fs.Int64("bytes", 1<<30, "")
	span := fs.Duration("for", time.Hour, "")
	gate := fs.String("gate", "", "")
	result := fs.String("result", "", "")
	if err := fs.Parse(args); err != nil {
		return fail(err)
	}
	// All writers begin together: when the gate appears.
	for *gate != "" {
		if _, err := os.Stat(*gate); err == nil {
			break
		}
		time.Sleep(2 * time.Millisecond)
	}
	var before, after unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &before)
	per := max(1, *block / *line)
	buf := make([]byte, 0, per**line)
	for range per {
		buf = appendLine(buf, 0, *line, false)
	}
	w := written{Begin: monotonic()}
	stop, last := w.Begin+int64(*span), w.Begin
	for w.Bytes < *most && last < stop {
		for i := range per {
			setNumber(buf[i**line:], w.Lines)
			w.Lines++
		}
		if err := writeAll(buf); err != nil {
			return fail(err)
		}
		w.Bytes += int64(len(buf))
		now := monotonic()
		w.Longest = max(w.Longest, now-last)
		last = now
	}
	buf = appendLine(buf[:0], w.Lines, *line, true)
	w.Lines++
	w.Bytes += int64(len(buf))
	if err := writeAll(buf); err != nil {
		return fail(err)
	}
	w.End = monotonic()
	_ = unix.Getrusage(unix.RUSAGE_SELF, &after)
	w.CPU = after.Utime.Nano() - before.Utime.Nano() + after.Stime.Nano() - before.Stime.Nano()
	text, err := json.Marshal(w)
	if err != nil {
		return fail(err)
	}
	if err := os.WriteFile(*result+".new", text, 0o644); err != nil {
		return fail(err)
	}
	if err := os.Rename(*result+".new", *result); err != nil {
		return fail(err)
	}
	idle()
	return 0
}

// writeAll writes to standard output past Go's poller, so that a pipe that was made non-blocking by
// somebody else is waited for as well.
func writeAll(b []byte) error {
	for len(b) > 0 {
		n, err := unix.Write(1, b)
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN):
			if _, err := unix.Poll([]unix.PollFd{{Fd: 1, Events: unix.POLLOUT}}, -1); err != nil && !errors.Is(err, unix.EINTR) {
				return err
			}
		case err != nil:
			return err
		default:
			b = b[n:]
		}
	}
	return nil
}
