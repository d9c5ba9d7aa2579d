package keys

func programKeys() []Key {
	keys := []Key{
		{Name: "command", Type: Words, Required: true, Text: "What is run. The words are taken apart as a shell does it, but variables, patterns and pipes mean nothing: put those into a script, or begin with sh -c. Without a slash the program is looked for in PATH. It must stay in the foreground."},
		{Name: "process_name", Type: Text, Default: "%(program_name)s", as: "process_name", Text: "The name of the process. With several processes it must contain %(process_num), as in %(program_name)s_%(process_num)02d."},
		{Name: "numprocs", Type: Number, Default: "1", as: "priority", Text: "How many processes run from this definition. When it grows, new ones come; when it shrinks, those that are too many are stopped; the others run on."},
		{Name: "numprocs_start", Type: Number, Default: "0", as: "process_name", Text: "The number of the first process, for %(process_num)."},
		{Name: "priority", Type: Number, Default: "999", Text: "The place in the order: lower ones are started first and stopped last. Programs of equal priority go together."},
		{Name: "autostart", Type: Bool, Default: "true", Text: "Starts with the daemon. A program that is not started so waits to be asked for."},
		{Name: "startsecs", Type: Seconds, Default: "1", Text: "How long it must live to count as running; an earlier end is a failed start, whatever the exit status. 0 counts at once, which is what commands that end by themselves need."},
		{Name: "startretries", Type: Number, Values: []string{"unlimited"}, Default: "3", Text: "How many further attempts follow a failed start, the first after one second, each a second later than the one before. Then the program is given up (FATAL) until somebody starts it. With unlimited it never is."},
		{Name: "autorestart", Type: Choice, Values: []string{"true", "false", "unexpected"}, Default: "unexpected", Text: "Whether it is started again when it ends after it had been running: always, never, or only when its exit status is not one of exitcodes."},
		{Name: "exitcodes", Type: List, Default: "0", Text: "The exit statuses that are expected, separated by commas. Death by a signal is never expected."},
		{Name: "stopsignal", Type: Signal, Default: "TERM", Text: "The signal that asks it to end. Programs differ: some stop gracefully at QUIT or INT."},
		{Name: "stopwaitsecs", Type: Seconds, Default: "10", Text: "How long it may take to end after stopsignal. Then it is killed."},
		{Name: "stopasgroup", Type: Bool, Default: "false", Text: "Sends stopsignal, and KILL too, to the whole process group: to a shell and what it has started, for example."},
		{Name: "killasgroup", Type: Bool, Text: "Sends KILL to the whole process group. Without it, as stopasgroup says."},
		{Name: "stop_reach", Type: Choice, Values: []string{"process", "group", "tree"}, Default: "process", Ours: true, as: "stopasgroup", Text: "How far both signals reach at least: the process, its process group, or the tree of everything that it has started, wherever that has gone."},
		{Name: "reload_signal", Type: Signal, Ours: true, Text: "The signal that has it read its own configuration anew, HUP for most servers: what upkeep reload sends. Without it, the processes of a section with several are restarted one after the other instead."},
		{Name: "user", Type: User, Text: "Whom it runs as. Only a daemon of root can do that. HOME and USER stay as they are; set them in its environment where they matter."},
		{Name: "directory", Type: Directory, Text: "The folder that it runs in. Without it, the daemon's."},
		{Name: "umask", Type: Mode, Text: "Its file mode mask. Without it, the daemon's."},
		{Name: "environment", Type: Variables, Text: `Its environment variables, as NAME="value",OTHER="value", on top of the daemon's. Quotes are needed around anything but letters, digits and _ / . + - ( ) :. One key for each, env.NAME, has no such rules.`},
		{Name: "env.NAME", Type: Text, Ours: true, as: "environment", Text: "One environment variable, as in env.PORT = 3030. The value is what stands there, without quotes; a per cent sign is written twice. Capital and small letters count in the name. It comes over environment and env_file."},
		{Name: "env_file", Type: List, Ours: true, as: "environment", Text: "Files of environment variables in the syntax of .env: NAME=value on each line, # for comments. What is relative counts from the program's directory. Of several, separated by commas, later ones come over earlier ones, and environment and env.NAME over all. A missing file is an error."},
		{Name: "inherit_env", Type: Bool, Default: "true", Ours: true, Text: "Whether it gets the daemon's environment, and the variables that tell it of Supervisor. With false its environment is exactly what environment, env.NAME and env_file say."},
		{Name: "defaults", Type: List, Ours: true, Text: "Names of [defaults:NAME] sections whose keys count when the program does not say them itself; of several, later ones come over earlier ones, and all over [defaults]."},
		{Name: "serverurl", Type: URL, Values: []string{"AUTO"}, Default: "AUTO", Text: "What the variable SUPERVISOR_SERVER_URL says to the program. AUTO is a server of this daemon, a socket rather than TCP."},
		{Name: "child_sigpipe", Type: Choice, Values: []string{"default", "ignore"}, Default: "default", Ours: true, Text: "How it finds the signal SIGPIPE. ignore is what Supervisor does, by accident; few programs want it."},
		{Name: "stdin", Type: Choice, Values: []string{"pipe", "none"}, Default: "pipe", Ours: true, Text: "What it reads as its standard input: a pipe through which something can be sent to it, or the null device, which costs a descriptor less. Listeners need the pipe."},
		{Name: "redirect_stderr", Type: Bool, Default: "false", Text: "Sends its error output where its output goes. In the log both are in the order in which they were written."},
	}
	keys = append(keys, streamKeys("stdout", "output")...)
	keys = append(keys, streamKeys("stderr", "error output")...)
	keys = append(keys, Key{
		Name: "log_full", Type: Choice, Values: []string{"drop", "block"}, Default: "drop", Ours: true,
		Text: "What happens on a full disk when memory is used up as well: drop loses output, and a line in the log counts what is lost; block lets the program wait.",
	})
	return append(keys, watchKeys()...)
}

