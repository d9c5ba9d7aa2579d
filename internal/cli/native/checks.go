package native

import (
	"context"
	"strings"

	"github.com/upkeep-project/upkeep/client/upkeep"
	"github.com/upkeep-project/upkeep/internal/base/termtext"
	"github.com/upkeep-project/upkeep/internal/base/words"
)

// checkRows shows a line for each check of a program's instance.
func (c *command) checkRows(ctx context.Context, client *upkeep.Client, p *upkeep.Process, row func(name, value string)) error {
	if p.PID == nil {
		return nil
	}
	list, err := client.Checks(ctx, p.ID)
	if err != nil {
		return err
	}
	width := 0
	for i := range list {
		width = max(width, textWidth(list[i].Name))
	}
	for i := range list {
		title := ""
		if i == 0 {
			title = "checks"
		}
		row(title, c.checkLine(&list[i], width))
	}
	return nil
}

// checkLine is what is known of a check in one line.
func (c *command) checkLine(k *upkeep.Check, width int) string {
	sign := c.good()
	text := k.Text
	switch {
	case k.Disabled != "":
		text = "does not look: " + k.Disabled
	case k.Time == nil && text == "":
		text = "has not looked yet"
	}
	var more []string
	if k.Stage != "live" {
		more = append(more, k.Stage)
	}
	if k.Verdict == "failing" {
		more = append(more, "failing")
	}
	if k.Time != nil {
		more = append(more, "looked "+words.Duration(max(0, c.now().Sub(*k.Time)))+" ago")
	}
	switch k.Verdict {
	case "failing":
		sign = c.bad()
	case "none":
		sign = c.paint(dim, "-")
	}
	line := sign + " " + k.Name + strings.Repeat(" ", width-textWidth(k.Name)) + "   " + termtext.String(text, termtext.Plain)
	if len(more) > 0 {
		line += "   " + c.paint(dim, strings.Join(more, ", "))
	}
	return line
}
