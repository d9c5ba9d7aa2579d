package native

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// firstScreen are the verbs that `upkeep help` shows.
var firstScreen = [...]string{
	"add", "rm", "set", "import", "start", "stop", "restart", "on", "off", "status", "logs", "why", "apply", "up", "boot", "doctor",
}

// topics are texts of the help that belong to no verb.
var topics = [...]struct{ name, short, long string }{
	{"environment", "variables that the command knows", `UPKEEP_SOCKET       the instance at this unix socket, as --socket
UPKEEP_ROOT         configuration, state, logs and sockets are below this directory
UPKEEP_NO_WAIT      orders are not waited for, as --no-wait
NO_COLOR            no colours;  CLICOLOR_FORCE, FORCE_COLOR: colours also in files
TERM=dumb           no colours
LC_ALL, LC_CTYPE, LANG    a locale without UTF-8 gets plain signs: * ~ x o -
XDG_CONFIG_HOME, XDG_STATE_HOME, XDG_RUNTIME_DIR    where the files of a user's instance are
VISUAL, EDITOR      the editor of upkeep edit

Nothing is ever sent anywhere.`},
	{"exit-codes", "what the exit status says", `        status, wait                           other verbs
  0     everything is as it should be          what was asked for is so
  1                                            it was tried, and is not so (the reason is shown)
  2     the command line is wrong              the command line is wrong
  3     some program is not running
  4     nobody can tell, no daemon answers     not permitted
  5     no such program                        no such program
  6                                            the configuration is wrong
  7                                            no daemon runs
124     the time is over                       the time is over; the daemon goes on with it
130     Ctrl-C                                 Ctrl-C

exec and attach have the status of the command or program; 128 and its number after a signal.`},
	{"selectors", "how programs are named", `web            the program web, or the only one of that name
shop:web_00    one of a group
shop:*         all of a group;  shop: as well
'web_*'        by pattern: * ? [a-z]; in quotes, or the shell takes it
all            every program

--state fatal,backoff   of these, only those in one of these states
--group shop            all of a group

No selector never means all of them.`},
	{"formatting", "forms of the output", `-o table              for people, as wide as the terminal (the default)
-o wide               with more columns
-o json               one value; --json is the same
-o ndjson             one value on each line
-o name, -q           names alone
-o template=TEXT      a Go template for each item:  -o 'template={{.ID}} {{.State}}'

Results are written to standard output, everything else to standard error. Names of fields may be added, none is taken away.
JSON of lists never holds the values of variables.`},
}

// helpCommands are the command help and its topics.
func (c *command) helpCommands(root *cobra.Command) {
	root.SetHelpCommand(&cobra.Command{
		Use: "help [COMMAND|TOPIC|all]", Short: "help for a command, or all of them", GroupID: groupSystem,
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			var out []string
			for _, v := range root.Commands() {
				out = append(out, v.Name()+"\t"+v.Short)
			}
			for _, t := range topics {
				out = append(out, t.name+"\t"+t.short)
			}
			return append(out, "all"), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 1 && args[0] == "all" {
				c.helpAll(root)
				return nil
			}
			found, rest, err := root.Find(args)
			if err != nil || len(rest) > 0 {
				return usageError{fmt.Errorf("unknown command %q", strings.Join(args, " "))}
			}
			return found.Help()
		},
	})
	for _, t := range topics {
		root.AddCommand(&cobra.Command{Use: t.name, Short: t.short, Long: t.long, DisableFlagsInUseLine: true})
	}
	usual := root.HelpFunc()
	root.SetHelpFunc(func(cmd *cobra.Command, args []string) {
		if cmd == root {
			c.helpFirst(root)
			return
		}
		if cmd.IsAdditionalHelpTopicCommand() {
			fmt.Fprintln(c.out, cmd.Long)
			return
		}
		usual(cmd, args)
	})
}

// helpFirst is the first screen of the help.
func (c *command) helpFirst(root *cobra.Command) {
	fmt.Fprintf(c.out, "upkeep %s keeps programs running.\n\nUsage: upkeep COMMAND [ARGUMENT...]\n", c.version)
	c.listVerbs(root, func(v *cobra.Command) bool { return slices.Contains(firstScreen[:], v.Name()) })
	fmt.Fprintf(c.out, "\nExamples:\n%s\n\nupkeep help all shows everything, upkeep help COMMAND one command.\n", examples)
}

// helpAll is all that there is.
func (c *command) helpAll(root *cobra.Command) {
	fmt.Fprintf(c.out, "upkeep %s keeps programs running.\n\nUsage: upkeep COMMAND [ARGUMENT...]\n", c.version)
	c.listVerbs(root, func(v *cobra.Command) bool { return v.IsAvailableCommand() || v.Name() == "help" })
	line := func(name, text string) { fmt.Fprintf(c.out, "  %-22s %s\n", name, text) }
	fmt.Fprintln(c.out, "\nTopics (upkeep help TOPIC)")
	for _, t := range topics {
		line(t.name, t.short)
	}
	fmt.Fprintln(c.out, "\nOther names (upkeep NAME, or as commands of their own after upkeep install-links)")
	for _, n := range c.names {
		line(n.Name, n.Help)
	}
	fmt.Fprintf(c.out, "\nFlags of all commands\n%s", root.PersistentFlags().FlagUsages())
}

// listVerbs shows verbs by their groups.
func (c *command) listVerbs(root *cobra.Command, want func(*cobra.Command) bool) {
	for _, g := range root.Groups() {
		title := g.Title
		for _, v := range root.Commands() {
			if v.GroupID != g.ID || !want(v) {
				continue
			}
			if title != "" {
				fmt.Fprintf(c.out, "\n%s\n", title)
				title = ""
			}
			fmt.Fprintf(c.out, "  %-22s %s\n", v.Name(), v.Short)
		}
	}
}
