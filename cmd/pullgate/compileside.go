package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/pullgate/pullgate/sync/publish"
	"github.com/pullgate/pullgate/sync/source"
	"golang.org/x/sync/errgroup"
)

// compileSide is the side of pullgate that gathers and compiles: it follows the licenses and reads
// the registries that they name, and its publisher makes bundles of both.
type compileSide struct {
	*process
	source    licenseSource
	publisher *publish.Publisher
	crawls    *crawls
	webhooks  net.Listener // nil when the admin port takes notifications
	webhook   http.Handler
	// vet says why a good set of licenses must not be used all the same; nil asks nobody. What it
	// refused it is asked about again when look is not as before.
	vet  func(context.Context) error
	look func() string
	// paced lets edits wait that come faster than they may be published.
	paced bool
}

func newCompileSide(p *process, cfg publish.Config) (_ *compileSide, err error) {
	c := &compileSide{process: p, publisher: publish.New(cfg)}
	var term time.Duration
	if p.cfg.publish != nil {
		term = p.cfg.publish.Term
	}
	if c.source, err = openLicensesOf(p.cfg.Licenses, term); err != nil {
		return nil, err
	}
	c.crawls = newCrawls(c)
	if c.webhook, err = c.webhookHandler(); err != nil {
		return nil, err
	}
	if c.webhooks, err = p.cfg.listenWebhooks(); err != nil {
		return nil, err
	}
	return c, nil
}

// print tells where it listens, a line each.
func (c *compileSide) print(w io.Writer) {
	if c.webhooks != nil {
		fmt.Fprintf(w, "webhooks %s\n", c.webhooks.Addr())
	}
}

// start runs it within a group, until ctx is done.
func (c *compileSide) start(ctx context.Context, group *errgroup.Group) {
	group.Go(func() error { return c.serveWebhooks(ctx) })
	group.Go(func() error { return c.watch(ctx) })
	group.Go(func() error { return c.crawls.Run(ctx) })
	group.Go(func() error { return c.publisher.Run(ctx) })
}

func (c *compileSide) Close() {
	if c.webhooks != nil {
		_ = c.webhooks.Close() // again, after serveWebhooks
	}
}

// watch follows the licenses. A broken edit keeps the last good set.
func (c *compileSide) watch(ctx context.Context) error {
	var mu sync.Mutex // of what follows, which is never done twice at a time
	var refused *source.Snapshot
	var seen string
	take := func(snap *source.Snapshot, err error) {
		refused = nil
		if err == nil && c.vet != nil {
			seen = c.look()
			if err = c.vet(ctx); err != nil {
				refused = snap
			}
		}
		c.take(ctx, snap, err)
		c.pace(ctx)
	}
	if c.vet != nil {
		done := make(chan struct{})
		defer func() { <-done }()
		go func() {
			defer close(done)
			tick := time.NewTicker(time.Second)
			defer tick.Stop()
			for {
				select {
				case <-ctx.Done():
					return
				case <-tick.C:
				}
				mu.Lock()
				if refused != nil && c.look() != seen {
					take(refused, nil)
				}
				mu.Unlock()
			}
		}()
	}
	return c.source.Watch(ctx, func(snap *source.Snapshot, err error) {
		mu.Lock()
		defer mu.Unlock()
		take(snap, err)
	})
}

// pace waits until the next edit may be published. It is read only then, with all that came meanwhile.
func (c *compileSide) pace(ctx context.Context) {
	if !c.paced {
		return
	}
	timer := time.NewTimer(c.publisher.Pause())
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// take uses a set of licenses, or notes why it is not used.
func (c *compileSide) take(ctx context.Context, snap *source.Snapshot, err error) {
	if err == nil {
		err = c.crawls.publish(ctx, snap)
	}
	if err != nil {
		text := "license files refused; the last good set stays in use"
		switch {
		case c.publisher.Set() != nil:
		case c.status.hasBundle():
			text = "license files refused; the last bundle stays in use"
		default:
			text = "license files refused, and nothing is in use: there was no good set before"
		}
		c.log.Error(text, "directory", c.cfg.Licenses, "error", fewLines(err))
		c.takeBack(ctx, snap, err)
		c.status.licensesLoaded(err) // who is to end then has published that
		return
	}
	c.status.licensesLoaded(nil)
	text := "license files in use"
	if c.publisher.Set() == nil {
		text = "license files read; they wait for the registry to be read"
	}
	c.log.Info(text, "directory", c.cfg.Licenses, "licenses", len(snap.Set.Licenses), "customers", len(snap.Set.Customers))
}

// takeBack publishes what a set that is refused takes back in so many words: who revokes something cannot
// wait until somebody else has mended what is wrong. In one process the last good set stays as it is.
func (c *compileSide) takeBack(ctx context.Context, snap *source.Snapshot, refused error) {
	if c.cfg.publish == nil {
		return
	}
	var err error
	if mistakes, ok := errors.AsType[*source.Refused](refused); ok {
		err = c.crawls.takeBack(ctx, mistakes.Stated, false)
	} else if snap != nil {
		err = c.crawls.takeBack(ctx, snap.Set, true)
	}
	if err != nil && !errors.Is(err, publish.ErrNoLicenses) {
		c.log.Error("what the license files take back is not published", "directory", c.cfg.Licenses, "error", err)
	}
}

// mostLogged bounds the lines of an error in the log.
const mostLogged = 20

// fewLines is an error of many lines with the first of them, and how many more there are.
func fewLines(err error) string {
	lines := strings.Split(err.Error(), "\n")
	if n := len(lines) - mostLogged; n > 0 {
		return strings.Join(append(lines[:mostLogged:mostLogged], fmt.Sprintf("and %d more; `pullgate check` prints all", n)), "\n")
	}
	return err.Error()
}
