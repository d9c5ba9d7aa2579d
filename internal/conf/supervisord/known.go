package supervisord

import (
	"slices"
	"strings"

	"github.com/upkeep-project/upkeep/internal/base/pytext"
	"github.com/upkeep-project/upkeep/internal/base/units"
)

// sectionKind is one kind of section and the options it knows; nil: any.
type sectionKind struct {
	name  string
	named bool // name:x
	keys  []string
}

// sectionKinds is the list of all sections and options. Source: spec/supervisor 1.7, and our own.
func sectionKinds() []sectionKind {
	program := strings.Fields(`command process_name numprocs numprocs_start priority autostart autorestart startsecs startretries
		exitcodes stopsignal stopwaitsecs stopasgroup killasgroup user redirect_stderr environment directory umask serverurl
		stdout_logfile stdout_logfile_maxbytes stdout_logfile_backups stdout_capture_maxbytes stdout_events_enabled stdout_syslog
		stderr_logfile stderr_logfile_maxbytes stderr_logfile_backups stderr_capture_maxbytes stderr_events_enabled stderr_syslog
		child_sigpipe log_full stop_reach`)
	with := func(more ...string) []string { return append(slices.Clone(program), more...) }
	return []sectionKind{
		{"supervisord", false, strings.Fields(`logfile logfile_maxbytes logfile_backups loglevel pidfile umask nodaemon silent
			minfds minprocs nocleanup childlogdir user directory strip_ansi environment identifier profile_options`)},
		{"unix_http_server", false, []string{"file", "chmod", "chown", "username", "password"}},
		{"inet_http_server", false, []string{"port", "username", "password", "insecure_http"}},
		{"unix_http_server", true, []string{"file", "chmod", "chown", "username", "password"}},
		{"inet_http_server", true, []string{"port", "username", "password", "insecure_http"}},
		{"supervisorctl", false, nil},
		{"include", false, []string{"files"}},
		{"upkeep", false, []string{"strict"}},
		{"program", true, program},
		{"fcgi-program", true, with("socket", "socket_owner", "socket_mode", "socket_backlog")},
		{"eventlistener", true, with("events", "buffer_size", "result_handler", "event_len", "event_timeout")},
		{"group", true, []string{"programs", "priority"}},
		{"rpcinterface", true, nil},
		{"ctlplugin", true, nil},
	}
}

// unknown reports sections and options that mean nothing: as debug messages, or as an error in strict mode.
func (r *reader) unknown(strict bool) error {
	kinds := sectionKinds()
	names := make([]string, len(kinds))
	for i, k := range kinds {
		names[i] = k.name
	}
	for _, sect := range r.doc.Sections() {
		prefix, _, named := strings.Cut(sect.Name, ":")
		i := slices.IndexFunc(kinds, func(k sectionKind) bool { return k.name == prefix && k.named == named })
		if i < 0 {
			text := "unknown section " + pytext.Repr(sect.Name) + " (" + place(sect.File, sect.Line) + ")" + suggestion(prefix, names)
			if strict {
				return &Error{Text: text, File: sect.File, Line: sect.Line, Section: sect.Name}
			}
			r.say(units.LevelDebug, text)
			continue
		}
		if kinds[i].keys == nil {
			continue
		}
		for _, e := range sect.Own() {
			if slices.Contains(kinds[i].keys, e.Key) {
				continue
			}
			text := "unknown option " + pytext.Repr(e.Key) + " in section " + pytext.Repr(sect.Name) + " (" + place(e.File, e.Line) + ")" +
				suggestion(e.Key, kinds[i].keys)
			if strict {
				return &Error{Text: text, File: e.File, Line: e.Line, Section: sect.Name, Key: e.Key}
			}
			r.say(units.LevelDebug, text)
		}
	}
	return nil
}

// suggestion is ", did you mean 'x'?" when a known word is close.
func suggestion(word string, known []string) string {
	best := closest(word, known)
	if best == "" {
		return ""
	}
	return ", did you mean " + pytext.Repr(best) + "?"
}

// closest is the known word that may have been meant; empty when none is close, or it is that word.
func closest(word string, known []string) string {
	best, least := "", max(1, len(word)/3)+1
	for _, k := range known {
		if d := distance(word, k); d < least {
			best, least = k, d
		}
	}
	if best == word {
		return ""
	}
	return best
}

// distance is the number of letters to insert, delete, replace or swap with a neighbour.
func distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			same := 1
			if a[i-1] == b[j-1] {
				same = 0
			}
			row[j] = min(row[j-1]+1, last[j]+1, last[j-1]+same)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
