package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pullgate/pullgate/authz/engine"
	"github.com/pullgate/pullgate/authz/redisstore"
	"github.com/pullgate/pullgate/bundle"
	bundleserve "github.com/pullgate/pullgate/bundle/serve"
	"github.com/pullgate/pullgate/sync/postgres"
	"github.com/pullgate/pullgate/sync/publish"
	"github.com/pullgate/pullgate/sync/tombstone"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
)

func publishCommand() *cobra.Command {
	var s settings
	var file string
	var o order
	cmd := &cobra.Command{
		Use:   "publish --licenses DIR|URL --signing-key FILE",
		Short: "Compile, sign and serve bundles for sidecars that run elsewhere",
		Long: `Reads the license files, or the database, and follows them, reads the registry, compiles both into signed bundles
and serves them to every ` + "`pullgate serve --bundle-url`" + ` (and to any OPA): GET /bundles/NAME, with ETag
and long polling. With --out and --oci it also writes them to a directory and pushes them to a
registry. A bundle is re-issued at half of its validity.

Several publishers of one database (--licenses postgres://…) elect one of them; the others stand by.

Nothing is published that ` + "`pullgate check`" + ` refuses or for which the tests of --test fail. What would
take something from more than --max-loss of the customers, now or sooner than before, or lacks tags
that the registry had, is held back: the log, /healthz and the metric pullgate_publication_held say
so, and the bundle before it stays. To publish it all the same:

  pullgate publish --data DIR --accept REVISION

To publish what was published earlier, under a new serial, and hold back everything newer:

  pullgate publish --data DIR --rollback REVISION

Both are carried out by the publisher that runs with this --data. With --once and all settings this one
does it itself, and ends.

Every flag but those two is also a key of the --config file (with _ for -) and an environment
variable (PULLGATE_BUNDLE_ADDR). Credentials of registries, webhooks and bundles are in the file only:

  bundles:
    default:
      token_file: /run/secrets/sidecars     # bearer tokens, a line each
      client_sans: [spiffe://example.com/sidecar]
    plant-7:                                # for a sidecar at a customer's site
      customers: [acme]
      token_file: /run/secrets/plant-7`,
		Example: `  pullgate bundle keygen --out release
  pullgate publish --licenses licenses --signing-key release.key --config publish.yaml
  pullgate publish --licenses postgres://pullgate@db.internal/licenses --signing-key release.key --config publish.yaml
  pullgate publish --licenses licenses --signing-key release.key --bundle-addr '' --out bundles --once`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.Bundle != "" && o.empty() {
				return errors.New("--bundle: it is the bundle of --accept or --rollback: name one of them, too")
			}
			_, err := loadSettings(cmd.Flags(), &s, file)
			switch locked := lockedData(s.Data); {
			case !o.empty() && locked: // an order needs no settings but where
				return o.leave(cmd.Context(), s.Data, cmd.OutOrStdout())
			case !o.empty() && !s.publish.Once:
				return fmt.Errorf("no publisher uses --data %s: name that of the one that is to do it; where none runs, start it, and run this again, or add --once and all its settings to publish, do it and end", s.Data)
			case err != nil:
				return err
			}
			return runPublish(cmd.Context(), &s, o, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	addPublishFlags(cmd.Flags(), &s)
	cmd.Flags().StringVar(&file, "config", "", "configuration `file`; pullgate config publish print shows what is in force")
	cmd.Flags().StringVar(&o.Accept, "accept", "", "publish what is held back under this `revision`")
	cmd.Flags().StringVar(&o.Rollback, "rollback", "", "publish the content of this `revision` again, under a new serial")
	cmd.Flags().StringVar(&o.Bundle, "bundle", "", "with --accept or --rollback: only of the bundle of this `name`, where several have the revision")
	cmd.MarkFlagsMutuallyExclusive("accept", "rollback")
	return cmd
}

// publisher is one running `pullgate publish`: the compile side, and the places it delivers to.
type publisher struct {
	*process
	settings *publishSettings
	compiled *compileSide
	server   *bundleserve.Server
	listener net.Listener // of the bundles; nil without bundle-addr
	outputs  outputs
	lease    atomic.Pointer[postgres.Lease] // nil without a database
	redis    *redisstore.Store              // nil without --redis
	keepers  *tombstone.Keepers             // likewise

	comparing *engine.Engine // has the policy of the last bundle compiled

	mu        sync.Mutex
	published map[string]*bundle.Bundle // by name
	once      chan struct{}             // closed when every bundle has been published
	ordered   chan struct{}             // closed when the order of the start was carried out, or given up
}

func runPublish(ctx context.Context, cfg *settings, o order, stdout, stderr io.Writer) (err error) {
	if cfg.Licenses == "" {
		return errors.New("no --licenses: name the directory of license files (`pullgate init DIR` writes a first one), or the URL of a database")
	}
	p, err := newProcess(cfg, stderr)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	pub, err := newPublisher(p)
	if err != nil {
		return err
	}
	defer pub.Close()
	if err := p.listenAdmin(); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "admin %s\n", p.admin.Addr())
	if pub.listener != nil {
		fmt.Fprintf(stdout, "bundles %s://%s%s\n", pub.settings.scheme(), pub.listener.Addr(), bundleserve.PathPrefix)
	}
	pub.compiled.print(stdout)
	p.log.Info("pullgate publishes", "version", version, "bundles", strings.Join(slices.Sorted(maps.Keys(pub.settings.Bundles)), ","), "licenses", cfg.Licenses, "data", cfg.Data)
	return pub.run(ctx, o)
}

func newPublisher(p *process) (_ *publisher, err error) {
	cfg := p.cfg.publish
	signer, ring, err := cfg.keys()
	if err != nil {
		return nil, err
	}
	pub := &publisher{process: p, settings: cfg, comparing: newComparing(), published: map[string]*bundle.Bundle{}, once: make(chan struct{}), ordered: make(chan struct{})}
	defer func() {
		if err != nil {
			pub.Close()
		}
	}()
	if pub.outputs, err = cfg.outputs(ring, pub.whileLeading, p.registry); err != nil {
		return nil, err
	}
	if err = pub.keepTombstones(signer, ring); err != nil {
		return nil, err
	}
	names := portNames(cfg.BundleAddr, cfg.BundleHosts)
	pub.server = bundleserve.New(bundleserve.Config{
		Bundles: cfg.access(), Foreign: func(host string) bool { return foreign(names, host) }, Current: pub.current, Logger: p.log, Registerer: p.registry,
	})
	if pub.listener, err = cfg.listen(); err != nil {
		return nil, err
	}
	pub.compiled, err = newCompileSide(p, publish.Config{
		Bundles: cfg.outlets(p.cfg.Data, func(name string) publish.Bundle {
			return publish.Bundle{Deliver: pub.deliver, Approve: pub.approve, NextSerial: pub.nextSerial(name), Announce: pub.announce, Hold: pub.hold(name), Find: pub.find(name)}
		}),
		Validity: p.cfg.Validity, Signer: signer, Ring: ring, Logger: p.log, Registerer: p.registry, StandBy: true,
	})
	if err != nil {
		return nil, err
	}
	pub.compiled.paced = true
	if len(cfg.Test) > 0 {
		pub.compiled.vet, pub.compiled.look = pub.vet, func() string { return testsLook(cfg.Test) }
	}
	p.status.publishing(pub.compiled.publisher, pub.outputs.problems, p.cfg.Data)
	return pub, nil
}

// listen opens the port of the bundles; nil without one.
func (p *publishSettings) listen() (net.Listener, error) {
	if p.BundleAddr == "" {
		return nil, nil
	}
	l, err := net.Listen("tcp", p.BundleAddr)
	if err != nil {
		return nil, fmt.Errorf("--bundle-addr: %w", portHint(err))
	}
	if p.BundleCert == "" {
		return l, nil
	}
	config, err := p.tls()
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return tls.NewListener(l, config), nil
}

func (pub *publisher) Close() {
	pub.comparing.Close()
	if pub.compiled != nil {
		pub.compiled.Close()
	}
	if pub.listener != nil {
		_ = pub.listener.Close() // again, after serveBundles
	}
	_ = closeRedis(pub.redis)
}

// run serves until ctx is done, or until everything has been published when it is to be done once.
func (pub *publisher) run(ctx context.Context, o order) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	group, gctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		return pub.process.serve(gctx, pub.admin, pub.compiled.adminHandler(byName(portNames(pub.cfg.AdminAddr, pub.cfg.AdminHosts), adminHandler(pub.status, pub.registry, ""))))
	})
	group.Go(func() error { return pub.serveBundles(gctx) })
	for _, out := range pub.outputs {
		group.Go(func() error { return out.run(gctx, pub.wrote(out)) })
	}
	group.Go(func() error { return pub.lead(gctx) })
	group.Go(func() error { return pub.runTombstones(gctx) })
	pub.compiled.start(gctx, group)
	group.Go(func() error { return pub.orders(gctx, o) })
	if pub.settings.Once {
		group.Go(func() error {
			defer stop()
			return pub.waitOnce(gctx)
		})
	}
	err := group.Wait()
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = nil
	}
	return err
}

