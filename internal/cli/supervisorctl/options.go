package supervisorctl

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/upkeep-project/upkeep/internal/base/getopt"
	"github.com/upkeep-project/upkeep/internal/base/pytext"
	conf "github.com/upkeep-project/upkeep/internal/conf/supervisord"
)

// options are the command line and the configuration file together.
type options struct {
	help        bool
	interactive bool
	action      *string // the words after the options as one line; nil without any
	url         string
	username    string
	password    string
	prompt      string
	historyFile string
	plugins     []conf.CtlPlugin
}

// message is an error made for the user's eyes; some have a text that the original fixed.
type message string

// Error is the message.
func (m message) Error() string { return string(m) }

// parse reads the command line, and the configuration file that it names or that is found. Every error
// is for the user: the status is 2 then. Source: spec/supervisor 6.1, 1.1, F21.
func parse(prog string, argv []string, env *Environ) (*options, error) {
	flags := []getopt.Option{
		{Short: 'c', Long: "configuration", Arg: true},
		{Short: 'h', Long: "help"},
		{Short: '?'},
		{Short: 'i', Long: "interactive"},
		{Short: 's', Long: "serverurl", Arg: true},
		{Short: 'u', Long: "username", Arg: true},
		{Short: 'p', Long: "password", Arg: true},
		{Short: 'r', Long: "history_file", Arg: true},
	}
	found, words, err := getopt.Parse(flags, argv)
	if err != nil {
		return nil, err
	}
	given := map[rune]string{}
	for _, m := range found {
		key := m.Option.Short
		if key == 'h' || key == '?' {
			return &options{help: true}, nil
		}
		if key == 's' && !isURL(m.Value) {
			return nil, message(fmt.Sprintf("invalid value for %s %s: value %[2]s is not a URL", m.Spelling, pytext.Repr(m.Value)))
		}
		if _, twice := given[key]; twice {
			return nil, message(fmt.Sprintf("conflicting command line option %s", pytext.Repr(m.Spelling)))
		}
		given[key] = m.Value
	}
	var file *string
	if v, ok := given['c']; ok {
		file = &v
	}
	o, err := load(prog, file, env)
	if err != nil {
		return nil, err
	}
	override := func(key rune, to *string) {
		if v, ok := given[key]; ok {
			*to = v
		}
	}
	override('s', &o.url)
	override('u', &o.username)
	override('p', &o.password)
	override('r', &o.historyFile)
	if _, ok := given['i']; ok || len(words) == 0 {
		o.interactive = true
	}
	if len(words) > 0 {
		line := strings.Join(words, " ")
		o.action = &line
	}
	return o, nil
}

// isURL reports whether a -s value has a scheme and something behind it.
func isURL(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Scheme != "" && (u.Host != "" || u.Path != "" || u.Opaque != "")
}

// helpText is the answer to -h. Source: spec/supervisor 6.1.
func helpText(prog string) string {
	return `supervisorctl -- control applications run by supervisord from the cmd line.

Usage: ` + prog + ` [options] [action [arguments]]

Options:
-c/--configuration FILENAME -- configuration file path (searches if not given)
-h/--help -- print usage message and exit
-i/--interactive -- start an interactive shell after executing commands
-s/--serverurl URL -- URL on which supervisord server is listening
     (default "http://localhost:9001").
-u/--username USERNAME -- username to use for authentication with server
-p/--password PASSWORD -- password to use for authentication with server
-r/--history-file -- keep a readline history (if readline is available)

action [arguments] -- see below

Actions are commands like "tail" or "stop".  If -i is specified or no action is
specified on the command line, a "shell" interpreting actions typed
interactively is started.  Use the action "help" to find out about available
actions.

`
}
