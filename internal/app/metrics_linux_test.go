package app_test

import (
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	prom "github.com/prometheus/common/model"
)

// page is what /metrics shows.
type page map[string]*dto.MetricFamily

// metrics reads the page as Prometheus does.
func (d *daemon) metrics() page {
	d.t.Helper()
	a := d.request("GET", "/metrics", "")
	if a.status != http.StatusOK {
		d.t.Fatalf("%d %s", a.status, a.body)
	}
	return read(d.t, a.body)
}

func read(t *testing.T, text string) page {
	t.Helper()
	p := expfmt.NewTextParser(prom.LegacyValidation)
	found, err := p.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		t.Fatalf("Prometheus cannot read it: %v\n%s", err, text)
	}
	return found
}

// of is a value of a program; further labels are name and value in turn. ok is false when it is not there.
func (p page) of(program, name string, more ...string) (value float64, ok bool) {
	want := map[string]string{"process": program}
	if program == "" {
		delete(want, "process")
	}
	for i := 0; i < len(more); i += 2 {
		want[more[i]] = more[i+1]
	}
next:
	for _, m := range p[name].GetMetric() {
		have := map[string]string{}
		for _, l := range m.GetLabel() {
			have[l.GetName()] = l.GetValue()
		}
		for k, v := range want {
			if have[k] != v {
				continue next
			}
		}
		if m.Counter != nil {
			return m.GetCounter().GetValue(), true
		}
		return m.GetGauge().GetValue(), true
	}
	return 0, false
}

// kernel is what the kernel tells of a process, read without any of our own code.
type kernel struct {
	rss, fds, threads int
	cpu               float64 // seconds, with its dead children
}

func ask(t *testing.T, pid int) (k kernel) {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		n, _ := strconv.Atoi(f[1]) // others are words
		switch f[0] {
		case "VmRSS:":
			k.rss = n << 10
		case "Threads:":
			k.threads = n
		}
	}
	fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	k.fds = len(fds)
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	f := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+2:]))
	for _, at := range []int{11, 12, 13, 14} {
		n, err := strconv.Atoi(f[at])
		if err != nil {
			t.Fatal(err)
		}
		k.cpu += float64(n) / 100
	}
	return k
}

// children are those of a process.
func children(t *testing.T, pid int) (out []int) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		t.Skipf("this kernel does not list children: %v", err)
	}
	for _, f := range strings.Fields(string(text)) {
		n, err := strconv.Atoi(f)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, n)
	}
	return out
}

// near: two numbers that were read one after the other are the same but for what happened in between.
func near(a, b, part, least float64) bool { return max(a, b)-min(a, b) <= max(least, part*max(a, b)) }

// TestMetrics: the figures of a real program with children are those that the kernel tells.
func TestMetrics(t *testing.T) {
	d := native(t, shortDir(t), 0)
	d.define("work", `command=/bin/sh -c 'i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; printf %%01000d 7; sleep 1000 & sleep 1000 & wait'
startsecs=0
stop_reach=tree
`)
	p := d.process("work")
	if p.PID == nil {
		t.Fatalf("%+v", p)
	}
	root := *p.PID
	until(t, "its children", func() bool { return len(children(t, root)) == 2 })
	// The shell does nothing any more; its children have executed when the kernel calls them so.
	until(t, "sleep", func() bool {
		for _, pid := range children(t, root) {
			if name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid)); string(name) != "sleep\n" {
				return false
			}
		}
		return true
	})
	var m page
	until(t, "a look since then", func() bool { // looks are shared for a second
		m = d.metrics()
		n, _ := m.of("work", "upkeep_process_children")
		return n == 2
	})
	var sum kernel
	for _, pid := range append(children(t, root), root) {
		k := ask(t, pid)
		sum.rss, sum.fds, sum.threads, sum.cpu = sum.rss+k.rss, sum.fds+k.fds, sum.threads+k.threads, sum.cpu+k.cpu
	}
	user, _ := m.of("work", "upkeep_process_cpu_seconds_total", "mode", "user")
	system, _ := m.of("work", "upkeep_process_cpu_seconds_total", "mode", "system")
	for _, c := range []struct {
		name        string
		have, kern  float64
		part, least float64
	}{
		{"memory", first(m.of("work", "upkeep_process_resident_memory_bytes")), float64(sum.rss), 0.1, 1 << 20},
		{"descriptors", first(m.of("work", "upkeep_process_open_fds")), float64(sum.fds), 0, 0},
		{"threads", first(m.of("work", "upkeep_process_threads")), float64(sum.threads), 0, 0},
		{"processor time", user + system, sum.cpu, 0.1, 0.1},
	} {
		if c.kern == 0 || !near(c.have, c.kern, c.part, c.least) {
			t.Errorf("%s: %v, the kernel says %v", c.name, c.have, c.kern)
		}
	}
	if now := d.process("work"); now.Usage == nil || now.TreeUsage == nil || now.TreeUsage.Processes != 3 || now.Usage.Processes != 1 ||
		!near(float64(now.TreeUsage.Memory), float64(sum.rss), 0.1, 1<<20) || now.Usage.Memory >= now.TreeUsage.Memory {
		t.Errorf("%+v, %+v", now.Usage, now.TreeUsage)
	}
	for name, want := range map[string]float64{
		"upkeep_process_up": 1, "upkeep_process_state": 20, "upkeep_process_start_failures_total": 0, "upkeep_process_adopted": 0,
	} {
		if got, ok := m.of("work", name); !ok || got != want {
			t.Errorf("%s is %v", name, got)
		}
	}
	until(t, "its output", func() bool {
		n, _ := d.metrics().of("work", "upkeep_log_bytes_total", "stream", "stdout")
		return n == 1000
	})
}

