// Package listenertest plays the daemon for the tests of event listeners: it is strict about the protocol
// and gives up after a while.
package listenertest

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// patience is how long the listener may take for one step.
const patience = 30 * time.Second

// Daemon is the daemon's side of a conversation over two real pipes.
type Daemon struct {
	// Bytes makes the header's len count bytes instead of characters.
	Bytes bool

	t        *testing.T
	toIt     *os.File
	fromIt   *os.File
	answers  *bufio.Reader
	serial   int
	finished chan struct{}
}

// Start runs a listener, which gets what its standard input and output would be, in a goroutine that the
// test waits for.
func Start(t *testing.T, run func(in io.Reader, out io.Writer)) *Daemon {
	t.Helper()
	in, toIt := pipe(t)
	fromIt, out := pipe(t)
	d := &Daemon{t: t, toIt: toIt, fromIt: fromIt, answers: bufio.NewReader(fromIt), finished: make(chan struct{})}
	go func() {
		defer close(d.finished)
		defer out.Close()
		defer in.Close()
		run(in, out)
	}()
	t.Cleanup(func() {
		toIt.Close()
		<-d.finished
		fromIt.Close()
	})
	return d
}

func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	return r, w
}

// Send waits until the listener is ready, sends it an event and returns its answer: OK, FAIL, or what
// else it says.
func (d *Daemon) Send(name, payload string) string {
	d.t.Helper()
	d.Ready()
	n := utf8.RuneCountInString(payload)
	if d.Bytes {
		n = len(payload)
	}
	d.Write(fmt.Sprintf("ver:3.0 server:supervisor serial:%d pool:tested poolserial:%d eventname:%s len:%d\n%s",
		d.serial, d.serial, name, n, payload))
	d.serial++
	return d.Answer()
}

// Ready waits for the listener to be ready and fails the test when it says something else.
func (d *Daemon) Ready() {
	d.t.Helper()
	if line := d.line(); line != "READY\n" {
		d.t.Fatalf("the listener says %q instead of being ready", line)
	}
}

// Write sends bytes as they are.
func (d *Daemon) Write(text string) {
	d.t.Helper()
	if _, err := io.WriteString(d.toIt, text); err != nil {
		d.t.Fatal(err)
	}
}

// Answer is the listener's result.
func (d *Daemon) Answer() string {
	d.t.Helper()
	line := d.line()
	number, ok := strings.CutPrefix(line, "RESULT ")
	n, err := strconv.Atoi(strings.TrimSuffix(number, "\n"))
	if !ok || err != nil {
		d.t.Fatalf("the listener answers %q", line)
	}
	text := make([]byte, n)
	d.limit()
	if _, err := io.ReadFull(d.answers, text); err != nil {
		d.t.Fatalf("result of %d bytes: %q, %v", n, text, err)
	}
	return string(text)
}

// Leave ends the daemon's side, waits for the listener to end, and returns what it had still said.
func (d *Daemon) Leave() string {
	d.t.Helper()
	d.toIt.Close()
	d.limit()
	rest, err := io.ReadAll(d.answers)
	if err != nil {
		d.t.Fatalf("the listener does not end: %v", err)
	}
	<-d.finished
	return string(rest)
}

func (d *Daemon) line() string {
	d.t.Helper()
	d.limit()
	line, err := d.answers.ReadString('\n')
	if err != nil {
		d.t.Fatalf("the listener says %q, then %v", line, err)
	}
	return line
}

func (d *Daemon) limit() {
	d.t.Helper()
	if err := d.fromIt.SetReadDeadline(time.Now().Add(patience)); err != nil && !strings.Contains(err.Error(), "not support") {
		d.t.Fatal(err)
	}
}
