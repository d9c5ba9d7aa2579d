package supervisor_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"

	"github.com/upkeep-project/upkeep/client/supervisor"
)

// stage is a daemon with a few programs, for the examples.
func stage() *httptest.Server {
	answers := []string{
		`<params><param><value><array><data><value><struct>
			<member><name>group</name><value>web</value></member>
			<member><name>name</name><value>web_0</value></member>
			<member><name>statename</name><value>RUNNING</value></member>
			<member><name>pid</name><value><int>4711</int></value></member>
		</struct></value></data></array></value></param></params>`,
		`<fault><value><struct>
			<member><name>faultCode</name><value><int>60</int></value></member>
			<member><name>faultString</name><value>ALREADY_STARTED: web:web_0</value></member>
		</struct></value></fault>`,
	}
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "<?xml version='1.0'?><methodResponse>"+answers[0]+"</methodResponse>")
		answers = answers[1:]
	}))
}

func Example() {
	daemon := stage() // yours is at a URL such as unix:///run/supervisor.sock
	defer daemon.Close()
	c, err := supervisor.New(supervisor.Options{URL: daemon.URL})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()
	ctx := context.Background()
	infos, err := c.GetAllProcessInfo(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, p := range infos {
		fmt.Println(p.Group, p.Name, p.StateName, p.PID)
	}

	// What the daemon refuses is a *Fault, with one of the codes of this package.
	err = c.StartProcess(ctx, "web:web_0", true)
	var fault *supervisor.Fault
	if errors.As(err, &fault) && fault.Code == supervisor.FaultAlreadyStarted {
		fmt.Println("it runs already")
	}
	// Output:
	// web web_0 RUNNING 4711
	// it runs already
}

func ExampleFaultName() {
	fmt.Println(supervisor.FaultName(supervisor.FaultBadName))
	// Output: BAD_NAME
}

func ExampleLogPath() {
	// Follow the output of a program: c.Stream(ctx, supervisor.LogPath("web:web_0", "stdout"))
	fmt.Println(supervisor.LogPath("web:web_0", "stdout"))
	// Output: /logtail/web:web_0/stdout
}
