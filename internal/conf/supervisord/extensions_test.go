package supervisord

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/upkeep-project/upkeep/internal/domain/model"
)

func TestExtension(t *testing.T) {
	dir := t.TempDir()
	cfg := mustLoad(t, dir, "[supervisord]\n[rpcinterface:cache]\nsupervisor.rpcinterface_factory=a:b\nupkeep.rpcinterface_socket=unix://%(here)s/c.sock\n"+
		"[rpcinterface:twiddler]\nupkeep.rpcinterface_socket=%(here)s/t.sock\nupkeep.rpcinterface_command=/bin/answer --as %(program_name)s\n"+
		"upkeep.rpcinterface_timeout=5\nuser=nobody\nstopwaitsecs=3\n")
	var got []RPCInterface
	for _, i := range cfg.RPCInterfaces {
		i.Origin = model.Origin{}
		got = append(got, i)
	}
	if d := cmp.Diff([]RPCInterface{
		{Namespace: "cache", Socket: dir + "/c.sock", Timeout: 30 * time.Second},
		{Namespace: "twiddler", Socket: dir + "/t.sock", Timeout: 5 * time.Second},
	}, got); d != "" {
		t.Error(d)
	}
	for _, m := range cfg.Messages {
		if strings.Contains(m.Text, "rpcinterface") {
			t.Errorf("a message: %s", m.Text)
		}
	}
	if len(cfg.Model.Groups) != 1 {
		t.Fatalf("%d groups", len(cfg.Model.Groups))
	}
	p := cfg.Model.Groups[0].Programs[0]
	if p.ID.String() != "rpcinterface_twiddler" || p.Kind != model.KindFastCGI || p.Command.Line != "/bin/answer --as rpcinterface_twiddler" ||
		p.Exit.Restart != model.RestartAlways || p.Stop.Wait != 3*time.Second || p.Origin.Line != 5 {
		t.Errorf("%+v", p)
	}
	if s := p.Socket; s == nil || s.URL != "unix://"+dir+"/t.sock" || s.Mode != 0o700 || s.Owner == nil {
		t.Errorf("%+v", s)
	}
}

func TestExtensionErrors(t *testing.T) {
	for text, want := range map[string]string{
		"[rpcinterface:supervisor]\nupkeep.rpcinterface_socket=/x\n":                                                 "[rpcinterface:supervisor] cannot be answered by a program: the name must be one word and none of supervisor, system, upkeep",
		"[rpcinterface:a.b]\nupkeep.rpcinterface_socket=/x\n":                                                        "[rpcinterface:a.b] cannot be answered by a program: the name must be one word and none of supervisor, system, upkeep",
		"[rpcinterface:a]\nupkeep.rpcinterface_command=/x\n":                                                         "section [rpcinterface:a] does not specify a upkeep.rpcinterface_socket",
		"[rpcinterface:a]\nupkeep.rpcinterface_socket=x\n":                                                           "[rpcinterface:a] upkeep.rpcinterface_socket x is not an absolute path",
		"[rpcinterface:a]\nupkeep.rpcinterface_socket=/x\nupkeep.rpcinterface_timeout=0\n":                           "[rpcinterface:a] upkeep.rpcinterface_timeout must be 1 to 3600 seconds",
		"[rpcinterface:a]\nupkeep.rpcinterface_socket=/x\nupkeep.rpcinterface_command=/y\nautostart=perhaps\n":       "not a valid boolean value: 'perhaps' in section 'fcgi-program:rpcinterface_a'",
		"[rpcinterface:a]\nupkeep.rpcinterface_socket=/x\nupkeep.rpcinterface_command=/y\nsocket_mode=9\npriority=1": "Invalid socket_mode value 9",
	} {
		dir := t.TempDir()
		path := write(t, dir, "bad.conf", "[supervisord]\n"+text)
		_, err := LoadFrom(&Args{}, Location{path, path}, testEnv(dir))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

func TestCtlPlugins(t *testing.T) {
	dir := t.TempDir()
	path := write(t, dir, "c.conf", `[supervisorctl]
[ctlplugin:quick]
supervisor.ctl_factory=supervisor_quick:make_quick_controllerplugin
[ctlplugin:deploy]
upkeep.ctl_command=%(here)s/deploy --now
upkeep.ctl_help=deploy <name>	Put it there
upkeep.ctl_complete=groups
[ctlplugin:cache]
supervisor.ctl_factory=supervisor_cache.controllerplugin:make_cache_controllerplugin
`)
	got, err := LoadCtl("p", &path, testEnv(dir))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]CtlPlugin{
		{Name: "deploy", Command: dir + "/deploy --now", Help: "deploy <name>\tPut it there", Complete: "groups"},
		{Name: "cache", Command: "supervisorctl-cache", Complete: "processes"},
	}, got.Plugins); d != "" {
		t.Error(d)
	}
	if len(got.Messages) != 1 || !strings.Contains(got.Messages[0].Text, "the command cache runs the program supervisorctl-cache instead") {
		t.Error(got.Messages)
	}
	path = write(t, dir, "c.conf", "[supervisorctl]\n[ctlplugin:x]\nupkeep.ctl_command=x\nupkeep.ctl_complete=y\n")
	if _, err := LoadCtl("p", &path, testEnv(dir)); err == nil || err.Error() != "[ctlplugin:x] upkeep.ctl_complete must be processes, groups or nothing" {
		t.Error(err)
	}
}
