package core

import (
	"testing"
	"unsafe"

	"github.com/upkeep-project/upkeep/internal/domain/model"
)

// TestSizes: what every program has is no larger than the class of memory that it was made to fit; a byte more takes 64.
func TestSizes(t *testing.T) {
	if unsafe.Sizeof(uintptr(0)) != 8 {
		t.Skip("the sizes are those of 64 bits")
	}
	const head = 8 // of what is larger than 512 bytes
	for _, c := range []struct {
		what       string
		size, most uintptr
	}{
		{"Slot", unsafe.Sizeof(Slot{}), 704 - head},
		{"model.Program", unsafe.Sizeof(model.Program{}), 576 - head},
		{"model.Status", unsafe.Sizeof(model.Status{}), 352},
	} {
		if c.size > c.most {
			t.Errorf("%s has %d bytes, more than %d: fields of one byte belong beside each other", c.what, c.size, c.most)
		}
	}
}
