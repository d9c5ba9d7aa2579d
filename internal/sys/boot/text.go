package boot

import (
	"bytes"
	"embed"
	"encoding/xml"
	"fmt"
	"strings"
	"text/template"

	"github.com/upkeep-project/upkeep/internal/base/words"
)

//go:embed texts
var texts embed.FS

// render fills one of the texts.
func render(name string, data any) (string, error) {
	t, err := template.New(name).Funcs(template.FuncMap{
		"sh": words.Quote, "shall": func(w []string) string { return strings.Join(quoteAll(w), " ") },
		"unit": unitWord, "unitall": unitWords, "unittext": unitText,
		"xml": xmlText, "env": splitEnv,
	}).ParseFS(texts, "texts/"+name)
	if err != nil {
		return "", err
	}
	var out bytes.Buffer
	if err := t.ExecuteTemplate(&out, name, data); err != nil {
		return "", fmt.Errorf("the text of the entry: %w", err)
	}
	return out.String(), nil
}

// unitSigns are the characters, beside letters and digits, of words that systemd takes as they are.
const unitSigns = "_@%+=:,./-"

func quoteAll(list []string) []string {
	out := make([]string, len(list))
	for i, w := range list {
		out[i] = words.Quote(w)
	}
	return out
}

// unitWord is a word for a setting of systemd that is no command: % is doubled.
func unitWord(w string) string {
	w = strings.ReplaceAll(w, "%", "%%")
	if w != "" && madeOf(w, unitSigns) {
		return w
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(w) + `"`
}

// unitWords are the words of a command for systemd: as unitWord, and $ is doubled.
func unitWords(list []string) string {
	out := make([]string, len(list))
	for i, w := range list {
		out[i] = strings.ReplaceAll(unitWord(w), "$", "$$")
		if i == 0 {
			out[i] = unitWord(w) // variables are not replaced in the path
		}
	}
	return strings.Join(out, " ")
}

// unitText is text up to the end of the line.
func unitText(s string) string {
	return strings.TrimRight(strings.ReplaceAll(s, "%", "%%"), `\`)
}

func xmlText(s string) (string, error) {
	var out bytes.Buffer
	err := xml.EscapeText(&out, []byte(s))
	return out.String(), err
}

// setting is one variable of the environment.
type setting struct{ Name, Value string }

func splitEnv(env []string) []setting {
	var out []setting
	for _, e := range env {
		name, value, _ := strings.Cut(e, "=")
		out = append(out, setting{name, value})
	}
	return out
}
