package supervisorctl

import (
	"context"
	"slices"
	"strings"

	"github.com/upkeep-project/upkeep/client/supervisor"
)

// words completes lines. The programs are asked for once per prompt.
type words struct {
	session *session
	infos   []supervisor.ProcessInfo
	asked   bool
}

// forget makes the next completion ask again.
func (w *words) forget() { w.infos, w.asked = nil, false }

func (w *words) programs() []supervisor.ProcessInfo {
	if !w.asked && w.session.client != nil {
		// Without an answer nothing is proposed, as if there were no programs.
		w.infos, _ = w.session.client.GetAllProcessInfo(context.Background())
		w.asked = true
	}
	return w.infos
}

// delimiters end a word besides blanks. Colon, star and dash are parts of names.
const delimiters = " \t\n`~!@#$%^&()=+[{]}\\|;'\",<>/?"

// complete is a Completer. Source: spec/supervisor 6.6.
func (w *words) complete(line string, pos int) (head string, candidates []string, tail string) {
	start := strings.LastIndexAny(line[:pos], delimiters) + 1
	head, text, tail := line[:start], line[start:pos], line[pos:]
	before := strings.Fields(head)
	if len(before) == 0 {
		return head, w.among(w.session.vocabulary(), text), tail
	}
	c := w.session.find(before[0])
	if c == nil {
		return head, nil, tail
	}
	switch c.complete {
	case completeCommands:
		candidates = w.among(w.session.vocabulary(), text)
	case completeGroups:
		candidates = w.among(w.groups(), text)
	case completeProcesses:
		candidates = w.among(w.processes(strings.Contains(text, ":")), text)
	}
	return head, candidates, tail
}

// among are the entries that begin with text. Names that a terminal could obey are not proposed, because
// the editor prints proposals as they are.
func (w *words) among(list []string, text string) []string {
	var out []string
	for _, word := range list {
		if strings.HasPrefix(word, text) && neutral(word) == word {
			out = append(out, word+" ")
		}
	}
	return out
}

// vocabulary is what a line can begin with.
func (s *session) vocabulary() []string {
	var names []string
	for _, c := range s.commands() {
		if c.name != "EOF" {
			names = append(names, c.name)
		}
	}
	slices.Sort(names)
	return names
}

// groups are the names of the active groups, in the order of the programs.
func (w *words) groups() []string {
	var names []string
	for _, p := range w.programs() {
		if !slices.Contains(names, p.Group) {
			names = append(names, p.Group)
		}
	}
	return names
}

// processes are what program names can be: the bare name where it is enough, else each group as a whole
// and its members. After a colon the long forms are meant.
func (w *words) processes(colon bool) []string {
	var names []string
	for _, p := range w.programs() {
		if p.Group == p.Name && !colon {
			names = append(names, p.Name)
			continue
		}
		if whole := p.Group + ":*"; !slices.Contains(names, whole) {
			names = append(names, whole)
		}
		names = append(names, p.Group+":"+p.Name)
	}
	return names
}
