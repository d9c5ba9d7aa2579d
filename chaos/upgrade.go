//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// broken are images that cannot become a daemon.
func broken() map[string][]byte {
	return map[string][]byte{
		"script": []byte("#!/bin/sh\nexit 1\n"),
		"noise":  []byte("\x7fELF\x02\x01\x01 this is no program"),
		"empty":  nil,
	}
}

// upgrade puts another image in the place of the daemon's and sends USR1: up and down in turn, in a fifth of
// the cases with a kill of the manager inside, in a tenth with an image that does not work.
func (r *run) upgrade(ctx context.Context, i int) error {
	wait(ctx, time.Duration(r.rng.IntN(500))*time.Millisecond)
	found, err := r.d.await("manager", r.o.limit)
	if err != nil {
		return err
	}
	top, ok := r.d.top()
	if !ok {
		return errors.New("no top process")
	}
	if i%10 == 9 {
		return r.brokenUpgrade(ctx, i, found[0], top)
	}
	before := imageOf(found[0].pid)
	image, what := r.o.other, "upgrades"
	if before == r.newer {
		image, what = r.o.daemon, "downgrades"
	}
	want, err := r.replace(image)
	if err != nil {
		return err
	}
	since := time.Now()
	if err := strike(top, unix.SIGUSR1); err != nil {
		return fmt.Errorf("USR1: %w", err)
	}
	r.did(what)
	fine := []fileID{want}
	if i%5 == 2 {
		wait(ctx, time.Duration(r.rng.IntN(60))*time.Millisecond)
		if m, ok := r.d.find("manager"); ok {
			_ = strike(m[0], unix.SIGKILL) // gone is as good
			r.did("kills in an upgrade")
			// An image that does not live until it is ready is not the daemon's to trust.
			fine = append(fine, before)
		}
	}
	ok = until(r.o.limit, 3*time.Millisecond, func() bool {
		m, ok := r.d.find("manager")
		return ok && m[0].pid != found[0].pid && slices.Contains(fine, imageOf(m[0].pid))
	})
	if !ok {
		r.report(violation{vUpgrade, 1, fmt.Sprintf("fault %d: the manager does not run the new image after %v; %s", i, r.o.limit, r.d.console())})
	}
	return r.awaitAnswer(since)
}

// brokenUpgrade: the image that worked must go on.
func (r *run) brokenUpgrade(ctx context.Context, i int, manager, top process) error {
	before := imageOf(manager.pid)
	images := broken()
	names := []string{"script", "noise", "empty"}
	name := names[i/10%len(names)]
	file := r.l.path("bin/broken")
	if err := os.WriteFile(file, images[name], 0o755); err != nil {
		return err
	}
	if _, err := r.replace(file); err != nil {
		return err
	}
	since := time.Now()
	if err := strike(top, unix.SIGUSR1); err != nil {
		return fmt.Errorf("USR1: %w", err)
	}
	r.did("broken images")
	wait(ctx, 300*time.Millisecond)
	if err := r.awaitAnswer(since); err != nil {
		return err
	}
	ok := until(r.o.limit, 3*time.Millisecond, func() bool {
		m, ok := r.d.find("manager")
		return ok && imageOf(m[0].pid) == before
	})
	if !ok {
		r.report(violation{vUpgrade, 1, fmt.Sprintf("fault %d (%s): the old image does not run", i, name)})
	}
	// A good image is on the disk again before anything else happens.
	_, err := r.replace(r.o.daemon)
	return err
}

// replace puts a file in the place of the daemon's image, at once, and returns its identity.
func (r *run) replace(image string) (fileID, error) {
	next := r.l.path("bin/next")
	if err := copyFile(image, next); err != nil {
		return fileID{}, err
	}
	var st unix.Stat_t
	if err := unix.Stat(next, &st); err != nil {
		return fileID{}, err
	}
	id := fileID{uint64(st.Dev), st.Ino}
	if image == r.o.other {
		r.newer = id
	}
	return id, os.Rename(next, r.l.daemon())
}

// imageOf is the identity of the file that a process runs.
func imageOf(pid int) fileID {
	st, err := os.Stat(fmt.Sprintf("/proc/%d/exe", pid))
	if err != nil {
		return fileID{}
	}
	sys := st.Sys().(*syscall.Stat_t)
	return fileID{uint64(sys.Dev), sys.Ino}
}
