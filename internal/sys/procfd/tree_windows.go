package procfd

import (
	"unsafe"

	"golang.org/x/sys/windows"
)

// rounds bounds how often new children are looked for while a tree is being ended.
const rounds = 8

// endBelow ends what a process has started, by the parents that the system tells, until nothing new is found. The number of
// the process is not given away meanwhile: somebody holds it.
func endBelow(root Identity) {
	for range rounds {
		found := below(root)
		for _, h := range found {
			_ = windows.TerminateProcess(h, killedCode)
		}
		for _, h := range found {
			windows.CloseHandle(h)
		}
		if len(found) == 0 {
			return
		}
	}
}

// below are the living descendants of a process, open to be ended. A process that is older than the one whose number it
// names as its parent's is a stranger to it.
func below(root Identity) []windows.Handle {
	children := childrenOf()
	var out []windows.Handle
	for queue := []Identity{root}; len(queue) > 0; queue = queue[1:] {
		for _, pid := range children[uint32(queue[0].PID)] {
			h, err := open(int(pid), windows.PROCESS_QUERY_LIMITED_INFORMATION|windows.PROCESS_TERMINATE|windows.SYNCHRONIZE)
			if err != nil {
				continue
			}
			born, err := bornAt(h)
			if err != nil || born < queue[0].StartTicks {
				windows.CloseHandle(h)
				continue
			}
			queue = append(queue, Identity{PID: int(pid), StartTicks: born})
			if what, _ := windows.WaitForSingleObject(h, 0); what == windows.WAIT_OBJECT_0 { // it has ended, its children may not
				windows.CloseHandle(h)
				continue
			}
			out = append(out, h)
		}
		delete(children, uint32(queue[0].PID)) // numbers that name each other end nowhere
	}
	return out
}

// childrenOf are the processes of each parent at this moment.
func childrenOf() map[uint32][]uint32 {
	out := map[uint32][]uint32{}
	all, err := windows.CreateToolhelp32Snapshot(windows.TH32CS_SNAPPROCESS, 0)
	if err != nil {
		return out
	}
	defer windows.CloseHandle(all)
	e := windows.ProcessEntry32{}
	e.Size = uint32(unsafe.Sizeof(e))
	for err = windows.Process32First(all, &e); err == nil; err = windows.Process32Next(all, &e) {
		out[e.ParentProcessID] = append(out[e.ParentProcessID], e.ProcessID)
	}
	return out
}
