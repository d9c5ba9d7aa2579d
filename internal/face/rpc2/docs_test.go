package rpc2

import (
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/upkeep-project/upkeep/client/supervisor"
	"github.com/upkeep-project/upkeep/internal/base/pagetest"
	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/service"
)

const referencePage = "docs/reference/xml-rpc.md"

// documented is what the page says about a method.
type documented struct {
	Result     string
	Parameters []string
	Optional   int
}

// TestReferenceHasEveryMethod holds the tables of the page against the table of methods: names, parameters, which of
// them may be missing, and the type of the result.
func TestReferenceHasEveryMethod(t *testing.T) {
	page := pagetest.Read(t, referencePage)
	got := map[string]documented{}
	for _, sect := range page.Sections {
		namespace, _, _ := strings.Cut(sect.Title, ":")
		if namespace != "supervisor" && namespace != "system" && namespace != "upkeep" {
			continue
		}
		for _, row := range sect.Rows {
			for _, form := range row.Names(0) {
				name, list, ok := strings.Cut(strings.TrimSuffix(form, ")"), "(")
				if !ok {
					t.Errorf("%s: %s has no parameters", sect.Title, form)
				}
				if !strings.Contains(name, ".") {
					name = namespace + "." + name
				}
				d := documented{Result: row[1]}
				for _, p := range strings.FieldsFunc(list, func(r rune) bool { return r == ',' || r == ' ' }) {
					p, _, missing := strings.Cut(p, "=")
					d.Parameters = append(d.Parameters, p)
					if missing {
						d.Optional++
					}
				}
				got[name] = d
			}
		}
	}
	want := map[string]documented{}
	for name, m := range methodTable(true) {
		d := documented{Result: m.signature[0], Optional: m.optional}
		for line := range strings.Lines(m.help) {
			if f := strings.Fields(line); len(f) > 2 && f[0] == "@param" {
				d.Parameters = append(d.Parameters, f[2])
			}
		}
		want[name] = d
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestReferenceHasEveryFault(t *testing.T) {
	sect := pagetest.Read(t, referencePage).Section("Faults")
	if sect == nil {
		t.Fatal("no section about faults")
	}
	got, want := map[int]string{}, map[int]string{}
	for _, row := range sect.Rows {
		code, err := strconv.Atoi(row[0])
		if err != nil {
			t.Error(err)
		}
		got[code], _ = row.Code(1)
	}
	for code := range 1000 {
		if name := supervisor.FaultName(code); name != "" {
			want[code] = name
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestReferenceHasEveryMember demands that the members of the answers are those that the help of the methods and the
// answers themselves name.
func TestReferenceHasEveryMember(t *testing.T) {
	page := pagetest.Read(t, referencePage)
	sect := page.Section("About a program")
	if sect == nil {
		t.Fatal("no section about a program")
	}
	_, list, _ := strings.Cut(methodTable(true)["supervisor.getProcessInfo"].help, "struct with ")
	members := strings.FieldsFunc(strings.ReplaceAll(list, " and ", ", "), func(r rune) bool { return r == ',' || r == ' ' })
	if len(members) != 14 {
		t.Fatalf("the help names %d members: %q", len(members), members)
	}
	for _, m := range members {
		if sect.Find(m) == nil {
			t.Errorf("no line about %s", m)
		}
	}
}

func TestReferenceHasTheConfiguration(t *testing.T) {
	sect := pagetest.Read(t, referencePage).Section("The configuration of a program")
	if sect == nil {
		t.Fatal("no section about the configuration of a program")
	}
	answer := appendConfig(nil, &service.Configured{Program: &model.Program{}})
	names := regexp.MustCompile(`<name>(\w+)</name>`).FindAllStringSubmatch(string(answer), -1)
	if len(names) < 30 {
		t.Fatalf("only %d members: %s", len(names), answer)
	}
	for _, m := range names {
		name := m[1]
		if begin, _, _ := strings.Cut(name, "_"); begin == "stdout" || begin == "stderr" {
			name = begin + "_…"
		}
		if !sect.Mentions(name) {
			t.Errorf("nothing about %s", m[1])
		}
	}
}
