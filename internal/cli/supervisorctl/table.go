package supervisorctl

import (
	"context"
	"strings"
)

// completion is what the words after a command can be completed to.
type completion uint8

const (
	completeNothing completion = iota
	completeCommands
	completeGroups
	completeProcesses
)

// command is one entry of the table.
type command struct {
	name     string
	help     string // without the final newline
	complete completion

	local         bool // needs no server address that can be used
	check         bool // asks first whether a server answers
	unreachable   int  // overrides the status of that check; 0 = leave it
	ownsInterrupt bool // Ctrl-C ends what the command does, not the shell
	hidden        bool // not in the list of commands

	noArgs      bool   // any argument is an error
	minWords    int    // fewer are an error that says what is needed …
	needs       string // … in these words …
	usageStatus int    // … with this status

	run func(s *session, ctx context.Context, arg string) error
}

// commands is the table. Source: spec/supervisor 6.4 (texts), 6.3 (check), 6.6 (completion).
func commands() []command {
	return []command{
		{
			name: "add", complete: completeGroups, run: (*session).add,
			help: "add <name> [...]\tActivates any updates in config for process/group",
		},
		{
			name: "avail", noArgs: true, run: (*session).avail,
			help: "avail\t\t\tDisplay all configured processes",
		},
		{
			name: "clear", complete: completeProcesses, check: true, run: (*session).clear,
			minWords: 1, needs: "a process name", usageStatus: statusGeneric,
			help: "clear <name>\t\tClear a process' log files.\n" +
				"clear <name> <name>\tClear multiple process' log files\n" +
				"clear all\t\tClear all process' log files",
		},
		{
			name: "exit", local: true, run: (*session).exit,
			help: "exit\tExit the supervisor shell.",
		},
		{
			name: "fg", complete: completeProcesses, check: true, ownsInterrupt: true, run: (*session).fg,
			help: fgHelp,
		},
		{
			name: "maintail", check: true, ownsInterrupt: true, run: (*session).maintail,
			help: maintailHelp,
		},
		{
			name: "open", local: true, run: (*session).open,
			help: "open <url>\tConnect to a remote supervisord process.\n" +
				"\t\t(for UNIX domain socket, use unix:///socket/path)",
		},
		{
			name: "pid", complete: completeProcesses, check: true, run: (*session).pid,
			help: "pid\t\t\tGet the PID of supervisord.\n" +
				"pid <name>\t\tGet the PID of a single child process by name.\n" +
				"pid all\t\t\tGet the PID of every child process, one per line.",
		},
		{
			name: "quit", local: true, run: (*session).exit,
			help: "quit\tExit the supervisor shell.",
		},
		{
			name: "reload", noArgs: true, run: (*session).reload,
			help: "reload \t\tRestart the remote supervisord.",
		},
		{
			name: "remove", complete: completeGroups, run: (*session).remove,
			help: "remove <name> [...]\tRemoves process/group from active config",
		},
		{
			name: "reread", noArgs: true, run: (*session).reread,
			help: "reread \t\t\tReload the daemon's configuration files without add/remove",
		},
		{
			name: "restart", complete: completeProcesses, check: true, run: (*session).restart,
			minWords: 1, needs: "a process name", usageStatus: statusGeneric,
			help: "restart <name>\t\tRestart a process\n" +
				"restart <gname>:*\tRestart all processes in a group\n" +
				"restart <name> <name>\tRestart multiple processes or groups\n" +
				"restart all\t\tRestart all processes\n" +
				"Note: restart does not reread config files. For that, see reread and update.",
		},
		{
			name: "shutdown", noArgs: true, run: (*session).shutdown,
			help: "shutdown \tShut the remote supervisord down.",
		},
		{
			name: "signal", complete: completeProcesses, check: true, run: (*session).signal,
			minWords: 2, needs: "a signal name and a process name", usageStatus: statusGeneric,
			help: "signal <signal name> <name>\t\tSignal a process\n" +
				"signal <signal name> <gname>:*\t\tSignal all processes in a group\n" +
				"signal <signal name> <name> <name>\tSignal multiple processes or groups\n" +
				"signal <signal name> all\t\tSignal all processes",
		},
		{
			name: "start", complete: completeProcesses, check: true, run: (*session).start,
			minWords: 1, needs: "a process name", usageStatus: statusInvalidArgs,
			help: "start <name>\t\tStart a process\n" +
				"start <gname>:*\t\tStart all processes in a group\n" +
				"start <name> <name>\tStart multiple processes or groups\n" +
				"start all\t\tStart all processes",
		},
		{
			name: "status", complete: completeProcesses, check: true, unreachable: statusProgramUnknown,
			run: (*session).showStatus,
			help: "status <name>\t\tGet status for a single process\n" +
				"status <gname>:*\tGet status for all processes in a group\n" +
				"status <name> <name>\tGet status for multiple named processes\n" +
				"status\t\t\tGet all process status info",
		},
		{
			name: "stop", complete: completeProcesses, check: true, run: (*session).stop,
			minWords: 1, needs: "a process name", usageStatus: statusGeneric,
			help: "stop <name>\t\tStop a process\n" +
				"stop <gname>:*\t\tStop all processes in a group\n" +
				"stop <name> <name>\tStop multiple processes or groups\n" +
				"stop all\t\tStop all processes",
		},
		{
			name: "tail", complete: completeProcesses, check: true, ownsInterrupt: true, run: (*session).tail,
			help: tailHelp,
		},
		{
			name: "update", complete: completeGroups, run: (*session).update,
			help: "update\t\t\tReload config and add/remove as necessary, and will restart affected programs\n" +
				"update all\t\tReload config and add/remove as necessary, and will restart affected programs\n" +
				"update <gname> [...]\tUpdate specific groups",
		},
		{
			name: "version", noArgs: true, check: true, run: (*session).version,
			help: "version\t\t\tShow the version of the remote supervisord process",
		},
		{
			name: "help", hidden: true, local: true, complete: completeCommands, run: (*session).help,
			help: "help\t\tPrint a list of available actions\nhelp <action>\tPrint help for <action>",
		},
		{name: "plan", hidden: true, noArgs: true, check: true, run: (*session).plan, help: planHelp},
		{name: "apply", hidden: true, complete: completeGroups, check: true, run: (*session).apply, help: applyHelp},
		several("quickstart", quickStartHelp, (*session).quickStart),
		several("quickstop", quickStopHelp, (*session).quickStop),
		several("quickrestart", quickRestartHelp, (*session).quickRestart),
		several("serialrestart", serialHelp, (*session).serialRestart),
		{name: "EOF", hidden: true, local: true, run: (*session).exit},
	}
}

