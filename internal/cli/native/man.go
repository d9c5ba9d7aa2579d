package native

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/upkeep-project/upkeep/internal/conf/keys"
)

// manCommand writes the pages of the manual, as the build and packages want them.
func (c *command) manCommand() *cobra.Command {
	return &cobra.Command{
		Use: "man DIRECTORY", Short: "write the pages of the manual below a directory", Hidden: true, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			for name, text := range c.manual(cmd.Root()) {
				path := filepath.Join(args[0], "man"+name[len(name)-1:], name)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					return err
				}
				if err := os.WriteFile(path, text, 0o644); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

// manual is every page of the manual by the name of its file: one of the command, one of each verb, one of the configuration.
func (c *command) manual(root *cobra.Command) map[string][]byte {
	pages := map[string][]byte{"upkeep.1": c.manRoot(root), "upkeep.conf.5": c.manConfig()}
	for _, v := range verbs(root) {
		pages["upkeep-"+v.Name()+".1"] = c.manVerb(v)
	}
	return pages
}

// verbs are the commands below one that people are told of, by name.
func verbs(cmd *cobra.Command) []*cobra.Command {
	return slices.DeleteFunc(slices.Clone(cmd.Commands()), func(v *cobra.Command) bool {
		return v.Hidden || !v.IsAvailableCommand() && v.Name() != "help"
	})
}

// manRoot is the page of the command itself.
func (c *command) manRoot(root *cobra.Command) []byte {
	p := c.newPage("upkeep", 1, root.Short)
	p.section("SYNOPSIS")
	p.line(".B upkeep")
	p.text("[OPTION...] COMMAND [ARGUMENT...]")
	p.section("DESCRIPTION")
	p.paragraphs(root.Long)
	p.paragraphs("Alone it shows what runs, and what to do next.")
	p.section("COMMANDS")
	for _, g := range root.Groups() {
		p.line(".SS " + quoted(g.Title))
		for _, v := range verbs(root) {
			if v.GroupID == g.ID {
				p.item(bolded(strings.TrimPrefix(usage(v), "upkeep ")), v.Short)
			}
		}
	}
	p.section("OPTIONS")
	p.flags(root.PersistentFlags())
	for _, t := range topics {
		p.section(map[string]string{"exit-codes": "EXIT STATUS", "formatting": "OUTPUT"}[t.name], strings.ToUpper(t.name))
		p.literal(t.long)
	}
	p.section("OTHER NAMES")
	p.paragraphs("Called by another name, or with it as the first argument, the same binary is that program.")
	for _, n := range c.names {
		p.item(bolded(n.Name), n.Help)
	}
	p.section("EXAMPLES")
	p.literal(root.Example)
	see := []string{"upkeep.conf(5)"}
	for _, v := range verbs(root) {
		see = append(see, "upkeep-"+v.Name()+"(1)")
	}
	p.see(see)
	return p.Bytes()
}

// manVerb is the page of one verb, with those below it.
func (c *command) manVerb(v *cobra.Command) []byte {
	p := c.newPage("upkeep-"+v.Name(), 1, v.Short)
	p.section("SYNOPSIS")
	for i, s := range append([]*cobra.Command{v}, verbs(v)...) {
		if i > 0 {
			p.line(".br")
		}
		p.line(bolded(s.CommandPath()))
		p.text(escaped(strings.TrimSpace(strings.TrimPrefix(usage(s), s.CommandPath()))))
	}
	p.section("DESCRIPTION")
	if v.Long != "" {
		p.paragraphs(v.Long)
	} else {
		p.paragraphs(sentence(v.Short))
	}
	if len(v.Aliases) > 0 {
		p.paragraphs("It is also called " + strings.Join(v.Aliases, ", ") + ".")
	}
	for _, s := range verbs(v) {
		p.line(".SS " + quoted(s.Name()))
		p.paragraphs(sentence(s.Short))
		if v.Name() != "completion" && s.Long != "" {
			p.paragraphs(s.Long)
		}
		p.flags(s.NonInheritedFlags())
	}
	if v.NonInheritedFlags().HasAvailableFlags() {
		p.section("OPTIONS")
		p.flags(v.NonInheritedFlags())
	}
	if v.Example != "" {
		p.section("EXAMPLES")
		p.literal(v.Example)
	}
	see := []string{"upkeep(1)", "upkeep.conf(5)"}
	p.see(see)
	return p.Bytes()
}

// manConfig is the page of the configuration, out of the table of keys.
func (c *command) manConfig() []byte {
	p := c.newPage("upkeep.conf", 5, "the configuration of the daemon and its programs")
	p.section("DESCRIPTION")
	p.paragraphs("A file has sections, each begun by a line such as [program:web], and in them lines KEY = VALUE. A line that begins with a blank " +
		"goes on with the value of the one before. What follows ; or # at the begin of a line, or ; after a blank, is a comment. " +
		"%(ENV_NAME)s stands for a variable of the environment, %(here)s for the folder of the file.\n\n" +
		"upkeep add, set and edit write such files themselves, one for each program. supervisord.conf is the same dialect: " +
		"what is marked \"not of Supervisor\" is passed over by Supervisor.")
	table := keys.Sections()
	for i := range table {
		s := &table[i]
		if len(s.Keys) == 0 {
			continue
		}
		p.section(s.Header())
		p.paragraphs(s.Text)
		for j := range s.Keys {
			k := &s.Keys[j]
			text := k.Text + " Takes " + k.Allowed() + "."
			switch {
			case k.Required:
				text += " It must be said."
			case k.Default != "":
				text += " Default: " + k.Default + "."
			}
			text += " A change counts " + s.Effect(k).String() + "."
			if k.Ours || s.Ours {
				text += " Not of Supervisor."
			}
			p.item(bolded(k.Name), text)
		}
	}
	p.section("SECTIONS WITH THE KEYS OF OTHERS")
	for i := range table {
		if s := &table[i]; len(s.All) > len(s.Keys) {
			p.item(bolded(s.Header()), s.Text+" It takes the keys of [program:x] too.")
		}
	}
	p.see([]string{"upkeep(1)", "upkeep-explain(1)", "upkeep-check(1)"})
	return p.Bytes()
}

// usage is how a command is typed.
func usage(v *cobra.Command) string {
	return strings.Replace(v.UseLine(), "[flags]", "[OPTION...]", 1)
}

// sentence makes one of a few words.
func sentence(short string) string {
	return strings.ToUpper(short[:1]) + strings.TrimSuffix(short[1:], ".") + "."
}

// page is a page of the manual in the making, in the macros of man(7).
type page struct{ bytes.Buffer }

func (c *command) newPage(name string, section int, what string) *page {
	p := &page{}
	p.line(`.\" made by upkeep man`)
	p.line(fmt.Sprintf(`.TH %s %d "" %s "upkeep"`, quoted(strings.ToUpper(name)), section, quoted("upkeep "+c.version)))
	p.section("NAME")
	p.text(name + ` \- ` + escaped(what)) // the only place where what is read is no plain text
	return p
}

// line writes a line of macros as it is.
func (p *page) line(s string) { fmt.Fprintln(p, s) }

// text writes one line of text that is escaped already, or has nothing to escape.
func (p *page) text(s string) {
	if s != "" {
		p.line(guarded(s))
	}
}

// section begins a section: the first of the titles that is not empty.
func (p *page) section(titles ...string) {
	for _, t := range titles {
		if t != "" {
			p.line(".SH " + quoted(t))
			return
		}
	}
}

// paragraphs writes texts that are set apart by an empty line.
func (p *page) paragraphs(text string) {
	for _, para := range strings.Split(text, "\n\n") {
		p.line(".PP")
		p.text(escaped(strings.Join(strings.Fields(para), " ")))
	}
}

// literal writes lines as they are, blanks and all.
func (p *page) literal(text string) {
	p.line(".PP\n.nf")
	for l := range strings.Lines(text) {
		p.line(guarded(escaped(strings.TrimRight(l, "\n"))))
	}
	p.line(".fi")
}

// item writes a term, which is a line of macros, and what it means.
func (p *page) item(term, text string) {
	p.line(".TP")
	p.line(term)
	p.text(escaped(strings.Join(strings.Fields(text), " ")))
}

// flags describes options.
func (p *page) flags(f *pflag.FlagSet) {
	f.VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		kind, usage := pflag.UnquoteUsage(f)
		name := "--" + f.Name
		if f.Shorthand != "" {
			name = "-" + f.Shorthand + ", " + name
		}
		if kind != "" {
			name += " " + strings.ToUpper(kind)
		}
		p.item(bolded(name), usage)
	})
}

