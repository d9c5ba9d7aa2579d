//go:build unix

package supervisord

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/fcgi"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

// responderName makes the test binary a FastCGI program.
const responderName = "fcgi-responder"

// respond answers FastCGI requests on descriptor 0 with its pid, until it is asked to end; then it finishes what
// it has begun.
func respond() int {
	l, err := net.FileListener(os.Stdin)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	counted := &counting{Listener: l}
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	go func() {
		<-term
		if u, ok := l.(*net.UnixListener); ok {
			u.SetUnlinkOnClose(false)
		}
		l.Close()
	}()
	_ = fcgi.Serve(counted, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Has("slow") {
			time.Sleep(20 * time.Millisecond) // a test of a member that is ended meanwhile
		}
		fmt.Fprintf(w, "pid %d", os.Getpid())
	}))
	counted.open.Wait()
	return 0
}

// counting knows how many connections are open.
type counting struct {
	net.Listener
	open sync.WaitGroup
}

func (l *counting) Accept() (net.Conn, error) {
	l.open.Add(1)
	c, err := l.Listener.Accept()
	if err != nil {
		l.open.Done()
		return nil, err
	}
	return &counted{Conn: c, done: sync.OnceFunc(l.open.Done)}, nil
}

type counted struct {
	net.Conn
	done func()
}

func (c *counted) Close() error {
	defer c.done()
	return c.Conn.Close()
}

// The records of a FastCGI request.
const (
	fcgiBegin  = 1
	fcgiEnd    = 3
	fcgiParams = 4
	fcgiStdin  = 5
	fcgiStdout = 6
)

// askFastCGI makes one request as a web server does, and returns the body of the answer.
func askFastCGI(network, address, query string) (string, error) {
	c, err := net.DialTimeout(network, address, patience)
	if err != nil {
		return "", err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	var b bytes.Buffer
	record := func(kind byte, content []byte) {
		b.Write([]byte{1, kind, 0, 1})
		_ = binary.Write(&b, binary.BigEndian, uint16(len(content)))
		b.Write([]byte{0, 0})
		b.Write(content)
	}
	record(fcgiBegin, []byte{0, 1, 0, 0, 0, 0, 0, 0})
	var params []byte
	for _, kv := range [][2]string{
		{"REQUEST_METHOD", "GET"},
		{"SERVER_PROTOCOL", "HTTP/1.1"},
		{"REQUEST_URI", "/?" + query},
		{"QUERY_STRING", query},
	} {
		params = append(params, byte(len(kv[0])), byte(len(kv[1])))
		params = append(params, kv[0]+kv[1]...)
	}
	record(fcgiParams, params)
	record(fcgiParams, nil)
	record(fcgiStdin, nil)
	if _, err := c.Write(b.Bytes()); err != nil {
		return "", err
	}
	r := bufio.NewReader(c)
	var answer []byte
	for {
		head := make([]byte, 8)
		if _, err := io.ReadFull(r, head); err != nil {
			return "", err
		}
		content := make([]byte, int(binary.BigEndian.Uint16(head[4:]))+int(head[6]))
		if _, err := io.ReadFull(r, content); err != nil {
			return "", err
		}
		switch head[1] {
		case fcgiStdout:
			answer = append(answer, content[:len(content)-int(head[6])]...)
		case fcgiEnd:
			_, body, ok := bytes.Cut(answer, []byte("\r\n\r\n"))
			if !ok {
				return "", errors.New("no body")
			}
			return string(body), nil
		}
	}
}
