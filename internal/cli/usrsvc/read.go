package usrsvc

import (
	"errors"
	"os"
	"strings"

	conf "github.com/upkeep-project/upkeep/internal/conf/supervisord"
	"github.com/upkeep-project/upkeep/internal/conf/usrsvc"
	"github.com/upkeep-project/upkeep/internal/sys/steady"
)

// settled is the text of a file that nobody writes to.
func settled(path string) ([]byte, error) {
	text, err := steady.Read(path, steady.Patience)
	if errors.As(err, new(*steady.BusyError)) {
		err = errors.New("it is being written") // whoever shows it says the path
	}
	return text, err
}

// read reads a configuration. An error means that nothing of it can be used; mistakes in single programs are in the result.
func read(file, dir string) (*settings, error) {
	vars := map[string]string{}
	for _, kv := range os.Environ() {
		if name, value, ok := strings.Cut(kv, "="); ok {
			vars[name] = value
		}
	}
	c, err := usrsvc.Load(file, usrsvc.Options{Vars: vars, Home: dir, UID: os.Getuid(), ReadFile: settled})
	if err != nil {
		return nil, fail(InvalidConfig, "%w", err)
	}
	s := &settings{
		file: file, home: dir, names: c.Names, model: c.Model, files: c.Files,
		pidfile: c.Main.PIDFile, stdout: c.Main.Stdout, stderr: c.Main.Stderr, sendmail: c.Main.Sendmail,
	}
	for _, p := range c.Problems {
		s.faults = append(s.faults, p.String())
		if p.Program == "" {
			s.mistakes = append(s.mistakes, mistake{Error: conf.Error{Text: p.String(), File: p.File, Line: p.Line, Key: p.Key}})
		}
	}
	for _, b := range c.Broken {
		for _, p := range b.Problems { // of the file that defines the program, wherever the mistake stands
			s.mistakes = append(s.mistakes, mistake{b.Name, conf.Error{Text: p.String(), File: b.Origin.File, Line: p.Line, Key: p.Key}})
		}
	}
	for _, w := range c.Warnings {
		s.warnings = append(s.warnings, w.String())
	}
	return s, nil
}
