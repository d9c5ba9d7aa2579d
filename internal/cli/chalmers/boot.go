package chalmers

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	bootcmd "github.com/upkeep-project/upkeep/internal/cli/boot"
	"github.com/upkeep-project/upkeep/internal/sys/boot"
)

// booting is @startup and @login: the entry runs the instance, and what is on comes up with it. Source: spec/chalmers 9.
func booting(at string) func(*call) error {
	return func(c *call) error {
		verb := "status"
		switch {
		case len(c.args) > 1:
			return &usageError{"give one of enable, disable, status"}
		case len(c.args) == 1:
			verb = c.args[0]
		}
		if verb != "enable" && verb != "disable" && verb != "status" {
			return &usageError{fmt.Sprintf("there is no %q; there are enable, disable and status", verb)}
		}
		return c.entry(at, verb)
	}
}

// entry does something with the entry of the init system.
func (c *call) entry(at, verb string) error {
	user := ""
	if at == boot.AtBoot {
		if !c.Root {
			return errors.New("only root can have something started with the system: use sudo, or chalmers @login")
		}
		name, given := c.last("user")
		if user = name; !given {
			user = c.Vars["SUDO_USER"]
		}
		if user == "root" {
			user = ""
		}
	}
	host, err := c.host()
	if err != nil {
		return err
	}
	target, err := c.Instance.Entry(at, user)
	if err != nil {
		return err
	}
	var said bytes.Buffer // what goes beside the outcome
	status := bootcmd.Run(c.ctx, verb, bootcmd.Options{
		Host: host, Target: target, Yes: true, NoStart: true, Stop: "upkeep daemon stop", Prog: "chalmers @" + map[bool]string{true: "startup", false: "login"}[at == boot.AtBoot],
		Programs: c.onNames, Out: c.Stdout, Err: &said, Good: "*", Bad: "[ERROR]",
	})
	fmt.Fprint(c.Stderr, said.String())
	switch {
	case status == 0:
		return nil
	case status == exitUsage:
		return &statusError{exitUsage}
	}
	return &statusError{exitFailed}
}

// host is the machine.
func (c *call) host() (*boot.Host, error) {
	if c.Host != nil {
		return c.Host, nil
	}
	return boot.System()
}

// onNames are the programs that are on.
func (c *call) onNames(ctx context.Context) []string {
	list, err := c.Instance.List(ctx)
	if err != nil {
		return nil
	}
	var names []string
	for _, p := range list {
		if !p.Off {
			names = append(names, p.Name)
		}
	}
	return names
}

// service is the command of older releases for the same: for root it is @startup, for others @login. Source: spec/chalmers 5.
func service(c *call) error {
	at, now := boot.AtLogin, "@login"
	if c.Root {
		at, now = boot.AtBoot, "@startup"
	}
	word := "status"
	if len(c.args) > 0 {
		word = c.args[0]
	}
	verb := map[string]string{"install": "enable", "uninstall": "disable", "status": "status"}[word]
	if verb == "" || len(c.args) > 1 {
		return &usageError{"give one of install, uninstall, status"}
	}
	c.warn("service %s is now:  chalmers %s %s", word, now, verb)
	return c.entry(at, verb)
}

// statusError ends the command with a status; everything has been said.
type statusError struct{ status int }

func (e *statusError) Error() string { return "status " + cmp.Or(strings.Repeat("I", e.status), "0") }
