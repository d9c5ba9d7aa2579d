// Package notify tells the init system that started this process how far it is: the protocol of sd_notify(3),
// which other supervisors and container managers speak too.
//
// Only the process that was started says something, so that the init system need not listen to others of the
// same service (NotifyAccess=main): what it runs are programs of all kinds, and one of them could pose as the
// daemon. For the same reason no program is told the address.
package notify

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
)

// socketVariable has the address: a path, or a name in Linux's abstract name space that begins with @.
const socketVariable = "NOTIFY_SOCKET"

// Socket is where the init system listens. A nil Socket is that of one that does not.
type Socket struct {
	address string
	once    sync.Once
}

// Take reads the address from the environment and removes it there; nil when there is none. What the process
// starts afterwards does not know it.
func Take() *Socket {
	address := os.Getenv(socketVariable)
	os.Unsetenv(socketVariable)
	if address == "" {
		return nil
	}
	return &Socket{address: address}
}

// Without is an environment without the address.
func Without(environ []string) []string {
	return slices.DeleteFunc(slices.Clone(environ), func(kv string) bool { return strings.HasPrefix(kv, socketVariable+"=") })
}

// Ready says that the service is up. Only the first call says it. The error is for a log: nothing depends on
// it but an init system that waits.
func (s *Socket) Ready() (err error) {
	if s == nil {
		return nil
	}
	s.once.Do(func() { err = s.send("READY=1") })
	return err
}

func (s *Socket) send(text string) error {
	conn, err := net.Dial("unixgram", s.address)
	if err != nil {
		return fmt.Errorf("the init system is not told %s: %w", text, err)
	}
	_, err = conn.Write([]byte(text))
	if err = errors.Join(err, conn.Close()); err != nil {
		return fmt.Errorf("the init system is not told %s: %w", text, err)
	}
	return nil
}
