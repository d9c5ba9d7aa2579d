package procfd

// Descriptor is the pidfd of a handle, which stays the handle's; -1 = it has none.
func Descriptor(h Handle) int {
	p, ok := h.(*handle)
	if !ok {
		return -1
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.fd
}
