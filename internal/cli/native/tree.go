package native

import (
	"context"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/upkeep-project/upkeep/client/upkeep"
)

func (c *command) treeCommand() *cobra.Command {
	return c.looking(upkeep.Filter{Tree: true}, c.tree, &cobra.Command{
		Use: "tree [SELECTOR...]", Short: "the processes of programs",
		Long:    "The processes of programs, of all or of those selected: each with what it has started, and what it uses.",
		Example: "  upkeep tree web",
	})
}

// tree shows the processes of programs.
func (c *command) tree(ctx context.Context, f upkeep.Filter) error {
	client, _, err := c.client()
	if err != nil {
		return err
	}
	defer client.Close()
	list, err := client.Processes(ctx, f)
	if err != nil {
		return err
	}
	return printAll(c, list, func(p *upkeep.Process) string { return p.ID }, func(bool) error {
		if len(list) == 0 {
			c.talk("no programs")
			return nil
		}
		c.treeTable(list)
		return nil
	})
}

// treeTable shows one line for each program, and below it one for each of its processes.
func (c *command) treeTable(list []upkeep.Process) {
	columns := []column{
		{title: "PID", right: true},
		{title: "CPU", right: true, drop: 2},
		{title: "MEM", right: true, drop: 1},
		{title: "PROCESS", least: 28},
	}
	var rows [][]cell
	for i := range list {
		p := &list[i]
		sign, colour := c.glyph(p.State)
		text := sign + " " + p.ID
		if p.State != "RUNNING" {
			text += "  " + strings.ToLower(p.State)
		}
		rows = append(rows, []cell{{}, {}, {}, {text: text, colour: colour}})
		for k, indent := range c.branches(p.Tree) {
			b := &p.Tree[k]
			cpu, mem, command := percent(&b.CPU), memory(&b.Memory), oneLine(b.Command)
			if b.Ended {
				cpu, mem, command = "", "", command+"  (ended, its parent has not noticed)"
			}
			rows = append(rows, []cell{{text: strconv.Itoa(b.PID)}, {text: cpu}, {text: mem}, {text: indent + command}})
		}
	}
	c.table(columns, rows)
}

// branches draws the tree: what stands before each process. Parents come before their children.
func (c *command) branches(list []upkeep.Branch) []string {
	more, last, line, gap := "├─ ", "└─ ", "│  ", "   "
	if !c.unicodeWanted() {
		more, last, line, gap = "|- ", "`- ", "|  ", "   "
	}
	youngest := map[int]int{} // the last child of each
	for i, b := range list {
		youngest[b.Parent] = i
	}
	out := make([]string, len(list))
	below := map[int]string{} // what stands before the children of each
	for i, b := range list {
		if youngest[b.Parent] == i {
			out[i], below[b.PID] = below[b.Parent]+last, below[b.Parent]+gap
		} else {
			out[i], below[b.PID] = below[b.Parent]+more, below[b.Parent]+line
		}
	}
	return out
}
