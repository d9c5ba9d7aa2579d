package boot

import (
	"errors"
	"os"
	"strings"
)

// entry fills the part of a state that the file at its place tells. The file is nil when there is none, or
// when it is not ours.
func (h *Host) entry(st *State) (*File, error) {
	file, err := h.ours(st.Place)
	var foreign *ForeignError
	switch {
	case errors.As(err, &foreign):
		st.Found, st.Foreign = true, foreign.Reason
		return nil, nil
	case err != nil || file == nil:
		return nil, err
	}
	st.Found = true
	return file, nil
}

// links reports whether there is a symbolic link at a path of the host.
func (h *Host) links(path string) bool {
	st, err := os.Lstat(h.path(path))
	return err == nil && st.Mode()&os.ModeSymlink != 0
}

// differ says how an entry differs from the one that would be written now; "" = it does not.
func differ(have, want string) string {
	a, b := strings.Split(have, "\n"), strings.Split(want, "\n")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return "it has " + strings.TrimSpace(a[i]) + ", now it would be " + strings.TrimSpace(b[i])
		}
	}
	if len(a) != len(b) {
		return "it is shorter or longer than the one that would be written now"
	}
	return ""
}
