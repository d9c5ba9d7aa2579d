// Package batchmail is the event listeners crashmailbatch, fatalmailbatch and crashsms: they collect what
// has happened to programs and send it in one mail at the end of an interval. Options and texts are those
// of superlance 2.0.
package batchmail

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/upkeep-project/upkeep/client/listener"
	"github.com/upkeep-project/upkeep/internal/base/pytext"
	"github.com/upkeep-project/upkeep/internal/cli/superlance"
	"github.com/upkeep-project/upkeep/internal/wire/mail"
)

// kind is what tells the commands apart.
type kind struct {
	name    string
	about   string // for the help text
	event   string
	subject string // unless one is given
	// line is what a mail says of an event at a time; empty: nothing.
	line func(at string, f map[string]string) string
}

func crashes() kind {
	return kind{
		"crashmailbatch", "that ended unexpectedly", "PROCESS_STATE_EXITED", "Crash alert from supervisord",
		func(at string, f map[string]string) string {
			if f["expected"] != "0" {
				return ""
			}
			return fmt.Sprintf("%s -- Process %s:%s (pid %s) died unexpectedly", at, f["groupname"], f["processname"], f["pid"])
		},
	}
}

func fatals() kind {
	return kind{
		"fatalmailbatch", "that could not be started and are FATAL", "PROCESS_STATE_FATAL", "Fatal start alert from supervisord",
		func(at string, f map[string]string) string {
			return fmt.Sprintf("%s -- Process %s:%s failed to start too many times", at, f["groupname"], f["processname"])
		},
	}
}

// texts is for telephones: short, and without a subject.
func texts() kind {
	return kind{
		"crashsms", "that ended unexpectedly", "PROCESS_STATE_EXITED", "",
		func(at string, f map[string]string) string {
			if f["expected"] != "0" {
				return ""
			}
			return fmt.Sprintf("[%s:%s](%s) exited unexpectedly %s", f["groupname"], f["processname"], f["pid"], at)
		},
	}
}

// Crashmailbatch runs the command of that name until the daemon ends and returns its exit status.
func Crashmailbatch(prog string, argv []string) int {
	return run(superlance.System(), crashes(), prog, argv)
}

// Fatalmailbatch runs the command of that name until the daemon ends and returns its exit status.
func Fatalmailbatch(prog string, argv []string) int {
	return run(superlance.System(), fatals(), prog, argv)
}

// Crashsms runs the command of that name until the daemon ends and returns its exit status.
func Crashsms(prog string, argv []string) int { return run(superlance.System(), texts(), prog, argv) }

const help = `%s -t ADDRESS[,ADDRESS...] -f ADDRESS [options]

An event listener that mails, once an interval, about programs %s.

  -h, --help        this text
  -i, --interval    minutes between two mails; default 1
  -t, --toEmail     where to mail to, addresses separated by commas
  -f, --fromEmail   who the mail is from
  -s, --subject     its subject
  -H, --smtpHost    HOST or HOST:PORT of the mail server; default localhost
  -e, --tickEvent   the event that measures the interval; default TICK_60
  -u, --userName    name to log in at the mail server; default: no login
  -p, --password    password to log in
      --tls         encrypt the connection (STARTTLS)
      --tlsNoVerify accept any certificate of the server

[eventlistener:%s]
command=%s -t me@example.com -f supervisor@example.com
events=%s,TICK_60
`

// The exit statuses. They are those of superlance, whose parser of options is another one here than in its
// other commands.
const (
	statusFailed = 1
	statusUsage  = 2
)

// monitor is a command with its options and what it has collected.
type monitor struct {
	*superlance.Env
	kind     kind
	server   mail.Server
	mail     mail.Message
	tick     string
	interval float64 // minutes
	period   int     // seconds between two ticks

	seconds int // since the last mail
	lines   []string
	dropped int // lines that did not fit
}

// maxLines bounds what waits for a mail server that does not answer.
const maxLines = 1000

