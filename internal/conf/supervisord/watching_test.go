package supervisord

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/upkeep-project/upkeep/internal/domain/model"
)

const mainSection = "[supervisord]\n"

// read is the configuration of a text, or its error.
func read(t *testing.T, text string) (*Config, error) {
	t.Helper()
	dir := t.TempDir()
	path := write(t, dir, "s.conf", mainSection+text)
	return Load(&Args{Prog: "s", Configuration: &path}, testEnv(dir))
}

// only is the one program of a configuration.
func only(t *testing.T, text string) *model.Program {
	t.Helper()
	c, err := read(t, "[program:web]\ncommand=/bin/cat\n"+text)
	if err != nil {
		t.Fatal(err)
	}
	return c.Model.Groups[0].Programs[0]
}

func TestManaging(t *testing.T) {
	p := only(t, "")
	if p.Disabled || p.Start.Delay != 0 || p.Start.Timeout != 90*time.Second || p.Start.Retries != 3 || p.Depends != nil || p.Checks != nil ||
		p.Attach != (model.AttachSpec{}) || p.IO.Direct || p.Notify != nil || p.Email != nil {
		t.Errorf("%+v", p)
	}
	p = only(t, "enabled=no\nrestart_delay=1.5\nstart_timeout=2m\nstartretries=Unlimited\npidfile=/run/%(program_name)s.pid\ntrack=pidfile\nmatch=web -p \\d+\n"+
		"scan=yes\nlog_mode=direct\nnotify=none\nemail_alerts=a@b.c, root\n")
	if !p.Disabled || p.Start.Delay != 1500*time.Millisecond || p.Start.Timeout != 2*time.Minute || p.Start.Retries != model.Endless {
		t.Errorf("%+v", p)
	}
	if want := (model.AttachSpec{PIDFile: "/run/web.pid", Track: model.TrackPIDFile, Match: `web -p \d+`, Scan: true}); p.Attach != want {
		t.Errorf("%+v", p.Attach)
	}
	if !p.IO.Direct || !p.IO.NoStdin || p.IO.Stdout.MaxBytes != 0 || p.IO.Stdout.Backups != 0 {
		t.Errorf("%+v", p.IO)
	}
	if d := cmp.Diff([]string{"none"}, p.Notify) + cmp.Diff([]string{"a@b.c", "root"}, p.Email); d != "" {
		t.Error(d)
	}
}

func TestShorthands(t *testing.T) {
	checks := func(text string) string {
		var lines []string
		for _, c := range only(t, text).Checks {
			lines = append(lines, c.String())
		}
		return strings.Join(lines, "\n")
	}
	for text, want := range map[string]string{
		"ready=notify\n":           "notify=notify stage=startup every=1s timeout=3s failures=1 passes=1",
		"ready=running\n":          "",
		"health_http=http://h/x\n": "http=http http://h/x status=200-399 every=10s timeout=3s after=30s failures=3 passes=1",
		"health_tcp=80\nhealth_interval=2\nhealth_timeout=500ms\nhealth_failures=1\n": "tcp=tcp localhost:80 every=2s timeout=500ms after=30s failures=1 passes=1",
		"health_command=pg_isready -q\n":                                              "command=command 'pg_isready -q' every=10s timeout=3s after=30s failures=3 passes=1",
		"memory_restart=512MB\n":                                                      "memory=memory max=512MB every=5s timeout=3s after=30s failures=1 passes=1",
		"activity_file=/srv/beat\n":                                                   "activity=activity /srv/beat age=2m0s every=5s timeout=3s after=30s failures=1 passes=1",
		"activity_file=/b\nactivity_limit=5m\nmonitor_after=0\n":                      "activity=activity /b age=5m0s every=5s timeout=3s after=0s failures=1 passes=1",
		"monitor_after=5\ncheck.b=tcp 80\ncheck.a=unix /x after=1\ncheck.c=tcp 81 stage=ready\n": "a=unix /x every=10s timeout=3s after=1s failures=3 passes=1\n" +
			"b=tcp localhost:80 every=10s timeout=3s after=5s failures=3 passes=1\nc=tcp localhost:81 stage=ready every=1s timeout=3s failures=3 passes=1",
		"CHECK.Site = http http://h/%(program_name)s\n": "Site=http http://h/web status=200-399 every=10s timeout=3s after=30s failures=3 passes=1",
	} {
		if d := cmp.Diff(want, checks(text)); d != "" {
			t.Errorf("%s: %s", text, d)
		}
	}
	c, err := read(t, "[program:web]\ncommand=x\nnumprocs=2\nprocess_name=%(process_num)d\ncheck.p=tcp 800%(process_num)d\npidfile=/run/%(process_num)d\n")
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range c.Model.Groups[0].Programs {
		if p.Checks[0].Target != fmt.Sprintf("localhost:800%d", i) || p.Attach.PIDFile != fmt.Sprintf("/run/%d", i) {
			t.Errorf("%+v", p)
		}
	}
}

