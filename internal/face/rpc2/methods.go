package rpc2

import (
	"slices"
	"strings"

	"github.com/upkeep-project/upkeep/internal/service"
)

// method is one entry of the closed table of methods. Source: spec/supervisor 5.6, 5.10; spec/reliability S7, S9.
type method struct {
	name     string
	level    Level
	optional int  // parameters at the end that may be missing
	subject  bool // the first parameter names a program or group
	guarded  bool // refused while the daemon ends
	help     string
	run      func(c *caller, a args) (any, error)

	signature []string // type of the result and of the parameters, out of help
}

// methodTable is the table by name. Without the namespace only system.* exists.
func methodTable(namespace bool) map[string]*method {
	table := map[string]*method{}
	add := func(list []method, guarded bool) {
		for _, m := range list {
			m.guarded = guarded && m.name != "supervisor.sendRemoteCommEvent"
			m.signature = signature(m.help)
			table[m.name] = &m
		}
	}
	add(systemMethods(), false)
	if namespace {
		add(daemonMethods(), true)
		add(programMethods(), true)
		add(logMethods(), true)
		add(changeMethods(), true)
	}
	return table
}

// signature reads the types out of the tags of a help text. Source: spec/supervisor 5.10.
func signature(help string) []string {
	result, params := "", []string(nil)
	for line := range strings.Lines(help) {
		f := strings.Fields(line)
		switch {
		case len(f) > 1 && f[0] == "@return":
			result = f[1]
		case len(f) > 1 && f[0] == "@param":
			params = append(params, f[1])
		}
	}
	return append([]string{result}, params...)
}

func systemMethods() []method {
	return []method{
		{
			name: "system.listMethods", level: LevelObserve, run: listMethods,
			help: "Names every method that can be called here.\n\n@return array names  the names, sorted",
		},
		{
			name: "system.methodHelp", level: LevelObserve, run: methodHelp,
			help: "Describes a method.\n\n@param string name  full name of the method\n@return string text  what it does, what it takes and what it returns",
		},
		{
			name: "system.methodSignature", level: LevelObserve, run: methodSignature,
			help: "Tells the types of a method.\n\n@param string name  full name of the method\n@return array types  type of the result, then those of the parameters",
		},
		{
			name: "system.multicall", level: LevelObserve, run: multicall,
			help: "Makes several calls one after the other, at most 1000.\n\n@param array calls  structs with methodName and params\n@return array results  for each call its result, or a struct with faultCode and faultString",
		},
	}
}

func listMethods(c *caller, _ args) (any, error) {
	names := make([]string, 0, len(c.methods))
	for name := range c.methods {
		names = append(names, name)
	}
	for _, e := range c.extensions {
		names = append(names, e.names(c.ctx)...)
	}
	slices.Sort(names)
	return names, nil
}

func methodHelp(c *caller, a args) (any, error) {
	name, _ := a[0].(string)
	if m := c.methods[name]; m != nil {
		return m.help, nil
	}
	return about[string](c, "system.methodHelp", name)
}

func methodSignature(c *caller, a args) (any, error) {
	name, _ := a[0].(string)
	if m := c.methods[name]; m != nil {
		return m.signature, nil
	}
	return about[[]any](c, "system.methodSignature", name)
}

// APIVersion is the version of the interface.
const APIVersion = "3.0"

