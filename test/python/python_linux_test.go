package python

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/upkeep-project/upkeep/client/listener/listenertest"
	"github.com/upkeep-project/upkeep/internal/app"
	"github.com/upkeep-project/upkeep/internal/cli"
)

// The test binary is the daemon when it is called by that name.
func TestMain(m *testing.M) {
	app.Role()
	if filepath.Base(os.Args[0]) == "supervisord" {
		os.Exit(cli.Main(os.Args))
	}
	os.Exit(m.Run())
}

const patience = 2 * time.Minute

// interpreter is a Python that finds the modules.
func interpreter(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("no python3: ", err)
	}
	if out, err := exec.Command(python, "-c", "import sys; assert sys.version_info >= (3, 8), sys.version").CombinedOutput(); err != nil {
		t.Skipf("python3 is too old: %s", out)
	}
	modules, err := filepath.Abs("../../contrib/python")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(python, args...)
	cmd.Env = append(os.Environ(), "PYTHONPATH="+modules, "PYTHONDONTWRITEBYTECODE=1", "PYTHONUTF8=1")
	return cmd
}

// listen runs a script as an event listener.
func listen(t *testing.T, args ...string) (*listenertest.Daemon, *bytes.Buffer) {
	t.Helper()
	cmd := interpreter(t, args...)
	var errs bytes.Buffer
	return listenertest.Start(t, func(in io.Reader, out io.Writer) {
		cmd.Stdin, cmd.Stdout, cmd.Stderr = in, out, &errs
		if err := cmd.Run(); err != nil {
			t.Errorf("%v\n%s", err, errs.String())
		}
	}), &errs
}

// TestExample runs the example of the documentation.
func TestExample(t *testing.T) {
	d, errs := listen(t, "../../contrib/python/examples/watch.py")
	for _, state := range []string{"EXITED", "STARTING"} {
		if got := d.Send("PROCESS_STATE_"+state, "processname:cat groupname:pets from_state:RUNNING expected:0 pid:7"); got != "OK" {
			t.Errorf("answer %q", got)
		}
	}
	if rest := d.Leave(); rest != "READY\n" {
		t.Errorf("last words %q", rest)
	}
	if got := errs.String(); got != "pets:cat was RUNNING PROCESS_STATE_EXITED\npets:cat was RUNNING PROCESS_STATE_STARTING\n" {
		t.Errorf("it says %q", got)
	}
}

// TestListener: characters are counted, OK and FAIL are answers, and results are counted in bytes.
func TestListener(t *testing.T) {
	d, errs := listen(t, "-c", `
import sys
from supervisor import childutils
for answer in ("ok", "fail", None):
    headers, payload = childutils.listener.wait(sys.stdin, sys.stdout)
    fields, data = childutils.eventdata(payload)
    print(headers["eventname"], headers["pool"], sorted(fields.items()), repr(data), file=sys.stderr)
    if answer:
        getattr(childutils.listener, answer)(sys.stdout)
    else:
        childutils.listener.send("h\u00e9", sys.stdout)
`)
	for _, want := range []string{"OK", "FAIL", "h\u00e9"} {
		if got := d.Send("PROCESS_LOG_STDOUT", "processname:cat groupname:cat pid:7 channel:stdout\nh\u00e9 \u65e5\n"); got != want {
			t.Errorf("answer %q, want %q", got, want)
		}
	}
	d.Leave()
	line := `PROCESS_LOG_STDOUT tested [('channel', 'stdout'), ('groupname', 'cat'), ('pid', '7'), ('processname', 'cat')] 'h` + "\u00e9 \u65e5" + `\n'` + "\n"
	if diff := cmp.Diff(strings.Repeat(line, 3), errs.String()); diff != "" {
		t.Error(diff)
	}
}

func run(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s%s", err, out, errs.String())
	}
	return string(out)
}

