package launch

import (
	"encoding/json"
	"math"
	"strings"
	"time"

	"github.com/upkeep-project/upkeep/internal/base/pytext"
	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/activity"
	"github.com/upkeep-project/upkeep/internal/engine/core"
	"github.com/upkeep-project/upkeep/internal/engine/listeners"
	"github.com/upkeep-project/upkeep/internal/engine/streams"
	"github.com/upkeep-project/upkeep/internal/wire/listener"
)

// voice is the output of one channel of an instance that becomes events. Its methods are called by one worker of the
// pump at a time. Source: spec/supervisor 3.4, 4.3.
type voice struct {
	host    *Host
	id      model.ID
	pid     int
	channel int
	events  bool             // PROCESS_LOG
	show    func([]byte)     // the copy for the activity log; nil = none
	capture listener.Capture // Max 0 = there is no capture mode
	key     string           // under which capture is kept; empty = it is not
	kept    bool
}

// The events made of output, by channel.
var (
	logEvents  = [2]model.EventType{model.EventProcessLogStdout, model.EventProcessLogStderr}
	commEvents = [2]model.EventType{model.EventProcessCommunicationStdout, model.EventProcessCommunicationStderr}
)

// speak connects the output of an instance with the pools: what a listener says, and what becomes events.
func (h *Host) speak(n *instance, i core.Instance, pid int, out *outputs) {
	h.attend(i, out)
	if h.o.Events == nil {
		return
	}
	p := i.Slot.Program()
	for k, st := range [2]*model.Stream{&p.IO.Stdout, &p.IO.Stderr} {
		if p.Kind == model.KindEventListener && k == 0 {
			h.converse(n, i, &out.of[0], &out.over[0])
			continue
		}
		if k == 1 && p.IO.MergeStderr || !st.Events && st.CaptureBytes <= 0 {
			continue
		}
		v := &voice{host: h, id: p.ID, pid: pid, channel: k, events: st.Events, show: out.of[k].Tap}
		if st.CaptureBytes > 0 {
			out.of[k].Captured = true
			v.capture.Max = int(min(st.CaptureBytes, math.MaxInt32))
			if n.key != "" {
				v.key = n.key + "/" + channels[k]
				v.resume()
			}
		}
		out.of[k].Tap, out.over[k], out.of[k].Prompt = v.hear, v.end, true
		if v.capture.Max == 0 { // else it may be what somebody waits for
			out.of[k].Gather = v.gather
		}
	}
}

// refuses says why a program is not to run at all: the events of its pool would be judged by what we do not have.
func (h *Host) refuses(p *model.Program) string {
	if h.o.Events == nil || p.Kind != model.KindEventListener {
		return ""
	}
	return h.o.Events.Refusal(p.ID.Group)
}

// converse connects a listener's stdout with its pool. Source: spec/supervisor 3.4, 4.5.
func (h *Host) converse(n *instance, i core.Instance, out *streams.Output, over *func()) {
	id, gen := i.Slot.Program().ID, i.Gen
	show := out.Tap != nil
	out.Prompt = true
	out.Tap = func(chunk []byte) {
		if show {
			h.o.Log.Logf(activity.Debug, "'%s' %s output:\n%s", id.Name, channels[0], pytext.ReprBytes(chunk))
		}
		h.o.Events.Heard(id, gen, chunk)
	}
	out.Rest = func() time.Duration { return h.o.Events.Rest(id, gen) }
	*over = func() { h.o.Events.Hushed(id, gen) }
	n.listen = func(in *streams.Input) {
		h.o.Events.Listen(id, gen, in)
	}
}

// hear takes a piece of output.
func (v *voice) hear(chunk []byte) {
	if v.capture.Max == 0 {
		v.plain(chunk)
		return
	}
	v.capture.Feed(chunk, v.plain, v.captured)
	v.keep()
}

// plain is what goes to the log. Captured output makes no PROCESS_LOG event (F10).
func (v *voice) plain(data []byte) {
	if v.show != nil {
		v.show(data)
	}
	if v.events && v.host.o.Events.Wants(logEvents[v.channel]) {
		v.offer(logEvents[v.channel], data)
	}
}

// gather says for how long output that is written bit by bit may become a larger event.
func (v *voice) gather() time.Duration { return v.host.o.Events.Gather(logEvents[v.channel]) }

func (v *voice) captured(data []byte) {
	v.offer(commEvents[v.channel], data)
	v.host.o.Log.Logf(activity.Debug, "'%s' %s emitted a comm event", v.id.Name, channels[v.channel])
}

func (v *voice) offer(t model.EventType, data []byte) {
	v.host.o.Events.Offer(model.Event{Time: v.host.Wall(), Type: t, ID: v.id, PID: v.pid, Data: data})
}

// end is the end of the channel (F8).
func (v *voice) end() {
	if v.capture.Max > 0 {
		v.capture.Flush(v.plain)
		v.capture.On = false
		v.keep()
	}
}

// keep has a successor know what was captured so far.
func (v *voice) keep() {
	idle := v.capture.Idle()
	if v.key == "" || idle && !v.kept {
		return
	}
	v.kept = !idle
	var value []byte
	if !idle {
		var err error
		if value, err = json.Marshal(v.capture); err != nil {
			return // impossible: it is plain data
		}
	}
	v.host.o.Events.KeepOutput(v.key, value)
}

// resume goes on with what an earlier process has captured.
func (v *voice) resume() {
	value := v.host.estate.captured(v.key)
	if value == nil {
		return
	}
	c := listener.Capture{}
	if err := json.Unmarshal(value, &c); err == nil && c.Match >= 0 && c.Match < len(listener.CaptureMark(c.On)) {
		c.Max = v.capture.Max
		v.capture, v.kept = c, true
	}
}

// captured takes out what was kept under a key.
func (e *estate) captured(key string) []byte {
	e.mu.Lock()
	defer e.mu.Unlock()
	value := e.voices[key]
	delete(e.voices, key)
	return value
}

// inheritVoices takes what earlier processes have captured.
func (e *estate) inheritVoices(journal map[string][]byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.voices = map[string][]byte{}
	for key, value := range journal {
		if key, ok := strings.CutPrefix(key, listeners.OutputPrefix); ok {
			e.voices[key] = value
		}
	}
}

// settleVoices forgets what was captured of instances of which nothing is left.
func (h *Host) settleVoices() {
	if h.o.Events == nil {
		return
	}
	h.estate.mu.Lock()
	rest := h.estate.voices
	h.estate.voices = nil
	h.estate.mu.Unlock()
	for key := range rest {
		h.o.Events.KeepOutput(key, nil)
	}
}