// several is a command of ours that takes names of programs.
func several(name, help string, run func(*session, context.Context, string) error) command {
	return command{
		name: name, help: help, run: run, hidden: true, complete: completeProcesses, check: true,
		minWords: 1, needs: "a process name", usageStatus: statusGeneric,
	}
}

// The help texts that commands show themselves, for errors in arguments which the table cannot express.
const (
	fgHelp       = "fg <process>\tConnect to a process in foreground mode\n\t\tCtrl-C to exit"
	maintailHelp = "maintail -f \tContinuous tail of supervisor main log file (Ctrl-C to exit)\n" +
		"maintail -100\tlast 100 *bytes* of supervisord main log file\n" +
		"maintail\tlast 1600 *bytes* of supervisor main log file\n"
	tailHelp = "tail [-f] <name> [stdout|stderr] (default stdout)\n" +
		"Ex:\n" +
		"tail -f <name>\t\tContinuous tail of named process stdout\n" +
		"\t\t\tCtrl-C to exit.\n" +
		"tail -100 <name>\tlast 100 *bytes* of process stdout\n" +
		"tail <name> stderr\tlast 1600 *bytes* of process stderr"
)

// find is the command of the table of that name, or nil.
func find(name string) *command {
	for _, c := range commands() {
		if c.name == name {
			return &c
		}
	}
	return nil
}

// split takes a line apart: the command is what letters, digits and underscores there are at its start,
// and ? stands for help. Both are empty for a blank line; a line that begins otherwise has no command.
// Source: spec/supervisor 6.6.
func split(line string) (name, arg string) {
	line = strings.TrimSpace(line)
	if rest, ok := strings.CutPrefix(line, "?"); ok {
		return "help", strings.TrimSpace(rest)
	}
	end := strings.IndexFunc(line, func(r rune) bool {
		return r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	})
	if end < 0 {
		end = len(line)
	}
	return line[:end], strings.TrimSpace(line[end:])
}

// help lists the commands, or explains one.
func (s *session) help(_ context.Context, arg string) error {
	if arg == "" {
		s.out.raw(overview())
		for _, c := range s.commands()[len(commands()):] {
			s.out.raw(block(c.name, []string{c.name}))
		}
		return nil
	}
	if c := s.find(arg); c != nil && c.help != "" {
		s.out.raw(c.help + "\n")
		return nil
	}
	s.out.say("*** No help on %s", arg)
	return nil
}

// overview is the list of our commands.
func overview() string {
	var names []string
	for _, c := range commands() {
		if !c.hidden {
			names = append(names, c.name)
		}
	}
	return block("default", names)
}

// block is a list of commands between empty lines.
func block(whose string, names []string) string {
	title := whose + " commands (type help <topic>):"
	return "\n" + title + "\n" + strings.Repeat("=", len(title)) + "\n" + columns(names, 79) + "\n"
}

// columns arranges words, downwards first, in as few lines as the width allows. Every word is padded to
// its column, and columns are two blanks apart.
func columns(words []string, width int) string {
	for rows := 1; ; rows++ {
		cols := (len(words) + rows - 1) / rows
		widths, total := make([]int, cols), -2
		for i, w := range words {
			widths[i/rows] = max(widths[i/rows], len(w))
		}
		for _, w := range widths {
			total += w + 2
		}
		if total > width && rows < len(words) {
			continue
		}
		var b strings.Builder
		for r := range rows {
			var line []string
			for c := range cols {
				if i := c*rows + r; i < len(words) {
					line = append(line, words[i]+strings.Repeat(" ", widths[c]-len(words[i])))
				}
			}
			b.WriteString(strings.Join(line, "  ") + "\n")
		}
		return b.String()
	}
}
