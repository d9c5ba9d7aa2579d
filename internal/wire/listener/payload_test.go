package listener

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// TestEnvelope has what the original was seen to send. Source: spec/supervisor 4.3.
func TestEnvelope(t *testing.T) {
	id := func(name string) model.ID { return model.ID{Group: name, Name: name} }
	for _, tt := range []struct {
		e      model.Event
		serial uint64
		want   string
	}{
		{model.Event{Type: model.EventGroupAdded, ID: model.ID{Group: "lst"}}, 0, "serial:0 pool:lst poolserial:0 eventname:PROCESS_GROUP_ADDED len:14\ngroupname:lst\n"},
		{model.Event{Type: model.EventDaemonRunning}, 7, "serial:7 pool:lst poolserial:7 eventname:SUPERVISOR_STATE_CHANGE_RUNNING len:0\n"},
		{model.Event{Type: model.EventDaemonStopping}, 7, "serial:7 pool:lst poolserial:7 eventname:SUPERVISOR_STATE_CHANGE_STOPPING len:0\n"},
		{
			model.Event{Type: model.EventProcessStarting, ID: id("lst"), From: model.Stopped},
			8,
			"serial:8 pool:lst poolserial:8 eventname:PROCESS_STATE_STARTING len:56\nprocessname:lst groupname:lst from_state:STOPPED tries:0",
		},
		{
			model.Event{Type: model.EventProcessBackoff, ID: id("backoff"), From: model.Starting, Tries: 1},
			12,
			"serial:12 pool:lst poolserial:12 eventname:PROCESS_STATE_BACKOFF len:65\nprocessname:backoff groupname:backoff from_state:STARTING tries:1",
		},
		{
			model.Event{Type: model.EventProcessLogStdout, ID: id("cap"), PID: 21817, Data: []byte("before")},
			13,
			"serial:13 pool:lst poolserial:13 eventname:PROCESS_LOG_STDOUT len:61\nprocessname:cap groupname:cap pid:21817 channel:stdout\nbefore",
		},
		{
			model.Event{Type: model.EventProcessCommunicationStdout, ID: id("cap"), PID: 21817, Data: []byte("captured data")},
			15,
			"serial:15 pool:lst poolserial:15 eventname:PROCESS_COMMUNICATION_STDOUT len:53\nprocessname:cap groupname:cap pid:21817\ncaptured data",
		},
		{
			model.Event{Type: model.EventProcessCommunicationStderr, ID: id("cap"), PID: 1, Data: nil},
			15,
			"serial:15 pool:lst poolserial:15 eventname:PROCESS_COMMUNICATION_STDERR len:36\nprocessname:cap groupname:cap pid:1\n",
		},
		{
			model.Event{Type: model.EventProcessLogStderr, ID: id("cap"), PID: 21817, Data: []byte("x\xe5y")},
			17,
			"serial:17 pool:lst poolserial:17 eventname:PROCESS_LOG_STDERR len:77\nprocessname:cap groupname:cap pid:21817 channel:stderr\nUndecodable: b'x\\xe5y'",
		},
		{
			model.Event{Type: model.EventProcessRunning, ID: id("env"), From: model.Starting, PID: 21819},
			19,
			"serial:19 pool:lst poolserial:19 eventname:PROCESS_STATE_RUNNING len:59\nprocessname:env groupname:env from_state:STARTING pid:21819",
		},
		{
			model.Event{Type: model.EventProcessExited, ID: id("env"), From: model.Running, Expected: true, PID: 21819},
			20,
			"serial:20 pool:lst poolserial:20 eventname:PROCESS_STATE_EXITED len:69\nprocessname:env groupname:env from_state:RUNNING expected:1 pid:21819",
		},
		{
			model.Event{Type: model.EventProcessExited, ID: model.ID{Group: "g", Name: "p"}, From: model.Running, PID: 5},
			20,
			"serial:20 pool:lst poolserial:20 eventname:PROCESS_STATE_EXITED len:61\nprocessname:p groupname:g from_state:RUNNING expected:0 pid:5",
		},
		{
			model.Event{Type: model.EventTick5, Time: time.Unix(1795194960, 0)},
			25,
			"serial:25 pool:lst poolserial:25 eventname:TICK_5 len:15\nwhen:1795194960",
		},
		{
			model.Event{Type: model.EventTick3600, Time: time.Unix(3600, 0)},
			25,
			"serial:25 pool:lst poolserial:25 eventname:TICK_3600 len:9\nwhen:3600",
		},
		{
			model.Event{Type: model.EventProcessFatal, ID: id("nodir"), From: model.Backoff},
			33,
			"serial:33 pool:lst poolserial:33 eventname:PROCESS_STATE_FATAL len:52\nprocessname:nodir groupname:nodir from_state:BACKOFF",
		},
		{
			model.Event{Type: model.EventProcessUnknown, ID: id("nodir"), From: model.Stopping},
			33,
			"serial:33 pool:lst poolserial:33 eventname:PROCESS_STATE_UNKNOWN len:53\nprocessname:nodir groupname:nodir from_state:STOPPING",
		},
		{
			model.Event{Type: model.EventProcessLogStdout, ID: id("cat"), PID: 22020, Data: []byte("h\xc3\xa9\n")},
			34,
			"serial:34 pool:lst poolserial:34 eventname:PROCESS_LOG_STDOUT len:58\nprocessname:cat groupname:cat pid:22020 channel:stdout\nh\xc3\xa9\n",
		},
		{
			model.Event{Type: model.EventRemote, Kind: "ty", Data: []byte("d\xc3\xa0ta")},
			35,
			"serial:35 pool:lst poolserial:35 eventname:REMOTE_COMMUNICATION len:12\ntype:ty\nd\xc3\xa0ta",
		},
		{
			model.Event{Type: model.EventProcessStopped, ID: id("backoff"), From: model.Backoff},
			43,
			"serial:43 pool:lst poolserial:43 eventname:PROCESS_STATE_STOPPED len:62\nprocessname:backoff groupname:backoff from_state:BACKOFF pid:0",
		},
		{
			model.Event{Type: model.EventProcessStopping, ID: id("a"), From: model.Running, PID: 9},
			43,
			"serial:43 pool:lst poolserial:43 eventname:PROCESS_STATE_STOPPING len:50\nprocessname:a groupname:a from_state:RUNNING pid:9",
		},
		{model.Event{Type: model.EventGroupRemoved, ID: model.ID{Group: "env"}}, 44, "serial:44 pool:lst poolserial:44 eventname:PROCESS_GROUP_REMOVED len:14\ngroupname:env\n"},
		{
			model.Event{Type: model.EventCheckFailed, ID: id("web"), PID: 9, Kind: "page", Data: []byte("503")},
			44,
			"serial:44 pool:lst poolserial:44 eventname:CHECK_FAILED len:50\nprocessname:web groupname:web pid:9 check:page\n503",
		},
		{
			model.Event{Type: model.EventReleased, ID: id("web"), PID: 9},
			44,
			"serial:44 pool:lst poolserial:44 eventname:PROCESS_RELEASED len:35\nprocessname:web groupname:web pid:9",
		},
		{model.Event{Type: "NO_SUCH"}, 44, "serial:44 pool:lst poolserial:44 eventname:NO_SUCH len:0\n"},
	} {
		h := Header{Server: "ident1", Serial: tt.serial, Pool: "lst", PoolSerial: tt.serial, Name: tt.e.Type}
		got := string(h.Envelope(Payload(&tt.e)))
		if d := cmp.Diff("ver:3.0 server:ident1 "+tt.want, got); d != "" {
			t.Errorf("%s: %s", tt.e.Type, d)
		}
	}
}

