package upkeep_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/upkeep-project/upkeep/client/upkeep"
)

// daemon answers at a socket as an instance would, with fixed texts by route; end removes it.
func daemon(routes map[string]string) (socket string, end func()) {
	dir, err := os.MkdirTemp("", "u")
	if err != nil {
		panic(err)
	}
	socket = filepath.Join(dir, "upkeep.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		panic(err)
	}
	mux := http.NewServeMux()
	for route, text := range routes {
		mux.HandleFunc(route, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) })
	}
	s := &http.Server{Handler: mux}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = s.Serve(l) }()
	return socket, func() { _ = s.Close(); <-ended; _ = os.RemoveAll(dir) }
}

// What runs, and what is remarkable about it.
func ExampleClient_Processes() {
	socket, end := daemon(map[string]string{
		"GET /v1/processes": `{"items":[{"id":"web","state":"RUNNING","summary":""},{"id":"api","state":"FATAL","summary":"exit 3 after 0.2s"}]}`,
	})
	defer end()
	c := upkeep.New(upkeep.Options{Socket: socket})
	defer c.Close()
	list, err := c.Processes(context.Background(), upkeep.Filter{})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, p := range list {
		fmt.Printf("%s %s %q\n", p.ID, p.State, p.Summary)
	}
	// Output:
	// web RUNNING ""
	// api FATAL "exit 3 after 0.2s"
}

// An order, and its outcome for each program.
func ExampleClient_Do() {
	socket, end := daemon(map[string]string{
		"POST /v1/actions": `{"id":"op_1","action":"restart","state":"failed","results":[{"id":"web","done":true},
			{"id":"api","done":true,"error":{"code":"start_failed","title":"api does not stay up","detail":"exited with code 3"}}]}`,
	})
	defer end()
	c := upkeep.New(upkeep.Options{Socket: socket})
	defer c.Close()
	o, err := c.Do(context.Background(), upkeep.Action{Action: "restart", Select: []string{"web", "api"}}, 30*time.Second)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, r := range o.Results {
		if r.Error != nil {
			fmt.Println(r.ID, r.Error)
		} else {
			fmt.Println(r.ID, "restarted")
		}
	}
	// Output:
	// web restarted
	// api api does not stay up: exited with code 3
}

// Events as they happen, until enough was seen.
func ExampleClient_Watch() {
	socket, end := daemon(map[string]string{
		"GET /v1/events": "event: event\ndata: {\"seq\":41,\"process\":\"web\",\"text\":\"started\"}\n\n" +
			"event: event\ndata: {\"seq\":42,\"process\":\"web\",\"text\":\"running, pid 77\"}\n\n",
	})
	defer end()
	c := upkeep.New(upkeep.Options{Socket: socket})
	defer c.Close()
	enough := errors.New("enough")
	err := c.Watch(context.Background(), upkeep.EventFilter{Select: []string{"web"}}, func(e upkeep.Event, dropped uint64) error {
		fmt.Println(e.Seq, e.ID, e.Text)
		if e.Seq == 42 {
			return enough
		}
		return nil
	})
	fmt.Println(err)
	// Output:
	// 41 web started
	// 42 web running, pid 77
	// enough
}

// That no daemon runs is an error of its own.
func ExampleAbsentError() {
	c := upkeep.New(upkeep.Options{Socket: "/nonexistent/upkeep.sock"})
	_, err := c.System(context.Background())
	var absent *upkeep.AbsentError
	fmt.Println(errors.As(err, &absent), errors.Is(err, os.ErrNotExist))
	// Output: true true
}
