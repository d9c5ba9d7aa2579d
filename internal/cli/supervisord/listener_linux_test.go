package supervisord

import (
	"context"
	"strconv"
	"strings"
	"testing"

	"github.com/upkeep-project/upkeep/client/supervisor"
)

// TestEventsOutliveTheManager: no event that was accepted is lost by kills, and serials never go back.
func TestEventsOutliveTheManager(t *testing.T) {
	h := newHardy(t, "")
	h.write("d.conf", strings.Replace(standard, "loglevel=debug", "loglevel=info", 1)+
		listenerSection(t, h.dir, "l", "slow", "events=REMOTE_COMMUNICATION\nbuffer_size=1000")+
		listenerSection(t, h.dir, "bystander", "ok", "events=REMOTE_COMMUNICATION\nbuffer_size=1000"))
	info := h.begin()
	h.running(h.c, "l")
	const n = 300
	for i := range n {
		if i%50 == 25 {
			old := info.Manager
			h.kill(old)
			info = h.await("the next manager answers", func(i2 supervisor.Info) bool { return i2.Manager != old })
		}
		h.until("the event is taken", func() bool {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			return h.c.SendRemoteCommEvent(ctx, "n", strconv.Itoa(i)) == nil
		})
	}
	for _, name := range []string{"l", "bystander"} {
		seen := map[string]bool{}
		h.until(name+" has all events", func() bool {
			clear(seen)
			for _, e := range ledgerOf(t, whole(h.read(name+".ev"))) {
				seen[e.payload] = true
			}
			return len(seen) == n
		})
		var last uint64
		for _, e := range ledgerOf(t, h.read(name+".ev")) {
			if e.poolSerial < last {
				t.Errorf("%s: event %d after %d", name, e.poolSerial, last)
			}
			last = e.poolSerial
		}
	}
}

// whole leaves the line out that is just being written.
func whole(text string) string { return text[:strings.LastIndexByte(text, '\n')+1] }

// TestAnswerAfterTheKill: a listener that has an event while the manager is killed answers the next one.
func TestAnswerAfterTheKill(t *testing.T) {
	h := newHardy(t, "")
	h.write("d.conf", standard+listenerSection(t, h.dir, "l", "wait", "events=REMOTE_COMMUNICATION"))
	info := h.begin()
	pid := h.running(h.c, "l").PID
	ctx := context.Background()
	for _, kind := range []string{"first", "second"} {
		if err := h.c.SendRemoteCommEvent(ctx, kind, ""); err != nil {
			t.Fatal(err)
		}
	}
	h.until("it has the first event", func() bool { return whole(h.read("l.ev")) != "" })
	h.kill(info.Manager)
	h.await("the next manager answers", func(i supervisor.Info) bool { return i.Manager != info.Manager })
	h.write("l.ev.go", "")
	h.until("it gets the second event", func() bool { return len(ledgerOf(t, whole(h.read("l.ev")))) >= 2 })
	l := ledgerOf(t, whole(h.read("l.ev")))
	if l[0].payload != "type:first\n" || l[1].payload != "type:second\n" || l[1].serial != 1 || l[1].poolSerial != 1 {
		t.Errorf("%+v", l)
	}
	if now := h.running(h.c, "l").PID; now != pid {
		t.Errorf("pid %d has become %d", pid, now)
	}
}

// TestCaptureAcrossTheKill: what was captured before a kill is part of the event that comes after it.
func TestCaptureAcrossTheKill(t *testing.T) {
	h := newHardy(t, "")
	h.write("d.conf", standard+listenerSection(t, h.dir, "l", "ok", "events=PROCESS_COMMUNICATION,PROCESS_LOG")+`
[program:p]
command=/bin/sh -c 'printf "a<!--XSUPERVISOR:BEGIN-->one "; until test -e half; do sleep 0.02; done; printf "two<!--XSUPERVISOR:END-->b\n"; sleep 100'
directory=%(here)s
stdout_logfile=%(here)s/p.out
stdout_capture_maxbytes=100
stdout_events_enabled=true
`)
	info := h.begin()
	h.running(h.c, "l")
	h.until("the first word is in the log", func() bool { return h.read("p.out") == "a" })
	h.kill(info.Manager)
	h.await("the next manager answers", func(i supervisor.Info) bool { return i.Manager != info.Manager })
	h.write("half", "")
	h.until("the last word is in the log", func() bool { return h.read("p.out") == "ab\n" })
	h.until("all is told", func() bool { return strings.Contains(h.read("l.ev"), `stdout\nb\n`) })
	if got := h.read("l.ev"); strings.Count(got, "COMMUNICATION") != 1 || !strings.Contains(got, `\none two"`) {
		t.Errorf("%s", got)
	}
}
