package supervisord

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/upkeep-project/upkeep/internal/base/pytext"
	"github.com/upkeep-project/upkeep/internal/base/shellwords"
	"github.com/upkeep-project/upkeep/internal/base/units"
	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// notifyPrefix begins the header of a notifier.
const notifyPrefix = "notify:"

// minRepeat is the least time between two reminders.
const minRepeat = time.Minute

// notifiers reads the [notify:x] sections. Source: interfaces 5.
func (r *reader) notifiers() ([]*model.Notifier, error) {
	var list []*model.Notifier
	for _, sect := range r.doc.Sections() {
		name, ok := strings.CutPrefix(sect.Name, notifyPrefix)
		if !ok {
			continue
		}
		o := r.options(sect, scope{"here": r.here, "host_node_name": r.env.Hostname})
		n := r.notifier(o, name)
		if err := o.failure(); err != nil {
			return nil, err
		}
		list = append(list, n)
	}
	return list, nil
}

func (r *reader) notifier(o *options, name string) *model.Notifier {
	if checked, err := units.Name(name); err != nil || checked != name || name == "" || name == "none" || name == model.EmailAlerts || strings.Contains(name, ",") {
		o.fail("", refuse("["+o.sect.Name+"]: "+pytext.Repr(name)+" cannot be the name of a notifier"))
	}
	for _, key := range [...]string{"password", "secret", "token"} { // never with its value
		if _, ok := o.raw(key, ""); ok {
			o.fail(key, refuse("["+o.sect.Name+"] has a "+key+" in it: write it into a file that nobody else can read, and name that with password_file or secret_file"))
		}
	}
	n := &model.Notifier{Name: name, Origin: origin(o.sect)}
	n.To = value(o, "to", nil, destinations)
	if _, ok := o.raw("to", ""); !ok || len(n.To) == 0 {
		o.fail("to", refuse("["+o.sect.Name+"] does not say where to: to=mailto:ADDRESS, for example"))
	}
	n.Via = value(o, "via", "", mailServer)
	n.From = value(o, "from", "", func(v string) (string, error) { return v, mailAddress(v) })
	n.Username, _ = o.text("username")
	n.Password = value(o, "password_file", "", r.env.secretFile)
	n.Secret = value(o, "secret_file", "", r.env.secretFile)
	n.On = value(o, "on", defaultTriggers(), triggers)
	n.Groups = value(o, "groups", nil, func(v string) ([]string, error) { return trimmed(v), nil })
	n.Repeat = o.span("repeat", 0)
	switch {
	case n.Repeat != 0 && n.Repeat < minRepeat:
		o.fail("repeat", refuse(fmt.Sprintf("repeat must be at least %v, or 0 for never", minRepeat)))
	case strings.ContainsFunc(n.Username, isControl):
		o.fail("username", refuse("username has a control character in it"))
	case (n.Username == "") != (n.Password == ""):
		o.fail("username", refuse("username and password_file go together"))
	case n.Username != "" && !strings.HasPrefix(n.Via, "smtp"):
		o.fail("username", refuse("username is for a server of mail: via=smtp://HOST:PORT"))
	}
	return n
}

func isControl(c rune) bool { return c < ' ' || c == 0x7f }

// secretFile is the absolute path of a file that holds a secret. It is read when it is needed, not here.
func (e *Environ) secretFile(v string) (string, error) {
	path := e.expandUser(v)
	if !isAbs(path) || strings.ContainsFunc(path, isControl) {
		return "", refuse(v + " is not an absolute path")
	}
	return cleanPath(path), nil
}

// destinations reads to=: items on lines of their own, or separated by commas; a command goes to the end of its line.
func destinations(v string) ([]string, error) {
	var list []string
	for line := range strings.SplitSeq(v, "\n") {
		for line = pytext.Strip(line); line != ""; {
			item, rest, _ := strings.Cut(line, ",")
			if item = pytext.Strip(item); strings.HasPrefix(item, "exec:") {
				item, rest = line, ""
			}
			line = pytext.Strip(rest)
			if item == "" {
				continue
			}
			if err := destination(item); err != nil {
				return nil, err
			}
			list = append(list, item)
		}
	}
	return list, nil
}

