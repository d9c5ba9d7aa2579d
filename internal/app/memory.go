package app

import (
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

// settle is how long no garbage was collected when what is free is given back to the system.
const settle = 3 * time.Second

// giveBack returns memory to the system when the garbage collector has rested for a while: after a burst, such as
// the start of a thousand programs, and not again before the next one. It wakes nothing up while there is nothing to do.
var giveBack = sync.OnceFunc(func() {
	var own atomic.Bool // the next collection is that of FreeOSMemory
	rest := time.AfterFunc(settle, func() {
		own.Store(true)
		debug.FreeOSMemory()
	})
	type cycle struct{ _ *byte } // with a pointer, so that it is not allocated together with others
	var watch func()
	watch = func() {
		runtime.SetFinalizer(&cycle{}, func(*cycle) {
			if !own.Swap(false) {
				rest.Reset(settle)
			}
			watch()
		})
	}
	watch()
})