func daemonMethods() []method {
	version := func(*caller, args) (any, error) { return APIVersion, nil }
	const versionHelp = "Version of this interface, which changes only when methods do.\n\n@return string version  the version, 3.0"
	return []method{
		{name: "supervisor.getAPIVersion", level: LevelObserve, help: versionHelp, run: version},
		{name: "supervisor.getVersion", level: LevelObserve, help: versionHelp, run: version},
		{
			name: "supervisor.getSupervisorVersion", level: LevelObserve,
			help: "Release of Supervisor whose behaviour this daemon has.\n\n@return string version  the release",
			run:  func(c *caller, _ args) (any, error) { return c.o.Version, nil },
		},
		{
			name: "supervisor.getIdentification", level: LevelObserve,
			help: "Name that the configuration gives to this daemon.\n\n@return string identifier  the name",
			run:  func(c *caller, _ args) (any, error) { return c.o.Service.Info().Identifier, nil },
		},
		{
			name: "supervisor.getState", level: LevelObserve, run: getState,
			help: "State of the daemon.\n\n@return struct state  statecode (int) and statename (string)",
		},
		{
			name: "supervisor.getPID", level: LevelObserve,
			help: "Process number of the daemon.\n\n@return int pid  the number",
			run:  func(c *caller, _ args) (any, error) { return c.o.Service.Info().PID, nil },
		},
		{
			name: "supervisor.shutdown", level: LevelAdminister,
			help: "Orders the daemon to stop everything and end.\n\n@return boolean result  true; the answer does not wait for it",
			run:  func(c *caller, _ args) (any, error) { return done(c.o.Service.Shutdown(c.ctx), "") },
		},
		{
			name: "supervisor.restart", level: LevelAdminister,
			help: "Orders the daemon to stop everything and start anew with the configuration as it is then.\n\n@return boolean result  true; the answer does not wait for it",
			run:  func(c *caller, _ args) (any, error) { return done(c.o.Service.Restart(c.ctx), "") },
		},
		{
			name: "supervisor.reloadConfig", level: LevelAdminister, run: reloadConfig,
			help: "Reads the configuration and compares it with what is active. Nothing is changed yet.\n\n@return array result  holds one array of three: names of the groups that are new, changed and gone",
		},
		{
			name: "supervisor.addProcessGroup", level: LevelAdminister, subject: true, run: onGroup(service.Service.AddGroup),
			help: "Makes a group of the configuration active.\n\n@param string name  name of the group\n@return boolean result  true",
		},
		{
			name: "supervisor.removeProcessGroup", level: LevelAdminister, subject: true, run: onGroup(service.Service.RemoveGroup),
			help: "Removes an active group, all of whose programs must be stopped.\n\n@param string name  name of the group\n@return boolean result  true",
		},
		{
			name: "supervisor.sendRemoteCommEvent", level: LevelOperate,
			help: "Sends an event of the type REMOTE_COMMUNICATION to the event listeners.\n\n@param string type  text for the type line of the event\n@param string data  body of the event\n@return boolean result  true",
			run: func(c *caller, a args) (any, error) {
				return done(c.o.Service.Publish(c.ctx, pyStr(a[0]), pyStr(a[1])), "")
			},
		},
	}
}

// The parts of help texts that several methods share.
const (
	nameParam   = "@param string name  name of the program, group:name when the group is called otherwise\n"
	manyParam   = "@param string name  name of the program, group:name, or group:* for the whole group\n"
	groupParam  = "@param string name  name of the group\n"
	signalParam = "@param string signal  name or number of the signal\n"
	waitParam   = "@param boolean wait  whether to answer only when the outcome is known; true when missing\n"
	trueReturn  = "@return boolean result  true, or for group:* an array of structs"
	listReturn  = "@return array results  for each program concerned a struct with name, group, status and description"
	rangeParams = "@param int offset  where to begin; when negative and length is 0, so many bytes from the end\n" +
		"@param int length  how many bytes at most; 0 means up to the end\n"
	tailParams = "@param int offset  where to go on, as answered before\n@param int length  how many bytes at most\n"
)

