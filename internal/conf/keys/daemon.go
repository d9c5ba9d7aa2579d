package keys

import "slices"

// Sections is the table of all kinds of sections, in the order of the reference. Source: spec/supervisor 1.7, and our own.
func Sections() Table {
	program, fcgi, listener := programKeys(), fcgiKeys(), listenerKeys()
	defaults := merge(program, fcgi, listener)
	t := Table{
		{Kind: "supervisord", Text: "The daemon itself.", daemon: true, Keys: supervisordKeys()},
		{Kind: "unix_http_server", Naming: Either, Text: "A server on a socket of the local system.", daemon: true, Keys: unixKeys()},
		{Kind: "inet_http_server", Naming: Either, Text: "A server on TCP, unencrypted.", daemon: true, Keys: inetKeys()},
		{Kind: "supervisorctl", Text: "What supervisorctl needs to know.", Open: true, Keys: ctlKeys()},
		{Kind: "include", Text: "Further files.", Keys: includeKeys()},
		{Kind: "upkeep", Text: "How this program reads the rest.", Ours: true, Keys: upkeepKeys()},
		{Kind: "program", Naming: Named, Text: "Processes that are to run.", Keys: program},
		{Kind: "group", Naming: Named, Text: "Programs with a common name.", Keys: groupKeys()},
		{Kind: "fcgi-program", Naming: Named, Text: "Processes that share one listening socket.", Keys: fcgi, All: merge(fcgi, program)},
		{Kind: "eventlistener", Naming: Named, Text: "Processes that are told about events.", Keys: listener, All: merge(listener, program)},
		{Kind: "defaults", Naming: Either, Text: "What programs say when they do not say it themselves.", Ours: true, All: defaults},
		{Kind: "program-default", Text: "Another name of [defaults].", Ours: true, All: defaults},
		{Kind: "notify", Naming: Named, Text: "Who is told when something happens, how, and about what.", Ours: true, Keys: notifyKeys()},
		{Kind: "rpcinterface", Naming: Named, Text: "Further methods of the XML-RPC interface.", Open: true, daemon: true, Keys: rpcKeys()},
		{Kind: "ctlplugin", Naming: Named, Text: "A further command of supervisorctl.", Open: true, Keys: pluginKeys()},
	}
	for i := range t {
		if t[i].All == nil {
			t[i].All = t[i].Keys
		}
	}
	return t
}

// merge puts lists one after the other; of several keys of one name the first stays.
func merge(lists ...[]Key) []Key {
	var all []Key
	for _, list := range lists {
		for i := range list {
			if !slices.ContainsFunc(all, func(k Key) bool { return k.Name == list[i].Name }) {
				all = append(all, list[i])
			}
		}
	}
	return all
}

func includeKeys() []Key {
	return []Key{{
		Name: "files", Type: Patterns, Required: true,
		Text: "Files that are read as if they stood at the end of this one, in the order of their names for each pattern. What is relative counts from the folder of this file. A pattern that nothing matches is a warning.",
	}}
}

func upkeepKeys() []Key {
	return []Key{{
		Name: "strict", Type: Bool, Default: "false", Ours: true,
		Text: "Makes sections and keys that mean nothing errors, with the line and the word that may have been meant. Without it they are passed over, as Supervisor does, and told at the log level debug.",
	}, {
		Name: "metrics_compat", Type: Choice, Values: []string{"node_supervisord"}, Ours: true,
		Text: "Has /metrics show the four names of node_exporter's supervisord collector as well, for dashboards that are built on them.",
	}}
}

