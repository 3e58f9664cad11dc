// Command demo shows the main job end to end on this machine: a real registry, a real
// Envoy, pullgate beside it, and a real client that pulls as several customers.
//
// It needs nothing installed: `make demo` fetches the pinned peers. Every row of the table
// at the end has been checked three ways: what the client printed and how it exited, what
// pullgate recorded, and what the registry's own access log says arrived. The program exits
// with 1 when any of them differs from what the licenses say.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, filepath.Join("bin", "pullgate")); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// run plays the whole demo with the pullgate at a path.
func run(ctx context.Context, pullgate string) (err error) {
	started := time.Now()
	s, err := newStage(ctx, pullgate)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()

	table, wrong, err := s.playAll(ctx, rows(s))
	if err != nil {
		return err
	}
	print(table)
	fmt.Printf("\n%d rows in %s; each compares the client, the decision record and the registry's access log.\n",
		len(table), time.Since(started).Round(100*time.Millisecond))
	if wrong > 0 {
		return fmt.Errorf("%d rows are not as the licenses say", wrong)
	}
	if os.Getenv("KEEP") != "" {
		s.explain()
		<-ctx.Done()
	}
	return nil
}

// playAll plays rows in order and counts those that are not as they should be.
func (s *stage) playAll(ctx context.Context, rows []row) (table []line, wrong int, err error) {
	for _, r := range rows {
		if r.before != nil {
			if err := r.before(ctx); err != nil {
				return nil, 0, err
			}
		}
		l, err := s.play(ctx, r)
		if err != nil {
			return nil, 0, fmt.Errorf("%s: %s: %w", r.who, r.what, err)
		}
		mark := "ok"
		if len(l.wrong) > 0 {
			mark = "WRONG"
			wrong++
		}
		fmt.Printf("  %-5s  %s: %s\n", mark, r.who, r.what)
		table = append(table, l)
	}
	return table, wrong, nil
}

func say(format string, args ...any) { fmt.Printf("· "+format+"\n", args...) }
