// Package ctltest holds what comparisons between two implementations of supervisorctl and supervisord
// share: the configuration, the command lines, and how a daemon is run and its output made comparable.
// It is used by tests only.
package ctltest

// Line is one run of the command line. Args may contain the words {dir}, the daemon's directory, and
// {port}, the number of its TCP port, where the credentials are u and p.
type Line struct {
	Args  []string
	Stdin string
	// Files are written before the line is run, relative to the daemon's directory; an empty text removes
	// the file.
	Files map[string]string
	// Bare leaves out the configuration file that otherwise stands first in the arguments.
	Bare bool
	// Until repeats the line, in both implementations, until its output contains this text.
	Until string

	// Unordered says that the order of the output's lines is not given.
	Unordered bool

	// Differs names the deliberate difference between the original and us; Stdout, Stderr and Status are
	// what we do then.
	Differs        string
	Stdout, Stderr string
	Status         int
}

// Scenario is a sequence of lines for one daemon that runs Config.
type Scenario struct {
	Name  string
	Lines []Line
}

// Config is the configuration of the daemon of every scenario.
const Config = `[supervisord]
logfile={dir}/s.log
pidfile={dir}/s.pid
childlogdir={dir}
nodaemon=true
loglevel=info
[unix_http_server]
file={dir}/s.sock
[inet_http_server]
port=127.0.0.1:{port}
username=u
password=p
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=unix://{dir}/s.sock
[include]
files={dir}/conf.d/*.conf
[program:cat]
command=/bin/cat
startsecs=0
priority=1
stdout_logfile={dir}/cat.log
[program:echo]
command=/bin/sh -c 'echo "héllo wörld"; exec sleep 1000'
startsecs=0
stdout_logfile={dir}/echo.log
[program:err]
command=/bin/sh -c 'echo oops >&2; exec sleep 1000'
startsecs=0
stderr_logfile={dir}/err.log
[program:quick]
command=/bin/true
startsecs=0
autorestart=false
[program:manual]
command=/bin/sleep 1000
autostart=false
startsecs=0
[program:nolog]
command=/bin/sleep 1000
stdout_logfile=NONE
stderr_logfile=NONE
startsecs=0
[program:fatal]
command=/bin/false
autostart=false
startsecs=60
startretries=0
[program:dies]
command=/bin/sh -c 'sleep 0.2; exit 1'
autostart=false
startsecs=60
startretries=0
[program:nofile]
command=/nonexistent/thing
autostart=false
[program:noexec]
command=/etc/passwd
autostart=false
[program:test_öäü]
command=/bin/sleep 1000
startsecs=0
[program:a_program_with_a_name_longer_than_thirty_characters]
command=/bin/sleep 1000
autostart=false
[program:a]
command=/bin/sleep 1000
startsecs=0
[program:b]
command=/bin/sleep 1000
startsecs=0
[group:grp]
programs=a,b
priority=500
[program:web]
command=/bin/sleep 1000
process_name=%(program_name)s_%(process_num)02d
numprocs=3
startsecs=0
`

// line makes a Line of arguments.
func line(args ...string) Line { return Line{Args: args} }

// Scenarios are all of them.
func Scenarios() []Scenario {
	return []Scenario{
		{"asking", asking()},
		{"acting", acting()},
		{"configuring", configuring()},
		{"unreachable", unreachable()},
		{"options", options()},
		{"shell", shell()},
	}
}

