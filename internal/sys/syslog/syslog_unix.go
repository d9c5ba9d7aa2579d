//go:build unix

package syslog

import (
	"errors"
	"syscall"
)

// shortest is the length to which an oversized line is cut before it is given up.
const shortest = 1024

// conn is a connected datagram socket, noConn if there is none.
type conn int

const noConn conn = -1

// sendLocked delivers a message or reports that it could not. A connection that turns out to be dead is
// replaced once.
func (s *Sender) sendLocked(msg []byte) bool {
	fresh := s.conn == noConn
	if fresh && !s.connectLocked() {
		return false
	}
	err := s.conn.send(msg)
	if err != nil && !fresh && !errors.Is(err, syscall.EAGAIN) && !errors.Is(err, syscall.ENOBUFS) {
		s.conn.close()
		s.conn = noConn
		if !s.connectLocked() {
			return false
		}
		err = s.conn.send(msg)
	}
	return err == nil
}

// connectLocked connects to the first log that is there. Connecting a datagram socket does not wait.
func (s *Sender) connectLocked() bool {
	for _, path := range s.paths {
		c, err := dial(path)
		if err == nil {
			s.conn = c
			return true
		}
	}
	return false
}

func dial(path string) (conn, error) {
	syscall.ForkLock.RLock() // no fork between making and marking
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_DGRAM, 0)
	if err == nil {
		syscall.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return noConn, err
	}
	if err = syscall.SetNonblock(fd, true); err == nil {
		err = syscall.Connect(fd, &syscall.SockaddrUnix{Name: path})
	}
	if err != nil {
		_ = syscall.Close(fd)
		return noConn, err
	}
	return conn(fd), nil
}

// send writes one datagram and cuts it until it fits.
func (c conn) send(msg []byte) error {
	for {
		_, err := syscall.Write(int(c), msg)
		switch {
		case errors.Is(err, syscall.EINTR):
		case errors.Is(err, syscall.EMSGSIZE) && len(msg) > shortest:
			msg = msg[:max(len(msg)/2, shortest)]
		default:
			return err
		}
	}
}

func (c conn) close() {
	if c != noConn {
		_ = syscall.Close(int(c))
	}
}
