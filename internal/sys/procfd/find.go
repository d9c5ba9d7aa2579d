package procfd

import "fmt"

// FindInstance is FindInstances for one program; ErrGone when nothing is found.
func FindInstance(group, name string, uid int) (Identity, error) {
	w := Wanted{Group: group, Name: name, UID: uid}
	found, err := FindInstances([]Wanted{w})
	if err != nil {
		return Identity{}, err
	}
	id, ok := found[w]
	if !ok {
		return Identity{}, fmt.Errorf("no instance of %s:%s: %w", group, name, ErrGone)
	}
	return id, nil
}
