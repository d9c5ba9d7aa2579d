package deliver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os/exec"
	"os/user"
	"strings"

	"github.com/upkeep-project/upkeep/internal/sys/errand"
	"github.com/upkeep-project/upkeep/internal/wire/mail"
)

// FindSendmail finds the sendmail program: where it usually is, then in PATH. Source: spec/usrsvc 2, sendmail_path.
func FindSendmail() (string, error) {
	for _, path := range []string{"/usr/sbin/sendmail", "/usr/bin/sendmail", "/usr/lib/sendmail"} {
		if found, err := exec.LookPath(path); err == nil {
			return found, nil
		}
	}
	if found, err := exec.LookPath("sendmail"); err == nil {
		return found, nil
	}
	return "", errors.New("there is no sendmail program on this machine, and no via= that names a mail server")
}

// mail sends to one address.
func (d *delivery) mail(ctx context.Context, address string) error {
	m := &mail.Message{
		From: d.n.From, To: []string{address}, Subject: d.r.Subject(), Text: d.r.Text(), ID: d.r.ID, Automatic: true,
	}
	if m.From == "" {
		m.From = sender()
	}
	ctx, cancel := context.WithTimeout(ctx, mailTime)
	defer cancel()
	if path, ok := strings.CutPrefix(d.n.Via, "sendmail:"); ok || d.n.Via == "" {
		return d.sendmail(ctx, path, m)
	}
	return d.smtp(ctx, m)
}

// sender is user@host. Source: spec/usrsvc US-90.
func sender() string {
	name := "upkeep"
	if u, err := user.Current(); err == nil && u.Username != "" {
		name = u.Username[strings.LastIndexByte(u.Username, '\\')+1:]
	}
	return name + "@" + mail.Host()
}

func (d *delivery) sendmail(ctx context.Context, path string, m *mail.Message) error {
	if path == "" || path == "auto" {
		var err error
		if path, err = d.o.Sendmail(); err != nil {
			return err
		}
	}
	text, err := m.Encode(d.o.Now())
	if err != nil {
		return err
	}
	to := mail.Address(m.To[0])
	if strings.HasPrefix(to, "-") { // an option of the program
		return fmt.Errorf("%q is no address", to)
	}
	e := &errand.Errand{Argv: []string{path, "-i", "-f", mail.Address(m.From), to}, Env: d.o.Environ, Input: text, Begin: d.o.Begin}
	if strings.HasPrefix(mail.Address(m.From), "-") {
		return fmt.Errorf("%q is no address", m.From)
	}
	d.tell("run " + path + " -i -f " + mail.Address(m.From) + " " + to)
	out, err := e.Run(ctx)
	d.output(out)
	return err
}

// output tells what a command has printed.
func (d *delivery) output(out string) {
	for l := range strings.Lines(out) {
		d.tell("< " + strings.TrimRight(l, "\r\n"))
	}
}

// smtp gives the mail to a server: smtp://host:587 encrypts where the server offers it, smtps:// from the first byte. A
// password is only given to a server whose certificate is good; without one any encryption is better than none.
func (d *delivery) smtp(ctx context.Context, m *mail.Message) error {
	u, err := url.Parse(d.n.Via)
	if err != nil || u.Host == "" {
		return errors.New("via= is no address of a mail server")
	}
	s := &mail.Server{Host: u.Host, User: d.n.Username, Private: true, Offered: true, NoVerify: d.n.Username == "", Tell: d.tell}
	switch u.Scheme {
	case "smtp":
		if u.Port() == "" {
			s.Host = net.JoinHostPort(u.Hostname(), "25")
		}
	case "smtps":
		s.Implicit = true
		if u.Port() == "" {
			s.Host = net.JoinHostPort(u.Hostname(), "465")
		}
	default:
		return fmt.Errorf("via= knows smtp://, smtps:// and sendmail:, not %s", u.Scheme)
	}
	if s.User != "" {
		if d.n.Password == "" {
			return errors.New("there is a username, and no password_file")
		}
		if s.Password, err = d.secret(d.n.Password); err != nil {
			return err
		}
	}
	return s.Send(ctx, m, d.o.Now())
}
