package native

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"github.com/upkeep-project/upkeep/client/upkeep"
	"github.com/upkeep-project/upkeep/internal/base/shellwords"
)

func (c *command) editCommand() *cobra.Command {
	return &cobra.Command{
		Use: "edit NAME", Short: "edit the definition of a program", GroupID: groupPrograms,
		Long: "Opens the definition in an editor: VISUAL, EDITOR, or the first usual one that is there. What is saved is checked before it is\n" +
			"stored; a mistake can be mended in the editor, or the old definition stays.",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError{errors.New("edit which program? upkeep edit NAME   All names: upkeep status -q")}
			}
			return nil
		},
		RunE:              func(cmd *cobra.Command, args []string) error { return c.edit(cmd.Context(), args[0]) },
		ValidArgsFunction: c.completePrograms,
	}
}

// editor is the command line of the editor that is wanted.
func (c *command) editor() ([]string, error) {
	for _, name := range []string{"VISUAL", "EDITOR"} {
		v := strings.TrimSpace(c.environ(name))
		if v == "" {
			continue
		}
		argv, err := shellwords.Split(v)
		if err != nil || len(argv) == 0 {
			return nil, usageError{fmt.Errorf("%s is no command: %s", name, v)}
		}
		return argv, nil
	}
	if c.inTTY {
		usual := []string{"sensible-editor", "vi", "nano"}
		if runtime.GOOS == "windows" {
			usual = []string{"notepad"}
		}
		for _, name := range usual {
			if path, err := exec.LookPath(name); err == nil {
				return []string{path}, nil
			}
		}
	}
	return nil, usageError{errors.New("no editor is known here: set EDITOR, or use  upkeep set NAME KEY=VALUE")}
}

// edit lets a person edit a definition.
func (c *command) edit(ctx context.Context, name string) error {
	argv, err := c.editor()
	if err != nil {
		return err
	}
	d, err := c.desk(ctx)
	if err != nil {
		return err
	}
	defer d.Close()
	def, err := d.managed(ctx, name)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "upkeep-edit-")
	if err != nil {
		return err
	}
	file := filepath.Join(dir, def.Name+".conf")
	keep := false
	defer func() {
		if !keep {
			_ = os.RemoveAll(dir) // the copy has served
		}
	}()
	if err := os.WriteFile(file, []byte(def.Text), 0o600); err != nil {
		return err
	}
	for {
		text, err := c.runEditor(ctx, argv, file)
		if err != nil {
			if text != "" && text != def.Text {
				keep = true
				c.talk("What you wrote is in %s", file)
			}
			return err
		}
		if text == def.Text {
			c.talk("nothing has changed")
			c.told(editOf(&def, "unchanged"))
			return nil
		}
		edited, err := d.Define(ctx, def.Name, []byte(text), def.ETag)
		if err == nil {
			return c.afterEdit(ctx, d, &def, edited)
		}
		again, err := c.mistaken(err, file, def.Origin.File)
		if !again {
			keep = true
			c.talk("The definition is as it was. What you wrote is in %s", file)
			return err
		}
	}
}

// runEditor waits for the editor, and reads what it leaves.
func (c *command) runEditor(ctx context.Context, argv []string, file string) (string, error) {
	cmd := exec.CommandContext(ctx, argv[0], append(argv[1:len(argv):len(argv)], file)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = c.in, c.out, c.err
	if c.jsonWanted() {
		cmd.Stdout = c.err
	}
	failed := cmd.Run()
	text, err := os.ReadFile(file)
	if failed != nil {
		err = fmt.Errorf("the editor %s: %w; nothing was changed", argv[0], failed)
	}
	return string(text), err
}

// mistaken shows why an edited text was refused, and asks whether to edit again, where somebody can be asked.
func (c *command) mistaken(err error, file, place string) (again bool, _ error) {
	var p *upkeep.Problem
	if !errors.As(err, &p) || p.Code != "invalid_config" || c.jsonWanted() {
		return false, err
	}
	for _, m := range p.Errors {
		if m.File == place {
			m.File = file
		}
		c.mistake(m)
	}
	c.talk("%s.", plural(len(p.Errors), "problem", "problems"))
	if c.inTTY && !c.noInput && c.ask("Edit again?", true) {
		return true, nil
	}
	return false, statusError{statusInvalid, errQuiet}
}

// ask asks a question; nothing said is the default.
func (c *command) ask(question string, yes bool) bool {
	choice := map[bool]string{true: "[Y/n]", false: "[y/N]"}[yes]
	fmt.Fprintf(c.err, "%s %s ", question, choice)
	var answer string
	if _, err := fmt.Fscanln(c.in, &answer); err != nil && answer == "" {
		return yes && !errors.Is(err, io.EOF)
	}
	answer = strings.ToLower(answer)
	return answer == "y" || answer == "yes"
}

// afterEdit shows what an edit changes, and applies it when that is wanted.
func (c *command) afterEdit(ctx context.Context, d *desk, def *upkeep.Definition, edited upkeep.Edited) error {
	e := editOf(def, "stored")
	e.Steps = edited.Steps
	if !c.jsonWanted() {
		fmt.Fprintf(c.out, "%s %s is stored   %s\n", c.good(), def.Name, c.path(edited.File))
		c.showSteps(c.out, e.Steps)
	}
	now := c.yes
	if len(e.Steps) > 0 && !now && c.inTTY && !c.noInput {
		now = c.ask("Apply it now?", false)
	}
	err := d.settle(ctx, e, now)
	c.told(e)
	return err
}
