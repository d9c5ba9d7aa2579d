package explain

import (
	"context"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/upkeep-project/upkeep/internal/base/words"
	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// quietly recognises a run that ended at once with code 0.
func quietly(q *inquiry) []match {
	if q.last == nil || !q.last.Exit.Known || q.last.Exit.Code() != 0 {
		return nil
	}
	const atOnce = 5 * time.Second
	if q.last.Lasted() > max(q.p.Start.Secs, atOnce) {
		return nil
	}
	return without()
}

// forker is a program that can put itself in the background, and how it is kept in the foreground.
type forker struct {
	names  []string
	always bool     // it does unless told otherwise
	stays  string   // a word of its command line that keeps it in the foreground
	add    []string // to be added to the command line
	remove []string // to be taken out of it, they are what sends it away
}

var forkers = []forker{
	{[]string{"nginx"}, true, "daemon off", []string{"-g", "daemon off;"}, nil},
	{[]string{"apache2", "httpd", "apache2ctl", "apachectl"}, true, "FOREGROUND", []string{"-DFOREGROUND"}, nil},
	{[]string{"sshd"}, true, "-D", []string{"-D"}, nil},
	{[]string{"redis-server", "valkey-server"}, false, "", []string{"--daemonize", "no"}, nil},
	{[]string{"mysqld", "mariadbd"}, false, "", nil, []string{"--daemonize", "-D"}},
	{[]string{"php-fpm"}, true, "-F", []string{"-F"}, []string{"-D", "--daemonize"}},
	{[]string{"cron", "crond"}, true, "-f", []string{"-f"}, nil},
	{[]string{"rsyslogd"}, true, "-n", []string{"-n"}, nil},
	{[]string{"dnsmasq"}, true, "-k", []string{"-k"}, nil},
	{[]string{"lighttpd"}, true, "-D", []string{"-D"}, nil},
	{[]string{"squid"}, true, "--foreground", []string{"--foreground"}, nil},
	{[]string{"named"}, true, "-f", []string{"-f"}, nil},
	{[]string{"gunicorn"}, false, "", nil, []string{"-D", "--daemon"}},
	{[]string{"memcached"}, false, "", nil, []string{"-d", "--daemon"}},
	{[]string{"haproxy"}, false, "", nil, []string{"-D"}},
	{[]string{"celery"}, false, "", nil, []string{"-D", "--detach"}},
	{[]string{"pg_ctl"}, true, "postgres", nil, nil},
	{[]string{"supervisord"}, true, "-n", []string{"-n"}, nil},
}

// forker finds what is known of the program, by the name of its command.
func (q *inquiry) forker() (forker, bool) {
	if len(q.argv) == 0 {
		return forker{}, false
	}
	name := strings.TrimRight(filepath.Base(q.argv[0]), "0123456789.")
	for _, f := range forkers {
		if slices.Contains(f.names, name) || slices.Contains(f.names, filepath.Base(q.argv[0])) {
			return f, true
		}
	}
	return forker{}, false
}

// foreground is the command line that stays in the foreground.
func (f forker) foreground(argv []string) []string {
	out := slices.DeleteFunc(slices.Clone(argv), func(a string) bool { return slices.Contains(f.remove, a) })
	return append(out, f.add...)
}

// sent reports whether the command line sends the program away: by its nature, or by an option.
func (f forker) sent(argv []string) bool {
	line := strings.Join(argv, " ")
	if f.stays != "" && strings.Contains(line, f.stays) {
		return false
	}
	return f.always || slices.ContainsFunc(argv, func(a string) bool { return slices.Contains(f.remove, a) })
}

func background(q *inquiry, _ context.Context, _ match) bool {
	known, ok := q.forker()
	alive := 0
	for _, pid := range q.f.Left {
		if _, living := q.sys.Process(pid); living {
			alive = pid
			break
		}
	}
	switch {
	case alive != 0:
		q.checked("its child, pid " + strconv.Itoa(alive) + q.about(alive) + ", is still alive")
	case !ok || !known.sent(q.argv):
		return false
	}
	q.fact("it put itself in the background, so that upkeep cannot watch it")
	if alive != 0 {
		q.hint("End what is still there first:", "kill "+strconv.Itoa(alive))
	}
	switch name := filepath.Base(q.argv[0]); {
	case name == "pg_ctl":
		if i := slices.Index(q.argv, "-D"); i > 0 && i+1 < len(q.argv) {
			q.hint("Run the server itself:", q.instead([]string{"postgres", "-D", q.argv[i+1]}))
		} else {
			q.hint("Run the server itself: postgres -D DIRECTORY", "")
		}
	case ok:
		q.hint("Keep it in the foreground:", q.instead(known.foreground(q.argv)))
	default:
		q.hint("See whether it has an option to stay in the foreground.", "")
	}
	return true
}

func quick(q *inquiry, _ context.Context, _ match) bool {
	if q.st.State == model.Exited || q.last.Lasted() >= q.p.Start.Secs {
		return false
	}
	q.fact("it ended well, and before the " + words.Limit(q.p.Start.Secs) + " (startsecs) that make it count as running")
	q.hint("If it is to do its work once and end:", q.set("startsecs=0", "autorestart=false"))
	return true
}
