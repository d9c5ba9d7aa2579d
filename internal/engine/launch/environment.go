package launch

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/upkeep-project/upkeep/internal/domain/model"
	"github.com/upkeep-project/upkeep/internal/sys/command"
)

// environment is what every program inherits, prepared once.
type environment struct {
	base   map[string]string
	url    string
	notify func(*model.Program) string // Watched.Notify
}

func newEnvironment(environ []string, serverURL string) environment {
	e := environment{base: map[string]string{}, url: serverURL}
	for _, kv := range environ {
		if k, v, ok := strings.Cut(kv, "="); ok && k != "" {
			e.base[command.EnvName(k)] = v
		}
	}
	e.private()
	return e
}

const serverVariable = "SUPERVISOR_SERVER_URL"

// of is the environment of one program, later layers winning: the daemon's own, the SUPERVISOR_*
// variables, the configured ones; with Clear the configured ones alone. For a program of another user the daemon's settings of the loader are
// left out. Source: spec/supervisor 2.5, spec/reliability S14.
func (e environment) of(p *model.Program, otherUser bool) []string {
	m := maps.Clone(e.base)
	if p.Command.Clear {
		clear(m)
	}
	if otherUser {
		maps.DeleteFunc(m, func(name, _ string) bool { return steersLoader(name) })
	}
	if !p.Command.Clear {
		m["SUPERVISOR_ENABLED"] = "1"
		m["SUPERVISOR_PROCESS_NAME"] = p.ID.Name
		m["SUPERVISOR_GROUP_NAME"] = p.ID.Group
		if url := cmp.Or(p.ServerURL, e.url); url != "" {
			m[serverVariable] = url
		}
	}
	for _, v := range p.Command.Env {
		m[command.EnvName(v.Name)] = v.Value
	}
	e.messages(p, m)
	out := make([]string, 0, len(m))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out = append(out, k+"="+m[k])
	}
	return out
}

// Environ is the environment that a program gets at its start: NAME=VALUE, sorted.
func (h *Host) Environ(p *model.Program) []string {
	return h.env.of(p, p.Command.UID >= 0 && p.Command.UID != h.o.UID)
}

// ServerURL is where an instance of a program is told to find its daemon; empty = nowhere.
func (h *Host) ServerURL(p *model.Program) string {
	for _, kv := range h.env.of(p, false) {
		if url, ok := strings.CutPrefix(kv, serverVariable+"="); ok {
			return url
		}
	}
	return ""
}

// steersLoader reports whether a variable makes the dynamic loader or the C library take code or settings
// from elsewhere.
func steersLoader(name string) bool {
	return strings.HasPrefix(name, "LD_") || strings.HasPrefix(name, "DYLD_") || name == "GLIBC_TUNABLES" || name == "GCONV_PATH"
}

// path is the PATH in which a program's command is looked up.
func (e environment) path(p *model.Program) string {
	for _, v := range p.Command.Env {
		if command.EnvName(v.Name) == "PATH" {
			return v.Value
		}
	}
	return cmp.Or(e.base["PATH"], defaultPath)
}

// value is a variable of a program's environment; empty = it is not set.
func (e environment) value(p *model.Program, name string) string {
	for _, v := range p.Command.Env {
		if command.EnvName(v.Name) == name {
			return v.Value
		}
	}
	if p.Command.Clear {
		return ""
	}
	return e.base[name]
}
