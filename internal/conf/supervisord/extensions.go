package supervisord

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/upkeep-project/upkeep/internal/base/units"
	"github.com/upkeep-project/upkeep/internal/conf/ini"
	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// The keys of a [rpcinterface:x] section. The first is the original's and names Python code; the others are ours
// and name a program that speaks XML-RPC over a unix socket.
const (
	rpcFactoryKey = "supervisor.rpcinterface_factory"
	rpcSocketKey  = "upkeep.rpcinterface_socket"
	rpcCommandKey = "upkeep.rpcinterface_command"
	rpcTimeoutKey = "upkeep.rpcinterface_timeout"
)

// rpcTimeout is how long the call of an extension may take when nothing is configured.
const rpcTimeout = 30 * time.Second

// rpcInterfaces reads the [rpcinterface:x] sections. Factories other than the built-in one cannot be
// loaded; they are skipped with a warning that says what to write instead. Source: spec/supervisor 1.7.
func (r *reader) rpcInterfaces() ([]RPCInterface, error) {
	var list []RPCInterface
	for _, sect := range r.doc.Sections() {
		namespace, ok := strings.CutPrefix(sect.Name, "rpcinterface:")
		if !ok {
			continue
		}
		i := RPCInterface{Namespace: namespace, Origin: origin(sect)}
		o := r.options(sect, nil)
		if extends(sect) {
			o.sc = scope{"here": r.here}
			o.extension(&i)
		} else {
			o.factory(&i)
		}
		if err := o.failure(); err != nil {
			return nil, err
		}
		list = append(list, i)
	}
	return list, nil
}

// extends reports whether a section is answered by a program.
func extends(sect *ini.Section) bool {
	_, socket := sect.Get(rpcSocketKey)
	_, command := sect.Get(rpcCommandKey)
	return socket || command
}

// factory reads a section of the original.
func (o *options) factory(i *RPCInterface) {
	ok := false
	if i.Factory, ok = o.text(rpcFactoryKey); !ok {
		o.fail("", missing(o.sect, rpcFactoryKey))
		return
	}
	i.Options, i.Standard = map[string]string{}, i.Factory == StandardFactory
	if i.Standard {
		return // it takes no options; defaults of the whole file must not disturb it
	}
	for _, e := range o.sect.All() {
		if e.Key != rpcFactoryKey {
			i.Options[e.Key], _ = o.text(e.Key)
		}
	}
	if o.err == nil {
		o.r.warn("For [" + o.sect.Name + "], the factory " + i.Factory + " cannot be loaded by this program (" +
			place(o.sect.File, o.sect.Line) + "); the section has been ignored. With " + rpcSocketKey + "=PATH a program of your own " +
			"answers the calls of " + i.Namespace + ".*")
	}
}

// extension reads a section whose calls a program answers.
func (o *options) extension(i *RPCInterface) {
	if builtIn := []string{"supervisor", "system", "upkeep"}; slices.Contains(builtIn, i.Namespace) || i.Namespace == "" ||
		strings.ContainsAny(i.Namespace, ". ") {
		o.fail("", errors.New("["+o.sect.Name+"] cannot be answered by a program: the name must be one word and none of "+
			strings.Join(builtIn, ", ")))
	}
	text, ok := o.text(rpcSocketKey)
	if !ok {
		o.fail("", missing(o.sect, rpcSocketKey))
	}
	path := strings.TrimPrefix(text, "unix://")
	if !isAbs(path) {
		o.fail(rpcSocketKey, errors.New("["+o.sect.Name+"] "+rpcSocketKey+" "+path+" is not an absolute path"))
	}
	i.Socket = o.r.env.normalize(path)
	i.Timeout = seconds(o.integer(rpcTimeoutKey, int64(rpcTimeout/time.Second)))
	if i.Timeout < time.Second || i.Timeout > time.Hour {
		o.fail(rpcTimeoutKey, errors.New("["+o.sect.Name+"] "+rpcTimeoutKey+" must be 1 to 3600 seconds"))
	}
}

