package usrsvc

import (
	"slices"

	"github.com/upkeep-project/upkeep/internal/base/getopt"
)

// arguments are a command line that makes sense.
type arguments struct {
	words    []string // without options
	file     string   // -c; empty = the usual one
	given    map[string]bool
	instance string // how the daemon's own process is to run: active, passive; empty = it is none
}

func (a *arguments) has(name string) bool { return a.given[name] }

// shared are the options of both commands.
func shared(more ...getopt.Option) []getopt.Option {
	return append([]getopt.Option{
		{Short: 'c', Long: "config", Arg: true},
		{Long: "debug"},
		{Long: "json"},
		{Short: 'h', Long: "help"},
		{Long: "version"},
		{Long: "readme"},
	}, more...)
}

func toolOptions() []getopt.Option { return shared(getopt.Option{Short: 'P', Long: "parallel"}) }

func daemonOptions() []getopt.Option {
	return shared(getopt.Option{Short: 'f', Long: "foreground"}, getopt.Option{Long: instanceOption, Arg: true})
}

// instanceOption is what the daemon's own process is started with.
const instanceOption = "instance"

// parse reads options and words, which may stand in any order. Source: spec/usrsvc US-20.
func parse(options []getopt.Option, argv []string) (*arguments, error) {
	a := &arguments{given: map[string]bool{}}
	for len(argv) > 0 {
		if argv[0] == "--" {
			a.words = append(a.words, argv[1:]...)
			break
		}
		found, rest, err := getopt.Parse(options, argv)
		if err != nil {
			return nil, fail(GeneralFailure, "%v", err)
		}
		for _, m := range found {
			a.given[m.Option.Long] = true
			switch m.Option.Long {
			case "config":
				a.file = m.Value
			case instanceOption:
				a.instance = m.Value
			}
		}
		if len(rest) > 0 {
			a.words = append(a.words, rest[0])
			rest = rest[1:]
		}
		argv = rest
	}
	if a.instance != "" && !slices.Contains([]string{modeActive, modePassive}, a.instance) {
		return nil, fail(GeneralFailure, "--%s is %s or %s", instanceOption, modeActive, modePassive)
	}
	return a, nil
}
