package launch

import "github.com/upkeep-project/upkeep/internal/engine/core"

// Resume takes back an instance that an earlier process launched.
func (h *Host) Resume(core.Instance, bool) core.Resumed { return core.Resumed{} }
