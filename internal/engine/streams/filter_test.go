package streams

import (
	"bytes"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"github.com/upkeep-project/upkeep/internal/wire/listener"
)

// logText is what goes into the log, said in another way.
func logText(r rules, text string) string {
	if r&noANSI != 0 {
		text = regexp.MustCompile(`(?s)\x1b\[[^HfABCDRsuJKhlpm]*([HfABCDRsuJKhlpm]|$)`).ReplaceAllString(text, "")
	}
	if r&noCaptured == 0 {
		return text
	}
	var b strings.Builder
	for {
		before, rest, _ := strings.Cut(text, listener.CaptureBegin)
		b.WriteString(before)
		var found bool
		if _, text, found = strings.Cut(rest, listener.CaptureEnd); !found {
			return b.String()
		}
	}
}

// pieces make texts in which everything meets everything.
func randomText(r *rand.Rand) string {
	all := []string{
		listener.CaptureBegin, listener.CaptureEnd, listener.CaptureBegin[:20], listener.CaptureEnd[:20], "<!--XSUPERVISOR:",
		"<", "<<", "!", "word", "\n", "\x1b", "\x1b[", "\x1b[1m", "\x1b[3", "m", "\x1b\x1b[0m",
	}
	var b strings.Builder
	for range r.IntN(12) {
		b.WriteString(all[r.IntN(len(all))])
	}
	return b.String()
}

func TestFilterInPieces(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 20000 {
		text, how := randomText(r), rules(1+r.IntN(3))
		var f filter
		var out []byte
		for rest := text; rest != ""; {
			n := 1 + r.IntN(len(rest))
			out = f.apply(how, out, []byte(rest[:n]))
			rest = rest[n:]
			f = filterOf(f.bytes()) // as a successor gets it
		}
		holds := f.holds()
		end := f.end(how, nil)
		if holds != (len(end) > 0) {
			t.Fatalf("%q: holds %v, and %q at the end", text, holds, end)
		}
		if got, want := string(out)+string(end), logText(how, text); got != want {
			t.Fatalf("%q by %d: %q, want %q", text, how, got, want)
		}
	}
}

// TestFilterUpto ends a write anywhere and goes on from there.
func TestFilterUpto(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 20000 {
		head, tail, how := randomText(r), randomText(r), rules(1+r.IntN(3))
		var start filter
		done := start.apply(how, nil, []byte(head))
		whole := start
		text := whole.apply(how, nil, []byte(tail))
		if len(text) == 0 {
			continue
		}
		n := r.IntN(len(text))
		f := start
		used := f.upto(how, []byte(tail), n)
		f = filterOf(f.bytes())
		got := f.apply(how, bytes.Clone(text[:n]), []byte(tail[used:]))
		if !bytes.Equal(got, text) {
			t.Fatalf("%q and %q by %d up to %d: %q, want %q (after %q)", head, tail, how, n, got, text, done)
		}
		if f != whole {
			t.Fatalf("%q and %q by %d up to %d: ends as %v, want %v", head, tail, how, n, f, whole)
		}
	}
}

func TestFilterOfAnything(t *testing.T) {
	for a := range 256 {
		for b := range 256 {
			f := filterOf(uint8(a), uint8(b))
			f.apply(noANSI|noCaptured, nil, []byte("x<!--XSUPERVISOR:BEGIN-->y"))
			f.end(noANSI|noCaptured, nil)
		}
	}
}
