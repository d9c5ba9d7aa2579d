package pipe

import "errors"

// Inherit is not possible here: no process executes another image.
func Inherit(int, bool) error { return errors.ErrUnsupported }
