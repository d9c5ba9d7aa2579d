package service

import (
	"path"
	"strings"

	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// SelectAll is the selector of every program.
const SelectAll = "all"

// Select finds the programs that selectors stand for, each once, in the order of all, and the selectors that stand for
// none. A selector is a name ("web"), "group:name", "group:*", "group:", "all", or a pattern with * ? [ ] over names in
// these forms. A name that only programs of one group have stands for that one too. Source: interfaces 2.2.
func Select(all []model.Status, selectors []string) (found []model.Status, missing []string) {
	chosen := make([]bool, len(all))
	for _, s := range selectors {
		any := s == SelectAll
		for i := range all {
			if any = any || matches(all[i].ID, s); s == SelectAll || matches(all[i].ID, s) {
				chosen[i] = true
			}
		}
		if !any && !byName(all, chosen, s) {
			missing = append(missing, s)
		}
	}
	for i := range all {
		if chosen[i] {
			found = append(found, all[i])
		}
	}
	return found, missing
}

// matches reports whether a selector stands for a program.
func matches(id model.ID, selector string) bool {
	if group, ok := strings.CutSuffix(selector, ":"); ok {
		return id.Group == group
	}
	if selector == id.String() || selector == id.Namespec() {
		return true
	}
	if !strings.ContainsAny(selector, "*?[") {
		return false
	}
	for _, name := range []string{id.String(), id.Namespec()} {
		if ok, err := path.Match(selector, strings.ReplaceAll(name, "/", "_")); ok && err == nil {
			return true
		}
	}
	return false
}

// byName chooses the only program of a name, whatever its group.
func byName(all []model.Status, chosen []bool, name string) bool {
	at, n := 0, 0
	for i := range all {
		if all[i].ID.Name == name {
			at, n = i, n+1
		}
	}
	if n == 1 {
		chosen[at] = true
	}
	return n == 1
}