func asking() []Line {
	return []Line{
		line("status"),
		line("status", "all"),
		line("status", "cat"),
		line("status", "cat", "cat"),
		line("status", "grp"),
		line("status", "grp:"),
		line("status", "grp:*", "grp:b", "cat"),
		line("status", "grp:nope"),
		line("status", "web:*"),
		line("status", "nope"),
		line("status", "nope", "quick"),
		line("status", "nope", "all"),
		line("status", "nope:*", "cat"),
		line("status", ":"),
		line("status", "*"),
		line("status", "test_öäü"),
		line("status:x"),
		line("  status   cat  "),
		line("status;version"),
		line(""),
		line("stat-us"),
		line("foo", "bar"),
		line("!x"),
		line("START"),
		line("_x"),
		line("help"),
		line("?"),
		line("?start"),
		line("help", "nope"),
		line("help", "start", "stop"),
		line("help", "EOF"),
		line("help", "help"),
		line("help", "add"),
		line("help", "avail"),
		line("help", "clear"),
		line("help", "exit"),
		line("help", "quit"),
		line("help", "fg"),
		line("help", "maintail"),
		line("help", "open"),
		line("help", "pid"),
		line("help", "reload"),
		line("help", "remove"),
		line("help", "reread"),
		line("help", "restart"),
		line("help", "shutdown"),
		line("help", "signal"),
		line("help", "start"),
		line("help", "status"),
		line("help", "stop"),
		line("help", "tail"),
		line("help", "update"),
		line("help", "version"),
		line("pid"),
		line("pid", "all"),
		line("pid", "cat"),
		line("pid", "quick"),
		line("pid", "cat", "nope", "quick"),
		line("pid", "cat", "all"),
		line("pid", "grp:*"),
		line("avail"),
		line("avail", "x"),
		line("version"),
		line("version", "x"),
		line("EOF"),
		line("quit"),
		line("exit", "x"),
		line("tail"),
		line("tail", "-f"),
		line("tail", "-100"),
		line("tail", "-x", "cat"),
		line("tail", "-x", "cat", "foo"),
		line("tail", "-", "cat"),
		line("tail", "-5.5", "cat"),
		line("tail", "cat", "BAR"),
		line("tail", "cat", "stdout", "extra"),
		line("tail", "a", "b", "c", "d"),
		line("tail", "echo"),
		line("tail", "-6", "echo"),
		line("tail", "-+6", "echo"),
		line("tail", "--6", "echo"),
		line("tail", "-0", "echo"),
		line("tail", "-6", "echo", "STDOUT"),
		line("tail -100000 echo"),
		line("tail", "err", "stderr"),
		line("tail", "err", "stdout"),
		line("tail", "nope"),
		line("tail", "nolog"),
		line("tail", "nolog", "stderr"),
		line("tail", "grp:*"),
		line("tail", "-f", "nope"),
		line("tail", "-f", "grp:zz", "stderr"),
		line("tail", "-f", "cat", "foo"),
		line("maintail", "-2"),
		line("maintail", "-x"),
		line("maintail", "x"),
		line("maintail", "5"),
		line("maintail", "-f", "x"),
		line("fg"),
		line("fg", "a", "b"),
		line("fg", "nope"),
		line("fg", "quick"),
		line("fg", "grp:*"),
	}
}

func acting() []Line {
	return []Line{
		// The original announces answers with such a name shorter than they are, so that nobody can read the
		// results of "all" (Content-Length counts characters).
		line("stop", "test_öäü"),
		line("remove", "test_öäü"),
		line("start"),
		line("start", "nope"),
		line("start", "grp:nope"),
		line("start", "nope:*"),
		line("start", "*:*"),
		line("start", "cat"),
		line("start", "manual", "grp:*"),
		line("start", "grp:*"),
		line("start", "nofile"),
		line("start", "noexec"),
		line("start", "fatal"),
		line("start", "dies"),
		line("status", "fatal", "dies"),
		line("start", "cat", "nope", "cat"),
		line("stop"),
		line("stop", "nope:*", "nope", "manual", "nolog"),
		line("stop", "nolog"),
		line("stop", "grp:a"),
		line("stop", "grp:b"),
		line("stop", "grp:*"),
		line("start", "grp:"),
		line("restart"),
		line("restart", "nope"),
		line("restart", "nope:*"),
		line("restart", "manual"),
		line("restart", "manual", "nolog"),
		line("restart", "grp:a", "grp:b"),
		{Args: []string{"restart", "web:*"}, Unordered: true},
		line("signal"),
		line("signal", "hup"),
		line("signal", "BOGUS", "cat"),
		line("signal", "BOGUS", "grp:a"),
		line("signal", "BOGUS", "nope"),
		line("signal", "0", "cat", "grp:a"),
		line("signal", "cont", "nope", "nope:*", "quick"),
		line("signal", "SIGCONT", "grp:*"),
		line("clear"),
		line("clear", "nope"),
		line("clear", "cat", "grp:a"),
		line("clear", "grp:x"),
		{
			Args: []string{"clear", "grp:*"}, Differs: "F22: groups are supported",
			Stdout: "grp:a: cleared\ngrp:b: cleared\n",
		},
		{
			Args: []string{"clear", "nope:*"}, Differs: "F22: groups are supported",
			Stdout: "nope: ERROR (no such group)\n", Status: 1,
		},
		line("clear", "all"),
		line("clear", "all", "nope"),
		line("remove"),
		line("remove", "cat"),
		line("remove", "nope", "cat"),
		line("stop", "cat"),
		line("remove", "cat"),
		line("status", "cat"),
		line("avail"),
		line("add"),
		line("add", "cat"),
		line("add", "cat", "nope"),
		{Args: []string{"stop", "all"}, Unordered: true},
		line("status"),
		line("shutdown", "x"),
		line("shutdown"),
		{Args: []string{"shutdown"}, Until: "no such file"},
		line("status"),
	}
}

