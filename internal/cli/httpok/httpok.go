// Package httpok is the event listener of that name: it restarts programs when a page does not answer as it
// should. Options and texts are those of superlance 2.0.
package httpok

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/upkeep-project/upkeep/client/listener"
	"github.com/upkeep-project/upkeep/client/supervisor"
	"github.com/upkeep-project/upkeep/internal/base/pytext"
	"github.com/upkeep-project/upkeep/internal/base/units"
	"github.com/upkeep-project/upkeep/internal/cli/superlance"
)

const usage = `httpok [-p processname] [-a] [-g gcore] [-d coredir] [-t timeout]
       [-c status_code] [-b inbody] [-m mail_address] [-s sendmail] [-e|-E]
       [-n httpok_name] URL

An event listener for TICK_60 (or another TICK) that gets the URL and restarts
running programs when the answer is not what it should be.

-p, --program           the program to restart, NAME or GROUP:NAME; may be
                        repeated
-a, --any               restart every running program, whatever -p says
-t, --timeout           seconds to wait for the answer; default 10
-c, --code              a status that is right; default 200; may be repeated
-b, --body              a text that the body must contain
-d, --coredir           a folder in which to leave a core file of each process
                        before it is restarted
-g, --gcore             the command that makes it, given the file and the pid;
                        default "/usr/bin/gcore -o"
-m, --email             the address to tell about restarts. Without it nothing
                        is mailed.
-s, --sendmail_program  the command that is given the message; default
                        "/usr/sbin/sendmail -t -i"
-e, --eager             check the URL even when none of the programs is running;
                        the default
-E, --not-eager         check it only when one is
-n, --name              a name of this httpok for the subject of its mails
-h, --help              this text

[eventlistener:httpok]
command=httpok -p web -m me@example.com http://localhost:8080/health
events=TICK_60
`

// running is the state of a program that may be restarted. Source: spec/supervisor 2.1.
const running = 20

// monitor is the command with its options.
type monitor struct {
	*superlance.Env
	daemon *supervisor.Client
	page   page

	programs []string
	any      bool
	inBody   string
	statuses []int
	coredir  string
	gcore    string
	email    string
	sendmail string
	eager    bool
	name     string
}

// Main runs the command until the daemon ends and returns its exit status.
func Main(_ string, argv []string) int { return run(superlance.System(), argv, retryAfter) }

func run(env *superlance.Env, argv []string, retry time.Duration) int {
	m := monitor{Env: env, gcore: "/usr/bin/gcore -o", sendmail: superlance.DefaultSendmail, eager: true}
	err := m.parse(argv, retry)
	if err != nil {
		return env.Usage(usage, err)
	}
	if !env.Listening("httpok") {
		return 0
	}
	if m.daemon, err = listener.Daemon(env.Getenv); err != nil {
		env.Sayf("httpok: %v\n", err)
		return 1
	}
	defer m.daemon.Close()
	return env.Serve(m.handle)
}

func (m *monitor) parse(argv []string, retry time.Duration) error {
	timeout := 10
	number := func(set func(int)) func(string, string) error {
		return func(value, spelling string) error {
			n, err := units.Int(value)
			if err != nil || n < 0 || n > 1<<30 {
				return fmt.Errorf("unparseable number %s for %s", pytext.Repr(value), spelling)
			}
			set(int(n))
			return nil
		}
	}
	rest, err := superlance.Parse([]superlance.Opt{
		{Short: 'p', Long: "program", Set: superlance.Words(&m.programs)},
		{Short: 'a', Long: "any", Flag: func() { m.any = true }},
		{Short: 't', Long: "timeout", Set: number(func(n int) { timeout = n })},
		{Short: 'c', Long: "code", Set: number(func(n int) { m.statuses = append(m.statuses, n) })},
		{Short: 'b', Long: "body", Set: superlance.Text(&m.inBody)},
		{Short: 's', Long: "sendmail_program", Set: superlance.Text(&m.sendmail)},
		{Short: 'm', Long: "email", Set: superlance.Text(&m.email)},
		{Short: 'g', Long: "gcore", Set: superlance.Text(&m.gcore)},
		{Short: 'd', Long: "coredir", Set: superlance.Text(&m.coredir)},
		{Short: 'e', Long: "eager", Flag: func() { m.eager = true }},
		{Short: 'E', Long: "not-eager", Flag: func() { m.eager = false }},
		{Short: 'n', Long: "name", Set: superlance.Text(&m.name)},
	}, argv)
	if err != nil {
		return err
	}
	if len(rest) != 1 {
		return errors.New("one URL is required")
	}
	u, err := url.Parse(rest[0])
	switch {
	case err != nil:
		return err
	case u.Scheme != "http" && u.Scheme != "https":
		return fmt.Errorf("bad scheme %s", u.Scheme)
	case u.Host == "":
		return fmt.Errorf("no host in %s", rest[0])
	}
	if len(m.statuses) == 0 {
		m.statuses = []int{200}
	}
	m.page = page{url: rest[0], timeout: time.Duration(timeout) * time.Second, retry: retry}
	return nil
}

