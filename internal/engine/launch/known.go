package launch

import (
	"maps"
	"sync"
)

// known are instances by their pid, or by their key. There are many and they change seldom, so that a map with a lock
// is smaller than sync.Map, and fast enough. It is safe for concurrent use; the zero value is empty.
type known[K comparable] struct {
	mu sync.Mutex
	of map[K]*instance
}

// get finds one; nil when there is none.
func (k *known[K]) get(key K) *instance {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.of[key]
}

// set puts one in the place of any other.
func (k *known[K]) set(key K, n *instance) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.setLocked(key, n)
}

func (k *known[K]) setLocked(key K, n *instance) {
	if k.of == nil {
		k.of = map[K]*instance{}
	}
	k.of[key] = n
}

// claim is set where there is none yet; false when there is.
func (k *known[K]) claim(key K, n *instance) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.of[key] != nil {
		return false
	}
	k.setLocked(key, n)
	return true
}

// drop takes whichever there is out, remove only this one: false when it is another by now, or none.
func (k *known[K]) drop(key K) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.of, key)
}

func (k *known[K]) remove(key K, n *instance) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.of[key] != n {
		return false
	}
	delete(k.of, key)
	return true
}

// all is a copy.
func (k *known[K]) all() map[K]*instance {
	k.mu.Lock()
	defer k.mu.Unlock()
	return maps.Clone(k.of)
}