func configuring() []Line {
	const extra = "[program:extra]\ncommand=/bin/sleep 1000\nstartsecs=0\n"
	return []Line{
		line("reread"),
		line("reread", "x"),
		line("update"),
		line("update", "all"),
		line("update", "nope"),
		line("update", "nope", "cat"),
		line("update", "all", "nope"),
		{Args: []string{"reread"}, Files: map[string]string{"conf.d/x.conf": extra}},
		line("reread"),
		line("avail"),
		line("update", "nope"),
		line("update", "cat"),
		line("update", "extra"),
		line("status", "extra"),
		{Args: []string{"update"}, Files: map[string]string{
			"conf.d/x.conf": "[program:extra]\ncommand=/bin/sleep 1001\nstartsecs=0\n" +
				"[program:zebra]\ncommand=/bin/sleep 1000\nstartsecs=0\n[program:aardvark]\ncommand=/bin/sleep 1000\nautostart=false\n",
		}},
		{Args: []string{"reread"}, Files: map[string]string{"conf.d/x.conf": "[program:zebra]\ncommand=/bin/sleep 1002\nstartsecs=0\n[program:new]\ncommand=/bin/sleep 1\nautostart=false\n"}},
		line("add", "new"),
		line("update"),
		line("update"),
		{Args: []string{"reread"}, Files: map[string]string{"conf.d/x.conf": "[program:zz]\nautostart=false\n"}},
		{
			Args: []string{"update"}, Differs: "F22: the text of reread", Status: 1,
			Stdout: "ERROR: CANT_REREAD: program section program:zz does not specify a command in section 'program:zz' (file: '{dir}/conf.d/x.conf')\n",
		},
		{Args: []string{"update"}, Files: map[string]string{"conf.d/x.conf": ""}},
		line("reload", "x"),
		line("reload"),
	}
}

func unreachable() []Line {
	var out []Line
	readable := map[string]bool{"reload": true, "reread": true, "update": true, "add x": true, "remove x": true, "avail": true}
	for _, command := range []string{
		"status", "status x", "start", "start x", "stop x", "restart x", "signal", "signal hup x", "pid", "pid x",
		"clear x", "tail", "tail -x", "tail -f x", "maintail", "maintail x", "maintail -f", "fg", "fg a b", "version",
		"version x", "shutdown", "open", "open foo", "open https://foo", "help start", "quit",
		"reload", "reread", "update", "add x", "remove x", "avail",
	} {
		gone, refused := "unix://{dir}/none.sock", "http://127.0.0.1:1"
		for url, words := range map[string]string{gone: "no such file", refused: "refused connection"} {
			l := Line{Bare: true, Args: []string{"-s", url, command}}
			if readable[command] {
				l.Differs, l.Stdout, l.Status = "F21: readable text", "error: "+url+" "+words+"\n", 1
			}
			out = append(out, l)
		}
	}
	unauthorized := func(args ...string) Line {
		return Line{
			Bare: true, Args: args, Differs: "F21: one error, one request",
			Stdout: "Server requires authentication\n", Status: 1,
		}
	}
	return append(
		out,
		line("open", "unix://{dir}/none.sock"),
		line("open", "http://127.0.0.1:1"),
		Line{
			Args: []string{"-s", "https://127.0.0.1:1", "status"}, Differs: "F21: readable text", Status: 1,
			Stdout: "error: Unknown protocol for serverurl https://127.0.0.1:1\n",
		},
		Line{
			Args: []string{"-s", "unix:foo", "stop", "x"}, Differs: "F21: readable text", Status: 1,
			Stdout: "error: Unknown protocol for serverurl unix:foo\n",
		},
		unauthorized("-s", "http://127.0.0.1:{port}", "status"),
		unauthorized("-s", "http://127.0.0.1:{port}", "reread"),
		unauthorized("-s", "http://127.0.0.1:{port}", "tail", "-f", "cat"),
		unauthorized("-s", "http://127.0.0.1:{port}", "-u", "u", "status"),
		unauthorized("-s", "http://127.0.0.1:{port}", "-u", "u", "-p", "wrong", "status"),
		Line{Bare: true, Args: []string{"-s", "http://127.0.0.1:{port}", "-u", "u", "-p", "p", "status", "cat"}},
		Line{Bare: true, Args: []string{"-s", "http://127.0.0.1:{port}/", "-u", "u", "-p", "p", "status", "cat"}},
		Line{Bare: true, Args: []string{"-s", "http://127.0.0.1:{port}/foo", "-u", "u", "-p", "p", "tail", "-f", "nope"}},
	)
}

