//go:build linux

package main

import (
	"fmt"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// churned is the ledger of a program with n instances, and what a truthful daemon reports.
func churned(n int) (truth []instance, told []exitLine) {
	for i := range n {
		plan := uint32(planExit | 1 + i%100)
		if i%16 == 3 {
			plan = planSignal | uint32(unix.SIGKILL)
		}
		truth = append(truth, instance{pid: 1000 + i, plan: plan})
		told = append(told, exitLine{text: planText(plan)})
	}
	return truth, told
}

func kinds(list []violation) string {
	n := map[string]int{}
	for _, v := range list {
		n[v.Kind]++
	}
	return fmt.Sprint(n)
}

func TestJudgeExits(t *testing.T) {
	truth, told := churned(400)
	without := func(i int) []exitLine { return append(append([]exitLine(nil), told[:i]...), told[i+1:]...) }
	with := func(i int, e exitLine) []exitLine {
		return append(append(append([]exitLine(nil), told[:i]...), e), told[i:]...)
	}
	instead := func(i int, e exitLine) []exitLine {
		out := append([]exitLine(nil), told...)
		out[i] = e
		return out
	}
	swapped := append([]exitLine(nil), told...)
	swapped[20], swapped[21] = swapped[21], swapped[20]
	for _, c := range []struct {
		name string
		told []exitLine
		dim  bool
		want string
	}{
		{"true", told, false, "map[]"},
		{"one missing", without(200), false, "map[" + vExitLost + ":1]"},
		{"the last missing", without(399), false, "map[" + vExitLost + ":1]"},
		{"one twice", with(101, told[100]), false, "map[" + vExitTwice + ":1]"},
		{"one invented", with(100, exitLine{text: "exit status 0"}), false, "map[" + vExitMade + ":1]"},
		{"one wrong", instead(100, exitLine{text: "exit status 0"}), false, "map[" + vExitMade + ":1 " + vExitLost + ":1]"},
		{"unknown", instead(100, exitLine{text: unknownText + ": gone"}), false, "map[" + vExitDim + ":1]"},
		{"unknown where allowed", instead(100, exitLine{text: unknownText + ": gone"}), true, "map[]"},
		{"stopped early", with(5, exitLine{text: "terminated by SIGTERM", stopped: true}), false, "map[]"},
		{"stopped early, unknown", with(5, exitLine{unknownText + ": gone", true, 4711}), true, "map[]"},
		{"ended early, unknown", with(5, exitLine{unknownText + ": gone", false, 4711}), true, "map[" + vExitTwice + ":1]"},
		{"order", swapped, false, "map[" + vExitLost + ":1 " + vExitTwice + ":1]"},
		{"none at all", nil, false, fmt.Sprintf("map[%s:400]", vExitLost)},
	} {
		t.Run(c.name, func(t *testing.T) {
			n, found := judgeExits("c1", truth, c.told, c.dim)
			if n.checked != len(c.told) {
				t.Errorf("%d of %d checked", n.checked, len(c.told))
			}
			if got := kinds(found); got != c.want {
				t.Errorf("found %s, planted %s", got, c.want)
			}
		})
	}
	// An instance that announced nothing was killed on order, and nothing else.
	truth[50].plan = planNone
	if _, found := judgeExits("c1", truth, instead(50, exitLine{text: "terminated by SIGKILL", stopped: true}), false); len(found) != 0 {
		t.Errorf("killed on order: %v", found)
	}
	if _, found := judgeExits("c1", truth, instead(50, exitLine{text: "exit status 0"}), false); len(found) == 0 {
		t.Error("exit status of a killed one: nothing found")
	}
}

func TestParseExit(t *testing.T) {
	for line, want := range map[string]string{
		"2026-01-02 03:04:05,678 INFO exited: a (exit status 0; expected)\n":                     "a|exit status 0|false",
		"2026-01-02 03:04:05,678 WARN exited: a b (exit status 3; not expected)\n":               "a b|exit status 3|false",
		"2026-01-02 03:04:05,678 WARN exited: c (terminated by SIGKILL; not expected)\n":         "c|terminated by SIGKILL|false",
		"2026-01-02 03:04:05,678 WARN exited: c (terminated by SIGSEGV (core dumped); expected)": "c|terminated by SIGSEGV|false",
		"2026-01-02 03:04:05,678 WARN stopped: c (terminated by SIGTERM)\n":                      "c|terminated by SIGTERM|true",
		"2026-01-02 03:04:05,678 WARN exited: c (exit status unknown: lost; not expected)\n":     "c|exit status unknown: lost|false",
		"2026-01-02 03:04:05,678 INFO spawned: 'c' with pid 4\n":                                 "",
		"exited: c (exit status 0; expected)\n":                                                  "",
		"2026-01-02 03:04:05,678 INFO exited: c (exit st":                                        "",
	} {
		name, e, ok := parseExit(line)
		got := ""
		if ok {
			got = fmt.Sprintf("%s|%s|%v", name, e.text, e.stopped)
		}
		if got != want {
			t.Errorf("%q: %q, want %q", line, got, want)
		}
	}
}

const second = int64(time.Second)

func TestJudgeServed(t *testing.T) {
	phases := []phase{
		{up: true, sent: 1 * second, acked: 2 * second},
		{up: false, sent: 10 * second, acked: 11 * second},
		{up: true, sent: 20 * second, acked: 21 * second},
	}
	life := func(pid int, first, last, died int64) sight {
		return sight{process: process{pid: pid}, first: first * second, last: last * second, died: died * second}
	}
	first, again := life(7, 2, 10, 11), life(8, 21, 30, 0)
	born := []instance{{pid: 7, began: 2 * second}, {pid: 8, began: 21 * second}}
	for _, c := range []struct {
		name  string
		truth []instance
		seen  []sight
		want  string
	}{
		{"as promised", born, []sight{first, again}, "map[]"},
		{"forgotten stop", born, []sight{life(7, 2, 19, 0), again}, "map[" + vStopped + ":1]"},
		{"started again", append([]instance{{pid: 9, began: 15 * second}}, born...), []sight{first, again}, "map[" + vStopped + ":1]"},
		{"forgotten start", born[:1], []sight{first}, "map[" + vStarted + ":1]"},
		{"died", born, []sight{life(7, 2, 5, 6), again}, "map[" + vDied + ":1]"},
		{"restarted", append([]instance{{pid: 9, began: 5 * second}}, born...), []sight{first, again}, "map[" + vRestarted + ":1]"},
	} {
		n, found := judgeServed("s1", phases, c.truth, c.seen, nil, 30*second)
		if got := kinds(found); got != c.want || n != 3 {
			t.Errorf("%s: found %s, planted %s; %d checked", c.name, got, c.want, n)
		}
	}
	// A start that was promised cannot be seen while nothing of the daemon is there, and is missed when it is back.
	for over, want := range map[int64]string{30: "map[]", 22: "map[" + vStarted + ":1]"} {
		_, found := judgeServed("s1", phases, born[:1], []sight{first}, []span64{{from: 5 * second, to: 6 * second}, {from: 21 * second, to: over * second}}, 30*second)
		if got := kinds(found); got != want {
			t.Errorf("outage until %d: found %s, want %s", over, got, want)
		}
	}
	// What nobody was promised is not judged.
	if n, found := judgeServed("s1", []phase{{up: false, sent: second}}, born, []sight{first}, nil, 30*second); n != 0 || len(found) != 0 {
		t.Errorf("no answer: %d checked, %v", n, found)
	}
}

func TestJudgeOthers(t *testing.T) {
	one := []instance{{pid: 5, began: second}}
	alive := []sight{{process: process{pid: 5}, first: second, last: 9 * second}}
	dead := []sight{{process: process{pid: 5}, first: second, last: 4 * second, died: 5 * second}}
	for _, c := range []struct {
		name, want string
		found      []violation
	}{
		{"steady", "map[]", judgeSteady("q", one, alive, 10*second)},
		{"ended with the load", "map[]", judgeSteady("q", one, dead, 5*second)},
		{"lost", "map[" + vDied + ":1]", judgeSteady("q", one, dead, 10*second)},
		{"never ran", "map[" + vMissing + ":1]", judgeSteady("q", nil, nil, 10*second)},
		{"second instance", "map[" + vRestarted + ":1]", judgeSteady("q", append(one, one...), alive, 10*second)},
		{"locks", "map[]", judgeLocks("q", one)},
		{"met another", "map[" + vTwo + ":1]", judgeLocks("q", []instance{{pid: 6, holder: 5}})},
		{"mortal", "map[]", judgeMortal("q", one, 0, 10*second)},
		{"mortal never", "map[" + vMissing + ":1]", judgeMortal("q", nil, 0, 60*second)},
		{"mortal no more", "map[" + vMissing + ":1]", judgeMortal("q", one, 0, 60*second)},
	} {
		if got := kinds(c.found); got != c.want {
			t.Errorf("%s: found %s, planted %s", c.name, got, c.want)
		}
	}
}
