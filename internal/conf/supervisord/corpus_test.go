package supervisord

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/upkeep-project/upkeep/internal/base/units"
	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// The corpus: testdata/good and testdata/bad hold one archive per case: the files of a configuration
// (supervisord.conf first) and what comes out of it, as "want" (values that are not the defaults) or
// "error". The archive's comment says with "differs:" why the original gives something else,
// or with "alone:" why it is not asked.
// Run the tests with -update to write "want" and "error" anew.

var update = flag.Bool("update", false, "rewrite the expectations of the corpus")

// corpusCase is one archive, unpacked.
type corpusCase struct {
	name    string // good/x
	file    string // of the archive
	archive *archive
	dir     string
	env     Environ
}

// differs is the reason why the original gives something else; empty if it does not.
func (c *corpusCase) differs() string {
	_, why, _ := strings.Cut(c.archive.comment, "differs:")
	return strings.TrimSpace(why)
}

func (c *corpusCase) want(name string) string {
	for _, f := range c.archive.files {
		if f.name == name {
			return strings.TrimSuffix(f.text, "\n")
		}
	}
	return ""
}

func (c *corpusCase) setWant(t *testing.T, name, text string) {
	t.Helper()
	c.archive.files = slices.DeleteFunc(c.archive.files, func(f archived) bool { return f.name == "want" || f.name == "error" })
	c.archive.files = append(c.archive.files, archived{name: name, text: text + "\n"})
	if err := os.WriteFile(c.file, []byte(c.archive.format()), 0o644); err != nil {
		t.Fatal(err)
	}
}

// load reads the case's configuration the way "supervisord -c supervisord.conf" would.
func (c *corpusCase) load() (*Config, error) {
	name := "supervisord.conf"
	return Load(&Args{Prog: "supervisord", Configuration: &name}, c.env)
}

func testEnv(dir string) Environ {
	return Environ{
		Vars: map[string]string{"HOME": "/usr", "PATH": "/usr/bin:/bin", "ODD": "50%d", "WHO": "me", "LC_ALL": "C.UTF-8"},
		Cwd:  dir, Hostname: hostname(), TempDir: "/tmp", UID: 0, Users: testUsers{},
	}
}

// testUsers is a small user database, a part of Debian's.
type testUsers struct{}

func (testUsers) UserByName(name string) (User, bool) {
	u, ok := map[string]User{
		"root":   {Name: "root", Home: "/root"},
		"nobody": {Name: "nobody", UID: 65534, GID: 65534, Home: "/nonexistent"},
	}[name]
	return u, ok
}

func (u testUsers) UserByID(uid int) (User, bool) {
	switch uid {
	case 0:
		return u.UserByName("root")
	case 65534:
		return u.UserByName("nobody")
	}
	return User{}, false
}

func (testUsers) GroupByName(name string) (int, bool) {
	gid, ok := map[string]int{"root": 0, "nogroup": 65534}[name]
	return gid, ok
}

func (testUsers) GroupByID(gid int) bool { return gid == 0 || gid == 65534 }

func hostname() string {
	name, err := os.Hostname()
	if err != nil {
		return "localhost"
	}
	return name
}