func run(env *superlance.Env, k kind, prog string, argv []string) int {
	m := &monitor{
		Env: env, kind: k, interval: 1, tick: "TICK_60",
		server: mail.Server{Host: "localhost"}, mail: mail.Message{Subject: k.subject},
	}
	err := m.parse(argv)
	switch {
	case errors.Is(err, superlance.ErrHelp):
		m.help()
		return 0
	case err != nil:
		env.Sayf("Usage: %s [options]\n\n%s: error: %v\n", prog, k.name, err)
		return statusUsage
	case len(m.mail.To) == 0 || m.mail.From == "":
		m.help()
		return statusFailed
	}
	if m.period, err = period(m.tick); err != nil {
		env.Sayf("%v\n", err)
		return statusFailed
	}
	if env.Getenv("SUPERVISOR_SERVER_URL") == "" {
		env.Sayf("Must run as a supervisor event listener\n")
		return statusFailed
	}
	return env.Serve(m.handle)
}

func (m *monitor) help() {
	fmt.Fprintf(m.Out, help, m.kind.name, m.kind.about, m.kind.name, m.kind.name, m.kind.event)
}

func (m *monitor) parse(argv []string) error {
	opts := []superlance.Opt{
		{Short: 'i', Long: "interval", Set: func(value, spelling string) error {
			var err error
			if m.interval, err = strconv.ParseFloat(strings.TrimSpace(value), 64); err != nil {
				return fmt.Errorf("option %s: invalid floating-point value: %s", spelling, pytext.Repr(value))
			}
			return nil
		}},
		{Short: 't', Long: "toEmail", Set: func(value, _ string) error {
			m.mail.To = nil
			for a := range strings.SplitSeq(value, ",") {
				if a = strings.TrimSpace(a); a != "" {
					m.mail.To = append(m.mail.To, a)
				}
			}
			return nil
		}},
		{Short: 'f', Long: "fromEmail", Set: superlance.Text(&m.mail.From)},
		{Short: 's', Long: "subject", Set: superlance.Text(&m.mail.Subject)},
		{Short: 'H', Long: "smtpHost", Set: superlance.Text(&m.server.Host)},
		{Short: 'e', Long: "tickEvent", Set: superlance.Text(&m.tick)},
		{Short: 'u', Long: "userName", Set: superlance.Text(&m.server.User)},
		{Short: 'p', Long: "password", Set: superlance.Text(&m.server.Password)},
		{Long: "tls", Flag: func() { m.server.TLS = true }},
		{Long: "tlsNoVerify", Flag: func() { m.server.NoVerify = true }},
	}
	for { // options may stand behind other words, which mean nothing
		rest, err := superlance.Parse(opts, argv)
		if err != nil || len(rest) == 0 {
			return err
		}
		argv = rest[1:]
	}
}

// period is how many seconds lie between two events of a kind TICK_SECONDS.
func period(event string) (int, error) {
	seconds, ok := strings.CutPrefix(event, "TICK_")
	n, err := strconv.Atoi(seconds)
	if !ok || err != nil || n <= 0 {
		return 0, fmt.Errorf("invalid TICK event name: %s", event)
	}
	return n, nil
}

// handle collects, and sends when the interval is over.
func (m *monitor) handle(ev *listener.Event) error {
	switch ev.Name {
	case m.kind.event:
		line := m.kind.line(superlance.Asctime(m.Now()), ev.Fields)
		if line == "" {
			break
		}
		m.Sayf("%s\n", line)
		if len(m.lines) == maxLines {
			m.dropped++
			break
		}
		m.lines = append(m.lines, line)
	case m.tick:
		if m.seconds += m.period; float64(m.seconds) >= m.interval*60 {
			m.seconds = 0
			m.send()
		}
	}
	return nil
}

// digest is how many characters of a mail the log shows.
const digest = 76

// send mails what has been collected. What cannot be sent is kept for the next interval.
func (m *monitor) send() {
	if len(m.lines) == 0 {
		return
	}
	lines := m.lines
	if m.dropped > 0 {
		lines = append(lines[:len(lines):len(lines)], fmt.Sprintf("and %d more", m.dropped))
	}
	mail := m.mail
	mail.Text = strings.Join(lines, "\n")
	if err := m.server.Send(context.Background(), &mail, m.Now()); err != nil {
		m.Sayf("Error sending email: %v\n", err)
		m.Sayf("%d lines are kept for the next one\n", len(m.lines))
		return
	}
	m.lines, m.dropped = nil, 0
	body, subject := mail.Text, mail.Subject
	if r := []rune(body); len(r) > digest {
		body = string(r[:digest]) + "..."
	}
	if subject == "" {
		subject = "None"
	}
	m.Sayf("Sending notification email:\nTo: %s\nFrom: %s\nSubject: %s\nBody:\n%s\n", strings.Join(mail.To, ", "), mail.From, subject, body)
}
