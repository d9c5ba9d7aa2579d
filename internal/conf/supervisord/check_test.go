package supervisord

import (
	"strings"
	"testing"
	"time"

	"github.com/upkeep-project/upkeep/internal/domain/model"
)

func TestParseCheck(t *testing.T) {
	for text, want := range map[string]string{
		"http http://127.0.0.1:8000/healthz":                            "http http://127.0.0.1:8000/healthz status=200-399 every=10s timeout=3s after=30s failures=3 passes=1",
		"http https://h/?a=b status=200,204 body='all good' then=alert": "http 'https://h/?a=b' status=200,204 body='all good' every=10s timeout=3s after=30s failures=3 passes=1 then=alert",
		"tcp 5432 stage=ready":                                          "tcp localhost:5432 stage=ready every=1s timeout=3s failures=3 passes=1",
		"tcp [::1]:80 stage=startup every=250ms":                        "tcp '[::1]:80' stage=startup every=250ms timeout=3s failures=3 passes=1",
		"unix /run/db.sock":                                             "unix /run/db.sock every=10s timeout=3s after=30s failures=3 passes=1",
		"memory max=512MB of=tree measure=pss":                          "memory of=tree measure=pss max=512MB every=5s timeout=3s after=30s failures=1 passes=1",
		"cpu max=150% failures=6":                                       "cpu max=150 every=5s timeout=3s after=30s failures=6 passes=1",
		"files max=1000 of=process then=event":                          "files max=1000 every=5s timeout=3s after=30s failures=1 passes=1 then=event",
		"activity /srv/beat age=10m missing=ok deep=yes":                "activity /srv/beat age=10m0s missing=ok deep=yes every=5s timeout=3s after=30s failures=1 passes=1",
		"activity /srv/beat after=0":                                    "activity /srv/beat age=2m0s every=5s timeout=3s after=0s failures=1 passes=1",
		"command 'pg_isready -q'":                                       "command 'pg_isready -q' every=10s timeout=3s after=30s failures=3 passes=1",
		"command pg_isready -h '/a b'":                                  `command 'pg_isready -h '\''/a b'\''' every=10s timeout=3s after=30s failures=3 passes=1`,
		"log 'listening on' stage=startup":                              "log 'listening on' stage=startup every=1s timeout=3s failures=1 passes=1",
		"log panic file=/var/log/app/current every=2s":                  "log panic file=/var/log/app/current every=2s timeout=3s after=30s failures=1 passes=1",
		"log target='level=panic' of=stderr":                            "log target='level=panic' of=stderr every=10s timeout=3s after=30s failures=1 passes=1",
		"notify":                                                        "notify stage=startup every=1s timeout=3s failures=1 passes=1",
		"notify stage=ready":                                            "notify stage=ready every=1s timeout=3s failures=1 passes=1",
		"heartbeat age=20s":                                             "heartbeat age=20s every=10s timeout=3s after=30s failures=1 passes=1",
	} {
		c, err := ParseCheck("x", text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		// Quotes are as they must be, not as they were.
		if got, err := ParseCheck("x", strings.TrimPrefix(c.String(), "x=")); err != nil || got != c {
			t.Errorf("%s: %s is read as %s, %v", text, c, got, err)
		}
		if wanted, err := ParseCheck("x", want); err != nil || wanted != c {
			t.Errorf("%s: %s, want %s, %v", text, c, wanted, err)
		}
	}
}

func TestParseCheckRefuses(t *testing.T) {
	for text, want := range map[string]string{
		"":                                  "what is to be checked? activity, memory",
		"htpp http://x":                     "there are no checks of the kind 'htpp', but activity, memory, cpu, files, tcp, unix, http, command, log, notify or heartbeat, did you mean 'http'?",
		"http":                              "http which address?",
		"http ftp://x":                      "http: ftp://x does not begin with http://, https:// or http+unix:///",
		"http http://:80/":                  "http: http://:80/ names no host",
		"http http://a:b@c/":                "names and passwords have no place in an address",
		"http http://c:99999/":              "http: 99999 is not a port",
		"http http://x http://y":            "http: 'http://y' does not belong here",
		"http http://x evry=3":              "http has no evry=, but stage, every, ",
		"http http://x every=soon":          "every=soon: not a length of time: 'soon'",
		"http http://x every=10ms":          "every=10ms: it can be 100ms to ",
		"http http://x every=1 every=2":     "every= is there twice",
		"http http://x failures=0":          "failures=0: it can be 1 to 1000000",
		"http http://x status=20":           "status=20: it can be codes and ranges",
		"http http://x status=300-200":      "status=300-200: it can be codes and ranges",
		"http http://x body=(":              "body=(: error parsing regexp: missing closing )",
		"http http://x then=reboot":         "then=reboot: it can be restart, alert or event",
		"http http://x stage=alive":         "stage=alive: it can be live, ready or startup, did you mean 'live'?",
		"http http://x age=3":               "http has no age=",
		"http http://x stage=ready after=3": "after= belongs to checks of the stage live",
		"tcp x":                             "tcp: x is not a port",
		"tcp a:0":                           "tcp: 0 is not a port",
		"tcp a:b:c":                         "tcp: a:b:c is not HOST:PORT",
		"unix run/x":                        "unix: run/x is not an absolute path",
		"memory":                            "memory needs max=",
		"memory 512MB":                      "memory: '512MB' does not belong here",
		"memory max=512MiB":                 "max=512MiB: 512MiB is not a size: bytes, or a number with KB, MB or GB",
		"memory max=-1":                     "max=-1: it must be more than 0",
		"memory max=1 measure=vss":          "measure=vss: it can be pss or rss",
		"cpu max=x%":                        "max=x%: x% is not a number",
		"command ''":                        "command which command?",
		"command '\"a'":                     "command: No closing quotation",
		"command \"''\"":                    "command: there is no command in it",
		"log x file=current":                "file=current: current is not an absolute path",
		"log x file=":                       "file=:  is not an absolute path",
		"log x file=/a of=stderr":           "log: of= is about what the program writes",
		"log x file=/a file=/b":             "file= is there twice",
		"log (":                             "log: error parsing regexp",
		"log level=panic":                   "log has no level=, but stage, every, timeout, failures, passes, after, then, target, of or file; a target that has = in it is written target='level=panic'",
		"notify stage=live":                 "notify: READY=1 comes once",
		"heartbeat stage=ready":             "heartbeat: what beats is running already",
		"'":                                 "No closing quotation",
		"tcp a:1\x00":                       "a check is text",
	} {
		c, err := ParseCheck("x", text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, %v; want %s", text, c, err, want)
		}
	}
	for _, name := range []string{"", "a b", "a:b", "é", strings.Repeat("x", 65)} {
		if _, err := ParseCheck(name, "notify"); err == nil {
			t.Errorf("a check can be called %q", name)
		}
	}
}

func TestDefaultCheck(t *testing.T) {
	for k := range model.NumCheckKinds {
		c := DefaultCheck(model.CheckKind(k))
		if c.Kind != model.CheckKind(k) || c.Every < minEvery || c.Timeout <= 0 || c.Failures < 1 || c.Passes < 1 || (c.Stage == model.StageLive) != (c.After == 30*time.Second) {
			t.Errorf("%+v", c)
		}
	}
}

// FuzzChecks: what is read as a check is written so that it is read as the same one.
func FuzzChecks(f *testing.F) {
	for _, text := range []string{
		"http http://h/?a=b status=200-299,304 body='x y' timeout=2s", "tcp [::1]:80 stage=ready", "memory max=1GB of=tree measure=pss",
		"log target='a=b' of=stderr", "log a file=/b", "command a 'b c' \"d\"", "activity /x age=1d missing=ok deep=yes", "notify", "heartbeat age=1.5",
		"cpu max=150% then=event", "unix '/a b' passes=3 failures=2 after=0", "files max=10",
	} {
		f.Add("x", text)
	}
	f.Fuzz(func(t *testing.T, name, text string) {
		c, err := ParseCheck(name, text)
		if err != nil {
			return
		}
		written, ok := strings.CutPrefix(c.String(), name+"=")
		if again, err := ParseCheck(name, written); !ok || err != nil || again != c {
			t.Errorf("%q: %q is read as %q, %v", text, c, again, err)
		}
	})
}
