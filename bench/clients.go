//go:build linux

package main

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// concurrent is how many clients ask at once.
const concurrent = 50

// runClients: many clients at once.
func runClients(ctx context.Context, b *bench) error {
	n := 100
	info := func(_ int, c *client, _ int) error {
		_, err := c.call(methodInfo)
		return err
	}
	startStop := func(i int, c *client, turn int) error {
		method := methodStop
		if turn%2 == 1 {
			method = methodStart
		}
		_, err := c.call(method, fmt.Sprintf("<string>p%05d</string>", i), "<boolean>1</boolean>")
		return err
	}
	for _, w := range []struct {
		name string
		do   func(i int, c *client, turn int) error
	}{{"50 clients, info", info}, {"50 clients, start/stop", startStop}} {
		err := b.each(ctx, "clients", w.name, func(ctx context.Context, sys system) (*figures, error) {
			return b.withSleepers(sys, n, func(s *session) (*figures, error) { return load(ctx, s, b.o.secs, w.do) })
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// load lets every client do its thing again and again for span, with a new connection each time.
func load(ctx context.Context, s *session, span time.Duration, do func(i int, c *client, turn int) error) (*figures, error) {
	var mu sync.Mutex
	var times []float64
	var failed int
	var first error
	var wg sync.WaitGroup
	begin := time.Now()
	end := begin.Add(span)
	for i := range concurrent {
		wg.Go(func() {
			c := newClient(s.sock, false)
			defer c.close()
			for turn := 0; time.Now().Before(end) && ctx.Err() == nil; turn++ {
				t := time.Now()
				err := do(i, c, turn)
				mu.Lock()
				if err != nil {
					failed++
					if first == nil {
						first = err
					}
				} else {
					times = append(times, ms(time.Since(t)))
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(times) == 0 {
		return nil, fmt.Errorf("nothing succeeded: %w", first)
	}
	f := &figures{}
	f.set("ok_per_s", float64(len(times))/time.Since(begin).Seconds())
	f.set("p50_ms", quantile(times, 0.5))
	f.set("p99_ms", quantile(times, 0.99))
	f.set("failed", float64(failed))
	if failed > 0 {
		return f, fmt.Errorf("%d failed, the first: %w", failed, first)
	}
	return f, nil
}