// TestWatchingRefuses: what is wrong is said with the place, and what may have been meant.
func TestWatchingRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"enabled=maybe":         "not a valid boolean value: 'maybe'",
		"restart_delay=-1":      "not a length of time: '-1'",
		"start_timeout=soon":    "not a length of time: 'soon'",
		"startretries=forever":  "invalid literal",
		"pidfile=run/web.pid":   "pidfile run/web.pid is not an absolute path",
		"track=spoon":           "invalid 'track' value 'spoon'",
		"track=pidfile":         "track=pidfile needs a pidfile",
		"match=(":               "match: error parsing regexp: missing closing ): `(`",
		"match=.*":              "match: .* is in every command line",
		"match=(a{1000}){1000}": "match: error parsing regexp: invalid repeat count",
		"scan=2":                "not a valid boolean value: '2'",
		"log_mode=file":         "invalid 'log_mode' value 'file'",
		"log_mode=direct\nstdout_capture_maxbytes=1":   "stdout_capture_maxbytes: log_mode=direct leaves nothing",
		"log_mode=direct\nstderr_events_enabled=true":  "stderr_events_enabled: log_mode=direct leaves nothing",
		"log_mode=direct\nstdout_syslog=true":          "stdout_syslog: log_mode=direct leaves nothing",
		"log_mode=direct\nstdout_logfile_maxbytes=5MB": "stdout_logfile_maxbytes: log_mode=direct leaves nothing",
		"log_mode=direct\nlog_full=block":              "log_full: log_mode=direct leaves nothing",
		"log_mode=direct\nstdin=pipe":                  "stdin=pipe: with log_mode=direct there is none",
		"notify=none,ops":                              "notify=none,ops: none stands alone",
		"notify=osp":                                   "notify: there is no section [notify:osp], did you mean 'ops'?",
		"email_alerts=-oQ/tmp":                         "'-oQ/tmp' is no address of mail",
		"email_alerts=a b@c":                           "'a b@c' is no address of mail",
		"depends_on=web":                               "depends_on: web would wait for itself",
		"depends_on=bd":                                "depends_on: nothing is called 'bd', did you mean 'db'?",
		"depends_on=db:redy":                           "depends_on: nothing is called 'db:redy', did you mean 'db:ready'?",
		"depends_on=:ready":                            "depends_on: ':ready' has no name",
		"depends_on=shop:*":                            "depends_on: nothing is called 'shop:*'",
		"depends_on=loop":                              "depends_on: these wait for each other: loop -> web -> loop",
		"ready=notfy":                                  "invalid 'ready' value 'notfy'",
		"health_http=localhost":                        "health_http: http: localhost does not begin with http://",
		"health_tcp=x":                                 "health_tcp: tcp: x is not a port",
		"health_command=":                              "health_command: command which command?",
		"health_tcp=1\nhealth_interval=0":              "health_interval can be 100ms to",
		"health_tcp=1\nhealth_timeout=1h":              "health_timeout can be 1ms to 600s",
		"health_timeout=x":                             "not a length of time: 'x'",
		"health_failures=0":                            "health_failures can be 1 to 1000000",
		"activity_limit=0":                             "activity_limit must be more than 0",
		"health_tcp=1\nhealth_failures=0":              "health_failures can be 1 to 1000000",
		"health_tcp=1\ncheck.tcp=tcp 2":                "health_tcp and check.tcp make the same check, tcp",
		"memory_restart=0":                             "memory_restart: it must be more than 0",
		"memory_restart=5M":                            "memory_restart: 5M is not a size: bytes, or a number with KB, MB or GB",
		"activity_file=beat":                           "activity_file: activity: beat is not an absolute path",
		"activity_file=/x\nactivity_limit=0":           "activity_limit must be more than 0",
		"monitor_after=x":                              "not a length of time: 'x'",
		"check.a=htpp http://x":                        "check.a: there are no checks of the kind 'htpp'",
		"check.a b=tcp 1":                              "the name of a check has letters",
		"numprocs=2\nprocess_name=%(process_num)d\npidfile=/run/x": "%(process_num) must be present within pidfile",
	} {
		_, err := read(t, "[program:web]\ncommand=x\n"+text+"\n[program:db]\ncommand=x\n[program:loop]\ncommand=x\ndepends_on=web\n[notify:ops]\nto=mailto:root\n")
		if text == "depends_on=web" { // the circle of the text is longer then
			_, err = read(t, "[program:web]\ncommand=x\n"+text+"\n")
		}
		at, ok := err.(*Error)
		if !ok || !strings.Contains(at.Text, want) {
			t.Errorf("%q: %v, want %s", text, err, want)
			continue
		}
		if at.Line < 2 || !strings.HasSuffix(at.File, "s.conf") {
			t.Errorf("%q: %+v", text, at)
		}
	}
	for text, want := range map[string]string{
		"[eventlistener:l]\ncommand=x\nevents=EVENT\nscan=yes\n":                                                             "scan: processes of [eventlistener:x] sections",
		"[eventlistener:l]\ncommand=x\nevents=EVENT\nlog_mode=direct\n":                                                      "log_mode=direct: what a listener writes is for the daemon",
		"[fcgi-program:f]\ncommand=x\nsocket=tcp://a:1\ntrack=fork\n":                                                        "track: processes of [fcgi-program:x] sections",
		"[program:a]\ncommand=x\ndepends_on=b\n[program:b]\ncommand=x\ndepends_on=c\n[program:c]\ncommand=x\ndepends_on=a\n": "a -> b -> c -> a",
	} {
		if _, err := read(t, text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

func TestWatchingWarns(t *testing.T) {
	for text, want := range map[string]string{
		"match=x":           "For [program:web], match has no effect without scan=true or pidfile",
		"health_interval=3": "For [program:web], health_interval has no effect without health_http, health_tcp or health_command",
		"activity_limit=3":  "For [program:web], activity_limit has no effect without activity_file",
		"pidfile=/run/x\n[program:b]\ncommand=x\npidfile=/run/x": "For [program:web], the pidfile /run/x is also that of b",
		"[notify:n]\nto=mailto:root\ngroups=shop":                "For [notify:n], groups: there is no group shop (file: ",
	} {
		c, err := read(t, "[program:web]\ncommand=x\n"+text+"\n")
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		found := false
		for _, m := range c.Messages {
			found = found || strings.HasPrefix(m.Text, want)
		}
		if !found {
			t.Errorf("%s: %v", text, c.Messages)
		}
	}
}

// TestDependencies: names are those of programs, groups and sections.
func TestDependencies(t *testing.T) {
	for text, want := range map[string]string{
		"depends_on=db":                       "db: ready",
		"depends_on=db:started, db:completed": "db: started, db: completed",
		"depends_on=db, db:ready,":            "db: ready",
		"depends_on=work":                     "work: ready",
		"depends_on=work:*":                   "work:*: ready",
		"depends_on=work:w1:started":          "work:w1: started",
		"depends_on=shop:db:completed":        "shop:cache: completed",
		"depends_on=many":                     "shop:m0: ready, shop:m1: ready",
		"depends_on=shop:many:started":        "shop:m0: started, shop:m1: started",
		"depends_on=one":                      "one:one: ready",
	} {
		c, err := read(t, "[program:web]\ncommand=x\n"+strings.Replace(text, "shop:db", "shop:cache", 1)+"\n[program:db]\ncommand=x\n[program:work]\ncommand=x\nnumprocs=2\nprocess_name=w%(process_num)d\n"+
			"[program:cache]\ncommand=x\n[program:many]\ncommand=x\nnumprocs=2\nprocess_name=m%(process_num)d\n[group:shop]\nprograms=cache,many\n"+
			"[program:one]\ncommand=x\n[program:other]\ncommand=x\n[group:one]\nprograms=one,other\n")
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		var words []string
		for _, d := range c.Model.Group("web").Programs[0].Depends {
			words = append(words, d.String())
		}
		if got := strings.Join(words, ", "); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

// TestDefaultsChain: sections of defaults may name others.
func TestDefaultsChain(t *testing.T) {
	text := "[defaults]\numask=1\nstartsecs=1\nstopwaitsecs=1\npriority=1\n[defaults:base]\nstartsecs=2\nstopwaitsecs=2\npriority=2\n" +
		"[defaults:net]\ndefaults=base\nstopwaitsecs=3\npriority=3\n[program:web]\ncommand=x\ndefaults=net\npriority=4\n"
	c, err := read(t, text)
	if err != nil {
		t.Fatal(err)
	}
	p := c.Model.Groups[0].Programs[0]
	if p.Command.Umask != 1 || p.Start.Secs != 2*time.Second || p.Stop.Wait != 3*time.Second || p.Priority != 4 {
		t.Errorf("%+v", p)
	}
	values, err := Effective(c.Location, testEnv(t.TempDir()), p.ID, false)
	if err != nil {
		t.Fatal(err)
	}
	sources := map[string]string{}
	for i := range values {
		source, _, _ := strings.Cut(values[i].Source(), " ")
		sources[values[i].Key] = strings.Replace(source, c.Location.Given, "F", 1)
	}
	for key, want := range map[string]string{
		"umask": "defaults", "startsecs": "defaults:base", "stopwaitsecs": "defaults:net", "priority": "F:18", "autostart": "default",
	} {
		if sources[key] != want {
			t.Errorf("%s is from %s, want %s", key, sources[key], want)
		}
	}
	for text, want := range map[string]string{
		"[defaults:a]\ndefaults=b\n[defaults:b]\ndefaults=a\n": "defaults: these name each other: a -> b -> a",
		"[defaults:a]\ndefaults=a\n":                           "defaults: these name each other: a -> a",
		"[defaults:a]\ndefaults=ab\n[defaults:abc]\n":          "there is no section [defaults:ab], did you mean 'abc'?",
	} {
		if _, err := read(t, text+"[program:web]\ncommand=x\ndefaults=a\n"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
	if _, err := read(t, "[DEFAULT]\ndefaults=a\n[defaults:a]\numask=1\n[program:web]\ncommand=x\n"); err != nil {
		t.Errorf("what all sections say is no circle: %v", err)
	}
}

func TestNotifiers(t *testing.T) {
	c, err := read(t, "[notify:ops]\nto=slack:/etc/hook, mailto:a@b.c\n  https://h/x\n  exec:/bin/tell a, b\nvia=smtp://mail.example.com\nfrom=up@b.c\nusername=u\n"+
		"password_file=/etc/pw\nsecret_file=/etc/key\non=fatal, backoff:3, backoff, restart:5/10m, restart, fatal\ngroups=a,b\nrepeat=1h\n[notify:all]\nto=mailto:root\n")
	if err != nil {
		t.Fatal(err)
	}
	got := *c.Model.Notifiers[0]
	got.Origin = model.Origin{}
	want := model.Notifier{
		Name: "ops", To: []string{"slack:/etc/hook", "mailto:a@b.c", "https://h/x", "exec:/bin/tell a, b"}, Via: "smtp://mail.example.com:25", From: "up@b.c",
		Username: "u", Password: "/etc/pw", Secret: "/etc/key", Groups: []string{"a", "b"}, Repeat: time.Hour,
		On: []model.Trigger{
			{Kind: model.TriggerFatal},
			{Kind: model.TriggerBackoff, Count: 3},
			{Kind: model.TriggerBackoff, Count: 1},
			{Kind: model.TriggerRestart, Count: 5, Within: 10 * time.Minute},
			{Kind: model.TriggerRestart},
		},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if all := c.Model.Notifiers[1]; len(all.On) != 6 || all.Repeat != 0 {
		t.Errorf("%+v", all)
	}
}

func TestNotifiersRefused(t *testing.T) {
	const secret = "hunter2"
	for text, want := range map[string]string{
		"":                               "[notify:n] does not say where to",
		"to=":                            "[notify:n] does not say where to",
		"to=maito:a@b":                   "'maito:...' is no destination: it begins with none of mailto: ",
		"to=mailto:":                     "'' is no address of mail",
		"to=mailto:a@b\nfrom=x\\ny@z z":  "is no address of mail",
		"to=root":                        "'root' is no destination",
		"to=https://":                    "the address of the webhook cannot be read",
		"to=slack:hook":                  "slack: the file that holds the address must be an absolute path",
		"to=slack:https://h/" + secret:   "slack: the file that holds the address must be an absolute path; an address itself is written slack+https://",
		"to=htps://h/" + secret:          "'htps:...' is no destination",
		"to=hooks.example/" + secret:     "'hooks.example/...' is no destination",
		"to=https://h/" + secret + "%2F": "Format string '...' for 'notify:n.to' is badly formatted",
		"to=exec:":                       "exec: there is no command in it",
		"to=exec:'x":                     "exec: No closing quotation",
		"to=mailto:a\nvia=stmp://x":      "via is smtp://HOST:PORT, smtps://HOST:PORT or sendmail:PATH, did you mean 'smtp'?",
		"to=mailto:a\nvia=smtp://u:" + secret + "@h:1": "via must be smtp://HOST:PORT, without anything else in it",
		"to=mailto:a\nvia=sendmail:mail":               "the program must be an absolute path",
		"to=mailto:a\nvia=smtp://h:0":                  "is below lower bound",
		"to=mailto:a\npassword=" + secret:              "[notify:n] has a password in it: write it into a file",
		"to=mailto:a\nusername=x":                      "username and password_file go together",
		"to=mailto:a\nusername=x\npassword_file=/x":    "username is for a server of mail",
		"to=mailto:a\npassword_file=pw":                "pw is not an absolute path",
		"to=mailto:a\non=fatl":                         "on: nothing is called 'fatl', did you mean 'fatal'?",
		"to=mailto:a\non=,":                            "on says nothing",
		"to=mailto:a\non=fatal:3":                      "on: fatal:3: counts are backoff:COUNT and restart:COUNT/TIME",
		"to=mailto:a\non=restart:3":                    "on: restart:3: counts are",
		"to=mailto:a\non=backoff:0":                    "on: backoff:0: it can be 1 to",
		"to=mailto:a\non=restart:2/x":                  "on: restart:2/x: not a length of time: 'x'",
		"to=mailto:a\nrepeat=1s":                       "repeat must be at least 1m0s, or 0 for never",
	} {
		_, err := read(t, "[notify:n]\n"+text+"\n")
		at, ok := err.(*Error)
		if !ok || !strings.Contains(at.Text, want) || at.Line < 2 || at.Section != "notify:n" {
			t.Errorf("%q: %+v, want %s", text, err, want)
			continue
		}
		if strings.Contains(at.Text, secret) {
			t.Errorf("%q tells the secret: %s", text, at.Text)
		}
	}
	for _, name := range []string{"none", "email_alerts", "a b", "", "a,b"} {
		if _, err := read(t, "[notify:"+name+"]\nto=mailto:root\n"); err == nil {
			t.Errorf("[notify:%s] is accepted", name)
		}
	}
}

// TestHints: what is valid and unlikely to be meant is told to those who ask, and to nobody else.
func TestHints(t *testing.T) {
	hints := func(c *Config) string {
		var lines []string
		for _, m := range c.Messages {
			text, _, _ := strings.Cut(m.Text, " (file: ")
			if m.Hint {
				lines = append(lines, text)
			}
			if strings.HasPrefix(text, "unknown ") {
				_, after, _ := strings.Cut(m.Text, ")")
				lines = append(lines, text+after)
			}
		}
		return strings.Join(lines, "\n")
	}
	for text, want := range map[string]string{
		"[program:web]\ncommand=x\nenv.A=1\nenv.autostart=true\n":                        "For [program:web], autostart is set as an environment variable",
		"[program:web]\ncommand=x\nenvironment=AUTOSTART=1,enabled=0\n":                  "For [program:web], enabled is set as an environment variable",
		"[program:web]\ncommand=x\n[defaults:x]\numask=1\n":                              "Nothing names [defaults:x]",
		"[program:web]\ncommand=x\ndefaults=x\n[defaults:x]\ndefaults=y\n[defaults:y]\n": "",
		"[defaults]\numask=1\n[program:web]\ncommand=x\n":                                "",
		"[program:web]\ncommand=x\n[defaults:x]\nstartsecs=soon\numask=9\nstopsignal=TREM\ndefaults=y\n": "Nothing names [defaults:x]\nFor [defaults:x], startsecs=soon is not a whole number of seconds\n" +
			"For [defaults:x], umask=9 is not an octal mode such as 0700 or 022\nFor [defaults:x], stopsignal=TREM is not the name or number of a signal\nFor [defaults:x], there is no section [defaults:y]",
		"[program:web]\ncommand=x\n[defaults:x]\ntrack=pidfile\nnumprocs=900000\ncommand=%(program_name)s %(ENV_MINE)s\nstdout_logfile=%(here)s/%(program_name)s/log\nenv_file=.env\nmatch=y\ncheck.a=tcp 80 after=3\n": "Nothing names [defaults:x]",
		"[program:web]\ncommand=x\n[defaults:x]\nsocket=tcp:x\n[defaults:y]\nevents=EVENTS\n[defaults:z]\nenv.A=5%\ncheck.a=tpc 80\n": "Nothing names [defaults:x]\nFor [defaults:x], Bad socket format tcp:x in [fcgi-program:x] socket\nNothing names [defaults:y]\n" +
			"For [defaults:y], Unknown event type EVENTS in [eventlistener:x] events\nNothing names [defaults:z]\nFor [defaults:z], env.A: a per cent sign of its own is written %% (incomplete format)\n" +
			"For [defaults:z], check.a: there are no checks of the kind 'tpc', but activity, memory, cpu, files, tcp, unix, http, command, log, notify or heartbeat",
		"[program:web]\ncommand=x\nprograms=a\n":  "unknown option 'programs' in section 'program:web'; it is a key of [group:x]",
		"[group:web]\ncommand=x\n":                "unknown option 'command' in section 'group:web'; it is a key of [program:x]",
		"[program:web]\ncommand=x\nautostrat=a\n": "unknown option 'autostrat' in section 'program:web', did you mean 'autostart'?",
	} {
		c, err := read(t, text)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, hints(c)); d != "" {
			t.Errorf("%s: %s", text, d)
		}
	}
	dir := t.TempDir()
	write(t, dir, "logs/there", "")
	write(t, dir, "upkeep.conf", "[defaults:used]\numask=1\n[defaults:lonely]\numask=1\n")
	write(t, dir, "programs/web.conf", "[program:web]\ncommand=/bin/web\ndefaults=used\nenv.scan=1\n")
	c, err := LoadNative(nativeIn(dir), testEnv(dir))
	if err != nil {
		t.Fatal(err)
	}
	if got := hints(c); got != "For [program:web], scan is set as an environment variable\nNothing names [defaults:lonely]" {
		t.Error(got)
	}
}
