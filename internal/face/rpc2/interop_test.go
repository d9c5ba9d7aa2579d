package rpc2

import (
	"context"
	"io"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/upkeep-project/upkeep/client/supervisor"
	"github.com/upkeep-project/upkeep/internal/domain/model"
)

func TestGoClient(t *testing.T) {
	for _, local := range []bool{false, true} {
		e := serve(t, Options{Namespace: true, Local: local, Username: "u", Password: "p"})
		url := "http://" + e.addr
		if local {
			url = "unix://" + e.addr
		}
		c, err := supervisor.New(supervisor.Options{URL: url, Username: "u", Password: "p"})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		ctx := context.Background()
		infos, err := c.GetAllProcessInfo(ctx)
		if err != nil || len(infos) != 4 || infos[1].Group != "g" || infos[0].PID != 100 {
			t.Errorf("%v %v", infos, err)
		}
		ch, err := c.ReloadConfig(ctx)
		if err != nil || !cmp.Equal(ch, supervisor.Changes{Added: []string{"n1", "n2"}, Changed: []string{}, Removed: []string{"r"}}) {
			t.Errorf("%v %v", ch, err)
		}
		sctx, cancel := context.WithCancel(ctx)
		r, err := c.Stream(sctx, supervisor.LogPath("g:a", "stderr"))
		if err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 10)
		if _, err := io.ReadFull(r, buf); err != nil || string(buf) != "hello log\n" {
			t.Errorf("%q %v", buf, err)
		}
		cancel()
		_ = r.Close()
	}
}

const pythonClient = `
import sys, xmlrpc.client
url, sock = sys.argv[1], sys.argv[2]
proxies = [xmlrpc.client.ServerProxy(url, allow_none=True)]
try:
    from supervisor.xmlrpc import SupervisorTransport
    proxies.append(xmlrpc.client.ServerProxy('http://127.0.0.1', transport=SupervisorTransport('u', 'p', 'unix://' + sock)))
except ImportError:
    pass
for p in proxies:
    assert p.supervisor.getVersion() == '3.0'
    assert p.supervisor.getState() == {'statecode': 1, 'statename': 'RUNNING'}
    infos = p.supervisor.getAllProcessInfo()
    assert [i['name'] for i in infos] == ['cat', 'a', 'b', 'off'], infos
    assert list(infos[0]) == ['name', 'group', 'start', 'stop', 'now', 'state', 'statename', 'spawnerr', 'exitstatus', 'logfile', 'stdout_logfile', 'stderr_logfile', 'pid', 'description']
    try:
        p.supervisor.startProcess('nope')
        assert False
    except xmlrpc.client.Fault as e:
        assert (e.faultCode, e.faultString) == (10, 'BAD_NAME: nope')
    assert p.supervisor.readLog(0, 0) == ''.join(chr(c) if c in (9, 10, 13) or 32 <= c < 128 else '\ufffd' for c in range(256)).replace('\r', '\n')[:-1] + '\ufffd'
    assert len(p.system.listMethods()) == len(set(p.system.listMethods())) > 40
    assert p.system.multicall([{'methodName': 'supervisor.getPID', 'params': []}]) == [77]
print('fine', len(proxies))
`

func TestPythonClient(t *testing.T) {
	if _, err := exec.LookPath("/usr/bin/python3"); err != nil {
		t.Skip("no /usr/bin/python3")
	}
	f := newFake()
	f.log = nil
	for i := range 256 {
		f.log = append(f.log, byte(i))
	}
	tcp := serve(t, Options{Service: f, Namespace: true, Username: "u", Password: "p"})
	local := serve(t, Options{Service: f, Namespace: true, Username: "u", Password: "p", Local: true})
	out, err := exec.Command("/usr/bin/python3", "-c", pythonClient, "http://u:p@"+tcp.addr, local.addr).CombinedOutput()
	if err != nil || !strings.HasPrefix(string(out), "fine") {
		t.Errorf("%v\n%s\n%s", err, out, tcp.log)
	}
}

func TestOriginalSupervisorctl(t *testing.T) {
	if _, err := exec.LookPath("/usr/bin/supervisorctl"); err != nil {
		t.Skip("the original supervisorctl is not installed")
	}
	f := newFake()
	f.list[1].State, f.list[1].SpawnErr = model.Fatal, "can't find command 'x'"
	tcp := serve(t, Options{Service: f, Namespace: true, Username: "u", Password: "p"})
	local := serve(t, Options{Service: f, Namespace: true, Username: "u", Password: "p", Local: true})
	tests := []struct {
		args, want string
		code       int
	}{
		{"version", "4.3.0\n", 0},
		{"pid", "77\n", 0},
		{"pid cat", "100\n", 0},
		{"status g:a", "g:a                              FATAL     can't find command 'x'\n", 3},
		{"status nope", "nope: ERROR (no such process)\n", 4},
		{"stop cat", "cat: stopped\n", 0},
		{"stop g:*", "g:a: stopped\ng:b: stopped\n", 0},
		{"start cat", "cat: ERROR (spawn error)\n", 7},
		{"start nope", "nope: ERROR (no such process)\n", 1},
		{"signal HUP all", "cat: signalled\ng:a: signalled\ng:b: signalled\noff: signalled\n", 0},
		{"reread", "n1: available\nn2: available\nr: disappeared\n", 0},
		{"avail", "g:a                              in use    auto      5:999\n", 0},
		{"add g", "g: added process group\n", 0},
		{"remove g", "g: removed process group\n", 0},
		{"clear all", "cat: cleared\ng:a: cleared\ng:b: cleared\noff: cleared\n", 0},
		{"maintail", "hello log\n\n", 0},
		{"tail g:a stderr", "hello log\n\n", 0},
		{"shutdown", "Shut down\n", 0},
		{"reload", "Restarted supervisord\n", 0},
	}
	conf := writeConf(t)
	for _, url := range []string{"unix://" + local.addr, "http://" + tcp.addr} {
		if strings.HasPrefix(url, "http") {
			tests = tests[:3] // the rest is the same on every socket
		}
		for _, tt := range tests {
			cmd := exec.Command("/usr/bin/supervisorctl", append([]string{"-c", conf, "-s", url, "-u", "u", "-p", "p"}, strings.Fields(tt.args)...)...)
			out, _ := cmd.CombinedOutput()
			if string(out) != tt.want || cmd.ProcessState.ExitCode() != tt.code {
				t.Errorf("%.4s %s: %q status %d, want %q status %d", url, tt.args, out, cmd.ProcessState.ExitCode(), tt.want, tt.code)
			}
		}
	}
	f.mu.Lock()
	f.info.State = model.DaemonShutdown
	f.mu.Unlock()
	cmd := exec.Command("/usr/bin/supervisorctl", "-c", conf, "-s", "unix://"+local.addr, "-u", "u", "-p", "p", "reread")
	if out, _ := cmd.CombinedOutput(); !strings.Contains(string(out), "supervisor shutting down") && !strings.Contains(string(out), "SHUTDOWN_STATE") {
		t.Errorf("%q", out)
	}
}
