package explain

// Cause is a stable word for what a verdict says; interfaces show it to programs.
type Cause string

// Causes without a failure.
const (
	CauseRunning    Cause = "running"
	CauseAdopted    Cause = "adopted"
	CauseStarting   Cause = "starting"
	CauseStopping   Cause = "stopping"
	CauseStopped    Cause = "stopped"     // somebody stopped it
	CauseReleased   Cause = "released"    // its process was let go of
	CauseNotStarted Cause = "not_started" // nobody has started it
	CauseOff        Cause = "off"         // it is not to start by itself
	CauseFinished   Cause = "finished"    // it ended as expected
	CauseWaiting    Cause = "waiting"     // its start waits for a program on which it depends
	CauseUnproved   Cause = "unproved"    // its startup checks have not passed yet
	CauseNotReady   Cause = "not_ready"   // it runs, and its checks say that others cannot rely on it
	CauseDisabled   Cause = "disabled"    // it may not be started
	CauseDelayed    Cause = "delayed"     // it has ended, and is started again when its delay has passed
)

// Causes of a start that came to nothing.
const (
	CauseCommandSyntax      Cause = "command_syntax"
	CauseDirectoryMissing   Cause = "directory_missing"
	CauseDirectoryForbidden Cause = "directory_forbidden"
	CauseUserUnknown        Cause = "user_unknown"
	CauseUserForbidden      Cause = "user_forbidden"
	CauseCommandNotFound    Cause = "command_not_found"
	CauseCommandIsDirectory Cause = "command_is_directory"
	CauseNotExecutable      Cause = "not_executable"
	CauseNotSearchable      Cause = "path_not_searchable"
	CauseInterpreterMissing Cause = "interpreter_missing"
	CauseWrongFormat        Cause = "wrong_format"
	CauseWrongArchitecture  Cause = "wrong_architecture"
	CauseLogForbidden       Cause = "log_forbidden"
	CauseStartFailed        Cause = "start_failed" // the reason is in the facts
	CauseCheck              Cause = "check_failed" // its startup checks did not pass
)

// Causes of an end.
const (
	CauseLibraryMissing    Cause = "library_missing"
	CauseOutOfMemory       Cause = "out_of_memory"
	CauseKilledByUs        Cause = "killed_after_stop"
	CauseKilledByOther     Cause = "killed_from_outside"
	CauseTerminatedByOther Cause = "terminated_from_outside"
	CauseCrashed           Cause = "crashed"
	CauseCPULimit          Cause = "cpu_limit"
	CauseFileSizeLimit     Cause = "file_size_limit"
	CauseBrokenPipe        Cause = "broken_pipe"
	CausePortInUse         Cause = "port_in_use"
	CausePortPrivileged    Cause = "port_privileged"
	CauseAddressForeign    Cause = "address_not_here"
	CauseRefused           Cause = "connection_refused"
	CauseTooManyFiles      Cause = "too_many_files"
	CauseNoSpace           Cause = "no_space"
	CausePermission        Cause = "permission_denied"
	CauseReadOnly          Cause = "read_only_file_system"
	CauseFileMissing       Cause = "file_missing"
	CausePythonModule      Cause = "python_module_missing"
	CauseNodeModule        Cause = "node_module_missing"
	CauseVariableMissing   Cause = "variable_missing"
	CauseSyntax            Cause = "syntax_error"
	CauseNeedsTerminal     Cause = "needs_terminal"
	CauseStdinEnded        Cause = "stdin_ended"
	CauseBackground        Cause = "went_to_background"
	CauseQuick             Cause = "finished_quickly"
	CauseExited            Cause = "exited" // by itself, and no rule knows more
	CauseSignal            Cause = "signal" // ended by a signal, and no rule knows more
	CauseUnknownEnd        Cause = "unknown_end"
)