func first(v float64, _ bool) float64 { return v }

// TestCountsOfReality: what happens to real programs is counted by its reason, and no counter ever becomes less.
func TestCountsOfReality(t *testing.T) {
	d := native(t, shortDir(t), 0)
	d.define("web", sleeper)
	d.define("bad", "command=/bin/sh -c 'exit 3'\nstartsecs=30\nstartretries=1\n")
	last := map[string]float64{}
	counts := func() page {
		m := d.metrics()
		for name, f := range m {
			for _, s := range f.GetMetric() {
				if s.Counter == nil {
					continue
				}
				key := name
				for _, l := range s.GetLabel() {
					key += " " + l.GetName() + "=" + l.GetValue()
				}
				if now := s.GetCounter().GetValue(); now < last[key] {
					t.Errorf("%s was %v and is %v", key, last[key], now)
				} else {
					last[key] = now
				}
			}
		}
		return m
	}
	const restarts, exits = "upkeep_process_restarts_total", "upkeep_process_exits_total"
	is := func(program, name string, want float64, labels ...string) {
		t.Helper()
		until(t, fmt.Sprintf("%s%v of %s = %v", name, labels, program, want), func() bool {
			got, ok := counts().of(program, name, labels...)
			return ok && got == want
		})
	}
	is("web", "upkeep_process_up", 1)
	is("web", restarts, 0, "reason", "exit")
	kill, err := os.FindProcess(*d.process("web").PID)
	if err != nil {
		t.Fatal(err)
	}
	if err := kill.Kill(); err != nil {
		t.Fatal(err)
	}
	is("web", exits, 1, "kind", "signal")
	is("web", restarts, 1, "reason", "signal")
	is("web", "upkeep_process_last_exit_code", -9)
	is("web", "upkeep_process_up", 1)
	if a := d.request("POST", "/v1/processes/web/restart", "{}"); a.status >= 400 {
		t.Fatal(a.body)
	}
	is("web", exits, 1, "kind", "stopped")
	is("web", restarts, 1, "reason", "user")
	is("bad", "upkeep_process_state", 200)
	is("bad", "upkeep_process_start_failures_total", 2)
	is("bad", exits, 2, "kind", "unexpected")
	is("bad", restarts, 1, "reason", "exit")
	is("bad", "upkeep_process_last_exit_code", 3)
	m := counts()
	for name, labels := range map[string][]string{
		"upkeep_events_total":                 {"type", "PROCESS_STATE_FATAL"},
		"upkeep_config_last_apply_successful": nil,
		"upkeep_build_info":                   {"version", "1.2.3"},
		"upkeep_processes":                    {"state", "FATAL", "group", "bad"},
	} {
		if got, ok := m.of("", name, labels...); !ok || got != 1 {
			t.Errorf("%s%v is %v", name, labels, got)
		}
	}
	if got, _ := m.of("", "upkeep_http_requests_total", "route", "/metrics", "method", "GET", "code", "200"); got < 5 {
		t.Errorf("%v requests", got)
	}
	if got, _ := m.of("", "process_start_time_seconds"); time.Since(time.Unix(int64(got), 0)) > 2*patience {
		t.Errorf("it began at %v", got)
	}
	if m["node_supervisord_up"] != nil {
		t.Error("names of others are there although nobody asked")
	}
}

// TestMetricsOfASupervisordInstance: the page is on every server, behind its password; other names on request; a
// configuration that cannot be used is seen.
func TestMetricsOfASupervisordInstance(t *testing.T) {
	root := shortDir(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	tcp := l.Addr().String()
	l.Close()
	conf := filepath.Join(root, "s.conf")
	text := fmt.Sprintf("[upkeep]\nmetrics_compat=node_supervisord\n[supervisord]\nlogfile=%[1]s/log\npidfile=%[1]s/pid\nchildlogdir=%[1]s\n"+
		"[unix_http_server]\nfile=%[1]s/sock\n[inet_http_server]\nport=%[2]s\nusername=ann\npassword=secret\n[program:web]\n%[3]s", root, tcp, sleeper)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	d := &daemon{t: t, root: root, socket: filepath.Join(root, "sock")}
	d.start(conf, 0)
	until(t, "it runs", func() bool { n, _ := d.metrics().of("web", "upkeep_process_up"); return n == 1 })
	m := d.metrics()
	if n, ok := m.of("", "node_supervisord_state", "name", "web", "group", "web"); !ok || n != 20 {
		t.Errorf("%v", m["node_supervisord_state"])
	}
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte("ann:secret"))
	for credentials, want := range map[string]int{"": 401, "Basic x": 400, basic: 200} {
		r, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+tcp+"/metrics", nil)
		if err != nil {
			t.Fatal(err)
		}
		if credentials != "" {
			r.Header.Set("Authorization", credentials)
		}
		a, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		a.Body.Close()
		if a.StatusCode != want {
			t.Errorf("%q: %s", credentials, a.Status)
		}
	}
	if err := os.WriteFile(conf, []byte(text+"\nstartsecs=soon\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	a := d.request("POST", "/v1/config/apply", "{}")
	if a.status < 400 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if n, ok := d.metrics().of("", "upkeep_config_last_apply_successful"); !ok || n != 0 {
		t.Errorf("the last apply has failed, and it does not show: %v %v, %s", n, ok, a.body)
	}
}
