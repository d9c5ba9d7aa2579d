package supervisord

import (
	"strings"
)

// Ctl is the [supervisorctl] section. Source: spec/supervisor 1.7.
type Ctl struct {
	ServerURL   string
	Username    string
	Password    string
	Prompt      string
	HistoryFile string   // absolute; empty = none
	Location    Location // zero when no file was found
	Plugins     []CtlPlugin
	Messages    []Message // at most warnings about plugins
}

// DefaultServerURL is where supervisorctl looks for its daemon unless told otherwise.
const DefaultServerURL = "http://localhost:9001"

// LoadCtl reads supervisorctl's part of a configuration file; [include] has no meaning there. A nil
// configuration searches the usual places, and finding nothing is no error. Errors are *Error and, other
// than with the original, include syntax errors. Source: spec/supervisor 1.1, 10.2 F21.
func LoadCtl(prog string, configuration *string, env Environ) (*Ctl, error) {
	c := &Ctl{ServerURL: DefaultServerURL, Prompt: "supervisor"}
	if configuration != nil {
		c.Location = Location{Given: *configuration, Path: env.abs(*configuration)}
	} else {
		loc, err := search(prog, &env)
		if err != nil {
			return c, nil
		}
		c.Location = loc
	}
	r := newReader(&env, c.Location)
	if err := r.parseMain(); err != nil {
		return nil, err
	}
	sect := r.doc.Section("supervisorctl")
	if sect == nil {
		return nil, &Error{Text: ".ini file does not include supervisorctl section", File: c.Location.Given}
	}
	here := scope{"here": r.here}
	o := r.options(sect, here)
	c.ServerURL = o.word("serverurl", c.ServerURL)
	if p, ok := strings.CutPrefix(c.ServerURL, "unix://"); ok {
		c.ServerURL = "unix://" + env.normalize(p)
	}
	o.sc = nil
	c.Prompt = o.word("prompt", c.Prompt)
	c.Username, _ = o.text("username")
	c.Password, _ = o.text("password")
	o.sc = here
	if p, _ := o.text("history_file"); p != "" {
		c.HistoryFile = env.normalize(p)
	}
	if err := o.failure(); err != nil {
		return nil, err
	}
	plugins, err := r.ctlPlugins()
	if err != nil {
		return nil, err
	}
	c.Plugins = plugins
	c.Messages = r.sorted()
	return c, nil
}
