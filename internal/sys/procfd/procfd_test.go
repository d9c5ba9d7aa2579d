package procfd

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/upkeep-project/upkeep/internal/domain/model"
)

func TestExitOf(t *testing.T) {
	for raw, want := range map[uint32]model.Exit{
		0:           {Known: true},
		1 << 8:      {Known: true, Raw: 1 << 8, Status: 1},
		255 << 8:    {Known: true, Raw: 255 << 8, Status: 255},
		9:           {Known: true, Raw: 9, Signal: 9},
		11 | 0x80:   {Known: true, Raw: 11 | 0x80, Signal: 11, Core: true},
		64:          {Known: true, Raw: 64, Signal: 64},
		0x0100 | 15: {Known: true, Raw: 0x0100 | 15, Signal: 15},
	} {
		if diff := cmp.Diff(want, exitOf(raw)); diff != "" {
			t.Errorf("%#x: %s", raw, diff)
		}
	}
}
