package rpc2

import (
	"time"

	"github.com/upkeep-project/upkeep/client/supervisor"
	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/service"
	"github.com/upkeep-project/upkeep/internal/wire/xmlrpc"
)

// processInfos is the answer of getAllProcessInfo and, when single, of getProcessInfo.
// Source: spec/supervisor 5.7.
type processInfos struct {
	list   []model.Status
	now    time.Time
	single bool
}

// infoSize is about how many bytes one program takes.
const infoSize = 1200

// AppendXMLRPC appends the array or the struct.
func (p *processInfos) AppendXMLRPC(b []byte) []byte {
	var scratch []byte
	if p.single {
		b, _ = p.append(b, &p.list[0], scratch)
		return b
	}
	if need := len(p.list) * infoSize; cap(b)-len(b) < need {
		b = append(make([]byte, 0, len(b)+need+256), b...)
	}
	b = xmlrpc.BeginArray(b)
	for i := range p.list {
		b, scratch = p.append(b, &p.list[i], scratch)
	}
	return xmlrpc.EndArray(b)
}

func (p *processInfos) append(b []byte, st *model.Status, scratch []byte) (out, reuse []byte) {
	exit := 0
	if st.HasExit {
		exit = st.Exit.Code()
	}
	b = xmlrpc.BeginStruct(b)
	b = xmlrpc.AppendStringMember(b, "name", st.ID.Name)
	b = xmlrpc.AppendStringMember(b, "group", st.ID.Group)
	b = xmlrpc.AppendIntMember(b, "start", seconds(st.Start))
	b = xmlrpc.AppendIntMember(b, "stop", seconds(st.Stop))
	b = xmlrpc.AppendIntMember(b, "now", seconds(p.now))
	b = xmlrpc.AppendIntMember(b, "state", int64(st.State.Code()))
	b = xmlrpc.AppendStringMember(b, "statename", st.State.String())
	b = xmlrpc.AppendStringMember(b, "spawnerr", st.SpawnErr)
	b = xmlrpc.AppendIntMember(b, "exitstatus", int64(exit))
	b = xmlrpc.AppendStringMember(b, "logfile", st.StdoutLog)
	b = xmlrpc.AppendStringMember(b, "stdout_logfile", st.StdoutLog)
	b = xmlrpc.AppendStringMember(b, "stderr_logfile", st.StderrLog)
	b = xmlrpc.AppendIntMember(b, "pid", int64(st.PID))
	scratch = model.AppendDescription(scratch[:0], st, p.now)
	b = xmlrpc.AppendStringMember(b, "description", scratch)
	return xmlrpc.EndStruct(b), scratch
}

// seconds is a time since 1970 as answers show it; 0 = never.
func seconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return max(t.Unix(), 0)
}

// results is the answer of a verb on many programs. Source: spec/supervisor 5.6.
type results []service.Result

// AppendXMLRPC appends the array.
func (rs results) AppendXMLRPC(b []byte) []byte {
	b = xmlrpc.BeginArray(b)
	for _, r := range rs {
		status, text := supervisor.StatusSuccess, "OK"
		if r.Err != nil {
			f := toFault(r.Err, r.ID.String())
			status, text = f.Code, f.Text
		}
		b = xmlrpc.BeginStruct(b)
		b = xmlrpc.AppendStringMember(b, "name", r.ID.Name)
		b = xmlrpc.AppendStringMember(b, "group", r.ID.Group)
		b = xmlrpc.AppendIntMember(b, "status", int64(status))
		b = xmlrpc.AppendStringMember(b, "description", text)
		b = xmlrpc.EndStruct(b)
	}
	return xmlrpc.EndArray(b)
}

// configInfos is the answer of getAllConfigInfo. Source: spec/supervisor 5.8, F18.
type configInfos []service.Configured

// AppendXMLRPC appends the array.
func (cs configInfos) AppendXMLRPC(b []byte) []byte {
	b = xmlrpc.BeginArray(b)
	for i := range cs {
		b = appendConfig(b, &cs[i])
	}
	return xmlrpc.EndArray(b)
}

func appendConfig(b []byte, c *service.Configured) []byte {
	p := c.Program
	b = xmlrpc.BeginStruct(b)
	b = xmlrpc.AppendBoolMember(b, "autostart", p.Start.Auto)
	b = xmlrpc.BeginMember(b, "autorestart")
	switch p.Exit.Restart {
	case model.RestartNever:
		b = xmlrpc.AppendBool(b, false)
	case model.RestartAlways:
		b = xmlrpc.AppendBool(b, true)
	default:
		b = xmlrpc.AppendString(b, p.Exit.Restart.String())
	}
	b = xmlrpc.EndMember(b)
	b = xmlrpc.AppendStringMember(b, "directory", orNone(p.Command.Dir))
	if p.Command.UID >= 0 {
		b = xmlrpc.AppendIntMember(b, "uid", int64(p.Command.UID))
	} else {
		b = xmlrpc.AppendStringMember(b, "uid", "none")
	}
	b = xmlrpc.AppendStringMember(b, "command", p.Command.Line)
	b = xmlrpc.EndMember(xmlrpc.AppendValue(xmlrpc.BeginMember(b, "exitcodes"), p.Exit.Codes))
	b = xmlrpc.AppendStringMember(b, "group", p.ID.Group)
	b = xmlrpc.AppendIntMember(b, "group_prio", int64(c.GroupPriority))
	b = xmlrpc.AppendBoolMember(b, "inuse", c.InUse)
	b = xmlrpc.AppendBoolMember(b, "killasgroup", p.Stop.KillReach != model.ReachProcess)
	b = xmlrpc.AppendStringMember(b, "name", p.ID.Name)
	b = xmlrpc.AppendIntMember(b, "process_prio", int64(p.Priority))
	b = xmlrpc.AppendBoolMember(b, "redirect_stderr", p.IO.MergeStderr)
	b = xmlrpc.AppendIntMember(b, "startretries", int64(p.Start.Retries))
	b = xmlrpc.AppendIntMember(b, "startsecs", int64(p.Start.Secs/time.Second))
	b = appendStream(b, "stdout", &p.IO.Stdout, c.StdoutLog)
	b = xmlrpc.AppendIntMember(b, "stopsignal", int64(p.Stop.Signal))
	b = xmlrpc.AppendIntMember(b, "stopwaitsecs", int64(p.Stop.Wait/time.Second))
	b = appendStream(b, "stderr", &p.IO.Stderr, c.StderrLog)
	b = xmlrpc.AppendStringMember(b, "serverurl", orNone(p.ServerURL))
	return xmlrpc.EndStruct(b)
}

func appendStream(b []byte, name string, st *model.Stream, path string) []byte {
	b = xmlrpc.AppendIntMember(b, name+"_capture_maxbytes", st.CaptureBytes)
	b = xmlrpc.AppendBoolMember(b, name+"_events_enabled", st.Events)
	b = xmlrpc.AppendStringMember(b, name+"_logfile", orNone(path))
	b = xmlrpc.AppendIntMember(b, name+"_logfile_backups", int64(st.Backups))
	b = xmlrpc.AppendIntMember(b, name+"_logfile_maxbytes", st.MaxBytes)
	return xmlrpc.AppendBoolMember(b, name+"_syslog", st.Syslog)
}

// orNone is how unset values are shown.
func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}
