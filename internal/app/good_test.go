package app

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/upkeep-project/upkeep/internal/conf/supervisord"
	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/activity"
	"github.com/upkeep-project/upkeep/internal/engine/logs"
)

// wholeConfig is a configuration with something of everything in it, as it is read.
func wholeConfig(t *testing.T, dir string) *supervisord.Config {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(dir, "logs"), 0o700); err != nil {
		t.Fatal(err)
	}
	at := func(name string) string { return filepath.Join(dir, name) }
	text := "[notify:ops]\nto=mailto:root, exec:/bin/tell a\non=backoff:3, restart:5/10m\ngroups=db\nrepeat=1h\n" +
		"[program:db]\ncommand=/bin/cat\nstartretries=unlimited\nrestart_delay=1.5\nenv.A=1\nready=notify\nhealth_tcp=5432\nnotify=ops\n" +
		"[program:web]\ncommand=/bin/cat\nnumprocs=2\nprocess_name=%(process_num)d\ndepends_on=db:started\nlog_mode=direct\npidfile=/run/%(process_num)d\nmatch=x\nscan=yes\n" +
		"[eventlistener:l]\ncommand=/bin/cat\nevents=EVENT\n[fcgi-program:f]\ncommand=/bin/cat\nsocket=unix:///tmp/s\nsocket_mode=0600\n[inet_http_server]\nport=127.0.0.1:9\nusername=u\npassword=p\n"
	if err := os.WriteFile(at("upkeep.conf"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	env, err := supervisord.SystemEnviron()
	if err != nil {
		t.Fatal(err)
	}
	c, err := supervisord.LoadNative(supervisord.Native{
		File: at("upkeep.conf"), Programs: at("programs"), Logs: at("logs"), Socket: at("sock"), PIDFile: at("pid"),
	}, env)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// keepIn makes what keeps configurations in a directory, and returns how one is kept.
func keepIn(t *testing.T, dir string) func(*supervisord.Config) {
	t.Helper()
	log, err := activity.New(activity.Options{Path: filepath.Join(dir, "log"), Level: activity.Info, Files: logs.NewStore()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { log.Close() })
	var now *supervisord.Config
	k := &goodKeeper{dir: dir, due: make(chan struct{}, 1), force: func() *supervisord.Config { return now }, log: log}
	return func(c *supervisord.Config) {
		now = c
		stop := k.run()
		k.changed()
		stop()
	}
}

// TestLastGoodComesBack: what is kept is what was in force, in every value.
func TestLastGoodComesBack(t *testing.T) {
	dir := t.TempDir()
	c := wholeConfig(t, dir)
	keep := keepIn(t, dir)
	keep(nil)
	bad := &supervisord.Error{Text: "nonsense", File: "/etc/x.conf", Line: 3}
	if _, _, err := LastGood(dir, nil, bad); err != error(bad) {
		t.Errorf("nothing is kept, and: %v", err)
	}
	keep(c)
	got, why, err := LastGood(dir, nil, bad)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(why, "the configuration cannot be used: /etc/x.conf:3: nonsense; the last good one is in force, which is of "+time.Now().Format("2006-")) {
		t.Error(why)
	}
	if len(got.Messages) != 1 || got.Messages[0].Text != why || got.Messages[0].Level != activity.Critical {
		t.Errorf("%+v", got.Messages)
	}
	want := *c
	want.Messages, got.Messages, want.Shared, got.Shared = nil, nil, supervisord.Shared{}, supervisord.Shared{}
	if d := cmp.Diff(&want, got, cmp.AllowUnexported(supervisord.Shared{})); d != "" {
		t.Error(d)
	}
	for _, g := range want.Model.Groups {
		if other := got.Model.Group(g.Name); model.EffectOf(model.DiffGroup(g, other)) != model.EffectNone {
			t.Errorf("%s would change", g.Name)
		}
	}
	if st, err := os.Stat(filepath.Join(dir, goodName)); err != nil || st.Mode().Perm()&0o077 != 0 {
		t.Errorf("%v, %v: it has passwords in it", st, err)
	}
}

// TestLastGoodOfOneFile: of a start with one broken file, what that file defined comes from what was in force.
func TestLastGoodOfOneFile(t *testing.T) {
	dir := t.TempDir()
	c := wholeConfig(t, dir)
	keepIn(t, dir)(c)
	now := *c
	now.Model = &model.Config{}
	if got, why, err := LastGood(dir, &now, nil); err != nil || why != "" || len(got.Model.Groups) != 0 {
		t.Errorf("%v, %s, %v", got, why, err)
	}
	now.Invalid = []supervisord.Invalid{{File: c.Native.File, Group: "db"}}
	if got, why, err := LastGood(dir, &now, nil); err != nil || why != "" || len(got.Model.Groups) != 1 || got.Model.Group("db") == nil {
		t.Errorf("%v, %s, %v", got, why, err)
	}
	now.Model = &model.Config{}
	if got, _, err := LastGood(t.TempDir(), &now, nil); err != nil || len(got.Model.Groups) != 0 {
		t.Errorf("%v, %v", got, err)
	}
}

// TestLastGoodDamaged: what is no such file is told beside the mistake for which it was looked for.
func TestLastGoodDamaged(t *testing.T) {
	bad := errors.New("nonsense")
	for _, text := range []string{
		"", "{", "{}", `{"version":99,"config":{}}`, `{"version":99,"config":{"Model":{}}}`, `{"version":1,"config":{}}`, "null",
		`{"version":1,"config":{"Model":{"Groups":[null]}}}`, `{"version":1,"config":{"Model":{"Groups":[{"Programs":[null]}]}}}`,
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, goodName), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if c, _, err := LastGood(dir, nil, bad); c != nil || !errors.Is(err, bad) || !strings.Contains(err.Error(), "cannot be used either") {
			t.Errorf("%q: %v, %v", text, c, err)
		}
		part := &supervisord.Config{Model: &model.Config{}, Invalid: []supervisord.Invalid{{File: "/x.conf"}}}
		if c, _, err := LastGood(dir, part, nil); err != nil || len(c.Messages) != 1 || !strings.Contains(c.Messages[0].Text, "cannot be used either") {
			t.Errorf("%q: %v, %v", text, c, err)
		}
	}
	dir := t.TempDir()
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, goodName)); err != nil {
		t.Skip(err)
	}
	if c, _, err := LastGood(dir, nil, bad); c != nil || !errors.Is(err, bad) {
		t.Errorf("%v, %v", c, err)
	}
}

