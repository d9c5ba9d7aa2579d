// Package usrsvc reads usrsvc.cfg and the files of its config_dir: the programs of a service account as usrsvc and usrsvcd
// have them. The result is the program model and the settings of the daemon.
//
// A program whose definition has a mistake cannot be used, and hurts no other. Every mistake and every warning says the
// file, the line, the program and the key. What the original would have read differently from what it looks like (commas,
// a # in a command, a misplaced key) is a warning. Reading has no side effects.
// Source: spec/usrsvc 3, US-10 to US-18, US-98; one-model 2 and 5.
package usrsvc

import (
	"fmt"

	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// Dialect is the word for this format in model.Origin.
const Dialect = "usrsvc"

// Options is what reading needs to know of the machine and of who asks.
type Options struct {
	Vars map[string]string // environment variables, for %(ENV_NAME)s
	Home string            // of the account, absolute: where the pid file of the daemon is when nothing is said
	UID  int               // of the account, for the name of that file
	// ReadFile reads a regular file; nil = as it is at that moment.
	ReadFile func(path string) ([]byte, error)
}

// Config is everything that one reading gave.
type Config struct {
	File  string // the main file, absolute
	Main  Main
	Model *model.Config // the programs that can be used, each a group of its own, sorted by name
	Names []string      // of all programs, also of those that cannot be used, in the order of the files
	// Broken are the programs that cannot be used, in the order of their names.
	Broken []Broken
	// Problems are all mistakes, those of the programs too, by file and line; Warnings what is probably not meant so.
	Problems, Warnings []Problem
	// Said are the keys that each program that can be used says, itself or by its settings, sorted.
	Said  map[string][]string
	Files []string // every file that was read, the main one first
}

// Main is the section [Main] with its defaults. A value with a mistake is as if it were not there.
type Main struct {
	ConfigDir string // absolute; empty = none
	PIDFile   string // of the daemon, absolute
	Stdout    string // where the daemon's log goes, absolute; empty = where it has its standard output
	Stderr    string // the same for its errors; equal to Stdout when both go there
	Sendmail  string // absolute; empty = the first that is found in /usr/sbin, /usr/bin and PATH
}

// Broken is a program that cannot be used.
type Broken struct {
	Name     string
	Origin   model.Origin
	Problems []Problem
}

// Problem is a mistake or a warning.
type Problem struct {
	File    string
	Line    int    // from 1; 0 = the whole file
	Program string // empty = it concerns no program alone
	Key     string // empty = it concerns no key alone
	Text    string
}

// String is file:line: [Program:NAME] KEY: text, without what there is not.
func (p Problem) String() string {
	s := p.File
	if p.Line > 0 {
		s = fmt.Sprintf("%s:%d", p.File, p.Line)
	}
	s += ": "
	if p.Program != "" {
		s += "[Program:" + p.Program + "] "
	}
	if p.Key != "" {
		s += p.Key + ": "
	}
	return s + p.Text
}

// Error is String.
func (p Problem) Error() string { return p.String() }

// Err is the first mistake of the configuration; nil when there is none.
func (c *Config) Err() error {
	if len(c.Problems) == 0 {
		return nil
	}
	return c.Problems[0]
}

// Find tells whether there is a program of that name, and what is wrong with it; nil when it can be used.
func (c *Config) Find(name string) (p *model.Program, broken *Broken) {
	for i := range c.Broken {
		if c.Broken[i].Name == name {
			return nil, &c.Broken[i]
		}
	}
	if g := c.Model.Group(name); g != nil && len(g.Programs) > 0 {
		return g.Programs[0], nil
	}
	return nil, nil
}