func programMethods() []method {
	start, stop := service.Service.Start, service.Service.Stop
	info := "struct with name, group, start, stop, now, state, statename, spawnerr, exitstatus, logfile, stdout_logfile, stderr_logfile, pid and description"
	return []method{
		{
			name: "supervisor.startProcess", level: LevelOperate, optional: 1, subject: true, run: order(start),
			help: "Starts a program.\n\n" + manyParam + waitParam + trueReturn,
		},
		{
			name: "supervisor.startProcessGroup", level: LevelOperate, optional: 1, subject: true, run: orderGroup(start),
			help: "Starts the programs of a group that are not up.\n\n" + groupParam + waitParam + listReturn,
		},
		{
			name: "supervisor.startAllProcesses", level: LevelOperate, optional: 1, run: orderAll(start),
			help: "Starts all programs that are not up.\n\n" + waitParam + listReturn,
		},
		{
			name: "supervisor.stopProcess", level: LevelOperate, optional: 1, subject: true, run: order(stop),
			help: "Stops a program.\n\n" + manyParam + waitParam + trueReturn,
		},
		{
			name: "supervisor.stopProcessGroup", level: LevelOperate, optional: 1, subject: true, run: orderGroup(stop),
			help: "Stops the programs of a group that are up.\n\n" + groupParam + waitParam + listReturn,
		},
		{
			name: "supervisor.stopAllProcesses", level: LevelOperate, optional: 1, run: orderAll(stop),
			help: "Stops all programs that are up.\n\n" + waitParam + listReturn,
		},
		{
			name: "supervisor.signalProcess", level: LevelOperate, subject: true, run: signalProcess,
			help: "Sends a signal to a program.\n\n" + manyParam + signalParam + trueReturn,
		},
		{
			name: "supervisor.signalProcessGroup", level: LevelOperate, subject: true, run: signalGroup,
			help: "Sends a signal to the programs of a group that are alive.\n\n" + groupParam + signalParam + listReturn,
		},
		{
			name: "supervisor.signalAllProcesses", level: LevelOperate, run: signalAll,
			help: "Sends a signal to all programs that are alive.\n\n" + signalParam + listReturn,
		},
		{
			name: "supervisor.sendProcessStdin", level: LevelOperate, subject: true, run: sendStdin,
			help: "Writes to the standard input of a program.\n\n" + nameParam + "@param string chars  what to write\n@return boolean result  true",
		},
		{
			name: "supervisor.getProcessInfo", level: LevelObserve, run: getProcessInfo,
			help: "Tells about a program.\n\n" + nameParam + "@return struct info  " + info,
		},
		{
			name: "supervisor.getAllProcessInfo", level: LevelObserve, run: getAllProcessInfo,
			help: "Tells about all programs, sorted by group and name.\n\n@return array infos  for each a " + info,
		},
		{
			// What would be executed may hold more than a mere observer should see.
			name: "supervisor.getAllConfigInfo", level: LevelOperate, run: getAllConfigInfo,
			help: "Tells about the programs of the configuration as it was last read.\n\n@return array infos  a struct for each, sorted by name",
		},
	}
}

func logMethods() []method {
	read := func(name, what string, ch service.Channel) method {
		return method{
			name: "supervisor." + name, level: LevelObserve, run: readLog(ch),
			help: "Reads from the " + what + " log of a program.\n\n" + nameParam + rangeParams + "@return string text  what was logged",
		}
	}
	tail := func(name, what string, ch service.Channel) method {
		return method{
			name: "supervisor." + name, level: LevelObserve, run: tailLog(ch),
			help: "Reads the end of the " + what + " log of a program, to be called again and again.\n\n" + nameParam + tailParams +
				"@return array result  the text, the offset for the next call, and whether something was left out",
		}
	}
	mainLog := func(name string) method {
		return method{
			name: "supervisor." + name, level: LevelObserve, run: readMainLog,
			help: "Reads from the log of the daemon.\n\n" + rangeParams + "@return string text  what was logged",
		}
	}
	clearOne := func(name string) method {
		return method{
			name: "supervisor." + name, level: LevelAdminister, subject: true, run: clearLogs,
			help: "Empties the logs of a program.\n\n" + nameParam + "@return boolean result  true",
		}
	}
	return []method{
		mainLog("readLog"), mainLog("readMainLog"),
		{
			name: "supervisor.clearLog", level: LevelAdminister, run: clearMainLog,
			help: "Empties the log of the daemon.\n\n@return boolean result  true",
		},
		read("readProcessStdoutLog", "stdout", service.Stdout), read("readProcessLog", "stdout", service.Stdout),
		read("readProcessStderrLog", "stderr", service.Stderr),
		tail("tailProcessStdoutLog", "stdout", service.Stdout), tail("tailProcessLog", "stdout", service.Stdout),
		tail("tailProcessStderrLog", "stderr", service.Stderr),
		clearOne("clearProcessLogs"), clearOne("clearProcessLog"),
		{
			name: "supervisor.clearAllProcessLogs", level: LevelAdminister, run: clearAllLogs,
			help: "Empties the logs of all programs.\n\n" + listReturn,
		},
	}
}
