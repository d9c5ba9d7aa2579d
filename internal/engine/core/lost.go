package core

// Add takes in groups of which something lives, although no record says so. What lives of them is adopted when
// it is restored, and the rest begins as if it were new.
func (sv *Saved) Add(groups []NewGroup) {
	var order uint64
	for _, g := range sv.groups {
		order = max(order, g.Order)
	}
	for _, g := range groups {
		order++
		sv.groups = append(sv.groups, groupRecord{Order: order, Spec: g.Spec, Logs: g.Logs})
	}
	sv.begun = true
}
