package supervisord

import (
	"errors"
	"os"
	"path"
	"strings"

	"github.com/upkeep-project/upkeep/internal/base/units"
	"github.com/upkeep-project/upkeep/internal/conf/ini"
	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// Load finds and reads the configuration for a command line. It has no side effects and may be repeated;
// a daemon that has moved or may move reads again with LoadFrom. Errors are *Error; the first one ends
// the reading. Source: spec/supervisor 1.8.
func Load(args *Args, env Environ) (*Config, error) {
	loc, err := Locate(args, env)
	if err != nil {
		return nil, err
	}
	return LoadFrom(args, loc, env)
}

// LoadFrom reads the configuration at a known place.
func LoadFrom(args *Args, loc Location, env Environ) (*Config, error) {
	return newReader(&env, loc).load(args)
}

// load is LoadFrom.
func (r *reader) load(args *Args) (*Config, error) {
	if err := r.parseMain(); err != nil {
		return nil, err
	}
	if err := r.includes(); err != nil {
		return nil, err
	}
	return r.config(args)
}

// config is the configuration that the files read so far make, under a command line.
func (r *reader) config(args *Args) (*Config, error) {
	if err := r.inherit(nil); err != nil {
		return nil, err
	}
	sect := r.doc.Section("supervisord")
	if sect == nil {
		return nil, &Error{Text: ".ini file does not include supervisord section", File: r.loc.Given}
	}
	c := &Config{Location: r.loc}
	global, err := r.settings(sect, &c.Settings)
	if err != nil {
		return nil, err
	}
	if c.RPCInterfaces, err = r.rpcInterfaces(); err != nil {
		return nil, err
	}
	if c.Model, err = r.groups(global); err != nil {
		return nil, err
	}
	if c.Model.Notifiers, err = r.notifiers(); err != nil {
		return nil, err
	}
	if c.Servers, err = r.servers(); err != nil {
		return nil, err
	}
	if !r.later {
		if err := r.relate(c.Model); err != nil {
			return nil, err
		}
	}
	if c.Strict, c.MetricsCompat, err = r.upkeep(); err != nil {
		return nil, err
	}
	if err := r.unknown(c.Strict); err != nil {
		return nil, err
	}
	r.misread()
	if !r.later {
		r.unnamed(nil)
	}
	c.Settings.apply(args, r.env)
	if err := r.resolveUser(&c.Settings, sect, args.User != nil); err != nil {
		return nil, err
	}
	r.sharedLogs(c.Model)
	c.Messages, c.Files = r.sorted(), r.files
	return c, nil
}

// sharedLogs warns of programs that write to one rotated file: their output is mixed there.
// Source: spec/supervisor 10.2 F43.
func (r *reader) sharedLogs(m *model.Config) {
	first := map[string]*model.Program{}
	for _, g := range m.Groups {
		for _, p := range g.Programs {
			for _, s := range [...]model.Stream{p.IO.Stdout, p.IO.Stderr} {
				if s.Log != model.LogFile || s.MaxBytes == 0 {
					continue
				}
				path := r.env.abs(s.Path)
				switch other := first[path]; {
				case other == nil:
					first[path] = p
				case other != p:
					r.warn("For [" + p.Kind.String() + ":" + p.Section + "], the log file " + s.Path +
						" is also that of " + other.ID.String() + "; the output of both is mixed there")
				}
			}
		}
	}
}

// rootText is the reminder for a daemon that runs as root without having been told to.
// Source: spec/supervisor 2.8.
const rootText = "Supervisor is running as root.  Privileges were not dropped because no user is specified in the " +
	"config file.  If you intend to run as root, you can set user=root in the config file to avoid this message."

// settings reads [supervisord]. It returns the global variables of all programs.
func (r *reader) settings(sect *ini.Section, s *Settings) (map[string]string, error) {
	o := r.options(sect, scope{"here": r.here})
	s.ConfigFile, s.Here = r.loc.Path, r.here
	s.MinFDs = o.number("minfds", 1024)
	s.MinProcs = o.number("minprocs", 200)
	s.Directory = value(o, "directory", "", r.env.existingDirectory)
	s.User, _ = o.text("user")
	s.Umask = o.mode("umask", 0o22)
	s.LogFile = value(o, "logfile", "supervisord.log", r.env.existingDirPath)
	s.LogFileMaxBytes = o.size("logfile_maxbytes", 50<<20)
	s.LogFileBackups = o.number("logfile_backups", 10)
	s.LogLevel = value(o, "loglevel", units.LevelInfo, units.ParseLevel)
	s.PIDFile = value(o, "pidfile", "supervisord.pid", r.env.existingDirPath)
	s.Identifier = o.word("identifier", "supervisor")
	s.NoDaemon = o.boolean("nodaemon", false)
	s.Silent = o.boolean("silent", false)
	if _, ok := o.raw("childlogdir", ""); ok {
		s.ChildLogDir = value(o, "childlogdir", "", r.env.existingDirectory)
	} else {
		s.ChildLogDir = r.env.TempDir
	}
	s.NoCleanup = o.boolean("nocleanup", false)
	s.StripANSI = o.boolean("strip_ansi", false)
	o.sc["host_node_name"] = r.env.Hostname
	var global map[string]string
	if text, ok := o.text("environment"); ok {
		global = o.environment(text)
	}
	for name, v := range global {
		r.vars["ENV_"+name] = v
	}
	s.Environment = envList(global)
	return global, o.failure()
}

// apply lets the command line override the file and makes paths absolute.
func (s *Settings) apply(a *Args, env *Environ) {
	override(&s.MinFDs, a.MinFDs)
	override(&s.MinProcs, a.MinProcs)
	override(&s.Directory, a.Directory)
	override(&s.User, a.User)
	override(&s.Umask, a.Umask)
	override(&s.LogFileMaxBytes, a.LogFileMaxBytes)
	override(&s.LogFileBackups, a.LogFileBackups)
	override(&s.LogLevel, a.LogLevel)
	override(&s.Identifier, a.Identifier)
	override(&s.ChildLogDir, a.ChildLogDir)
	if a.LogFile != nil && *a.LogFile != "" {
		s.LogFile = *a.LogFile
	}
	if a.PIDFile != nil && *a.PIDFile != "" {
		s.PIDFile = *a.PIDFile
	}
	s.NoDaemon = s.NoDaemon || a.NoDaemon
	s.Silent = s.Silent || a.Silent
	s.NoCleanup = s.NoCleanup || a.NoCleanup
	s.StripANSI = s.StripANSI || a.StripANSI
	s.Profile = a.Profile
	if s.LogFile != "syslog" {
		s.LogFile = env.normalize(s.LogFile)
	}
	s.PIDFile = env.normalize(s.PIDFile)
	s.ChildLogDir = env.abs(s.ChildLogDir)
	if s.Directory != "" {
		s.Directory = env.abs(s.Directory)
	}
}

func override[T any](to, from *T) {
	if from != nil {
		*to = *from
	}
}

// resolveUser turns the user into ids and reminds those who run as root by accident.
func (r *reader) resolveUser(s *Settings, sect *ini.Section, given bool) error {
	s.UID, s.GID = -1, -1
	if _, configured := sect.Get("user"); !configured && !given {
		if r.env.UID == 0 {
			r.say(units.LevelCritical, rootText)
		}
		return nil
	}
	u, err := r.env.user(s.User)
	if err != nil {
		at, _ := sect.Get("user")
		return &Error{Text: err.Error(), File: at.File, Line: at.Line, Section: sect.Name, Key: "user"}
	}
	s.UID, s.GID = u.UID, u.GID
	return nil
}

// upkeep reads [upkeep].
func (r *reader) upkeep() (strict bool, compat string, err error) {
	sect := r.doc.Section("upkeep")
	if sect == nil {
		return false, "", nil
	}
	o := r.options(sect, scope{"here": r.here})
	strict = o.boolean("strict", false)
	compat = value(o, "metrics_compat", "", func(text string) (string, error) {
		if text != MetricsNodeSupervisord {
			return "", errors.New("not " + MetricsNodeSupervisord)
		}
		return text, nil
	})
	return strict, compat, o.failure()
}

// MetricsNodeSupervisord is the value of [upkeep] metrics_compat that adds the names of node_exporter's supervisord collector.
const MetricsNodeSupervisord = "node_supervisord"

// includes reads the files that [include] names. Source: spec/supervisor 1.5.
func (r *reader) includes() error {
	sect := r.doc.Section("include")
	if sect == nil {
		return nil
	}
	r.expandHere(r.here)
	o := r.options(sect, scope{"here": r.here, "host_node_name": r.env.Hostname})
	if _, ok := o.raw("files", ""); !ok {
		return &Error{
			Text: ".ini file has [include] section, but no files setting",
			File: sect.File, Line: sect.Line, Section: sect.Name, Key: "files",
		}
	}
	v, _ := o.raw("files", "")
	files, err := r.expand(v, "include.files", o.sc)
	if err != nil {
		o.fail("files", err)
		return o.failure()
	}
	for _, pattern := range splitBlanks(files) {
		pattern = joinPath(r.here, pattern)
		names := glob(pattern)
		if len(names) == 0 {
			r.warn(`No file matches via include "` + pattern + `"`)
		}
		for _, name := range names {
			if err := r.include(name); err != nil {
				return err
			}
		}
	}
	return nil
}

// include adds one file. Where mistakes concern their file alone, one that cannot be read is such a mistake.
func (r *reader) include(name string) error {
	if r.broken[name] != nil {
		r.files = append(r.files, name)
		r.missing[strings.TrimSuffix(path.Base(name), path.Ext(name))] = true // it may say nothing that can be read
		if text, err := r.env.readRegular(name); err == nil {
			r.lack(text)
		}
		return nil
	}
	text, err := r.env.readRegular(name)
	if err != nil && (r.later && !os.IsNotExist(err) || errors.As(err, new(*UnsettledError))) {
		r.files = append(r.files, name)
		return &Error{Text: reason(err), File: name}
	}
	if err != nil {
		r.warn(`Extra file "` + name + `" could not be read and has been ignored: ` + reason(err))
		return nil
	}
	r.say(units.LevelInfo, `Included extra file "`+name+`" during parsing`)
	r.files = append(r.files, name)
	if err := r.parse(name, text); err != nil {
		return err
	}
	r.expandHere(dirName(name))
	return nil
}

// expandHere replaces %(here)s in everything that has been read and not been replaced yet: each file's
// values get the directory of that file.
func (r *reader) expandHere(dir string) {
	const name = "%(here)s"
	for _, sect := range r.doc.Sections() {
		for _, e := range sect.All() {
			if strings.Contains(e.Text, name) {
				e.Text = strings.ReplaceAll(e.Text, name, dir)
				sect.Set(e.Key, e.Value)
			}
		}
	}
}