// destination judges one item. It may hold a secret, so that no error shows more of it than how it begins.
func destination(item string) error {
	kind, rest, ok := strings.Cut(item, ":")
	switch {
	case !ok:
	case kind == "mailto":
		return mailAddress(rest)
	case kind == "http", kind == "https":
		return webAddress(item)
	case kind == "slack" && !isAbs(rest):
		return refuse("slack: the file that holds the address must be an absolute path; an address itself is written slack+https://")
	case kind == "slack":
		return nil
	case kind == "slack+https", kind == "slack+http":
		return webAddress(strings.TrimPrefix(item, "slack+"))
	case kind == "exec":
		argv, err := shellwords.Split(rest)
		if err == nil && (len(argv) == 0 || argv[0] == "") {
			err = refuse("there is no command in it")
		}
		if err != nil {
			return refuse("exec: " + err.Error())
		}
		return nil
	}
	kinds := []string{"mailto:", "https://", "http://", "slack:", "slack+https://", "exec:"}
	if i := strings.IndexAny(item, ":/?"); i >= 0 {
		item = item[:i+1] + "..."
	}
	return &plainError{pytext.Repr(item) + " is no destination: it begins with none of " + strings.Join(kinds, " "), closest(kind+":", kinds)}
}

// webAddress judges the address of a webhook.
func webAddress(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || strings.ContainsFunc(text, isControl) {
		return refuse("the address of the webhook cannot be read")
	}
	return nil
}

// mailServer judges via=.
func mailServer(v string) (string, error) {
	kind, rest, _ := strings.Cut(v, ":")
	switch kind {
	case "sendmail":
		if !isAbs(rest) {
			return "", refuse("via=" + v + ": the program must be an absolute path")
		}
		return v, nil
	case "smtp", "smtps":
		u, err := url.Parse(v)
		if err != nil || u.Host == "" || u.User != nil || u.Path != "" || u.RawQuery != "" || u.Fragment != "" {
			return "", refuse("via must be " + kind + "://HOST:PORT, without anything else in it")
		}
		if u.Port() == "" {
			port := map[string]string{"smtp": "25", "smtps": "465"}[kind]
			return kind + "://" + net.JoinHostPort(u.Hostname(), port), nil
		}
		if _, err := units.Port(u.Port()); err != nil {
			return "", err
		}
		return v, nil
	}
	kinds := []string{"smtp", "smtps", "sendmail"}
	return "", &plainError{"via is smtp://HOST:PORT, smtps://HOST:PORT or sendmail:PATH", closest(kind, kinds)}
}

// defaultTriggers is what a notifier tells that does not say it.
func defaultTriggers() []model.Trigger {
	return []model.Trigger{
		{Kind: model.TriggerFatal},
		{Kind: model.TriggerUnhealthy},
		{Kind: model.TriggerCheck},
		{Kind: model.TriggerOOM},
		{Kind: model.TriggerRecovered},
		{Kind: model.TriggerDaemon},
	}
}

// triggers reads on=.
func triggers(v string) ([]model.Trigger, error) {
	var list []model.Trigger
	for _, item := range trimmed(v) {
		t, err := trigger(item)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(list, t) {
			list = append(list, t)
		}
	}
	if len(list) == 0 {
		return nil, refuse("on says nothing that could be told")
	}
	return list, nil
}

// trigger reads one word of it: KIND, backoff:COUNT, restart:COUNT/TIME.
func trigger(item string) (model.Trigger, error) {
	word, rest, counted := strings.Cut(item, ":")
	var t model.Trigger
	var known []string
	found := false
	for k := range model.NumTriggers {
		name := model.TriggerKind(k).String()
		known = append(known, name)
		if name == word {
			t.Kind, found = model.TriggerKind(k), true
		}
	}
	if !found {
		return t, &plainError{"on: nothing is called " + pytext.Repr(word), closest(word, known)}
	}
	if t.Kind == model.TriggerBackoff {
		t.Count = 1
	}
	if !counted {
		return t, nil
	}
	count, within, timed := strings.Cut(rest, "/")
	n, err := threshold(count)
	if err == nil && timed {
		t.Within, err = span(within, time.Second, maxSpan)
	}
	switch {
	case err != nil:
		return t, refuse("on: " + item + ": " + err.Error())
	case t.Kind == model.TriggerBackoff && !timed, t.Kind == model.TriggerRestart && timed:
		t.Count = n
		return t, nil
	}
	return t, refuse("on: " + item + ": counts are backoff:COUNT and restart:COUNT/TIME")
}