func corpus(t *testing.T) []*corpusCase {
	t.Helper()
	files, err := filepath.Glob("testdata/*/*.txtar")
	if err != nil || len(files) < 80 {
		t.Fatalf("%d cases, %v", len(files), err)
	}
	var cases []*corpusCase
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		a := parseArchive(string(text))
		dir, err := filepath.EvalSymlinks(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range a.files {
			if f.name == "want" || f.name == "error" {
				continue
			}
			path := filepath.Join(dir, f.name)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(f.text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		cases = append(cases, &corpusCase{
			name: filepath.Base(filepath.Dir(file)) + "/" + strings.TrimSuffix(filepath.Base(file), ".txtar"),
			file: file, archive: a, dir: dir, env: testEnv(dir),
		})
	}
	return cases
}

// portable replaces what depends on the machine.
func (c *corpusCase) portable(s string) string {
	s = strings.ReplaceAll(s, c.dir, "$DIR")
	return strings.ReplaceAll(s, hostname(), "$HOST")
}

func TestCorpus(t *testing.T) {
	for _, c := range corpus(t) {
		t.Run(c.name, func(t *testing.T) {
			cfg, err := c.load()
			bad := strings.HasPrefix(c.name, "bad/")
			if bad != (err != nil) {
				t.Fatalf("error: %v", err)
			}
			kind, got := "want", ""
			if bad {
				kind, got = "error", c.portable(err.Error())
			} else {
				got = c.portable(render(t, prune(generic(t, dump(cfg)))))
			}
			if *update {
				c.setWant(t, kind, got)
			}
			if d := cmp.Diff(c.want(kind), got); d != "" {
				t.Error(d)
			}
		})
	}
}

// TestErrorsHavePlaces: whoever shows an error may want to point at the line.
func TestErrorsHavePlaces(t *testing.T) {
	for _, c := range corpus(t) {
		_, err := c.load()
		if err == nil {
			continue
		}
		e, ok := err.(*Error)
		if !ok {
			t.Errorf("%s: %T", c.name, err)
			continue
		}
		if e.File == "" || e.Line == 0 && !strings.Contains(e.Text, "does not include") {
			t.Errorf("%s: no place in %+v", c.name, e)
		}
	}
}

func TestLoadIsPure(t *testing.T) {
	for _, c := range corpus(t) {
		a, err1 := c.load()
		b, err2 := c.load()
		if d := cmp.Diff(a, b, cmpopts.IgnoreUnexported(Shared{})); d != "" || (err1 == nil) != (err2 == nil) {
			t.Errorf("%s: %s %v %v", c.name, d, err1, err2)
		}
	}
}

// TestAgainstOriginal reads every case with the original too and compares all values and error texts.
func TestAgainstOriginal(t *testing.T) {
	const python = "/usr/bin/python3"
	if err := exec.Command(python, "-c", "import supervisor.options").Run(); err != nil {
		t.Skipf("the original is not importable by %s: %v", python, err)
	}
	if u, ok := (SystemUsers{}).UserByName("nobody"); !ok || u.UID != 65534 || u.GID != 65534 {
		t.Skip("the accounts of this machine are not those of the corpus")
	}
	script, err := filepath.Abs("testdata/reference.py")
	if err != nil {
		t.Fatal(err)
	}
	cases := slices.DeleteFunc(corpus(t), func(c *corpusCase) bool { return strings.HasPrefix(c.archive.comment, "alone:") })
	var paths []string
	for _, c := range cases {
		paths = append(paths, filepath.Join(c.dir, "supervisord.conf"))
	}
	in, err := json.Marshal(paths)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(python, script)
	cmd.Stdin, cmd.Stderr = bytes.NewReader(in), os.Stderr
	for name, v := range cases[0].env.Vars {
		cmd.Env = append(cmd.Env, name+"="+v)
	}
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var answers []map[string]any
	if err := json.Unmarshal(out, &answers); err != nil {
		t.Fatal(err)
	}
	if len(answers) != len(cases) {
		t.Fatalf("%d answers for %d cases", len(answers), len(cases))
	}
	for i, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			c.env.UID = os.Getuid()
			var ours map[string]any
			if cfg, err := c.load(); err != nil {
				ours = map[string]any{"error": err.Error()}
			} else {
				ours = generic(t, dump(cfg))
				ours["messages"] = slices.DeleteFunc(ours["messages"].([]any), func(m any) bool {
					level := m.([]any)[0]
					return level == "critical" || level == "debug"
				})
			}
			d := cmp.Diff(answers[i], ours)
			switch why := c.differs(); {
			case why == "" && d != "":
				t.Errorf("-original +ours:\n%s", d)
			case why != "" && d == "":
				t.Errorf("no difference; the case says: %s", why)
			}
		})
	}
}

