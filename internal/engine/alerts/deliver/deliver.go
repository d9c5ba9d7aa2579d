// Package deliver brings one message to one destination: by mail, to a webhook, to a chat service, to a command. Each
// delivery has a limit of time and may be tried again; a secret is read from its file when it is needed and is nowhere
// in what is returned. Source: spec/reliability S25.
package deliver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"net/url"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/upkeep-project/upkeep/internal/base/termtext"
	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/engine/alerts/report"
)

// The limits of time of one delivery.
const (
	mailTime    = time.Minute
	webTime     = 30 * time.Second
	commandTime = 30 * time.Second
)

// Options are what all deliveries share. The zero value works.
type Options struct {
	Now func() time.Time // nil = time.Now
	// Environ is what commands get; nil = the daemon's.
	Environ []string
	// Sendmail finds the sendmail program of a notifier that names none; nil = where it usually is.
	Sendmail func() (string, error)
	// Begin starts commands, as in errand.Errand; nil = nobody else reaps children.
	Begin func(start func() (pid int, err error)) (over func(), err error)
}

// Courier delivers. Its methods are safe for concurrent use.
type Courier struct {
	o      Options
	client *http.Client
	hide   *report.Hider
}

// New makes a courier.
func New(o Options) *Courier {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Sendmail == nil {
		o.Sendmail = FindSendmail
	}
	return &Courier{o: o, hide: report.NewHider(), client: &http.Client{
		Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true, ForceAttemptHTTP2: true},
		// A redirection could lead anywhere, with the signature.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// ErrRefused is in the error of a destination that has understood a message and does not want it; it may want others.
var ErrRefused = errors.New("refused")

// Deliver brings a message to one of the destinations of a notifier. The dialogue is told line by line, without secrets.
func (c *Courier) Deliver(ctx context.Context, n *model.Notifier, to string, r *report.Report) (dialogue []string, err error) {
	d := &delivery{Courier: c, n: n, to: to, r: r}
	err = d.deliver(ctx)
	for i, l := range d.lines {
		d.lines[i] = d.clean(l)
	}
	if err != nil {
		err = &failure{d.clean(err.Error()), refuses(err)}
	}
	return d.lines, err
}

// failure is the error of a delivery, without secrets.
type failure struct {
	text    string
	refused bool
}

func (f *failure) Error() string { return f.text }

// Is makes it ErrRefused.
func (f *failure) Is(target error) bool { return f.refused && target == ErrRefused }

// refuses reports whether an error is about the message and not about the destination: a code 550 to 559 of a server of mail.
// Source: RFC 5321, 4.2.2.
func refuses(err error) bool {
	var e *textproto.Error
	return errors.Is(err, ErrRefused) || errors.As(err, &e) && e.Code >= 550 && e.Code <= 559
}

// delivery is one of them.
type delivery struct {
	*Courier
	n       *model.Notifier
	to      string
	r       *report.Report
	lines   []string
	secrets []string // that were used, and must not be told
}

// maxDialogue is how many lines of a dialogue are kept.
const maxDialogue = 100

func (d *delivery) tell(l string) {
	if len(d.lines) < maxDialogue {
		d.lines = append(d.lines, l)
	}
}

// maxLine is how much of a line of a dialogue is kept, in bytes.
const maxLine = 300

// clean makes a text one short line without secrets that is safe to be shown and logged.
func (d *delivery) clean(s string) string {
	for _, secret := range d.secrets {
		if secret != "" {
			s = strings.ReplaceAll(s, secret, report.Hidden)
		}
	}
	s = strings.Join(strings.Fields(termtext.String(d.hide.Line(s), termtext.Plain)), " ")
	if len(s) > maxLine {
		s = strings.ToValidUTF8(s[:maxLine], "") + "..."
	}
	return s
}

// secret reads a file that holds one; what follows the first line does not belong to it.
func (d *delivery) secret(path string) (string, error) {
	const most = 64 << 10
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a FIFO would be waited for
	if err != nil {
		return "", err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() || info.Size() > most {
		return "", fmt.Errorf("%s is no file with a secret", path)
	}
	b, err := io.ReadAll(io.LimitReader(f, most))
	if err != nil {
		return "", err
	}
	s, _, _ := strings.Cut(string(b), "\n")
	if s = strings.TrimSpace(s); s == "" {
		return "", fmt.Errorf("%s is empty", path)
	}
	d.secrets = append(d.secrets, s)
	return s, nil
}

func (d *delivery) deliver(ctx context.Context) error {
	scheme, rest, _ := strings.Cut(d.to, ":")
	switch strings.ToLower(scheme) {
	case "mailto":
		return d.mail(ctx, rest)
	case "http", "https":
		return d.webhook(ctx, d.to)
	case "slack+https", "slack+http":
		return d.chat(ctx, d.to[len("slack+"):])
	case "slack":
		address, err := d.secret(rest)
		if err != nil {
			return err
		}
		return d.chat(ctx, address)
	case "exec":
		return d.command(ctx, rest)
	}
	return errors.New("this is no destination")
}

// Shown is a destination as it may be shown: what could be a secret is left out.
func Shown(to string) string {
	scheme, rest, _ := strings.Cut(to, ":")
	switch strings.ToLower(scheme) {
	case "mailto", "slack":
		return to
	case "exec":
		if words := strings.Fields(rest); len(words) > 1 {
			return scheme + ":" + words[0] + " …"
		}
		return to
	}
	return shownURL(to)
}

// shownURL leaves out all of an address but scheme and host.
func shownURL(s string) string {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" {
		return "(address)"
	}
	if u.Path != "" && u.Path != "/" || u.RawQuery != "" {
		return u.Scheme + "://" + u.Host + "/…"
	}
	return u.Scheme + "://" + u.Host
}

// ShownVia is how mail goes, as it may be shown.
func ShownVia(via string) string {
	u, err := url.Parse(via)
	if err != nil || u.User == nil {
		return via
	}
	u.User = nil
	return u.String()
}
