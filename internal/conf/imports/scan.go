package imports

import (
	"os"
	"path/filepath"

	"github.com/upkeep-project/upkeep/internal/conf/chalmers"
	"github.com/upkeep-project/upkeep/internal/conf/ini"
)

// Found is a source on this machine.
type Found struct {
	Kind, Path string // for Read
	Programs   int    // that would be imported
	Problems   int
	PID        int // of the daemon that keeps them running now; 0 = none, or none that can be told
}

// Scan looks at the usual places for sources with programs, and changes nothing. Places that hold nothing are left
// out, as are files that cannot be read. Source: interfaces 2.9.
func Scan(w *World) []Found {
	var found []Found
	add := func(kind string, paths ...string) {
		for _, path := range paths {
			report, err := Read(kind, path, w)
			if err != nil || len(report.Programs)+len(report.Problems) == 0 {
				continue
			}
			found = append(found, Found{
				Kind: kind, Path: report.Path, Programs: len(report.Programs), Problems: len(report.Problems), PID: daemon(kind, report, w),
			})
		}
	}
	home := func(names ...string) string { return filepath.Join(append([]string{w.Home}, names...)...) }
	add("supervisor", first(w.Root+"/etc/supervisor/supervisord.conf", w.Root+"/etc/supervisord.conf"))
	add("pm2", filepath.Join(pm2Home(w), "dump.pm2"))
	add("chalmers", chalmers.Locate(w.GOOS, w.Home, w.Vars).Data)
	add("usrsvc", usrsvcHome(w))
	add("systemd", home(".config", "systemd", "user"))
	if w.UID == 0 {
		add("systemd", w.Root+"/etc/systemd/system")
	}
	here := func(names ...string) string {
		for i, name := range names {
			names[i] = filepath.Join(w.Cwd, name)
		}
		return first(names...)
	}
	add("procfile", here("Procfile"))
	add("compose", here("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"))
	add("pm2", here("ecosystem.config.json", "ecosystem.config.yaml", "ecosystem.config.yml"))
	return found
}

// first is the first path that exists, or the last.
func first(paths ...string) string {
	for _, path := range paths {
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	return paths[len(paths)-1]
}

// pm2Home is where pm2 keeps its files.
func pm2Home(w *World) string {
	if dir := w.Vars["PM2_HOME"]; dir != "" {
		return dir
	}
	return filepath.Join(w.Home, ".pm2")
}

// daemon is the process that keeps the programs of a source running; 0 when none can be told.
func daemon(kind string, report *Report, w *World) int {
	r := &reader{w: w}
	pid := 0
	switch kind {
	case "pm2":
		if report.Path == filepath.Join(pm2Home(w), "dump.pm2") {
			pid = r.pidFile(filepath.Join(pm2Home(w), "pm2.pid"))
		}
	case "supervisor":
		pid = r.pidFile(supervisorPID(r, report.Path))
	case "usrsvc":
		return report.Daemon
	case "chalmers": // every program has one of its own
		for _, p := range report.Programs {
			if p.Live != nil {
				return p.Live.PID
			}
		}
	}
	if pid == 0 {
		return 0
	}
	if _, alive := r.started(pid); !alive {
		return 0
	}
	return pid
}

// supervisorPID is the pidfile that a supervisord.conf names.
func supervisorPID(r *reader, path string) string {
	text, err := r.file(path)
	if err != nil {
		return ""
	}
	s := &supervisor{r: r, doc: ini.New()}
	if err := s.doc.Parse(path, string(text)); err != nil {
		return ""
	}
	sect := s.doc.Section("supervisord")
	if sect == nil {
		return ""
	}
	v, _ := sect.Get("pidfile")
	if file := s.text(v, false); filepath.IsAbs(file) {
		return file
	}
	return ""
}
