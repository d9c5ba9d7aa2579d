package native

import (
	"strings"
	"testing"
)

// TestHintBoot: it is said three times that nothing starts the programs with the machine, where all is well; never among
// troubles, in a file's stead, or to who wants names alone.
func TestHintBoot(t *testing.T) {
	u := newUser(t)
	u.program("web", "[program:web]\ncommand=sleep 1000\nstartsecs=0\n")
	u.start()
	u.call("wait", "web")
	const hint = "upkeep boot enable"
	said := func(args ...string) bool {
		out, errs, status := u.call(args...)
		if status != 0 || strings.Contains(out, hint) {
			t.Errorf("%s: %d\n%s%s", args, status, out, errs)
		}
		return strings.Contains(errs, hint)
	}
	if said("status") || said("-q") {
		t.Error("status hints, or who is quiet is told")
	}
	u.call("stop", "web")
	if said() {
		t.Error("it is said while a program is down")
	}
	u.call("start", "web")
	times := 0
	for range 5 {
		if said() {
			times++
		}
	}
	if times != hints {
		t.Errorf("it was said %d times", times)
	}
	if got := strings.TrimSpace(u.read("state/upkeep/boot-hints")); got != "3" {
		t.Errorf("counted: %s", got)
	}
}