func options() []Line {
	bare := func(args ...string) Line { return Line{Bare: true, Args: args} }
	return []Line{
		bare("-h"),
		bare("-?"),
		bare("--help", "status"),
		bare("-x"),
		bare("--nope"),
		bare("--serv"),
		bare("--h"),
		bare("--help=1"),
		bare("-s"),
		bare("-s", "foo", "status"),
		bare("-s", "http://", "-h"),
		bare("--serverurl", "foo"),
		bare("-s", "http://a:1", "-s", "http://b:1", "status"),
		bare("-u", "a", "-u", "b", "status"),
		bare("-i", "-i", "status"),
		bare("-c", "{dir}/none.conf", "status"),
		bare("-c", "{dir}/ctl.conf", "--configuration", "{dir}/ctl.conf", "status"),
		{Bare: true, Args: []string{"-c", "{dir}/ctl.conf"}, Files: map[string]string{"ctl.conf": "[supervisord]\n"}},
		{Bare: true, Args: []string{"-c", "{dir}/ctl.conf"}, Files: map[string]string{"ctl.conf": "[supervisorctl]\nserverurl=unix://{dir}/s.sock\nprompt=hé\n"}},
		{Bare: true, Args: []string{"-c", "{dir}/ctl.conf", "status", "cat"}, Files: map[string]string{"ctl.conf": "[supervisorctl]\nserverurl=http://127.0.0.1:{port}\nusername=u\npassword=p\n"}},
		{Bare: true, Args: []string{"-c", "{dir}/ctl.conf", "-s", "http://127.0.0.1:1", "pid"}},
		{
			Bare: true, Args: []string{"-c", "{dir}/ctl.conf", "status"}, Files: map[string]string{"ctl.conf": "no section\n"},
			Differs: "F21: a usage error instead of a traceback", Status: 2,
			Stderr: "Error: File contains no section headers.\nfile: '{dir}/ctl.conf', line: 1\n'no section\\n'\nFor help, use /usr/bin/supervisorctl -h\n",
		},
	}
}

func shell() []Line {
	typed := func(text string) Line { return Line{Stdin: text} }
	return []Line{
		typed(""),
		{
			Args: []string{"-i", "status", "quick"}, Stdin: "version\n", Differs: "F23: the shell starts after the action", Status: 3,
			Stdout: "quick                            EXITED    DATE\n{status}supervisor> 4.2.5\nsupervisor> \n",
		},
		{Args: []string{"-i", "shutdown"}, Stdin: "n\n", Differs: "F23: the shell starts after the action", Stdout: "Really shut the remote supervisord process down y/N? {status}supervisor> \n"},
		typed("version\n\n  \nhelp version\nstatus cat\nfoo\n?version\nexit\nversion\n"),
		typed("version"),
		typed("quit\n"),
		typed("EOF\n"),
		typed("EOF x\n"),
		typed("status nope\nstop nope\n"),
		typed("shutdown\nn\nreload\n\nreload\nno\n"),
		typed("shutdown x\nreload x\n"),
		typed("open unix://{dir}/none.sock\nstatus\nopen unix://{dir}/s.sock\npid nope\n"),
		typed("open foo\n"),
		typed("restart manual\nstop manual\n"),
		typed("tail echo\ntail -f nope\n"),
		{Bare: true, Args: []string{"-s", "unix://{dir}/none.sock"}, Stdin: "version\n"},
		typed("reload\ny\n"),
	}
}
