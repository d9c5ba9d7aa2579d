package usrsvc

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/upkeep-project/upkeep/internal/base/units"
	"github.com/upkeep-project/upkeep/internal/base/words"
	conf "github.com/upkeep-project/upkeep/internal/conf/supervisord"
	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/sys/home"
)

// dialect is the word for this format in model.Origin, and in the path of an instance's state.
const dialect = "usrsvc"

// The modes of an instance. One that is passive watches what the commands have started and starts nothing by itself, so that
// what comes of usrsvc without usrsvcd is as it was with the original. Source: one-model C1.
const (
	modeActive  = "active"
	modePassive = "passive"
)

// settings are a configuration, as both commands need it.
type settings struct {
	file     string        // absolute
	home     string        // of the account
	names    []string      // of all programs, usable or not, in the order of their definition
	model    *model.Config // the programs that can be used, and who is told of them
	files    []string      // that were read
	mistakes []mistake     // by what they concern
	faults   []string      // all mistakes, as people read them
	warnings []string

	pidfile        string // of the daemon
	stdout, stderr string // of the daemon; empty = it keeps its own log
	sendmail       string // empty = the first that is found
}

// mistake is something that makes a program unusable; program is empty when it concerns none by name.
type mistake struct {
	program string
	conf.Error
}

// locate is the path of the configuration: the one that is given, or usrsvc.cfg in the home directory.
func locate(given string) (file, dir string, err error) {
	dir, err = os.UserHomeDir()
	if err != nil || !filepath.IsAbs(dir) {
		return "", "", fail(InvalidConfig, "the home directory is not known: HOME is not set to an absolute path")
	}
	if given == "" {
		given = filepath.Join(dir, "usrsvc.cfg")
	}
	file, err = filepath.Abs(given)
	if err != nil {
		return "", "", fail(InvalidConfig, "%s: %v", given, err)
	}
	return file, dir, nil
}

// program finds a program that can be used; nil when there is none.
func (s *settings) program(name string) *model.Program {
	if g := s.model.Group(name); g != nil && len(g.Programs) == 1 {
		return g.Programs[0]
	}
	return nil
}

// wrong are the mistakes of a program.
func (s *settings) wrong(name string) (texts []string) {
	for _, m := range s.mistakes {
		if m.program == name {
			texts = append(texts, m.Text)
		}
	}
	return texts
}

// all is the word that stands for every program.
const all = "all"

// choose are the programs that words stand for, each once, in the order in which they are meant: names, patterns as of a
// shell, and the word all. With an error it is the word that stands for none.
func (s *settings) choose(said []string) (chosen []string, err error) {
	add := func(name string) {
		if !slices.Contains(chosen, name) {
			chosen = append(chosen, name)
		}
	}
	for _, word := range said {
		switch {
		case slices.Contains(s.names, word):
			add(word)
			continue
		case word == all:
			for _, name := range s.names {
				add(name)
			}
			continue
		}
		found := false
		for _, name := range s.names {
			if ok, err := path.Match(word, name); err == nil && ok && strings.ContainsAny(word, "*?[") {
				found = true
				add(name)
			}
		}
		if !found {
			if texts := s.wrong(""); len(texts) > 0 { // it may be what cannot be read
				return []string{word}, fail(InvalidConfig, "there is no program %s as far as the configuration can be read:\n%s", strconv.Quote(word), strings.Join(texts, "\n"))
			}
			text := fmt.Sprintf("there is no program %q in %s, nor in the files of its config_dir", word, s.file)
			if like := words.Close(word, s.names, 1); len(like) > 0 {
				text += "; is " + like[0] + " meant?"
			}
			return []string{word}, fail(ProgramUndefined, "%s", text)
		}
	}
	return chosen, nil
}

// place is where the instance of a configuration keeps its own files.
func place(file string) (home.Instance, error) {
	roots, err := home.OwnRoots(false)
	if err != nil {
		return home.Instance{}, err
	}
	return roots.Foreign(dialect, file), nil
}

// config is the configuration as the daemon takes it.
func (s *settings) config(at home.Instance, mode string, background bool, env conf.Environ) (*conf.Config, error) {
	f := conf.Foreign{
		Dialect: dialect, Passive: mode == modePassive, Sendmail: s.sendmail, PIDFile: s.pidfile, Stdout: s.stdout, Stderr: s.stderr,
	}
	n := conf.Native{File: s.file, Logs: at.Logs, Socket: at.Socket, PIDFile: os.DevNull}
	if !f.Passive {
		n.PIDFile = s.pidfile
	}
	c, err := conf.ForeignSettings(n, f, env)
	if err != nil {
		return nil, err
	}
	set := &c.Settings
	set.NoDaemon, set.Directory, set.Identifier = !background, s.home, "usrsvcd"
	if !f.Passive && s.stdout != "" { // as the original's: it grows until somebody else rotates it
		set.LogFile, set.LogFileMaxBytes, set.LogFileBackups = s.stdout, 0, 0
	}
	c.Model, c.Files = s.model, s.files
	s.refuse(c)
	return c, nil
}

// refuse notes in a configuration what of the files cannot be used.
func (s *settings) refuse(c *conf.Config) {
	for i := range s.mistakes {
		m := &s.mistakes[i]
		c.Refuse(m.program, &m.Error)
		c.Say(units.LevelError, m.Text+"; what it defines is left as it is")
	}
}