// see names other pages.
func (p *page) see(pages []string) {
	p.section("SEE ALSO")
	for i, name := range pages {
		name, section, _ := strings.Cut(name, "(")
		end := ","
		if i == len(pages)-1 {
			end = ""
		}
		p.line(".BR " + escaped(name) + " (" + section + end)
	}
}

// plainer are signs for which terminals without UTF-8 have none of their own.
func plainer() *strings.Replacer {
	return strings.NewReplacer("…", "...", "→", "->", "–", "-", "✓", "*", "✕", "x", "●", "*")
}

// escaped makes a text one that means nothing but itself: backslashes, and the minus sign of options.
func escaped(text string) string {
	var b strings.Builder
	for _, r := range plainer().Replace(text) {
		switch {
		case r == '\\':
			b.WriteString(`\e`)
		case r == '-':
			b.WriteString(`\-`)
		case r == '\'':
			b.WriteString(`\(aq`)
		case r == '`':
			b.WriteString(`\(ga`)
		case r == '^':
			b.WriteString(`\(ha`)
		case r == '~':
			b.WriteString(`\(ti`)
		case r > '~':
			fmt.Fprintf(&b, `\[u%04X]`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// guarded keeps a line of text from being taken for a macro.
func guarded(line string) string {
	if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
		return `\&` + line
	}
	return line
}

// quoted is an argument of a macro.
func quoted(text string) string { return `"` + strings.ReplaceAll(escaped(text), `"`, `\(dq`) + `"` }

// bolded is a line that shows a text in bold.
func bolded(text string) string { return ".B " + quoted(text) }