// serveBundles serves the port of the bundles, if there is one, until ctx is done. Who waits is told
// to ask elsewhere.
func (pub *publisher) serveBundles(ctx context.Context) error {
	if pub.listener == nil {
		return nil
	}
	defer context.AfterFunc(ctx, pub.server.Close)()
	return pub.process.serve(ctx, pub.listener, http.MaxBytesHandler(pub.server, 0))
}

// orders carries out the order that it was started with, once it publishes and there is something to
// carry it out on, and then those that are left.
func (pub *publisher) orders(ctx context.Context, first order) error {
	p := pub.compiled.publisher
	if first.empty() {
		close(pub.ordered)
	} else {
		err, began := first.carryOut(ctx, p), time.Now()
		for err != nil && ctx.Err() == nil {
			standsBy := errors.Is(err, publish.ErrStandsBy)
			// The election takes a moment. Who is not elected then is not to do it whenever that may be.
			if standsBy && time.Since(began) > electionPatience || !standsBy && (first.Accept == "" || p.Set() != nil) {
				break
			}
			select { // or the sources are still being read
			case <-ctx.Done():
			case <-time.After(orderEvery):
			}
			err = first.carryOut(ctx, p)
		}
		if err != nil && ctx.Err() == nil {
			pub.log.Error("not done as told at the start", "accept", first.Accept, "rollback", first.Rollback, "error", err)
			if pub.settings.Once {
				return err
			}
		}
		close(pub.ordered)
	}
	return followOrders(ctx, pub.cfg.Data, func(ctx context.Context, o order) error { return o.carryOut(ctx, p) })
}

