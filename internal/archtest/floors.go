package archtest

import (
	"fmt"
	"strings"
)

// Module is the path of the product's module.
const Module = "github.com/upkeep-project/upkeep"

// Floor is one level of the building. A package imports packages of its own floor and of lower ones.
type Floor struct {
	Name     string   // F0 … F7
	Title    string   // one word, as in docs/architecture.md
	Prefixes []string // package paths inside the module; the prefix covers what is below it
}

// Floors is the table of docs/architecture.md, from the lowest up. A test keeps the two equal.
func Floors() []Floor {
	return []Floor{
		{"F0", "base", []string{"internal/base"}},
		{"F1", "domain", []string{"internal/domain"}},
		{"F2", "formats", []string{"internal/conf", "internal/wire"}},
		{"F3", "system", []string{"internal/sys"}},
		{"F4", "engine", []string{"internal/engine"}},
		{"F5", "service", []string{"internal/service"}},
		{"F6", "faces", []string{"internal/face", "client"}},
		{"F7", "commands", []string{"internal/app", "internal/cli", "cmd"}},
	}
}

// Ban forbids an import that the floors alone would allow.
type Ban struct{ From, To, Reason string }

// Bans are the walls inside the building.
func Bans() []Ban {
	return []Ban{
		{"internal/face", "internal/engine", "a face knows verbs, not how they are done"},
		{"internal/face", "internal/sys", "a face never touches the operating system"},
		{"client", "internal/engine", "a client is linked into other people's programs"},
		{"client", "internal/service", "a client speaks the wire format only"},
		{"client", "internal/face", "a client speaks the wire format only"},
		{"internal/cli", "internal/engine", "commands reach the engine through app"},
		{"internal/domain", "os", "the domain is pure: time and system come in as values"},
		{"internal/domain", "os/exec", "the domain is pure: time and system come in as values"},
		{"internal/domain", "net", "the domain is pure: time and system come in as values"},
		{"internal/domain", "syscall", "the domain is pure: time and system come in as values"},
	}
}

// Outside are programs and test suites beside the product. They import what they like; the product never
// imports them.
func Outside() []string {
	return []string{"bench", "chaos", "conformance", "internal/archtest", "examples", "scripts", "test"}
}

// FloorOf finds the floor of a package path inside the module ("internal/conf/ini"): its number from 0,
// or -1 when the path is on none.
func FloorOf(pkg string) int {
	for i, f := range Floors() {
		for _, p := range f.Prefixes {
			if under(pkg, p) {
				return i
			}
		}
	}
	return -1
}

// under reports whether pkg is prefix or lies below it.
func under(pkg, prefix string) bool {
	return pkg == prefix || strings.HasPrefix(pkg, prefix+"/")
}

func outside(pkg string) bool {
	for _, o := range Outside() {
		if under(pkg, o) {
			return true
		}
	}
	return false
}

// testHelper reports whether a package only helps tests: the last part of its path ends in "test"
// (ctltest). It may wait by polling, and nothing but tests and other helpers imports it.
func testHelper(pkg string) bool { return strings.HasSuffix(pkg, "test") }

// CheckEdge says why the package from may not import the package to, or returns "". Both are full import
// paths; paths outside the module are checked against the bans only.
func CheckEdge(from, to string) string {
	inFrom, ok := strings.CutPrefix(from, Module+"/")
	if !ok || outside(inFrom) {
		return ""
	}
	lower := FloorOf(inFrom)
	if lower < 0 {
		return fmt.Sprintf("%s is on no floor: put it on one in internal/archtest and docs/architecture.md", inFrom)
	}
	inTo, ours := strings.CutPrefix(to, Module+"/")
	for _, b := range Bans() {
		if under(inFrom, b.From) && under(inTo, b.To) {
			return fmt.Sprintf("%s imports %s: %s", inFrom, inTo, b.Reason)
		}
	}
	if !ours {
		return ""
	}
	if outside(inTo) {
		return fmt.Sprintf("%s imports %s, which is no part of the product", inFrom, inTo)
	}
	if testHelper(inTo) && !testHelper(inFrom) {
		return fmt.Sprintf("%s imports %s, which is for tests", inFrom, inTo)
	}
	if upper := FloorOf(inTo); upper > lower {
		return fmt.Sprintf("%s (F%d) imports %s (F%d): imports point down only", inFrom, lower, inTo, upper)
	}
	return ""
}
