package supervisord

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/upkeep-project/upkeep/internal/base/pagetest"
	"github.com/upkeep-project/upkeep/internal/conf/keys"
)

// The reference of the configuration is held against the code: what it lists, and what it says happens without an
// option.

const referencePage = "docs/reference/configuration.md"

// sample is a configuration with one section of each kind and no more than that needs.
type sample []sampleSection

type sampleSection struct {
	header string
	keys   map[string]string
}

func newSample() sample {
	return sample{
		{"supervisord", nil},
		{"unix_http_server", map[string]string{"file": "/tmp/test.sock"}},
		{"inet_http_server", map[string]string{"port": "127.0.0.1:9001"}},
		{"supervisorctl", nil},
		{"include", map[string]string{"files": "none.d/*.conf"}},
		{"upkeep", nil},
		{"program:p", map[string]string{"command": "/bin/cat"}},
		{"program:member", map[string]string{"command": "/bin/cat"}},
		{"group:g", map[string]string{"programs": "member"}},
		{"fcgi-program:f", map[string]string{"command": "/bin/cat", "socket": "unix:///tmp/f.sock"}},
		{"eventlistener:l", map[string]string{"command": "/bin/cat", "events": "EVENT"}},
		{"notify:n", map[string]string{"to": "mailto:root"}},
		{"rpcinterface:e", map[string]string{rpcSocketKey: "/tmp/e.sock"}},
		{"ctlplugin:c", map[string]string{ctlFactoryKey: "my:factory"}},
	}
}

// header is the section of that kind.
func (s sample) header(kind string) string {
	for _, sect := range s {
		if prefix, _, _ := strings.Cut(sect.header, ":"); prefix == kind {
			return sect.header
		}
	}
	return ""
}

// text is the configuration with one line replaced or added; an empty line takes the option out. Every option has
// the same place in all texts.
func (s sample) text(header, key, line string) string {
	var b strings.Builder
	for _, sect := range s {
		fmt.Fprintf(&b, "[%s]\n", sect.header)
		for _, k := range slices.Sorted(maps.Keys(sect.keys)) {
			if sect.header != header || k != key {
				fmt.Fprintf(&b, "%s=%s\n", k, sect.keys[k])
			}
		}
		if sect.header == header && line != "" {
			fmt.Fprintf(&b, "%s\n", line)
		} else {
			b.WriteString("; nothing\n")
		}
	}
	return b.String()
}

// outcome is all that comes out of a configuration for both commands, as text.
func outcome(t *testing.T, text string) (string, error) {
	t.Helper()
	env := testEnv(t.TempDir())
	file := filepath.Join(env.Cwd, "supervisord.conf")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load(&Args{Prog: "supervisord", Configuration: &file}, env)
	if err != nil {
		return "", err
	}
	ctl, err := LoadCtl("supervisorctl", &file, env)
	if err != nil {
		return "", err
	}
	c.Messages = nil
	all, err := json.MarshalIndent([]any{c, ctl}, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(all), env.Cwd, "DIR"), nil
}

func TestReferenceHasEveryOption(t *testing.T) {
	page := pagetest.Read(t, referencePage)
	titles := map[string]bool{}
	for _, k := range keys.Sections() {
		titles[k.Header()] = true
		sect := page.Section(k.Header())
		if sect == nil {
			t.Errorf("no section about %s", k.Header())
			continue
		}
		for i := range k.Keys {
			checkRow(t, k.Header(), &k.Keys[i], sect.Find(k.Keys[i].Name))
		}
		for _, row := range sect.Rows {
			if name := row.Names(0)[0]; k.Key(name) == nil {
				t.Errorf("%s: %s is no option", k.Header(), name)
			}
		}
	}
	for _, sect := range page.Sections {
		if strings.HasPrefix(sect.Title, "[") && !titles[sect.Title] {
			t.Errorf("there are no sections %s", sect.Title)
		}
	}
}

// checkRow holds the line about a key against the table of keys.
func checkRow(t *testing.T, header string, k *keys.Key, row pagetest.Row) {
	t.Helper()
	if row == nil {
		t.Errorf("%s: no line about %s", header, k.Name)
		return
	}
	if def, ok := row.Code(2); ok != (k.Default != "") || ok && def != k.Default {
		t.Errorf("%s: %s has the default %q, the page says %s", header, k.Name, k.Default, row[2])
	}
	if required := row[2] == "required"; required != k.Required {
		t.Errorf("%s: %s is required: %v, the page says %s", header, k.Name, k.Required, row[2])
	}
	if ours := strings.Contains(row[0], "(*)"); ours != k.Ours {
		t.Errorf("%s: %s is ours: %v, the page says %s", header, k.Name, k.Ours, row[0])
	}
	for _, word := range k.Values {
		if !strings.Contains(row[1]+row[3], "`"+word) {
			t.Errorf("%s: %s accepts %s, the page says %s", header, k.Name, word, row[1])
		}
	}
}

// TestReferenceHasTheDefaults writes down every default that the page names and demands that nothing changes, and
// leaves out what it calls required.
func TestReferenceHasTheDefaults(t *testing.T) {
	page, s := pagetest.Read(t, referencePage), newSample()
	base, err := outcome(t, s.text("", "", ""))
	if err != nil {
		t.Fatal(err)
	}
	written := 0
	for _, k := range keys.Sections() {
		header := s.header(k.Kind)
		for _, row := range page.Section(k.Header()).Rows {
			key := row.Names(0)[0]
			if row[2] == "required" {
				if _, err := outcome(t, s.text(header, key, "")); err == nil {
					t.Errorf("[%s] without %s is no error", header, key)
				}
				continue
			}
			def, ok := row.Code(2)
			if !ok {
				continue
			}
			written++
			got, err := outcome(t, s.text(header, key, key+"="+def))
			if err != nil {
				t.Errorf("[%s] %s=%s: %v", header, key, def, err)
			} else if diff := cmp.Diff(base, got); diff != "" {
				t.Errorf("[%s] %s=%s is not the default:\n%s", header, key, def, diff)
			}
		}
	}
	if written < 50 {
		t.Errorf("only %d defaults were tried", written)
	}
}

func TestCommandsPageHasEveryOptionOfTheDaemon(t *testing.T) {
	sect := pagetest.Read(t, "docs/reference/commands.md").Section("supervisord")
	if sect == nil {
		t.Fatal("no section about supervisord")
	}
	known := map[string]bool{}
	for _, o := range argTable() {
		var names []string
		if o.Short != 0 {
			names = append(names, "-"+string(o.Short))
		}
		if o.Long != "" {
			names = append(names, "--"+o.Long)
		}
		for _, name := range names {
			known[name] = true
			if sect.Find(name) == nil {
				t.Errorf("no line about %s", name)
			}
		}
	}
	for _, row := range sect.Rows {
		for _, name := range row.Names(0) {
			if name, _, _ = strings.Cut(name, " "); strings.HasPrefix(name, "-") && !known[name] {
				t.Errorf("there is no option %s", name)
			}
		}
	}
}