// TestCommunication: marks and message are one piece, after what was printed before.
func TestCommunication(t *testing.T) {
	got := run(t, interpreter(t, "-c", `
import io, sys
from supervisor.childutils import pcomm
print("before")
pcomm.stdout("h\u00e9")
pcomm.send(b"\xff")
text = io.StringIO()
pcomm.send("text", text)
print(text.getvalue())
`))
	const begin, end = "<!--XSUPERVISOR:BEGIN-->", "<!--XSUPERVISOR:END-->"
	if want := "before\n" + begin + "h\u00e9" + end + begin + "\xff" + end + begin + "text" + end + "\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

const conf = `[unix_http_server]
file=%(here)s/s
[inet_http_server]
port=127.0.0.1:{port}
username=me
password=s3cret
[supervisord]
logfile=%(here)s/d.log
pidfile=%(here)s/d.pid
childlogdir=%(here)s
[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
[program:sleeper]
command=/bin/sleep 1000
autostart=false
startsecs=0
[program:broken]
command=%(here)s/nothing
autostart=false
`

// rpcScript makes all kinds of calls. Its output is compared.
const rpcScript = `
import os, sys, xmlrpc.client
from supervisor import childutils, states, xmlrpc as theirs
from supervisor.options import make_namespec
p = childutils.getRPCInterface(os.environ)
s = p.supervisor
print(s.getAPIVersion(), s.getState()["statename"])
print(s.startProcess("sleeper"))
info = s.getProcessInfo("sleeper")
print(make_namespec(info["group"], info["name"]), states.getProcessStateDescription(info["state"]), info["pid"] > 0)
print([i["name"] for i in s.getAllProcessInfo()])
print(s.stopProcess("sleeper"))
for call, name in ((s.stopProcess, "sleeper"), (s.startProcess, "nobody"), (s.startProcess, "broken")):
    try:
        call(name)
    except xmlrpc.client.Fault as e:
        print(e.faultCode, theirs.getFaultDescription(e.faultCode), e.faultString)
print(s.sendRemoteCommEvent("kind", "h\u00e9 \u65e5"))
print(p.system.multicall([{"methodName": "supervisor." + m, "params": []} for m in ("getAPIVersion", "getIdentification")]))
try:
    childutils.getRPCInterface(dict(os.environ, SUPERVISOR_PASSWORD="wrong", SUPERVISOR_SERVER_URL=sys.argv[1])).supervisor.getState()
except xmlrpc.client.ProtocolError as e:
    print(e.errcode, e.errmsg)
`

const rpcAnswers = `3.0 RUNNING
True
sleeper RUNNING True
['broken', 'sleeper']
True
70 NOT_RUNNING NOT_RUNNING: sleeper
10 BAD_NAME BAD_NAME: nobody
20 NO_FILE NO_FILE: can't find command '{dir}/nothing'
True
['3.0', 'supervisor']
401 Unauthorized
`

// TestCalls: the same script, over both kinds of sockets.
func TestCalls(t *testing.T) {
	interpreter(t) // or skip
	dir, url := daemon(t)
	for _, env := range [][]string{
		{"SUPERVISOR_SERVER_URL=unix://" + dir + "/s"},
		{"SUPERVISOR_SERVER_URL=" + url, "SUPERVISOR_USERNAME=me", "SUPERVISOR_PASSWORD=s3cret"},
	} {
		cmd := interpreter(t, "-c", rpcScript, url)
		cmd.Env = append(cmd.Env, "SUPERVISOR_USERNAME=me", "SUPERVISOR_PASSWORD=s3cret")
		cmd.Env = append(cmd.Env, env...)
		if diff := cmp.Diff(strings.ReplaceAll(rpcAnswers, "{dir}", dir), run(t, cmd)); diff != "" {
			t.Errorf("%s: -want +got:\n%s", env[0], diff)
		}
	}
	for _, address := range []string{"gopher://x", "", "s"} {
		cmd := interpreter(t, "-c", "import sys; from supervisor.xmlrpc import SupervisorTransport; SupervisorTransport(None, None, sys.argv[1])", address)
		if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "ValueError: Unknown protocol for serverurl "+address) {
			t.Errorf("%q: %s", address, out)
		}
	}
}

// daemon runs the product and returns its folder and its TCP address.
func daemon(t *testing.T) (dir, url string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "pyt") // short: it holds a unix socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	text := strings.ReplaceAll(conf, "{port}", fmt.Sprint(port))
	if err := os.WriteFile(filepath.Join(dir, "d.conf"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "-n", "-c", filepath.Join(dir, "d.conf"))
	cmd.Args[0] = "supervisord"
	cmd.Env = append(os.Environ(), "UPKEEP_ROOT="+dir)
	log, err := os.Create(filepath.Join(dir, "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		kill := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
		defer kill.Stop()
		_ = cmd.Wait()
	})
	for limit := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		if c, err := net.Dial("unix", filepath.Join(dir, "s")); err == nil {
			c.Close()
			return dir, fmt.Sprintf("http://127.0.0.1:%d", port)
		}
		if time.Now().After(limit) {
			text, _ := os.ReadFile(log.Name())
			t.Fatalf("the daemon does not listen:\n%s", text)
		}
	}
}