// streamKeys are the keys of one of the two outputs.
func streamKeys(name, what string) []Key {
	return []Key{
		{Name: name + "_logfile", Type: Path, Values: []string{"AUTO", "NONE"}, Default: "AUTO", Text: "The log of its " + what + ". AUTO is a file in childlogdir that goes when the daemon starts the next time; NONE is no log. A file that somebody else rotates should have " + name + "_logfile_maxbytes = 0."},
		{Name: name + "_logfile_maxbytes", Type: Size, Default: "50MB", Text: "The size at which the log of its " + what + " is rotated. 0 is never."},
		{Name: name + "_logfile_backups", Type: Number, Default: "10", Text: "How many rotated logs of its " + what + " are kept, as " + name + "_logfile.1 and so on."},
		{Name: name + "_capture_maxbytes", Type: Size, Default: "0", Text: "Room for the part of its " + what + " that stands between the marks of capture mode and becomes an event. 0 turns it off."},
		{Name: name + "_events_enabled", Type: Bool, Default: "false", Text: "Makes an event of everything that it writes to its " + what + "."},
		{Name: name + "_syslog", Type: Bool, Default: "false", Text: "Sends its " + what + " to syslog as well."},
	}
}

func groupKeys() []Key {
	return []Key{
		{Name: "programs", Type: List, Text: "The names of the programs in it. They are then called GROUP:NAME and are no groups of their own. A program may be in several groups, and runs once in each."},
		{Name: "priority", Type: Number, Default: "999", Text: "The place of the group in the order: lower ones are started first and stopped last."},
	}
}

func fcgiKeys() []Key {
	return []Key{
		{Name: "socket", Type: URL, Required: true, Text: "Where to listen: tcp://HOST:PORT or unix:///PATH. The socket is there before the first process is started and until the last has stopped, and is their standard input."},
		{Name: "socket_owner", Type: Owner, Text: "The owner of a unix socket. Without it, the user of the program."},
		{Name: "socket_mode", Type: Mode, Default: "0700", Text: "The mode of a unix socket: who may connect."},
		{Name: "socket_backlog", Type: Number, Text: "How many connections may wait to be taken, 1 to 65535. Without it, as many as the system allows."},
	}
}

func listenerKeys() []Key {
	return []Key{
		{Name: "events", Type: List, Required: true, Text: "The events that it is told about, by name. A name stands for all below it; EVENT is all there are."},
		{Name: "buffer_size", Type: Number, Default: "10", Text: "How many events may wait for a free listener. When there are more, the oldest is dropped, and a line in the activity log says so."},
		{Name: "result_handler", Type: Text, Default: "supervisor.dispatchers:default_handler", Text: "The judge of what listeners answer. There is only the built-in one; with any other the listeners are not started."},
		{Name: "priority", Type: Number, Text: "The place of the listeners in the order. Without it they are started before and stopped after all programs."},
		{Name: "event_len", Type: Choice, Values: []string{"chars", "bytes"}, Default: "chars", Ours: true, Text: "What the field len in the header of an event counts. Supervisor counts characters; listeners that read bytes want bytes."},
		{Name: "event_timeout", Type: Seconds, Default: "0", Ours: true, Text: "How long a listener may take for one event before it is started again. 0 is for ever."},
	}
}
