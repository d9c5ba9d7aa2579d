package core

import "github.com/upkeep-project/upkeep/internal/domain/model"

// Renew ends one instance of a program and starts the program anew, without waiting. Nothing happens when that
// instance is not the one that runs any more, is to be stopped, may not be started again, or everything ends.
func (c *Core) Renew(id model.ID, gen uint64) {
	c.post(func() {
		s := c.Table().Slot(id)
		if s == nil || s.gone || s.leaving || s.parting || s.masked() || s.m.Gen != gen || !s.m.Live || c.State() != model.DaemonRunning {
			return
		}
		if s.m.State != model.Starting && s.m.State != model.Running {
			return
		}
		o := &order{core: c, done: make(chan struct{}), internal: true}
		c.replace(o, s)
		o.sealed = true
		o.check()
	})
}
