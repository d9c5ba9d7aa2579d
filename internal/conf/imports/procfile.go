package imports

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/upkeep-project/upkeep/internal/conf/tree"
)

// procLine is one line of a Procfile.
const procLine = `^([A-Za-z0-9_-]+):\s*(.+)$`

// The ports that processes get: each type of process a hundred of its own, each copy one.
const (
	firstPort = 5000
	typePorts = 100
)

// readProcfile reads a Procfile with the .env and .foreman beside it.
func readProcfile(r *reader) error {
	text, err := r.file(r.path)
	if err != nil {
		return err
	}
	vars := r.ifThere(".env")
	foreman := r.foreman()
	port := int64(firstPort)
	for _, v := range append(vars, EnvVar{Name: "PORT", Value: foreman.Get("port").Text}) {
		if n, err := strconv.ParseInt(v.Value, 10, 32); v.Name == "PORT" && err == nil {
			port = n
		}
	}
	counts := r.formation(foreman)
	pattern := regexp.MustCompile(procLine)
	number, index := 0, int64(0)
	for line := range strings.Lines(string(text)) {
		number++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		m := pattern.FindStringSubmatch(line)
		if m == nil {
			r.problem(r.path, number, "not NAME: COMMAND")
			continue
		}
		n, ok := counts[m[1]]
		if !ok {
			if n, ok = counts["all"]; !ok {
				n = 1
			}
		}
		if n > typePorts {
			r.problem(r.path, number, "%s: more than %d copies; the others are left out", m[1], typePorts)
		}
		for i := range max(1, min(n, typePorts)) {
			name := m[1]
			if n > 1 {
				name += "-" + strconv.FormatInt(i+1, 10)
			}
			p := r.program(name, r.path, number)
			p.On = n > 0
			r.process(p, m[2], vars, port+typePorts*index+i)
			if n > 1 {
				p.change("name", m[1]+"."+strconv.FormatInt(i+1, 10), p.Name, "each copy has a port of its own")
			}
			p.done()
		}
		index++
	}
	return nil
}

// process fills in one process of a Procfile.
func (r *reader) process(p *pending, command string, vars []EnvVar, port int64) {
	p.set("command", ShellLine(command))
	p.set("directory", r.dir)
	p.keep("command")
	for _, v := range vars {
		p.env(v)
	}
	if len(vars) > 0 {
		p.change("env_file", ".env", "environment", strconv.Itoa(len(vars))+" variables were read now; later changes of the file are not seen")
	}
	p.env(EnvVar{Name: "PORT", Value: strconv.FormatInt(port, 10)})
	p.change("environment", "", "PORT="+strconv.FormatInt(port, 10), "each process gets a port")
	p.assume("autorestart", "true", "a process that ends would end all others there")
	p.assume("stopwaitsecs", "5", "the time that foreman gives")
	p.assume("redirect_stderr", "true", "both streams are one there")
	p.assume("stop_reach", "tree", "the command runs under a shell")
}

// ifThere reads the variables of a file beside the source that need not exist.
func (r *reader) ifThere(name string) []EnvVar {
	path := filepath.Join(r.dir, name)
	if _, err := os.Lstat(path); err != nil {
		return nil
	}
	if !r.inside(path) {
		r.problem(path, 0, "is a link to a place outside and is not read")
		return nil
	}
	return r.envFile(path)
}

// foreman reads the options beside the Procfile; Null when there are none.
func (r *reader) foreman() tree.Value {
	path := filepath.Join(r.dir, ".foreman")
	if _, err := os.Lstat(path); err != nil || !r.inside(path) {
		return tree.Value{}
	}
	v, err := r.tree(path, false)
	if err != nil {
		r.problem(path, 0, "%v", err)
	}
	for _, f := range v.Fields {
		switch f.Key {
		case "port", "formation", "concurrency":
		default:
			r.problem(path, f.Line, "%s is not taken into account", f.Key)
		}
	}
	return v
}

// formation reads how many copies run of each type: web=2,worker=1.
func (r *reader) formation(foreman tree.Value) map[string]int64 {
	counts := map[string]int64{}
	for _, key := range [...]string{"concurrency", "formation"} {
		v := foreman.Get(key)
		if !v.Scalar() {
			continue
		}
		for item := range strings.SplitSeq(v.Text, ",") {
			name, count, _ := strings.Cut(strings.TrimSpace(item), "=")
			n, err := strconv.ParseInt(count, 10, 32)
			if err != nil || n < 0 {
				r.problem(filepath.Join(r.dir, ".foreman"), v.Line, "%s: %q is not NAME=COUNT", key, item)
				continue
			}
			counts[name] = n
		}
	}
	return counts
}