func supervisordKeys() []Key {
	return []Key{
		{Name: "logfile", Type: Path, Values: []string{"syslog"}, Default: "supervisord.log", Text: "The activity log: what the daemon does. A relative path counts from the folder in which the daemon was started."},
		{Name: "logfile_maxbytes", Type: Size, Default: "50MB", Text: "The size at which the activity log is rotated. 0 is never, which is what devices and pipes need."},
		{Name: "logfile_backups", Type: Number, Default: "10", Text: "How many rotated activity logs are kept, as logfile.1 and so on."},
		{Name: "loglevel", Type: Level, Default: "info", Text: "How much the activity log says. Each level has all that is above it."},
		{Name: "pidfile", Type: Path, Default: "supervisord.pid", Text: "The file that holds the number of the daemon's process."},
		{Name: "umask", Type: Mode, Default: "022", Text: "The file mode mask that the daemon takes when it goes into the background, and that programs without one of their own inherit."},
		{Name: "nodaemon", Type: Bool, Default: "false", Text: "Stays in the foreground. Init systems and containers want this."},
		{Name: "silent", Type: Bool, Default: "false", Text: "In the foreground, writes no copy of the activity log to standard output."},
		{Name: "minfds", Type: Number, Default: "1024", Text: "How many files the daemon must be able to have open. The limit is raised to it; when that is not possible the daemon does not start."},
		{Name: "minprocs", Type: Number, Default: "200", Text: "How many processes the daemon's user must be able to have. The limit is raised to it; when that is not possible the daemon does not start."},
		{Name: "nocleanup", Type: Bool, Default: "false", Text: "Keeps the automatically named logs of programs of an earlier run, instead of removing them when the daemon starts."},
		{Name: "childlogdir", Type: Directory, Text: "The folder of automatically named logs. Without it, the system's folder for temporary files."},
		{Name: "user", Type: User, Text: "Whom a daemon that root has started becomes. Without it root goes on, and a line in the activity log reminds of that."},
		{Name: "directory", Type: Directory, Text: "The folder that the daemon changes to when it goes into the background."},
		{Name: "strip_ansi", Type: Bool, Default: "false", Text: "Takes escape sequences, such as those for colours, out of the logs of all programs."},
		{Name: "environment", Type: Variables, Text: "Environment variables for all programs. Those of a program come over them."},
		{Name: "identifier", Type: Text, Default: "supervisor", Text: "The name of this daemon for clients and listeners that know several."},
		{Name: "profile_options", Type: Text, Text: "Accepted, so that old files can be read, and without any effect."},
	}
}

func credentials() []Key {
	return []Key{
		{Name: "username", Type: Text, Text: "The name that clients must give. It goes together with password."},
		{Name: "password", Type: Text, Text: "The password that clients must give: as it is, or {SHA} and its SHA-1 in hexadecimal digits."},
	}
}

func unixKeys() []Key {
	return append([]Key{
		{Name: "file", Type: Path, Required: true, Text: "Where the socket is made."},
		{Name: "chmod", Type: Mode, Default: "0700", Text: "The mode of the socket: who may connect."},
		{Name: "chown", Type: Owner, Text: "The owner of the socket. Without it, the daemon's user."},
	}, credentials()...)
}

func inetKeys() []Key {
	return append([]Key{
		{Name: "port", Type: Text, Required: true, Text: "Where it listens: HOST:PORT, [IPV6]:PORT, or a PORT alone and *:PORT for all addresses. Whoever may use it can run commands as the daemon's user."},
		{Name: "insecure_http", Type: Bool, Default: "false", Ours: true, Text: "Without a password, serves addresses other than the machine's own loopback too. Containers whose network is private may need it."},
	}, credentials()...)
}

func ctlKeys() []Key {
	return append([]Key{
		{Name: "serverurl", Type: URL, Default: "http://localhost:9001", Text: "Where the daemon answers: http://HOST:PORT or unix://PATH."},
		{Name: "prompt", Type: Text, Default: "supervisor", Text: "What stands before the > of the shell."},
		{Name: "history_file", Type: Path, Text: "Where the shell keeps what was typed. Without it nothing is kept."},
	}, credentials()...)
}

func rpcKeys() []Key {
	return []Key{
		{Name: "supervisor.rpcinterface_factory", Type: Text, Text: "supervisor.rpcinterface:make_main_rpcinterface is the built-in interface. Others are Python code, which this program cannot load: the section is left out, with a warning."},
		{Name: "upkeep.rpcinterface_socket", Type: Path, Ours: true, Text: "A socket, by its absolute path, where a program answers the calls of these methods."},
		{Name: "upkeep.rpcinterface_command", Type: Words, Ours: true, Text: "The program that answers at the socket, run and kept running by the daemon. Further keys of the section are those of a program."},
		{Name: "upkeep.rpcinterface_timeout", Type: Seconds, Default: "30", Ours: true, Text: "How long one call may take, 1 to 3600 seconds."},
	}
}

func pluginKeys() []Key {
	return []Key{
		{Name: "supervisor.ctl_factory", Type: Text, Text: "Python code, which this program cannot load: a program called supervisorctl- and the section's name stands for it. The well-known ones are built in."},
		{Name: "upkeep.ctl_command", Type: Words, Ours: true, Text: "The program that carries the command out."},
		{Name: "upkeep.ctl_help", Type: Text, Ours: true, Text: "What help prints about the command."},
		{Name: "upkeep.ctl_complete", Type: Choice, Values: []string{"processes", "groups", "nothing"}, Default: "processes", Ours: true, Text: "What the words after the command are completed to."},
	}
}
