// Package crashmail is the event listener of that name: it mails when a program has ended unexpectedly.
// Options and texts are those of superlance 2.0.
package crashmail

import (
	"slices"

	"github.com/upkeep-project/upkeep/client/listener"
	"github.com/upkeep-project/upkeep/internal/cli/superlance"
)

const usage = `crashmail [-p processname] [-a] [-o string] [-m mail_address] [-s sendmail]

An event listener for PROCESS_STATE_EXITED that mails when a program ends
although nobody has stopped it, with an exit status that is not in exitcodes.

-p, --program           mail about this program, NAME or GROUP:NAME; may be
                        repeated. Without it, about every program.
-a, --any               about every program, whatever -p says
-o, --optionalheader    a text to put before the subject
-s, --sendmail_program  the command that is given the message; default
                        "/usr/sbin/sendmail -t -i"
-m, --email             the address to mail to. Without it nothing is mailed.
-h, --help              this text

[eventlistener:crashmail]
command=crashmail -o myhost -m me@example.com
events=PROCESS_STATE_EXITED
`

// monitor is the command with its options.
type monitor struct {
	*superlance.Env
	programs []string
	any      bool
	header   string
	sendmail string
	email    string
}

// Main runs the command until the daemon ends and returns its exit status.
func Main(_ string, argv []string) int { return run(superlance.System(), argv) }

func run(env *superlance.Env, argv []string) int {
	m := monitor{Env: env, sendmail: superlance.DefaultSendmail}
	_, err := superlance.Parse([]superlance.Opt{
		{Short: 'p', Long: "program", Set: superlance.Words(&m.programs)},
		{Short: 'a', Long: "any", Flag: func() { m.any = true }},
		{Short: 'o', Long: "optionalheader", Set: superlance.Text(&m.header)},
		{Short: 's', Long: "sendmail_program", Set: superlance.Text(&m.sendmail)},
		{Short: 'm', Long: "email", Set: superlance.Text(&m.email)},
	}, argv)
	if err != nil {
		return env.Usage(usage, err)
	}
	if !env.Listening("crashmail") {
		return 0
	}
	return env.Serve(m.handle)
}

// handle mails about an unexpected end.
func (m *monitor) handle(ev *listener.Event) error {
	f := ev.Fields
	if ev.Name != "PROCESS_STATE_EXITED" || f["expected"] != "0" || !m.watched(ev) {
		return nil
	}
	subject := " " + f["processname"] + " crashed at " + superlance.Asctime(m.Now())
	if m.header != "" {
		subject = m.header + ":" + subject
	}
	if m.email == "" {
		m.Sayf("unexpected exit, and no address to mail to:%s\n", subject)
		return nil
	}
	m.Sayf("unexpected exit, mailing\n")
	message, err := superlance.Sendmail(m.sendmail, m.email, subject, "Process "+f["processname"]+" in group "+f["groupname"]+
		" exited unexpectedly (pid "+f["pid"]+") from state "+f["from_state"])
	if err != nil {
		m.Sayf("not mailed: %v\n\n%s\n", err, message)
		return nil
	}
	m.Sayf("Mailed:\n\n%s", message)
	return nil
}

// watched reports whether the options ask for the program of an event.
func (m *monitor) watched(ev *listener.Event) bool {
	name, group := ev.Fields["processname"], ev.Fields["groupname"]
	return m.any || len(m.programs) == 0 || slices.Contains(m.programs, name) || slices.Contains(m.programs, group+":"+name)
}
