package launch

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// environment is what every program inherits, prepared once.
type environment struct {
	base map[string]string
	url  string
}

func newEnvironment(environ []string, serverURL string) environment {
	e := environment{base: map[string]string{}, url: serverURL}
	for _, kv := range environ {
		if k, v, ok := strings.Cut(kv, "="); ok && k != "" {
			e.base[k] = v
		}
	}
	return e
}

// of is the environment of one program, later layers winning: the daemon's own, the SUPERVISOR_*
// variables, the configured ones. Source: spec/supervisor 2.5.
func (e environment) of(p *model.Program) []string {
	m := maps.Clone(e.base)
	m["SUPERVISOR_ENABLED"] = "1"
	m["SUPERVISOR_PROCESS_NAME"] = p.ID.Name
	m["SUPERVISOR_GROUP_NAME"] = p.ID.Group
	if url := cmp.Or(p.ServerURL, e.url); url != "" {
		m["SUPERVISOR_SERVER_URL"] = url
	}
	for _, v := range p.Command.Env {
		m[v.Name] = v.Value
	}
	out := make([]string, 0, len(m))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		out = append(out, k+"="+m[k])
	}
	return out
}

// path is the PATH in which a program's command is looked up.
func (e environment) path(p *model.Program) string {
	for _, v := range p.Command.Env {
		if v.Name == "PATH" {
			return v.Value
		}
	}
	return cmp.Or(e.base["PATH"], defaultPath)
}
