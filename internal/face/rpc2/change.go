package rpc2

import (
	"errors"
	"math"
	"strconv"

	"github.com/upkeep-project/upkeep/client/supervisor"
	"github.com/upkeep-project/upkeep/internal/service"
	"github.com/upkeep-project/upkeep/internal/wire/xmlrpc"
)

// changeMethods are ours: the original has no way to change a group without a restart of all of it. They
// have a namespace of their own, as a plug-in of the original would, so that nothing in supervisor.* is
// different.
func changeMethods() []method {
	return []method{
		{
			name: "upkeep.adopt", level: LevelAdminister, subject: true, run: adopt,
			help: "Takes a process that was started by somebody else as the running instance of a program that is STOPPED, EXITED or " +
				"FATAL. It is stopped, watched and survives like any other; what it writes is not logged, because its output is not " +
				"ours, and it cannot be sent input. The next start of the program is as always. Refused: a process of the kernel, of " +
				"this daemon or of another program, and one that may not be signalled.\n\n" + nameParam +
				"@param int pid  number of the process\n" +
				"@return struct result  name, group, pid, start (when it began, in seconds since 1970) and output (whether what it " +
				"writes is logged: false)",
		},
		{
			name: "upkeep.release", level: LevelAdminister, subject: true, run: release,
			help: "Lets the process of a program go: it lives on and is not ours any more, and the program is STOPPED until somebody " +
				"starts it. What the process writes to its old output is still logged until the daemon ends.\n\n" + nameParam +
				"@return boolean result  always True unless error",
		},
		{
			name: "upkeep.getInfo", level: LevelObserve, run: getInfo,
			help: "Tells which process answers.\n\n" +
				"@return struct info  version (of upkeep), pid (that of the daemon), manager (pid of the process that answers), " +
				"rolled_back (why the last upgrade was taken back, or empty)",
		},
		{
			name: "upkeep.plan", level: LevelOperate, run: planChanges,
			help: "Reads the configuration and tells program by program what upkeep.apply would do. Nothing is changed.\n\n" +
				"@return array steps  for each program concerned a struct with group, name (empty for the group itself), action " +
				"(change, restart, add or remove), reason, refused (why nothing would be done, or empty) and fields, an array of " +
				"structs with field, old, new and effect (none, live or restart)",
		},
		{
			name: "upkeep.apply", level: LevelAdminister, optional: 1, run: applyChanges,
			help: "Makes the configuration the running one and stops or starts no more than the changes ask for.\n\n" +
				"@param array names  names of the groups to be changed; all when missing or empty\n" +
				"@return array results  for each program concerned a struct with name, group, action, status and description",
		},
	}
}

func getInfo(c *caller, _ args) (any, error) {
	i := c.o.Service.Info()
	return xmlrpc.Struct{
		{Name: "version", Value: i.Version},
		{Name: "pid", Value: i.PID},
		{Name: "manager", Value: i.Manager},
		{Name: "rolled_back", Value: i.RolledBack},
	}, nil
}

func planChanges(c *caller, _ args) (any, error) {
	steps, err := c.o.Service.Plan(c.ctx)
	if err != nil {
		return nil, toFault(err, "")
	}
	out := make([]any, len(steps))
	for i, s := range steps {
		fields := make([]any, len(s.Fields))
		for k, f := range s.Fields {
			fields[k] = xmlrpc.Struct{
				{Name: "field", Value: f.Field},
				{Name: "old", Value: f.Old},
				{Name: "new", Value: f.New},
				{Name: "effect", Value: f.Effect.String()},
			}
		}
		out[i] = xmlrpc.Struct{
			{Name: "group", Value: s.ID.Group},
			{Name: "name", Value: s.ID.Name},
			{Name: "action", Value: s.Action.String()},
			{Name: "reason", Value: s.Reason},
			{Name: "refused", Value: s.Refused},
			{Name: "fields", Value: fields},
		}
	}
	return out, nil
}

func applyChanges(c *caller, a args) (any, error) {
	var names []string
	if len(a) > 0 {
		list, ok := a[0].([]any)
		if !ok {
			return nil, bare(supervisor.FaultIncorrectParameters)
		}
		for i := range list {
			name, err := args(list).name(i)
			if err != nil {
				return nil, err
			}
			names = append(names, name)
		}
	}
	done, err := c.o.Service.Apply(c.ctx, names)
	if err != nil {
		return nil, toFault(err, textOf(err))
	}
	out := make([]any, len(done))
	for i, d := range done {
		status, text := supervisor.StatusSuccess, "OK"
		if d.Err != nil {
			f := toFault(d.Err, d.ID.String())
			status, text = f.Code, f.Text
		}
		out[i] = xmlrpc.Struct{
			{Name: "name", Value: d.ID.Name},
			{Name: "group", Value: d.ID.Group},
			{Name: "action", Value: d.Action.String()},
			{Name: "status", Value: status},
			{Name: "description", Value: text},
		}
	}
	return out, nil
}

// textOf is the detail of a service's error.
func textOf(err error) string {
	var e *service.Error
	if errors.As(err, &e) {
		return e.Text
	}
	return ""
}

func adopt(c *caller, a args) (any, error) {
	id, name, err := c.one(a)
	if err != nil {
		return nil, err
	}
	pid, err := a.number(1)
	if err != nil {
		return nil, err
	}
	if pid <= 0 || pid > math.MaxInt32 {
		return nil, detailed(supervisor.FaultFailed, strconv.FormatInt(pid, 10)+" is no process number")
	}
	st, err := c.o.Service.Adopt(c.ctx, id, int(pid))
	if err != nil {
		return nil, toFault(err, name)
	}
	return xmlrpc.Struct{
		{Name: "name", Value: st.ID.Name},
		{Name: "group", Value: st.ID.Group},
		{Name: "pid", Value: st.PID},
		{Name: "start", Value: int(st.Start.Unix())},
		{Name: "output", Value: false},
	}, nil
}

func release(c *caller, a args) (any, error) {
	id, name, err := c.one(a)
	if err != nil {
		return nil, err
	}
	res, err := c.o.Service.Release(c.ctx, service.One(id))
	if err == nil && len(res) == 1 {
		err = res[0].Err
	}
	if err != nil {
		return nil, toFault(err, name)
	}
	return true, nil
}
