package keys

// watchKeys are those that say how a program is found, what it waits for, how it is watched, and who is told.
func watchKeys() []Key {
	return []Key{
		{Name: "enabled", Type: Bool, Default: "true", Ours: true, Text: "With false nobody can start it, neither a person nor anything that starts by itself. What runs goes on until it is stopped."},
		{Name: "restart_delay", Type: Duration, Default: "0", Ours: true, Text: "The least time between an end and a start that comes by itself. A person's start does not wait."},
		{Name: "start_timeout", Type: Duration, Default: "90", Ours: true, Text: "How long the checks of the stage startup may take to pass before the start has failed. 0 is for ever."},
		{Name: "depends_on", Type: List, Ours: true, Text: "What has to be there before it is started: NAME, or NAME with :started (its process exists), :ready (it is RUNNING and its checks of the stage ready pass; this is meant without a word) or :completed (it has ended with an expected exit status). GROUP:NAME and GROUP:* are names too; the name of a section with several processes stands for all of them. Until then it waits, and stops come in the reverse order. Programs that wait for each other in a circle are refused."},
		{Name: "pidfile", Type: Absolute, Ours: true, Text: "A file for the number of its process, by its absolute path: written when the process begins and removed when it has ended; with track = pidfile the program writes it, and it is read."},
		{Name: "track", Type: Choice, Values: []string{"child", "pidfile", "fork"}, Default: "child", Ours: true, Text: "Which process is the program: the one that was started, the one in its pidfile, or the one that is left when the started one has ended with 0, as of servers that go into the background."},
		{Name: "match", Type: Text, Ours: true, Text: "A regular expression (RE2) that is looked for in the command line of a process to know that it is this program. Without it, the words of command stand in the process one after the other, whatever interpreter stands before them."},
		{Name: "scan", Type: Bool, Default: "false", Ours: true, Text: "Before it is started, looks whether it runs already, and takes that process instead. When several could be it, none is taken and nothing is started."},
		{Name: "log_mode", Type: Choice, Values: []string{"pipe", "direct"}, Default: "pipe", Ours: true, Text: "direct has the program write its log files itself: they work without the daemon, and cannot be rotated by it, captured, sent to syslog or made events. It has no standard input then."},
		{Name: "notify", Type: List, Ours: true, Text: "The [notify:NAME] sections that tell about it, or none. Without it, those whose groups say so."},
		{Name: "email_alerts", Type: List, Ours: true, Text: "Further addresses for mail when it is started or restarted by itself, is restarted by a check, or is given up."},
		{Name: "check.NAME", Type: Text, Ours: true, as: checksField, Text: "A check, as in check.site = http http://127.0.0.1:8000/ every=10s. First comes the kind: activity, memory, cpu, files, tcp, unix, http, command, log, notify or heartbeat; then what is looked at, then options: stage, every, timeout, failures, passes, after, then, and those of the kind."},
		{Name: "ready", Type: Choice, Values: []string{"running", "notify"}, Default: "running", Ours: true, as: checksField, Text: "When a start has succeeded: by startsecs alone, or when the program has said READY=1 by sd_notify as well."},
		{Name: "health_http", Type: URL, Ours: true, as: checksField, Text: "An address that has to answer with a status from 200 to 399; else it is restarted. It is the check http."},
		{Name: "health_tcp", Type: Text, Ours: true, as: checksField, Text: "HOST:PORT, or a PORT of this machine, that has to accept connections; else it is restarted. It is the check tcp."},
		{Name: "health_command", Type: Words, Ours: true, as: checksField, Text: "A command that has to end with 0; else it is restarted. It is the check command."},
		{Name: "health_interval", Type: Duration, Default: "10", Ours: true, as: checksField, Text: "The time between two looks of the health_ checks."},
		{Name: "health_timeout", Type: Duration, Default: "3", Ours: true, as: checksField, Text: "How long a look of the health_ checks may take."},
		{Name: "health_failures", Type: Number, Default: "3", Ours: true, as: checksField, Text: "How many looks of a health_ check must fail one after the other before it is restarted."},
		{Name: "memory_restart", Type: Size, Ours: true, as: checksField, Text: "The resident memory of its process above which it is restarted. It is the check memory."},
		{Name: "activity_file", Type: Absolute, Ours: true, as: checksField, Text: "A file or folder that has to change, by its absolute path; else it is restarted. It is the check activity."},
		{Name: "activity_limit", Type: Duration, Default: "120", Ours: true, as: checksField, Text: "How long activity_file may stay as it is."},
		{Name: "monitor_after", Type: Duration, Default: "30", Ours: true, as: checksField, Text: "The age of its process before which no check of the stage live looks, unless the check says it itself with after."},
	}
}

// notifyKeys are those of a notifier.
func notifyKeys() []Key {
	return []Key{
		{Name: "to", Type: List, Required: true, Ours: true, Text: "Where messages go, separated by commas or on lines of their own: mailto:ADDRESS; https://… or http://…, a webhook; slack:FILE, where FILE holds the address of a webhook of Slack's kind, or slack+https://…; exec:COMMAND, to which the message is given as JSON, and which goes to the end of the line."},
		{Name: "via", Type: URL, Ours: true, Text: "How mail goes: smtp://HOST:PORT, encrypted as soon as the server can; smtps://HOST:PORT, encrypted from the first byte; sendmail:PATH. Without it, the first sendmail that is found."},
		{Name: "from", Type: Text, Ours: true, Text: "The sender of mail. Without it, the daemon's user at the name of the machine."},
		{Name: "username", Type: Text, Ours: true, Text: "Who the daemon is to the server of via."},
		{Name: "password_file", Type: Absolute, Ours: true, Text: "A file that holds the password for username, by its absolute path; nobody else should be able to read it."},
		{Name: "secret_file", Type: Absolute, Ours: true, Text: "A file that holds the key with which messages to webhooks are signed, by its absolute path. Without it they are not."},
		{Name: "on", Type: List, Default: "fatal, unhealthy, check, oom, recovered, daemon", Ours: true, Text: "What is told: fatal, backoff:COUNT, unhealthy, check, oom, restart or restart:COUNT/TIME, started, recovered, daemon. backoff:3 is the third failed attempt in a row, restart:5/10m five restarts by themselves within ten minutes."},
		{Name: "groups", Type: List, Ours: true, Text: "The groups whose programs are told about. Without it, all."},
		{Name: "repeat", Type: Duration, Default: "0", Ours: true, Text: "How often is reminded of what goes on, at least a minute. 0 is never."},
	}
}
