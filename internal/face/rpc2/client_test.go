package rpc2

import (
	"reflect"
	"strings"
	"testing"

	"github.com/upkeep-project/upkeep/client/supervisor"
)

// TestTheClientHasEveryMethod: what is offered can be called with the Go client.
func TestTheClientHasEveryMethod(t *testing.T) {
	client := reflect.TypeFor[*supervisor.Client]()
	for name := range methodTable(true) {
		_, method, _ := strings.Cut(name, ".")
		method = strings.ToUpper(method[:1]) + method[1:]
		if name == "upkeep.getInfo" {
			method = "Info"
		}
		if _, ok := client.MethodByName(method); !ok {
			t.Errorf("the client has no %s for %s", method, name)
		}
	}
}