// handle gets the page at a tick.
func (m *monitor) handle(ev *listener.Event) error {
	if !strings.HasPrefix(ev.Name, "TICK") {
		return nil
	}
	if !m.eager {
		infos, err := superlance.Call(m.daemon.GetAllProcessInfo)
		if err != nil {
			return fmt.Errorf("list of programs: %w", err)
		}
		if !slices.ContainsFunc(infos, func(p supervisor.ProcessInfo) bool { return p.State == running && m.selected(&p) }) {
			return nil
		}
	}
	a, err := m.page.get()
	text := "status contacting " + m.page.url + ": " + strconv.Itoa(a.status) + " " + a.reason
	if err != nil {
		text = fmt.Sprintf("error contacting %s:\n\n %v", m.page.url, err)
	}
	switch {
	case err != nil || !slices.Contains(m.statuses, a.status):
		m.act("bad status returned", text)
	case !strings.Contains(a.body, m.inBody):
		m.act("bad body returned", text)
	}
	return nil
}

// selected reports whether the options ask for a program.
func (m *monitor) selected(p *supervisor.ProcessInfo) bool {
	return m.any || slices.Contains(m.programs, p.Name) || slices.Contains(m.programs, superlance.Namespec(p.Group, p.Name))
}

// report collects what is both logged and mailed.
type report struct {
	monitor *monitor
	lines   []string
}

func (r *report) sayf(format string, a ...any) {
	line := fmt.Sprintf(format, a...)
	r.monitor.Sayf("%s\n", line)
	r.lines = append(r.lines, line)
}

// act restarts the programs, and mails what it did.
func (m *monitor) act(subject, text string) {
	r := report{m, []string{text}}
	infos, err := superlance.Call(m.daemon.GetAllProcessInfo)
	if err != nil {
		r.sayf("Exception retrieving process info %s, not acting", superlance.ErrorText(err))
		return
	}
	if m.any {
		r.sayf("Restarting all running processes")
	} else {
		r.sayf("Restarting selected processes %s", pytext.ReprList(m.programs))
	}
	waiting := slices.Clone(m.programs)
	for i := range infos {
		p := &infos[i]
		spec := superlance.Namespec(p.Group, p.Name)
		if !m.selected(p) {
			continue
		}
		waiting = slices.DeleteFunc(waiting, func(w string) bool { return w == p.Name || w == spec })
		m.restart(p, spec, &r)
	}
	if len(waiting) > 0 {
		r.sayf("Programs not restarted because they did not exist: %s", pytext.ReprList(waiting))
	}
	if m.email == "" {
		return
	}
	prefix := "httpok: "
	if m.name != "" {
		prefix = "httpok [" + m.name + "]: "
	}
	message, err := superlance.Sendmail(m.sendmail, m.email, prefix+m.page.url+": "+subject, strings.Join(r.lines, "\n"))
	if err != nil {
		m.Sayf("not mailed: %v\n\n%s\n", err, message)
		return
	}
	m.Sayf("Mailed:\n\n%s", message)
}

// restart stops and starts a program that runs.
func (m *monitor) restart(p *supervisor.ProcessInfo, spec string, r *report) {
	if p.State != running {
		r.sayf("%s not in RUNNING state, NOT restarting", spec)
		return
	}
	if m.coredir != "" && m.gcore != "" {
		out, err := superlance.Shell(m.gcore+` "$@"`, "", path.Join(m.coredir, spec), strconv.Itoa(p.PID))
		if err != nil {
			out += err.Error()
		}
		r.sayf("gcore output for %s:\n\n %s", spec, out)
	}
	r.sayf("%s is in RUNNING state, restarting", spec)
	if err := superlance.Do(func(ctx context.Context) error { return m.daemon.StopProcess(ctx, spec, true) }); err != nil {
		r.sayf("Failed to stop process %s: %s", spec, superlance.ErrorText(err))
	}
	if err := superlance.Do(func(ctx context.Context) error { return m.daemon.StartProcess(ctx, spec, true) }); err != nil {
		r.sayf("Failed to start process %s: %s", spec, superlance.ErrorText(err))
		return
	}
	r.sayf("%s restarted", spec)
}
