package model

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// otherProgram differs from sampleProgram in every value.
func otherProgram() *Program {
	p := &Program{
		ID: sampleProgram().ID, Section: "other", Kind: KindProgram, Priority: 6, ServerURL: "http://x", Origin: Origin{File: "f", Line: 9},
		Command: Command{Line: "x", Dir: "/x", Umask: 1, UID: 7, User: "x", Clear: true, Env: []EnvVar{{"C", "3"}}},
		Start:   StartPolicy{Secs: 9, Retries: 9, Delay: 9, Timeout: 9},
		Attach:  AttachSpec{PIDFile: "/p", Track: TrackFork, Match: "m", Scan: true}, Disabled: true,
		Depends: []Dependency{{"x", DependStarted}}, Checks: []Check{{Name: "c"}}, Notify: []string{"n"}, Email: []string{"e"},
		Stop:   StopPolicy{Signal: 9, Wait: 9, Reach: ReachTree, KillReach: ReachTree},
		Exit:   ExitPolicy{Restart: RestartAlways, Codes: []int{9}},
		IO:     IOSpec{Direct: true, MergeStderr: true, NoStdin: true, BlockWhenFull: true, Stdout: Stream{Log: LogNone, Syslog: true}, Stderr: Stream{Log: LogAuto, Events: true}},
		Socket: &SocketSpec{URL: "x", Owner: &Owner{9, 9}, Mode: 1, Backlog: 9},
	}
	return p
}

// TestFieldsIsWhatDiffFinds: the list and the comparison cannot drift apart.
func TestFieldsIsWhatDiffFinds(t *testing.T) {
	effects := map[string]Effect{}
	seen := func(prefix string, list []FieldChange) {
		for _, c := range list {
			effects[prefix+c.Field] = max(effects[prefix+c.Field], c.Effect)
		}
	}
	seen("", Diff(sampleProgram(), otherProgram()))
	named := func(names string) []*Program {
		var out []*Program
		for n := range strings.SplitSeq(names, " ") {
			out = append(out, &Program{ID: ID{"g", n}})
		}
		return out
	}
	old := &Group{Priority: 1, Kind: KindProgram, Pool: &Pool{Events: []string{"A"}}, Programs: named("a b c")}
	next := &Group{
		Priority: 2, Kind: KindFastCGI, Pool: &Pool{Events: []string{"B"}, Buffer: 2, ResultHandler: "r", LenBytes: true, Timeout: 1},
		Programs: named("b a d"), Origin: Origin{File: "f"},
	}
	seen("group ", DiffGroup(old, next))
	seen("group ", DiffGroup(&Group{}, &Group{Pool: &Pool{}}))
	listed := map[string]Effect{}
	for _, f := range Fields() {
		key := f.Key
		if f.Group {
			key = "group " + key
		}
		listed[key] = max(listed[key], f.Effect)
	}
	for key, e := range effects {
		if got, ok := listed[key]; !ok || got != e {
			t.Errorf("%s has the effect %s and is listed as %v (%v)", key, e, got, ok)
		}
	}
	for key := range listed {
		if _, ok := effects[key]; !ok {
			t.Errorf("%s is listed and never found", key)
		}
	}
}

// TestGuideSaysWhatDiffDoes: the table in the guide is the truth.
func TestGuideSaysWhatDiffDoes(t *testing.T) {
	text, err := os.ReadFile("../../../docs/how-to/change-the-configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile(`(?m)^\| (.+) \| (at once|restart|nothing) \|`)
	words := map[string]string{}
	for _, m := range row.FindAllStringSubmatch(string(text), -1) {
		for _, key := range regexp.MustCompile("`([a-z_*]+)`").FindAllStringSubmatch(m[1], -1) {
			if words[key[1]] != "" {
				t.Errorf("%s is there twice", key[1])
			}
			words[key[1]] = m[2]
		}
	}
	var known []string
	for _, f := range Fields() {
		if f.Key == FieldMember || f.Key == FieldOrder || f.Key == FieldOrigin || f.Key == FieldSection || f.Key == FieldType {
			continue // no keys of a configuration
		}
		known = append(known, f.Key)
		want := map[Effect]string{EffectLive: "at once", EffectRestart: "restart"}[f.Effect]
		if got := words[f.Key]; got != want && f.Key != "events" { // that one is explained there
			t.Errorf("%s: the guide says %q, want %q", f.Key, got, want)
		}
	}
	for key := range words {
		if !slices.Contains(known, key) {
			t.Errorf("the guide tells of %s, which nobody compares", key)
		}
	}
}
