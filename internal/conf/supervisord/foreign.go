package supervisord

import "github.com/upkeep-project/upkeep/internal/base/units"

// Foreign tells that the programs of an instance are defined in the dialect of another tool, which is read elsewhere, and
// what follows from that. Source: one-model C1, C6, spec/usrsvc US-02, US-61.
type Foreign struct {
	Dialect string // whose: "usrsvc"
	// Passive: nothing is started but what somebody orders, and nothing a second time.
	Passive bool `json:",omitzero"`
	// What the file says of a daemon that is not passive: its pid file; the file of its activity log, empty = that of a native
	// instance; and one that gets the lines from warnings on, empty = none does.
	PIDFile, Stdout, Stderr string `json:",omitzero"`
	// Sendmail is who takes the mail of email_alerts, absolute; empty = the first that is found.
	Sendmail string `json:",omitzero"`
}

// ForeignSettings is the configuration of an instance whose programs are defined in another dialect: the settings of a native
// instance, no programs yet, and n.File as the configuration's file, which is not read.
func ForeignSettings(n Native, f Foreign, env Environ) (*Config, error) {
	bare := n
	bare.File, bare.Programs = "", ""
	r := newReader(&env, Location{Given: n.File, Path: n.File})
	c, err := r.native(&bare)
	if err != nil {
		return nil, err
	}
	c.Settings.ConfigFile = n.File
	c.Messages, c.Native, c.Foreign = nil, &n, &f
	return c, nil
}

// Say adds a line for the activity log.
func (c *Config) Say(level units.Level, text string) {
	c.Messages = append(c.Messages, Message{Level: level, Text: text})
}

// Refuse notes that something in a file cannot be used. group is the one group that this is about; empty = all that the file
// defines.
func (c *Config) Refuse(group string, e *Error) {
	for i := range c.Invalid {
		if in := &c.Invalid[i]; in.File == e.File && in.Group == group {
			in.Problems = append(in.Problems, e)
			return
		}
	}
	c.Invalid = append(c.Invalid, Invalid{File: e.File, Group: group, Problems: []*Error{e}})
}
