package supervisor

import (
	"context"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// everyMethod are the methods of Supervisor 4.3, and ours.
const everyMethod = `
supervisor.addProcessGroup supervisor.clearAllProcessLogs supervisor.clearLog supervisor.clearProcessLog
supervisor.clearProcessLogs supervisor.getAPIVersion supervisor.getAllConfigInfo supervisor.getAllProcessInfo
supervisor.getIdentification supervisor.getPID supervisor.getProcessInfo supervisor.getState
supervisor.getSupervisorVersion supervisor.getVersion supervisor.readLog supervisor.readMainLog
supervisor.readProcessLog supervisor.readProcessStderrLog supervisor.readProcessStdoutLog supervisor.reloadConfig
supervisor.removeProcessGroup supervisor.restart supervisor.sendProcessStdin supervisor.sendRemoteCommEvent
supervisor.shutdown supervisor.signalAllProcesses supervisor.signalProcess supervisor.signalProcessGroup
supervisor.startAllProcesses supervisor.startProcess supervisor.startProcessGroup supervisor.stopAllProcesses
supervisor.stopProcess supervisor.stopProcessGroup supervisor.tailProcessLog supervisor.tailProcessStderrLog
supervisor.tailProcessStdoutLog system.listMethods system.methodHelp system.methodSignature system.multicall
upkeep.adopt upkeep.apply upkeep.getInfo upkeep.plan upkeep.release`

// TestEveryMethodIsThere calls every method of the client, and looks at what arrives.
func TestEveryMethodIsThere(t *testing.T) {
	d := &daemon{answer: &Fault{Code: FaultFailed, Text: "FAILED"}}
	c, _ := start(t, d)
	noCalls := []string{"Call", "Close", "SetCredentials", "Stream"}
	client := reflect.ValueOf(c)
	var called []string
	for i := range client.NumMethod() {
		name := client.Type().Method(i).Name
		if slices.Contains(noCalls, name) {
			continue
		}
		m := client.Method(i)
		args := []reflect.Value{reflect.ValueOf(context.Background())}
		for k := 1; k < m.Type().NumIn() && !(m.Type().IsVariadic() && k == m.Type().NumIn()-1); k++ {
			args = append(args, reflect.Zero(m.Type().In(k)))
		}
		d.got = ""
		out := m.Call(args)
		if _, fault := out[len(out)-1].Interface().(*Fault); !fault {
			t.Errorf("%s: %v, want the fault", name, out[len(out)-1])
		}
		method, _, _ := strings.Cut(d.got, "[")
		called = append(called, method)
	}
	slices.Sort(called)
	want := strings.Fields(everyMethod)
	slices.Sort(want)
	if diff := cmp.Diff(want, called); diff != "" {
		t.Errorf("what is called (-want +got):\n%s", diff)
	}
}

func TestFaultNames(t *testing.T) {
	seen := map[string]int{}
	for code := range 100 {
		name := FaultName(code)
		if name == "" {
			continue
		}
		if other, twice := seen[name]; twice {
			t.Errorf("%s is %d and %d", name, other, code)
		}
		seen[name] = code
	}
	if len(seen) != 18 || seen["CANT_REREAD"] != FaultCannotReread || FaultName(5) != "" {
		t.Error(seen)
	}
}