// deliver serves a bundle and hands it on to the outputs.
func (pub *publisher) deliver(ctx context.Context, issue *publish.Issue) error {
	b := issue.Bundle
	if pub.keepers != nil {
		pub.keepers.Announce(ctx, b) // before anybody can have it
	}
	pub.server.Publish(b.Name(), issue.File)
	pub.effects.observe(b.Name(), fromEdit, toPublished, issue.Edited, time.Now())
	for _, out := range pub.outputs {
		out.offer(issue)
	}
	pub.mu.Lock()
	defer pub.mu.Unlock()
	pub.published[b.Name()] = b
	var first *bundle.Bundle // to be re-issued
	for _, b := range pub.published {
		if first == nil || b.NotAfter() < first.NotAfter() {
			first = b
		}
	}
	if len(pub.published) == len(pub.settings.Bundles) {
		pub.status.activatedBundle(first, nil)
		select {
		case <-pub.once:
		default:
			close(pub.once)
		}
	}
	pub.log.Info("bundle published", "bundle", b.Name(), "revision", b.Revision(), "serial", b.Serial(), "key", b.KeyID(), "not_after", instantText(b.NotAfter()), "bytes", len(issue.File))
	return nil
}

// find reads back what is published, by whichever publisher; nil where it is nowhere.
func (pub *publisher) find(name string) func(context.Context) (*bundle.Bundle, error) {
	return func(ctx context.Context) (*bundle.Bundle, error) { return pub.outputs.find(ctx, name) }
}

// wrote logs what an output says.
func (pub *publisher) wrote(out *output) func(name, result string, err error) {
	return func(name, result string, err error) {
		switch {
		case err != nil:
			pub.log.Error("bundle not written; it is tried again", "bundle", name, "to", out.what, "error", err)
		case result == "put_back":
			pub.log.Warn("something older was found, as of a publisher that led before, and the bundle was put back", "bundle", name, "in", out.what)
		default:
			pub.log.Info("bundle written", "bundle", name, "to", out.what)
		}
	}
}

// waitOnce waits until everything has been published and written. What cannot be written is tried again,
// for no longer than one attempt may take where it ends with 1 anyway.
func (pub *publisher) waitOnce(ctx context.Context) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	var stuck time.Time // since when; zero while it may still go well
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		if slices.ContainsFunc(pub.outputs, (*output).taken) {
			return errNo // it is in the log
		}
		hopeless := pub.status.hopeless()
		set := pub.compiled.publisher.Set() // first: it waits for what is being built
		if hopeless == nil && len(pub.compiled.publisher.Held()) == 0 {
			stuck = time.Time{}
		} else if stuck.IsZero() {
			stuck = time.Now()
		}
		if slices.ContainsFunc(pub.outputs, func(o *output) bool { return !o.idle() }) && (stuck.IsZero() || time.Since(stuck) < putTimeout) {
			continue
		}
		if hopeless != nil {
			return hopeless
		}
		select {
		case <-pub.ordered:
		default:
			continue
		}
		if len(pub.compiled.publisher.Held()) > 0 {
			return errNo // likewise
		}
		select {
		case <-pub.once:
		default:
			continue
		}
		if set != nil {
			return nil
		}
	}
}