// TestGoodIsWrittenOnce: what is there already is not written again; trouble is told once, and is no obstacle.
func TestGoodIsWrittenOnce(t *testing.T) {
	dir := t.TempDir()
	c := wholeConfig(t, dir)
	keep := keepIn(t, dir)
	keep(c)
	path := filepath.Join(dir, goodName)
	before, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	keep(c)
	if after, err := os.Stat(path); err != nil || !os.SameFile(before, after) {
		t.Error("the same was written again")
	}
	keepIn(t, dir)(c)
	if after, err := os.Stat(path); err != nil || !os.SameFile(before, after) {
		t.Error("what came into force before this daemon is told to be of now")
	}
	if err := errors.Join(os.Remove(path), os.MkdirAll(filepath.Join(path, "x"), 0o700)); err != nil {
		t.Fatal(err)
	}
	other := *c
	other.Strict = true
	keep(&other)
	keep(&other)
	text, err := os.ReadFile(filepath.Join(dir, "log"))
	if err != nil || strings.Count(string(text), "is not kept") != 1 {
		t.Errorf("%s %v", text, err)
	}
}

// TestGoodIsWrittenLater: what could not be written when it came into force is written at the end, when that is possible by then.
func TestGoodIsWrittenLater(t *testing.T) {
	dir := t.TempDir()
	c := wholeConfig(t, dir)
	log, err := activity.New(activity.Options{Path: filepath.Join(dir, "log"), Level: activity.Info, Files: logs.NewStore()})
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	k := &goodKeeper{dir: filepath.Join(dir, "state"), due: make(chan struct{}, 1), force: func() *supervisord.Config { return c }, log: log}
	k.save()
	if k.told == "" {
		t.Fatal("there is no such directory")
	}
	if err := os.Mkdir(k.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	k.run()()
	if _, err := readGood(filepath.Join(k.dir, goodName)); err != nil {
		t.Error(err)
	}
}
