package httpok

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// retryAfter is the pause before a refused connection is tried again, within the timeout.
const retryAfter = 10 * time.Second

// maxBody is how much of a body is looked at, in bytes.
const maxBody = 16 << 20

// page is what is got.
type page struct {
	url     string
	timeout time.Duration // of one attempt; 0 none
	retry   time.Duration // pause between two attempts
}

// answer is how it answered.
type answer struct {
	status int
	reason string
	body   string
}

// get gets the page. A connection that is refused, as while the server starts, is tried again as long as
// the timeout lasts. Redirects are answers like others; certificates are not looked at, because what is
// asked is whether the program answers.
func (p *page) get() (answer, error) {
	client := http.Client{
		Timeout: p.timeout,
		Transport: &http.Transport{
			DialContext:       new(net.Dialer).DialContext,
			DisableKeepAlives: true,
			TLSClientConfig:   &tls.Config{InsecureSkipVerify: true},
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	defer client.CloseIdleConnections()
	pause := time.NewTicker(max(p.retry, time.Millisecond))
	defer pause.Stop()
	for left := (p.timeout - time.Second) / max(p.retry, time.Millisecond); ; left-- {
		a, err := p.try(&client)
		if left <= 0 || !errors.Is(err, syscall.ECONNREFUSED) {
			return a, err
		}
		<-pause.C
	}
}

func (p *page) try(client *http.Client) (answer, error) {
	req, err := http.NewRequest(http.MethodGet, p.url, nil)
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("User-Agent", "httpok")
	resp, err := client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err != nil {
		return answer{}, err
	}
	reason := strings.TrimSpace(strings.TrimPrefix(resp.Status, strconv.Itoa(resp.StatusCode)))
	return answer{resp.StatusCode, reason, string(body)}, nil
}
