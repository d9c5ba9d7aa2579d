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
// these forms. A name that one program alone has stands for that one, whatever its group. What is somebody's name is no
// pattern. Source: interfaces 2.2.
func Select(all []model.Status, selectors []string) (found []model.Status, missing []string) {
	chosen := make([]bool, len(all))
	for _, s := range selectors {
		if !selectOne(all, chosen, s) {
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

// selectOne chooses what one selector stands for; false when that is nothing.
func selectOne(all []model.Status, chosen []bool, s string) bool {
	if s == SelectAll {
		for i := range all {
			chosen[i] = true
		}
		return true
	}
	for _, is := range []func(model.ID) bool{
		func(id model.ID) bool { return s == id.String() || s == id.Namespec() },
		func(id model.ID) bool { return s == id.Group+":" || s == id.Group+":*" },
		func(id model.ID) bool { return like(s, id.String()) || like(s, id.Namespec()) },
	} {
		any := false
		for i := range all {
			if is(all[i].ID) {
				chosen[i], any = true, true
			}
		}
		if any {
			return true
		}
	}
	at, n := 0, 0
	for i := range all {
		if all[i].ID.Name == s {
			at, n = i, n+1
		}
	}
	if n == 1 {
		chosen[at] = true
	}
	return n == 1
}

// like reports whether a name is as a pattern says. A slash is a character like any other.
func like(pattern, name string) bool {
	if !strings.ContainsAny(pattern, "*?[") {
		return false
	}
	slash := strings.NewReplacer("/", "\x00")
	ok, err := path.Match(slash.Replace(pattern), slash.Replace(name))
	return ok && err == nil
}

// Named are the programs that a name stands for, without patterns: the one whose full name it is, or all that have it
// in whatever group.
func Named(all []model.Status, name string) []model.Status {
	var found []model.Status
	for i := range all {
		if id := all[i].ID; name == id.String() || name == id.Namespec() {
			return all[i : i+1]
		} else if name == id.Name {
			found = append(found, all[i])
		}
	}
	return found
}
