package explain

import "context"

// rule is one row of the table. when recognises something in the facts and looks at nothing else; check confirms it on
// the machine, for one match after the other, and says what it found. What a check says counts only when it returns true.
type rule struct {
	cause Cause
	when  func(*inquiry) []match
	check func(*inquiry, context.Context, match) bool
}

// output recognises a line of the program's output.
func output(pattern string) func(*inquiry) []match {
	return func(q *inquiry) []match { return q.find(pattern) }
}

// anyOf joins matchers.
func anyOf(when ...func(*inquiry) []match) func(*inquiry) []match {
	return func(q *inquiry) []match {
		var out []match
		for _, w := range when {
			out = append(out, w(q)...)
		}
		return out
	}
}

// without is a match that is no line of output.
func without(groups ...string) []match { return []match{{groups, -1}} }

// code recognises an exit code, and with it a line of output.
func code(n int, pattern string) func(*inquiry) []match {
	return func(q *inquiry) []match {
		if q.last == nil || !q.last.Exit.Known || q.last.Exit.Signal != 0 || q.last.Exit.Status != n {
			return nil
		}
		return q.find(pattern)
	}
}

// table is every rule, the deepest causes first: what kept the program from being started, how the system ended it, what
// it said itself, and last what its end alone tells.
func table() []rule {
	start := notStarted(``)
	found := notStarted(`^(can't find command|command at|no permission to run|couldn't exec)`)
	return []rule{
		{CauseCommandSyntax, start, commandSyntax},
		{CauseLogForbidden, notStarted(`making dispatchers`), logForbidden},
		{CauseUserUnknown, start, userUnknown},
		{CauseUserForbidden, start, userForbidden},
		{CauseDirectoryMissing, start, directoryMissing},
		{CauseDirectoryForbidden, start, directoryForbidden},
		{CauseNotSearchable, found, notSearchable},
		{CauseCommandIsDirectory, found, commandIsDirectory},
		{CauseNotExecutable, found, notExecutable},
		{CauseCommandNotFound, found, commandNotFound},
		{CauseWrongArchitecture, found, wrongArchitecture},
		{CauseWrongFormat, found, wrongFormat},
		{CauseInterpreterMissing, anyOf(found, code(noCommand, `^(/usr/bin/)?env: `)), interpreterMissing},

		{CauseCommandNotFound, code(noCommand, shellMissing), commandOfShell},
		{CauseNotExecutable, code(notAllowed, `([^\s:]+): Permission denied$`), commandOfShellForbidden},
		{CauseLibraryMissing, output(libraryMissing), library},

		{CauseOutOfMemory, killed, outOfMemory},
		{CauseKilledByUs, killed, killedByUs},
		{CauseKilledByOther, killed, killedByOther},
		{CauseTerminatedByOther, signalled("SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGALRM"), terminatedByOther},
		{CauseCrashed, signalled("SIGSEGV", "SIGABRT", "SIGBUS", "SIGILL", "SIGFPE", "SIGTRAP", "SIGSYS"), crashed},
		{CauseCPULimit, signalled("SIGXCPU"), plainly("it used all the CPU time that it may have (RLIMIT_CPU)")},
		{CauseFileSizeLimit, signalled("SIGXFSZ"), plainly("it wrote a larger file than it may (RLIMIT_FSIZE)")},
		{CauseBrokenPipe, signalled("SIGPIPE"), plainly("it wrote to a pipe or connection that nobody reads any more")},

		{CauseBackground, quietly, background},
		{CausePortPrivileged, output(`(?i)permission denied|EACCES|operation not permitted`), portPrivileged},
		{CausePortInUse, output(portInUsePattern), portInUse},
		{CauseAddressForeign, output(`(?i)cannot assign requested address|EADDRNOTAVAIL`), addressForeign},
		{CauseRefused, output(`(?i)connection refused|ECONNREFUSED|can't connect to .*server`), refused},
		{CauseTooManyFiles, output(`(?i)too many open files|EMFILE`), tooManyFiles},
		{CauseNoSpace, output(`(?i)no space left on device|ENOSPC|disk quota exceeded|EDQUOT`), noSpace},
		{CausePythonModule, output(`(?:ModuleNotFoundError|ImportError|[\w/.-]*python[\d.]*): No module named '?"?([A-Za-z_][\w.]*)`), pythonModule},
		{CauseNodeModule, output(`Cannot find (?:module|package) '([^']+)'`), nodeModule},
		{CauseSyntax, output(`(?i)\b(syntax ?error|IndentationError|TabError|parse error)\b`), syntaxError},
		{CauseVariableMissing, output(variablePattern), variableMissing},
		{CauseReadOnly, output(`(?i)read-only file system|EROFS`), readOnly},
		{CausePermission, output(`(?i)permission ?denied|PermissionError|EACCES|EPERM|operation not permitted`), permission},
		{CauseFileMissing, output(`(?i)no such file or directory|ENOENT|FileNotFoundError|can't open file|Cannot find module`), fileMissing},
		{CauseNeedsTerminal, output(terminalPattern), needsTerminal},
		{CauseStdinEnded, quietly, stdinEnded},
		{CauseQuick, quietly, quick},
	}
}
