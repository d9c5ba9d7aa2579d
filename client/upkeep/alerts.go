package upkeep

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// Notifier is who is told of what happens to programs, and what has become of the messages.
type Notifier struct {
	Name      string     `json:"name"`
	To        []string   `json:"to"`  // destinations; of an address of the web only scheme and host
	Via       string     `json:"via"` // how mail goes; empty = by the sendmail program of the machine
	On        []string   `json:"on"`  // what it tells: "fatal", "backoff:3", "restart:5/10m"
	Groups    []string   `json:"groups"`
	Sent      uint64     `json:"sent"`
	Failed    uint64     `json:"failed"`     // given up
	Waiting   int        `json:"waiting"`    // to be sent, or sent again
	LastError string     `json:"last_error"` // of the last attempt, if that has failed
	LastTime  *time.Time `json:"last_time"`  // of the last attempt; nil = there was none
}

// Delivery is what became of a message to one destination.
type Delivery struct {
	To         string   `json:"to"`
	Error      string   `json:"error"`      // empty = it was delivered
	Transcript []string `json:"transcript"` // the dialogue, without secrets
}

// Notifiers are all that are configured, in the order of their sections.
func (c *Client) Notifiers(ctx context.Context) ([]Notifier, error) {
	return get[Notifier](ctx, c, "/v1/notifiers")
}

// TestNotifier sends a message that says that it is a test to all destinations of a notifier, and waits for what becomes of it.
func (c *Client) TestNotifier(ctx context.Context, name string) ([]Delivery, error) {
	var out list[Delivery]
	err := c.call(ctx, http.MethodPost, "/v1/notifiers/"+url.PathEscape(name)+"/test", nil, nil, &out)
	return out.Items, err
}