// helperPrefix begins the name of the program that answers the calls of a namespace.
const helperPrefix = "rpcinterface_"

// helper makes the program that answers the calls of a section, when it has a command: a FastCGI program in all but
// the protocol, so that the socket is there as long as the daemon wants it. All further options are those of
// programs. The group is nil when there is no command.
func (r *reader) helper(sect *ini.Section, global map[string]string) (*model.Group, error) {
	if _, ok := sect.Get(rpcCommandKey); !ok {
		return nil, nil
	}
	_, namespace, _ := strings.Cut(sect.Name, ":")
	doc := ini.New()
	if err := doc.Parse(sect.File, "[fcgi-program:"+helperPrefix+namespace+"]\nautorestart=true\n"); err != nil {
		return nil, err
	}
	program := doc.Sections()[0]
	program.File, program.Line = sect.File, sect.Line
	for _, e := range sect.All() {
		switch e.Key {
		case rpcCommandKey:
			e.Key = "command"
		case rpcSocketKey:
			e.Key, e.Text = "socket", "unix://"+strings.TrimPrefix(e.Text, "unix://")
		case rpcTimeoutKey, rpcFactoryKey:
			continue
		}
		program.Set(e.Key, e.Value)
	}
	return r.fastCGI(program, global)
}

// CtlPlugin is a [ctlplugin:x] section: a command of supervisorctl that a program carries out.
type CtlPlugin struct {
	Name     string // of the command
	Command  string // a command line; the program is looked up in PATH
	Help     string // lines for people; empty = none is written
	Complete string // what its arguments are: "processes", "groups" or "nothing"
}

// The keys of a [ctlplugin:x] section. The first is the original's and names Python code.
const (
	ctlFactoryKey  = "supervisor.ctl_factory"
	ctlCommandKey  = "upkeep.ctl_command"
	ctlHelpKey     = "upkeep.ctl_help"
	ctlCompleteKey = "upkeep.ctl_complete"
)

// builtInPlugins are the factories whose commands are built in.
func builtInPlugins() []string {
	return []string{
		"supervisor_quick:make_quick_controllerplugin",
		"supervisorserialrestart.controllerplugin:make_serialrestart_controllerplugin",
	}
}

// ctlPlugins reads the [ctlplugin:x] sections. Where a factory is named instead of a command, the program
// supervisorctl-x stands for it.
func (r *reader) ctlPlugins() ([]CtlPlugin, error) {
	var list []CtlPlugin
	for _, sect := range r.doc.Sections() {
		name, ok := strings.CutPrefix(sect.Name, "ctlplugin:")
		if !ok {
			continue
		}
		o := r.options(sect, scope{"here": r.here})
		p := CtlPlugin{Name: name, Complete: o.word(ctlCompleteKey, "processes")}
		p.Help, _ = o.text(ctlHelpKey)
		factory, named := o.text(ctlFactoryKey)
		p.Command, ok = o.text(ctlCommandKey)
		if !ok && !named {
			o.fail("", missing(sect, ctlFactoryKey))
		}
		if !slices.Contains([]string{"processes", "groups", "nothing"}, p.Complete) {
			o.fail(ctlCompleteKey, errors.New("["+sect.Name+"] "+ctlCompleteKey+" must be processes, groups or nothing"))
		}
		if err := o.failure(); err != nil {
			return nil, err
		}
		if !ok && slices.Contains(builtInPlugins(), factory) {
			continue
		}
		if !ok {
			p.Command = "supervisorctl-" + name
			r.say(units.LevelWarn, "For ["+sect.Name+"], the factory "+factory+" cannot be loaded by this program ("+
				place(sect.File, sect.Line)+"); the command "+name+" runs the program "+p.Command+" instead")
		}
		list = append(list, p)
	}
	return list, nil
}
