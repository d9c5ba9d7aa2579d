package usrsvc

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/upkeep-project/upkeep/internal/base/pytext"
	"github.com/upkeep-project/upkeep/internal/conf/configobj"
)

// MainKeys are the keys of [Main].
func MainKeys() []string {
	return []string{"config_dir", "pidfile", "usrsvcd_stdout", "usrsvcd_stderr", "sendmail_path"}
}

// main reads [Main]. A value with a mistake is as if nothing were said, so that the daemon can be found and ended.
// Source: spec/usrsvc 3.1, US-17.
func (l *loader) main(root *configobj.Section) {
	s := root.Section(mainSection)
	if s == nil {
		l.problem(Problem{File: root.File, Text: "there is no section [Main]"})
		return
	}
	fail := func(key string, v configobj.Value, text string) {
		l.problem(Problem{File: v.File, Line: v.Line, Key: key, Text: text})
	}
	for _, e := range s.Entries() {
		if !slices.Contains(MainKeys(), e.Key) {
			fail(e.Key, e.Value, unknown("such key", e.Key, MainKeys()))
		}
	}
	for _, sub := range s.Sections() {
		if sub.Name != defaultName {
			l.problem(Problem{File: sub.File, Line: sub.Line, Text: "[Main] has no sections inside of it"})
		}
	}
	b := &builder{l: l}
	text := func(key string) *value {
		v, ok := s.Get(key)
		if !ok {
			return nil
		}
		return b.expand(s, key, v)
	}
	path := func(key string, to *string) {
		if v := text(key); v != nil {
			if p := b.absolute(v); p != "" {
				*to = p
			}
		}
	}
	path("config_dir", &l.c.Main.ConfigDir)
	path("usrsvcd_stdout", &l.c.Main.Stdout)
	if v := text("usrsvcd_stderr"); v != nil && v.text == "stdout" {
		l.c.Main.Stderr = l.c.Main.Stdout
	} else if v != nil {
		path("usrsvcd_stderr", &l.c.Main.Stderr)
	}
	if v := text("pidfile"); v != nil {
		switch {
		case v.text == "" || strings.ContainsAny(v.text, "\n\x00"):
			b.wrong(v, "a path")
		case !filepath.IsAbs(v.text):
			l.c.Main.PIDFile = filepath.Join(filepath.Dir(root.File), v.text)
			b.warn(v.File, v.Line, "pidfile", "a relative path is taken from the folder of this file, "+l.c.Main.PIDFile+"; the original took it from wherever it was called")
		default:
			l.c.Main.PIDFile = filepath.Clean(v.text)
		}
	}
	if v := text("sendmail_path"); v != nil && v.text != "auto" && v.text != "" {
		switch st, err := os.Stat(v.text); {
		case !filepath.IsAbs(v.text):
			b.wrong(v, "an absolute path, or auto")
		case err != nil || st.IsDir():
			fail("sendmail_path", v.Value, "there is no program "+pytext.Repr(v.text))
		default:
			l.c.Main.Sendmail = filepath.Clean(v.text)
		}
	}
}
