//go:build unix

package reactor

import "sync"

// goBackend is the portable one: a goroutine per registration, waiting in a waiter of the system.
type goBackend struct {
	open func(fd int, ev Events) (waiter, error)

	mu   sync.Mutex
	regs map[*Registration]*goReg
	wg   sync.WaitGroup
}

// waiter waits for one descriptor.
type waiter interface {
	wait() bool // false: closed
	interrupt() // makes a wait that is under way, or else the next one, return true
	close()
}

type goReg struct {
	w    waiter
	arm  chan struct{}
	quit chan struct{}
}

func newGoBackend(open func(fd int, ev Events) (waiter, error)) *goBackend {
	return &goBackend{open: open, regs: make(map[*Registration]*goReg)}
}

func (b *goBackend) add(g *Registration) error {
	w, err := b.open(int(g.fd), g.ev)
	if err != nil {
		return err
	}
	r := &goReg{w: w, arm: make(chan struct{}, 1), quit: make(chan struct{})}
	r.arm <- struct{}{}
	b.mu.Lock()
	b.regs[g] = r
	b.mu.Unlock()
	b.wg.Add(1)
	go func() {
		defer b.wg.Done()
		for {
			select {
			case <-r.quit:
				return
			case <-r.arm:
			}
			if !r.w.wait() {
				return
			}
			g.run()
		}
	}()
	return nil
}

func (b *goBackend) arm(g *Registration) error {
	if r := b.reg(g); r != nil {
		r.rearm()
	}
	return nil
}

// pause: nobody waits for a descriptor that is disarmed.
func (b *goBackend) pause(*Registration) {}

func (b *goBackend) kick(g *Registration) {
	if r := b.reg(g); r != nil {
		r.w.interrupt()
		r.rearm()
	}
}

// reg is what belongs to a registration; nil when it was removed.
func (b *goBackend) reg(g *Registration) *goReg {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.regs[g]
}

func (r *goReg) rearm() {
	select {
	case r.arm <- struct{}{}:
	default:
	}
}

func (b *goBackend) remove(g *Registration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if r := b.regs[g]; r != nil {
		delete(b.regs, g)
		r.end()
	}
}

func (r *goReg) end() {
	close(r.quit)
	r.w.close()
}

func (b *goBackend) close() {
	b.mu.Lock()
	for g, r := range b.regs {
		delete(b.regs, g)
		r.end()
	}
	b.mu.Unlock()
	b.wg.Wait()
}
