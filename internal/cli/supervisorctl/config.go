package supervisorctl

import (
	"os"
	"strings"

	conf "github.com/upkeep-project/upkeep/internal/conf/supervisord"
)

// load reads the configuration file: the one given, or one that is found; nil and none found is no error.
func load(prog string, file *string, env *Environ) (*options, error) {
	c, err := conf.LoadCtl(prog, file, env.Conf)
	if err != nil {
		return nil, err
	}
	return &options{
		url: c.ServerURL, username: c.Username, password: c.Password,
		prompt: c.Prompt, historyFile: c.HistoryFile, plugins: c.Plugins,
	}, nil
}

// systemConf is what reading the configuration needs to know of this process.
func systemConf() conf.Environ {
	cwd, _ := os.Getwd()         // without one, relative names are taken from wherever we are
	hostname, _ := os.Hostname() // only an expansion in the file shows it
	vars := map[string]string{}
	for _, kv := range os.Environ() {
		if name, value, ok := strings.Cut(kv, "="); ok && name != "" {
			vars[name] = value
		}
	}
	return conf.Environ{
		Vars: vars, Cwd: cwd, Hostname: hostname, TempDir: os.TempDir(), UID: os.Getuid(), Users: conf.SystemUsers{},
	}
}