// generic turns a value into maps and lists.
func generic(t *testing.T, v any) map[string]any {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(text, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

func render(t *testing.T, v any) string {
	t.Helper()
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", " ")
	if err := enc.Encode(v); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// prune removes what is as it is by default.
func prune(m map[string]any) map[string]any {
	defaults := map[string]any{
		"autorestart": "unexpected", "autostart": true, "backups": 10.0, "maxbytes": float64(50 << 20), "logfile": "auto",
		"priority": 999.0, "startretries": 3.0, "startsecs": 1.0, "stopsignal": 15.0, "stopwaitsecs": 10.0,
		"childlogdir": "/tmp", "identifier": "supervisor", "logfile_backups": 10.0, "logfile_maxbytes": float64(50 << 20),
		"loglevel": 20.0, "minfds": 1024.0, "minprocs": 200.0, "umask": 18.0,
	}
	for k, v := range m {
		switch x := v.(type) {
		case map[string]any:
			if m[k] = prune(x); len(x) == 0 {
				delete(m, k)
			}
		case []any:
			for _, item := range x {
				if sub, ok := item.(map[string]any); ok {
					prune(sub)
				}
			}
			if len(x) == 0 {
				delete(m, k)
			}
		case nil:
			delete(m, k)
		default:
			if v == defaults[k] || v == false || v == "" {
				delete(m, k)
			}
		}
	}
	return m
}

// dump gives a configuration in the shape in which testdata/reference.py prints it.
func dump(c *Config) map[string]any {
	s := &c.Settings
	messages := [][2]string{}
	for _, m := range c.Messages {
		if m.Text != rootText { // depends on who runs the test
			messages = append(messages, [2]string{m.Level.String(), m.Text})
		}
	}
	out := map[string]any{
		"logfile": s.LogFile, "logfile_maxbytes": s.LogFileMaxBytes, "logfile_backups": s.LogFileBackups, "loglevel": s.LogLevel,
		"pidfile": s.PIDFile, "umask": s.Umask, "nodaemon": s.NoDaemon, "silent": s.Silent, "minfds": s.MinFDs, "minprocs": s.MinProcs,
		"nocleanup": s.NoCleanup, "childlogdir": s.ChildLogDir, "user": null(s.User), "uid": id(s.UID), "gid": id(s.GID),
		"directory": null(s.Directory), "strip_ansi": s.StripANSI, "identifier": s.Identifier, "serverurl": null(c.ServerURL()),
		"messages": messages,
	}
	rpc, servers, groups := []string{}, []any{}, []any{}
	for _, i := range c.RPCInterfaces {
		rpc = append(rpc, i.Namespace)
	}
	for _, srv := range c.Servers {
		servers = append(servers, dumpServer(&srv))
	}
	for _, g := range c.Model.Groups {
		groups = append(groups, dumpGroup(g))
	}
	out["rpc"], out["servers"], out["groups"] = rpc, servers, groups
	return out
}

func null(s string) any {
	if s == "" {
		return nil
	}
	return s
}

func id(n int) any {
	if n < 0 {
		return nil
	}
	return n
}

func dumpServer(s *Server) map[string]any {
	out := map[string]any{
		"name": null(s.Name), "section": s.Section, "username": null(s.Username), "password": null(s.Password),
		"host": s.Host, "port": s.Port, "file": nil, "chmod": nil, "chown": []int{},
	}
	if s.Unix {
		out["host"], out["port"], out["file"], out["chmod"] = nil, nil, s.File, s.Mode
		out["chown"] = []int{s.Owner.UID, s.Owner.GID}
	}
	return out
}

func dumpGroup(g *model.Group) map[string]any {
	processes := []any{}
	for _, p := range g.Programs {
		one := dumpProcess(p)
		if p.Socket != nil && g.Kind != model.KindFastCGI {
			one["socket"] = p.Socket.URL
		}
		processes = append(processes, one)
	}
	out := map[string]any{"name": g.Name, "priority": g.Priority, "processes": processes}
	if g.Pool != nil {
		out["events"], out["buffer"] = slices.Sorted(slices.Values(g.Pool.Events)), g.Pool.Buffer
	}
	if g.Kind == model.KindFastCGI && len(g.Programs) > 0 {
		s := g.Programs[0].Socket
		out["socket"], out["backlog"] = s.URL, s.Backlog
		if strings.HasPrefix(s.URL, "unix:") {
			out["mode"], out["owner"] = s.Mode, []int{}
			if s.Owner != nil {
				out["owner"] = []int{s.Owner.UID, s.Owner.GID}
			}
		}
	}
	return out
}

func dumpProcess(p *model.Program) map[string]any {
	env := map[string]string{}
	for _, v := range p.Command.Env {
		env[v.Name] = v.Value
	}
	codes := append([]int{}, p.Exit.Codes...)
	out := map[string]any{
		"name": p.ID.Name, "command": p.Command.Line, "directory": null(p.Command.Dir), "umask": id(p.Command.Umask),
		"priority": p.Priority, "autostart": p.Start.Auto, "startsecs": p.Start.Secs.Seconds(), "startretries": p.Start.Retries,
		"stopwaitsecs": p.Stop.Wait.Seconds(), "stopasgroup": p.Stop.Reach == model.ReachGroup, "killasgroup": p.Stop.KillReach == model.ReachGroup,
		"redirect_stderr": p.IO.MergeStderr, "uid": id(p.Command.UID), "serverurl": null(p.ServerURL), "environment": env,
		"exitcodes": codes, "autorestart": p.Exit.Restart.String(), "stopsignal": p.Stop.Signal,
	}
	for name, s := range map[string]*model.Stream{"stdout": &p.IO.Stdout, "stderr": &p.IO.Stderr} {
		log := s.Path
		if s.Log == model.LogAuto {
			log = "auto"
		}
		out[name] = map[string]any{
			"logfile": log, "maxbytes": s.MaxBytes, "backups": s.Backups, "capture": s.CaptureBytes, "events": s.Events, "syslog": s.Syslog,
		}
	}
	return out
}

func TestDebugLinesAreDebug(t *testing.T) {
	dir := t.TempDir()
	cfg := mustLoad(t, dir, "[supervisord]\nlogfil=x\n")
	if got := cfg.Messages[len(cfg.Messages)-1].Level; got != units.LevelDebug {
		t.Error(got)
	}
}
