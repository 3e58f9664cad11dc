// Command split shows pullgate on more than one machine, here on one: licenses in PostgreSQL, a
// publisher that compiles and signs them, two sidecars that follow it, each beside a real Envoy before
// the same real registry, and a Redis that tells of revocations before the next bundle.
//
// It needs nothing installed: `make demo-split` fetches the pinned peers. A license is revoked in the
// database, the publisher is killed, Redis is killed; after each step both gates are asked, as a client
// would, and the program exits with 1 when one of them does not answer in time what it should.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"text/tabwriter"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, filepath.Join("bin", "pullgate")); err != nil {
		fmt.Fprintln(os.Stderr, "demo-split:", err)
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
	table, err := s.play(ctx, steps(s))
	print(table)
	if err != nil {
		return err
	}
	fmt.Printf("\n%d steps in %s. Times are from the command's end to the answer; limits are those of docs/operations.md.\n", len(table), time.Since(started).Round(100*time.Millisecond))
	for _, l := range table {
		if l.wrong != "" {
			return errors.New("not everything is as it should be")
		}
	}
	if os.Getenv("KEEP") != "" {
		s.explain()
		<-ctx.Done()
	}
	return nil
}

// step is something that happens, and what both gates must then answer to whom, until when.
type step struct {
	what   string
	do     func(context.Context) error // nil: nothing happens
	who    string
	status int
	within time.Duration
}

func steps(s *stage) []step {
	return []step{
		{what: "acme pulls demo/app:1.4.0", who: "acme", status: 200, within: 5 * time.Second},
		{what: "so does globex", who: "globex", status: 200, within: 5 * time.Second},
		{what: "acme's license is revoked in the database, told by Redis", do: s.revoke("acme-app", true), who: "acme", status: 403, within: time.Second},
		{what: "globex goes on", who: "globex", status: 200, within: time.Second},
		{what: "the publisher is killed", do: s.killPublisher, who: "globex", status: 200, within: time.Second},
		{what: "acme stays out", who: "acme", status: 403, within: time.Second},
		{what: "Redis is killed, too", do: s.killRedis, who: "globex", status: 200, within: time.Second},
		{what: "acme still stays out", who: "acme", status: 403, within: time.Second},
		{what: "the publisher is back; globex's license is revoked, without Redis", do: s.publisherBack, who: "globex", status: 403, within: 5 * time.Second},
	}
}

// line is a step that was played.
type line struct {
	what  string
	took  [2]time.Duration
	want  int
	limit time.Duration
	wrong string
}

// play plays the steps in order. What is wrong with one is in its line; an error is that it could not
// be played.
func (s *stage) play(ctx context.Context, steps []step) (table []line, err error) {
	for _, st := range steps {
		if st.do != nil {
			if err := st.do(ctx); err != nil {
				return table, fmt.Errorf("%s: %w", st.what, err)
			}
		}
		l := line{what: st.what, want: st.status, limit: st.within}
		var wrong [2]string
		var both sync.WaitGroup
		for i, g := range s.gates {
			both.Go(func() { l.took[i], wrong[i] = g.await(ctx, s, st.who, st.status, st.within) })
		}
		both.Wait()
		for i, text := range wrong {
			if text != "" {
				l.wrong += fmt.Sprintf("gate %d: %s; ", i+1, text)
			}
		}
		mark := "ok"
		if l.wrong != "" {
			mark = "WRONG"
		}
		fmt.Printf("  %-5s  %s\n", mark, st.what)
		table = append(table, l)
	}
	return table, nil
}

func print(table []line) {
	fmt.Println()
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "WHAT HAPPENS\tTHEN\tGATE 1\tGATE 2\tLIMIT\t")
	for _, l := range table {
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\t%s\n", l.what, l.want, l.took[0].Round(time.Millisecond), l.took[1].Round(time.Millisecond), l.limit, l.wrong)
	}
	_ = w.Flush()
}

func say(format string, args ...any) { fmt.Printf("· "+format+"\n", args...) }
