package manual

import (
	"os"
	"strings"
	"testing"
)

// name is one line of the list.
type name struct {
	chapter string
	kind    string
	section string // of a key: the section before it
	text    string
	value   string   // to try
	parent  string   // of an event
	parts   []string // what belongs to it
	remark  string
}

// names reads the list. A line is "kind text", and then in this order what its marks begin.
func names(t *testing.T) []name {
	t.Helper()
	text, err := os.ReadFile("testdata/manual-3.3.4.txt")
	if err != nil {
		t.Fatal(err)
	}
	var list []name
	chapter, section := "", ""
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		n := name{}
		n.kind, n.text, _ = strings.Cut(line, " ")
		n.text, n.remark, _ = strings.Cut(n.text, " ! ")
		n.text, n.value, _ = strings.Cut(n.text, " = ")
		if n.value == "" {
			parts := ""
			n.text, parts, _ = strings.Cut(n.text, " : ")
			n.parts = strings.Fields(parts)
		}
		n.text, n.parent, _ = strings.Cut(n.text, " < ")
		switch n.kind {
		case "chapter":
			chapter = n.text
			continue
		case "section":
			section = n.text
		}
		n.chapter, n.section = chapter, section
		list = append(list, n)
	}
	return list
}

func TestNamesAreRead(t *testing.T) {
	kinds := map[string]int{}
	for _, n := range names(t) {
		kinds[n.kind]++
	}
	for kind, least := range map[string]int{
		"section": 10, "key": 69, "option": 26, "action": 33, "signal": 5, "state": 8, "level": 7, "event": 27, "method": 37,
		"member": 14, "fault": 5, "token": 7, "listener": 3, "program": 2, "expansion": 6,
	} {
		if kinds[kind] < least {
			t.Errorf("%d names of the kind %s, not %d", kinds[kind], kind, least)
		}
	}
}
