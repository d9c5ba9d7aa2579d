package app_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/upkeep-project/upkeep/client/upkeep"
)

// frame is one of a stream.
type frame struct{ id, name, data string }

// events opens a stream and gives out its frames until end is called, or it ends.
func (d *daemon) events(path, lastID string) (frames <-chan frame, end func()) {
	d.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r, err := http.NewRequestWithContext(ctx, "GET", "http://upkeep"+path, nil)
	if err != nil {
		d.t.Fatal(err)
	}
	r.Header.Set("Accept", "text/event-stream")
	if lastID != "" {
		r.Header.Set("Last-Event-ID", lastID)
	}
	resp, err := d.http.Do(r)
	if err != nil {
		d.t.Fatal(err)
	}
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/event-stream" {
		d.t.Fatalf("%d %v", resp.StatusCode, resp.Header)
	}
	out := make(chan frame, 1000)
	var reading sync.WaitGroup
	reading.Go(func() {
		defer close(out)
		defer resp.Body.Close()
		var f frame
		for s := bufio.NewScanner(resp.Body); s.Scan(); {
			name, value, _ := strings.Cut(s.Text(), ": ")
			switch name {
			case "id":
				f.id = value
			case "event":
				f.name = value
			case "data":
				f.data = value
				out <- f
			}
		}
	})
	return out, func() { cancel(); reading.Wait() }
}

// next is the next frame.
func next(t *testing.T, frames <-chan frame) frame {
	t.Helper()
	select {
	case f, ok := <-frames:
		if !ok {
			t.Fatal("the stream has ended")
		}
		return f
	case <-time.After(patience):
		t.Fatal("nothing comes")
	}
	return frame{}
}

// upTo gives out frames until one of a type of event.
func upTo(t *testing.T, frames <-chan frame, typ string) (all []frame) {
	t.Helper()
	for {
		f := next(t, frames)
		if all = append(all, f); strings.Contains(f.data, `"type":"`+typ+`"`) {
			return all
		}
	}
}

const sleeper = "command=/bin/sleep 1000\nstartsecs=0\n"