func TestEnvelopeBytes(t *testing.T) {
	h := Header{Server: "s", Pool: "p", Name: "N", Bytes: true}
	if got := string(h.Envelope("é")); !strings.HasSuffix(got, " len:2\né") {
		t.Errorf("%q", got)
	}
	h.Bytes = false
	if got := string(h.Envelope("é")); !strings.HasSuffix(got, " len:1\né") {
		t.Errorf("%q", got)
	}
}

func TestSerialsBeginAgain(t *testing.T) {
	for n, want := range map[uint64]uint64{0: 1, 1<<63 - 2: 1<<63 - 1, 1<<63 - 1: 0, 1 << 63: 0} {
		if got := NextSerial(n); got != want {
			t.Errorf("after %d comes %d, want %d", n, got, want)
		}
	}
}

func TestSubscribe(t *testing.T) {
	for _, tt := range []struct{ names, want string }{
		{"TICK_5", "TICK_5"},
		{"TICK", "TICK_5 TICK_60 TICK_3600"},
		{"TICK,TICK_5", "TICK_5 TICK_60 TICK_3600"}, // F46: once
		{"PROCESS_STATE_EXITED,PROCESS_STATE_FATAL", "PROCESS_STATE_EXITED PROCESS_STATE_FATAL"},
		{"PROCESS_GROUP", "PROCESS_GROUP_ADDED PROCESS_GROUP_REMOVED"},
		{"PROCESS_LOG", "PROCESS_LOG_STDOUT PROCESS_LOG_STDERR"},
		{"PROCESS_COMMUNICATION", "PROCESS_COMMUNICATION_STDOUT PROCESS_COMMUNICATION_STDERR"},
		{"SUPERVISOR_STATE_CHANGE", "SUPERVISOR_STATE_CHANGE_RUNNING SUPERVISOR_STATE_CHANGE_STOPPING"},
		{"REMOTE_COMMUNICATION", "REMOTE_COMMUNICATION"},
		{"PROCESS_STATE", "PROCESS_STATE_STARTING PROCESS_STATE_RUNNING PROCESS_STATE_BACKOFF PROCESS_STATE_STOPPING " +
			"PROCESS_STATE_EXITED PROCESS_STATE_STOPPED PROCESS_STATE_FATAL PROCESS_STATE_UNKNOWN"},
		{"NO_SUCH,PROCESS,TICK_", ""},
	} {
		want := Set{}
		for name := range strings.FieldsSeq(tt.want) {
			want[model.EventType(name)] = true
		}
		if d := cmp.Diff(want, Subscribe(strings.Split(tt.names, ","))); d != "" {
			t.Errorf("%s: %s", tt.names, d)
		}
	}
	for _, own := range OwnTypes() {
		if names := []string{"EVENT", "PROCESS_STATE", "PROCESS_GROUP", "TICK", "SUPERVISOR_STATE_CHANGE"}; Subscribe(names)[own] {
			t.Errorf("%s comes to who does not know it", own)
		}
		if got := Subscribe([]string{string(own)}); len(got) != 1 || !got[own] {
			t.Errorf("%s: %v", own, got)
		}
	}
	if all := Subscribe([]string{"EVENT"}); len(all) != len(Types()) || len(all) != 20 {
		t.Errorf("EVENT covers %d of %d", len(all), len(Types()))
	}
}