// TestIdleConnection: a connection that the daemon has closed meanwhile is replaced before a call.
func TestIdleConnection(t *testing.T) {
	got := run(t, interpreter(t, "-c", `
import http.server, threading, xmlrpc.client
from supervisor.xmlrpc import SupervisorTransport
seen = []
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        seen.append(self.client_address[1])
        body = xmlrpc.client.dumps((len(seen),), methodresponse=True).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = len(seen) == 2  # without saying so
    def log_message(self, *args):
        pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
t = SupervisorTransport(None, None, "http://127.0.0.1:%d" % server.server_port)
p = xmlrpc.client.ServerProxy("http://127.0.0.1", transport=t)
print(p.a(), p.b())
sock = t.connection.sock
sock.settimeout(30)
import socket
assert sock.recv(1, socket.MSG_PEEK) == b""
print(p.c(), seen[0] == seen[1], seen[1] == seen[2])
t.close()
`))
	if got != "1 2\n3 True False\n" {
		t.Errorf("%q", got)
	}
}

// TestNames: names and numbers are those of the original's modules.
func TestNames(t *testing.T) {
	const script = `
from supervisor import events, states, xmlrpc, options, datatypes, childutils
def show(c):
    return sorted((k, v) for k, v in vars(c).items() if k.isupper())
for c in (xmlrpc.Faults, states.ProcessStates, states.SupervisorStates, states.EventListenerStates):
    print(c.__name__, show(c))
print(states.STOPPED_STATES, states.RUNNING_STATES, states.SIGNALLABLE_STATES)
print(states.getProcessStateDescription(20), states.getSupervisorStateDescription(-1), states.getEventListenerStateDescription(40), states.getProcessStateDescription(3))
for name, kind in sorted(vars(events.EventTypes).items()):
    if name.isupper() or name.startswith("TICK"):
        print(name, kind.__name__, [b.__name__ for b in kind.__mro__[1:-1]], events.getEventNameByType(kind))
print([t.period for t in events.TICK_EVENTS], events.ProcessLogStdoutEvent.channel, events.ProcessCommunicationEvent.BEGIN_TOKEN, events.ProcessCommunicationEvent.END_TOKEN)
print(events.getEventNameByType(int))
for n in ("a", "a:b", "a:*", "a:", "a:b:c", ""):
    print(options.split_namespec(n))
print(options.make_namespec("a", "a"), options.make_namespec("a", "b"))
print(str(xmlrpc.RPCError(10, "x")), str(xmlrpc.RPCError(99)), xmlrpc.RPCError(20).text)
print([datatypes.byte_size(s) for s in ("1", "2KB", "3mb", "4Gb")], datatypes.boolean("on"), datatypes.list_of_strings("a, b"))
print(childutils.get_headers("a:1 b:2"), childutils.eventdata("a:1 b:2\nx\ny"), childutils.get_asctime(1.5)[-4:])
`
	const theirs = "/usr/bin/python3"
	want, err := exec.Command(theirs, "-c", script).Output()
	if err != nil {
		t.Skip("the original is not installed: ", err)
	}
	if diff := cmp.Diff(string(want), run(t, interpreter(t, "-c", script))); diff != "" {
		t.Errorf("-original +ours:\n%s", diff)
	}
}

// TestInstall: the modules go where they are told to, and another package's stay.
func TestInstall(t *testing.T) {
	interpreter(t) // or skip
	script := func(verb, dest, folder string) (string, error) {
		out, err := exec.Command("../../scripts/install-python.sh", verb, dest, folder).CombinedOutput()
		return string(out), err
	}
	dest := t.TempDir()
	if out, err := script("install", dest, "/lib/python"); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	cmd := interpreter(t, "-c", "import supervisor.childutils; print(supervisor.__file__)")
	cmd.Env = append(cmd.Env, "PYTHONPATH="+dest+"/lib/python")
	if got := run(t, cmd); got != dest+"/lib/python/supervisor/__init__.py\n" {
		t.Errorf("imported from %q", got)
	}
	if out, err := script("install", dest, "/lib/python"); err != nil {
		t.Errorf("a second time: %v %s", err, out)
	}
	if out, err := script("uninstall", dest, "/lib/python"); err != nil {
		t.Errorf("%v %s", err, out)
	}
	place := filepath.Join(dest, "lib/python/supervisor")
	if _, err := os.Stat(place); err == nil {
		t.Error("it is still there")
	}
	if err := os.MkdirAll(place, 0o755); err != nil {
		t.Fatal(err)
	}
	foreign := filepath.Join(place, "__init__.py")
	if err := os.WriteFile(foreign, []byte("theirs"), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := script("install", dest, "/lib/python"); err == nil || !strings.Contains(out, "belongs to another package") {
		t.Errorf("%v %s", err, out)
	}
	if out, err := script("uninstall", dest, "/lib/python"); err != nil {
		t.Errorf("%v %s", err, out)
	}
	if text, err := os.ReadFile(foreign); err != nil || string(text) != "theirs" {
		t.Errorf("the other package has %q, %v", text, err)
	}
}