func TestEventStream(t *testing.T) {
	d := native(t, shortDir(t), 0)
	d.define("web", sleeper)
	frames, end := d.events("/v1/events", "")
	order := func(action string) {
		t.Helper()
		o, err := d.api.Do(t.Context(), upkeep.Action{Action: action, Select: []string{"web"}}, patience)
		if err != nil || o.State != "done" {
			t.Fatalf("%+v %v", o, err)
		}
	}
	order("stop")
	seen := upTo(t, frames, "PROCESS_STATE_STOPPED")
	end() // a client that goes away
	order("start")
	order("stop")

	last := seen[len(seen)-1]
	frames, end = d.events("/v1/events", last.id)
	missed := upTo(t, frames, "PROCESS_STATE_STOPPED")
	end()
	if first := missed[0]; first.name != "event" || !strings.Contains(first.data, "PROCESS_STATE_STARTING") {
		t.Errorf("after %+v comes %+v", last, first)
	}

	// The name of an event of another daemon, and a number that is yet to come.
	number, _, _ := strings.Cut(last.id, "-")
	for _, id := range []string{number + "-other", "99999"} {
		frames, end = d.events("/v1/events", id)
		if f := next(t, frames); f.name != "gap" || !strings.Contains(f.data, `"restarted":true`) {
			t.Errorf("%s: %+v", id, f)
		}
		if f := next(t, frames); !strings.Contains(f.data, `"seq":1,`) && !strings.Contains(f.data, `"seq":2,`) {
			t.Errorf("%s: %+v", id, f)
		}
		end()
	}
	frames, end = d.events("/v1/events?select=web&limit=1", "")
	if f := next(t, frames); !strings.Contains(f.data, "PROCESS_STATE_STOPPED") {
		t.Errorf("the last one: %+v", f)
	}

	// Another manager: the stream breaks off, and the next one says that numbers begin again.
	s, err := d.api.System(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(s.Manager, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for range frames {
	}
	end()
	frames, end = d.events("/v1/events", last.id)
	defer end()
	if f := next(t, frames); f.name != "gap" || !strings.Contains(f.data, `"restarted":true`) {
		t.Errorf("%+v", f)
	}
	d.stop() // an ordered end ends the stream too
	for range frames {
	}
}

// TestFollowedLogs: every line comes, over rotation and restarts, until the daemon ends.
func TestFollowedLogs(t *testing.T) {
	d := native(t, shortDir(t), 0)
	d.define("count", "command=/bin/sh -c 'i=0; while [ $i -lt 400 ]; do i=$((i+1)); echo line $i of $$; done; exec sleep 1000'\n"+
		"startsecs=0\nautostart=false\nstdout_logfile_maxbytes=1KB\nstdout_logfile_backups=50\n")
	lines := make(chan upkeep.LogLine, 5000)
	done := make(chan error, 1)
	ready := make(chan struct{})
	go func() {
		close(ready)
		done <- d.api.Logs(context.Background(), upkeep.LogFilter{Select: []string{"count"}, Follow: true}, func(l upkeep.LogLine) error {
			lines <- l
			return nil
		})
	}()
	<-ready
	var pids []string
	for range 2 {
		o, err := d.api.Do(t.Context(), upkeep.Action{Action: "restart", Select: []string{"count"}}, patience)
		if err != nil || o.State != "done" {
			t.Fatalf("%+v %v", o, err)
		}
		for i := 1; i <= 400; {
			select {
			case l := <-lines:
				if l.Mark != "" {
					continue
				}
				var n int
				var pid string
				if _, err := fmt.Sscanf(l.Text, "line %d of %s", &n, &pid); err != nil || n != i || l.ID != "count" || l.Stream != "stdout" {
					t.Fatalf("%+v, want line %d", l, i)
				}
				if i == 1 {
					pids = append(pids, pid)
				}
				i++
			case <-time.After(patience):
				t.Fatalf("line %d does not come", i)
			}
		}
	}
	if len(pids) != 2 || pids[0] == pids[1] {
		t.Errorf("%q", pids)
	}
	d.stop()
	select {
	case err := <-done:
		if err == nil {
			t.Error("that it broke off is not told")
		}
	case <-time.After(patience):
		t.Error("the stream does not end with the daemon")
	}
}

// slow defines a program that takes a second to end when it is asked to, and returns when it is ready for that.
func (d *daemon) slow(name string) {
	d.t.Helper()
	d.define(name, "command=/bin/sh -c 'trap \"sleep 1; exit 0\" TERM; echo ready; while :; do sleep 0.05; done'\nstartsecs=0\n")
	until(d.t, name+" is ready", func() bool {
		text, err := os.ReadFile(filepath.Join(d.root, "logs", name+".stdout.log"))
		return err == nil && strings.Contains(string(text), "ready\n")
	})
}

// TestOrdersGoOn: an order is carried out without its client; several go side by side.
func TestOrdersGoOn(t *testing.T) {
	d := native(t, shortDir(t), 0)
	for i := range 4 {
		d.slow(fmt.Sprintf("slow%d", i))
	}
	before := *d.process("slow0").PID
	ctx, cancel := context.WithCancel(t.Context())
	asked := make(chan error, 1)
	go func() {
		_, err := d.api.Do(ctx, upkeep.Action{Action: "restart", Select: []string{"slow0"}}, patience)
		asked <- err
	}()
	until(t, "the stop", func() bool { return d.process("slow0").State == "STOPPING" })
	cancel()
	if err := <-asked; !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	until(t, "the other process", func() bool { p := d.process("slow0"); return p.State == "RUNNING" && *p.PID != before })

	began := time.Now()
	var group sync.WaitGroup
	for i := range 4 {
		group.Go(func() {
			o, err := d.api.Do(context.Background(), upkeep.Action{Action: "stop", Select: []string{fmt.Sprintf("slow%d", i)}}, patience)
			if err != nil || o.State != "done" || o.Results[0].Process.State != "STOPPED" {
				t.Errorf("%+v %v", o, err)
			}
		})
	}
	group.Wait()
	t.Logf("four stops of a second: %v", time.Since(began))
	var list struct{ Items []upkeep.Operation }
	if err := json.Unmarshal([]byte(d.request("GET", "/v1/operations", "").body), &list); err != nil || len(list.Items) < 5 {
		t.Errorf("%d operations, %v", len(list.Items), err)
	}
}

// TestManagerIsKilledInAnOrder: the client is told, what was ordered is done.
func TestManagerIsKilledInAnOrder(t *testing.T) {
	d := native(t, shortDir(t), 0)
	d.slow("slow")
	s, err := d.api.System(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	asked := make(chan error, 1)
	go func() {
		_, err := d.api.Do(context.Background(), upkeep.Action{Action: "stop", Select: []string{"slow"}}, patience)
		asked <- err
	}()
	until(t, "the stop", func() bool { return d.process("slow").State == "STOPPING" })
	if err := syscall.Kill(s.Manager, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := <-asked; err == nil || isAbsent(err) {
		t.Errorf("%v", err)
	}
	until(t, "the end of the stop", func() bool { return d.process("slow").State == "STOPPED" })
	d.define("web", sleeper) // the next one is whole
	if p := d.process("web"); p.State != "RUNNING" {
		t.Errorf("%+v", p)
	}
}
