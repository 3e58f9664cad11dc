package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
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
	c.status.licensesLoaded(err)
	if err != nil {
		c.log.Error("license files refused; the last good set stays in use", "directory", c.cfg.Licenses, "error", err)
		return
	}
	text := "license files in use"
	if c.publisher.Set() == nil {
		text = "license files read; they wait for the registry to be read"
	}
	c.log.Info(text, "directory", c.cfg.Licenses, "licenses", len(snap.Set.Licenses), "customers", len(snap.Set.Customers))
}
