package manual

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/upkeep-project/upkeep/client/supervisor"
	"github.com/upkeep-project/upkeep/internal/base/units"
	"github.com/upkeep-project/upkeep/internal/cli"
	"github.com/upkeep-project/upkeep/internal/cli/supervisorctl"
	conf "github.com/upkeep-project/upkeep/internal/conf/supervisord"
	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/face/rpc2"
	"github.com/upkeep-project/upkeep/internal/service"
	"github.com/upkeep-project/upkeep/internal/sys/signals"
	"github.com/upkeep-project/upkeep/internal/wire/listener"
)

// code is what the names are held against.
type code struct {
	dir     string
	env     conf.Environ
	base    string // what comes out of the configuration without anything to try
	rpc     *supervisor.Client
	methods []string
	names   string // what "upkeep help" prints
}

// users is a small user database.
type users struct{}

func (users) UserByName(name string) (conf.User, bool) {
	return conf.User{Name: name, UID: 65534, GID: 65534, Home: "/"}, name == "nobody"
}
func (users) UserByID(int) (conf.User, bool)      { return conf.User{}, false }
func (users) GroupByName(name string) (int, bool) { return 65534, name == "nogroup" }
func (users) GroupByID(int) bool                  { return false }

// theCode prepares what is asked.
func theCode(t *testing.T) *code {
	t.Helper()
	c := &code{dir: t.TempDir()}
	c.env = conf.Environ{Vars: map[string]string{"X": "x", "PATH": "/bin"}, Cwd: c.dir, Hostname: "host", TempDir: "/tmp", Users: users{}}
	if err := os.WriteFile(filepath.Join(c.dir, "other.conf"), []byte("[program:included]\ncommand=/bin/cat\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var err error
	if c.base, err = c.outcome("", ""); err != nil {
		t.Fatal(err)
	}
	c.serve(t)
	c.names = printed(t, func() { cli.Main([]string{"upkeep", "help", "all"}) })
	return c
}

// serve starts a server of the interface. Only system.* is called, which asks no service.
func (c *code) serve(t *testing.T) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s, err := rpc2.New(rpc2.Options{Service: struct{ service.Service }{}, Listener: l, Namespace: true})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve() }()
	t.Cleanup(func() {
		if err := errors.Join(s.Close(), <-ended); err != nil {
			t.Error(err)
		}
	})
	if c.rpc, err = supervisor.New(supervisor.Options{URL: "http://" + l.Addr().String()}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.rpc.Close)
	if c.methods, err = c.rpc.ListMethods(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// printed is what f writes to standard output.
func printed(t *testing.T, f func()) string {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout := os.Stdout
	os.Stdout = w
	f()
	os.Stdout = stdout
	w.Close()
	text, err := io.ReadAll(r)
	r.Close()
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// sections are all kinds, with what they cannot do without.
func sections() []string {
	return []string{
		"[unix_http_server]\nfile=/tmp/a.sock\nusername=a\npassword=b\n", "[inet_http_server]\nport=127.0.0.1:9001\nusername=a\npassword=b\n",
		"[supervisord]\n", "[supervisorctl]\n",
		"[include]\nfiles=none.conf\n", "[program:x]\ncommand=/bin/cat\nprocess_name=%(program_name)s_%(process_num)d\n", "[program:other]\ncommand=/bin/cat\n", "[group:x]\nprograms=third\n",
		"[program:third]\ncommand=/bin/cat\n", "[fcgi-program:x]\ncommand=/bin/cat\nsocket=unix:///tmp/f.sock\n",
		"[eventlistener:x]\ncommand=/bin/cat\nevents=EVENT\n",
		"[rpcinterface:x]\nsupervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface\n",
	}
}

// outcome is all that both commands take out of a configuration in which a line has been added to a section. Sections of
// one name would hide each other, so each kind of group is read by itself.
func (c *code) outcome(section, line string) (string, error) {
	var b strings.Builder
	for _, s := range sections() {
		header, _, _ := strings.Cut(s, "\n")
		s = strings.NewReplacer("[group:x]", "[group:g]", "[fcgi-program:x]", "[fcgi-program:f]", "[eventlistener:x]", "[eventlistener:l]").Replace(s)
		if b.WriteString(s); header == section && line != "" {
			b.WriteString(line + "\n")
		} else {
			b.WriteString("; nothing\n") // so that every line keeps its number
		}
	}
	file := filepath.Join(c.dir, "supervisord.conf")
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		return "", err
	}
	all, err := conf.LoadFrom(&conf.Args{}, conf.Location{Given: file, Path: file}, c.env)
	if err != nil {
		return "", err
	}
	ctl, err := conf.LoadCtl("supervisorctl", &file, c.env)
	if err != nil {
		return "", err
	}
	for _, m := range all.Messages {
		if strings.HasPrefix(m.Text, "unknown ") {
			return "", errors.New(m.Text)
		}
	}
	all.Messages = nil
	text, err := json.Marshal([]any{all, ctl})
	return string(text), err
}

// ask says what is wrong with a name; nil is that the code knows it.
func (c *code) ask(n name) error {
	switch n.kind {
	case "section":
		return c.section(n)
	case "key":
		return c.changes(n.section, n.text+" = "+n.value)
	case "expansion":
		name := "%(" + n.text + ")s"
		if n.text == "process_num" {
			name = "%(process_num)02d"
		}
		return c.changes("[program:x]", "command = /bin/echo "+name)
	case "option":
		return c.option(n)
	case "action":
		return c.action(n)
	case "signal":
		return gotSignal(n)
	case "program":
		return has(c.names, "\n  "+n.text+" ")
	case "state", "level", "token", "listener":
		return word(n)
	case "event":
		return c.event(n)
	case "method", "member":
		return c.method(n)
	case "fault":
		for code := range 100 {
			if supervisor.FaultName(code) == n.text {
				return nil
			}
		}
		return errors.New("no such fault")
	}
	return errors.New("nobody knows how to ask about it")
}

// has demands that a text contains another.
func has(text, part string) error {
	if !strings.Contains(text, part) {
		return fmt.Errorf("%q is not in %q", part, text)
	}
	return nil
}

func (c *code) section(n name) error {
	if !slices.ContainsFunc(sections(), func(s string) bool { return strings.HasPrefix(s, n.text+"\n") }) {
		return errors.New("it is not in the sample")
	}
	_, err := c.outcome("", "") // no section of the sample is unknown
	return err
}

// changes demands that a line makes a difference to what is read.
func (c *code) changes(section, line string) error {
	got, err := c.outcome(section, line)
	if err == nil && got == c.base {
		err = errors.New("it has no effect")
	}
	return err
}

func (c *code) option(n name) error {
	command, list, _ := strings.Cut(n.text, " ")
	for _, o := range strings.Split(list, ", ") {
		words := []string{o}
		if n.value != "" {
			words = append(words, n.value)
		}
		if err := c.words(command, words); err != nil {
			return fmt.Errorf("%s: %w", o, err)
		}
	}
	return nil
}

func (c *code) words(command string, words []string) error {
	if command == "supervisord" {
		args, err := conf.ParseArgsIn(c.env, command, words)
		if err != nil {
			return err
		}
		if got, want := fmt.Sprintf("%+v", *args), fmt.Sprintf("%+v", conf.Args{Prog: command}); got == want {
			return errors.New("it has no effect")
		}
		return nil
	}
	var out bytes.Buffer
	streams := supervisorctl.Streams{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &out}
	// The help ends the reading of options.
	if status := supervisorctl.Run(command, append(words, "-h"), streams, supervisorctl.Environ{Conf: c.env}); status != 0 {
		return errors.New(out.String())
	}
	return has(out.String(), "Options:")
}

// action asks for the help of a command; the form itself must be in it.
func (c *code) action(n name) error {
	verb := strings.Fields(n.text)[0]
	var out bytes.Buffer
	streams := supervisorctl.Streams{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &out}
	file := filepath.Join(c.dir, "supervisord.conf")
	status := supervisorctl.Run("supervisorctl", []string{"-c", file, "help", verb}, streams, supervisorctl.Environ{Conf: c.env})
	if status != 0 || strings.HasPrefix(out.String(), "***") {
		return fmt.Errorf("help ends with %d: %s", status, out.String())
	}
	form := n.text
	if form == "signal" {
		form = "signal <signal name> <name>"
	}
	return has("\n"+strings.ReplaceAll(out.String(), " (default", "\t(default"), "\n"+form)
}

func gotSignal(n name) error {
	want := map[string]syscall.Signal{
		"SIGTERM": syscall.SIGTERM, "SIGINT": syscall.SIGINT, "SIGQUIT": syscall.SIGQUIT, "SIGHUP": syscall.SIGHUP, "SIGUSR2": syscall.SIGUSR2,
	}
	kinds := map[string]signals.Kind{"SIGHUP": signals.Restart, "SIGUSR2": signals.Reopen}
	r := signals.Receive()
	defer r.Close()
	r.Deliver(want[n.text])
	kind, ok := kinds[n.text]
	if !ok {
		kind = signals.End
	}
	if got := <-r.C(); got.Kind != kind || got.Name != n.text {
		return fmt.Errorf("it is taken for %+v", got)
	}
	return nil
}

// word asks about the names of small sets.
func word(n name) error {
	switch n.kind {
	case "state":
		for s := range model.State(model.NumStates) {
			if s.String() == n.text && fmt.Sprint(s.Code()) == n.parts[0] {
				return nil
			}
		}
		return errors.New("no such state, or another code")
	case "level":
		level, err := units.ParseLevel(n.text)
		if err == nil && level.Tag() != n.parts[0] {
			err = fmt.Errorf("it is shown as %s", level.Tag())
		}
		return err
	case "listener":
		for _, s := range []listener.State{listener.Acknowledged, listener.Ready, listener.Busy} {
			if s.String() == n.text {
				return nil
			}
		}
		return errors.New("no such state")
	}
	header := listener.Header{Server: "s", Serial: 1, Pool: "p", PoolSerial: 2, Name: model.EventTick5}
	return has(" "+string(header.Envelope("when:1")), " "+n.text+":")
}

// event demands that listeners may subscribe to it, that it is below its parent, and that its text begins with what
// the manual says.
func (c *code) event(n name) error {
	if _, err := c.outcome("[eventlistener:x]", "events = "+n.text); err != nil {
		return err
	}
	mine := listener.Subscribe([]string{n.text})
	if len(mine) == 0 {
		return errors.New("nothing is behind it")
	}
	if n.parent != "" {
		covered := listener.Subscribe([]string{n.parent})
		for kind := range mine {
			if !covered[kind] {
				return fmt.Errorf("%s is not below %s", kind, n.parent)
			}
		}
	}
	if len(n.parts) == 0 {
		return nil
	}
	e := model.Event{Type: model.EventType(n.text), ID: model.ID{Group: "g", Name: "n"}, Kind: "k", Data: []byte("data")}
	first, _, _ := strings.Cut(listener.Payload(&e), "\n")
	var keys []string
	for _, token := range strings.Fields(first) {
		key, _, _ := strings.Cut(token, ":")
		keys = append(keys, key)
	}
	if len(keys) < len(n.parts) || !slices.Equal(keys[:len(n.parts)], n.parts) {
		return fmt.Errorf("its text begins with %q", first)
	}
	return nil
}

// method asks the server: the method is in its list, with as many parameters, of these names.
func (c *code) method(n name) error {
	method := n.text
	if n.kind == "member" {
		method = "supervisor.getProcessInfo"
	}
	if !slices.Contains(c.methods, method) {
		return errors.New("it is not in system.listMethods")
	}
	help, err := c.rpc.MethodHelp(context.Background(), method)
	if err != nil {
		return err
	}
	if n.kind == "member" {
		_, list, _ := strings.Cut(strings.ReplaceAll(help, " and ", ", "), "struct with ")
		return has(", "+list+",", ", "+n.text+",")
	}
	signature, err := c.rpc.MethodSignature(context.Background(), method)
	if err != nil {
		return err
	}
	if len(signature)-1 != len(n.parts) {
		return fmt.Errorf("its parameters are %q", signature[1:])
	}
	for _, p := range n.parts {
		if err := has(help, " "+p+"  "); err != nil {
			return err
		}
	}
	return nil
}
