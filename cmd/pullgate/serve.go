package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"time"

	"github.com/pullgate/pullgate/authz"
	"github.com/pullgate/pullgate/authz/audit"
	"github.com/pullgate/pullgate/authz/classify"
	"github.com/pullgate/pullgate/authz/engine"
	"github.com/pullgate/pullgate/authz/envoy"
	"github.com/pullgate/pullgate/authz/memstore"
	"github.com/pullgate/pullgate/authz/redisstore"
	"github.com/pullgate/pullgate/authz/shadow"
	"github.com/pullgate/pullgate/authz/token"
	"github.com/pullgate/pullgate/authz/upstream"
	"github.com/pullgate/pullgate/bundle"
	"github.com/pullgate/pullgate/sync/publish"
	"github.com/pullgate/pullgate/sync/pull"
	"github.com/pullgate/pullgate/sync/tombstone"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
)

// Shutdown deadlines: Envoy's requests take milliseconds, an operator's page a little more.
const (
	drainTimeout = 5 * time.Second
	adminTimeout = 2 * time.Second
)

// What is asked beyond what can be answered is refused at once (docs/design/overload.md): a decision may wait for
// half of Envoy's timeout, which comes with each request, and as many requests may wait as can be answered in 200 ms, or a
// little more.
const (
	maxWait     = time.Second // of who does not say how long he waits
	waitingEach = 512         // for each processor
)

func serveCommand() *cobra.Command {
	var s settings
	var file string
	cmd := &cobra.Command{
		Use:   "serve (--licenses DIR | --bundle-url URL --bundle-key-file FILE)",
		Short: "Serve decisions to Envoy, from license files and the registry they are about, or from a publisher's bundle",
		Long: `With --licenses it runs the whole of pullgate in one process: reads the license files and watches
them, reads the registry and keeps what it learned, compiles both into a bundle, and serves decisions
to Envoy (gRPC ext_authz). Records of every decision are kept below --data.

With --bundle-url it follows a publisher (` + "`pullgate publish`" + `): it takes each new bundle that is
signed with one of the keys, keeps it below --data and goes on deciding by it while the publisher is
away, until the bundle's not_after. Nothing altered, older or of another name is ever used.

Both ports listen at once. Until the registry has been read for the first time every request is
answered with 503. A broken edit of the license files is reported in the log, as a metric and on
/healthz, and the last good set stays in use.

Every flag is also a key of the --config file (with _ for -) and an environment variable
(PULLGATE_GRPC_ADDR). A flag wins over the environment, which wins over the file. Registry
credentials are in the file only:

  credentials:
    main:                       # id of the Registry document
      username: pullgate
      password_file: /run/secrets/registry
      attach: false             # Envoy's credential_injector adds it, pullgate only crawls with it

and so are the secrets of registries that tell of pushes (POST /v1/webhooks/ID):

  webhooks:
    main:
      secret_file: /run/secrets/webhook`,
		Example: `  pullgate serve --licenses licenses --config pullgate.yaml
  pullgate serve --bundle-url https://bundles.example/bundles/default --bundle-key-file release.pub --bundle-token-file token`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if _, err := loadSettings(cmd.Flags(), &s, file); err != nil {
				return err
			}
			return serve(cmd.Context(), &s, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	addServeFlags(cmd.Flags(), &s)
	cmd.Flags().StringVar(&file, "config", "", "configuration `file`; pullgate config print shows what is in force")
	return cmd
}

// sidecar is the side of pullgate that decides: the engine, the Gate before it, Envoy's port, and
// the records.
type sidecar struct {
	*process
	records *audit.Log
	cache   *memstore.Cache
	engine  *engine.Engine
	gate    *authz.Gate
	shadow  *shadow.Shadow
	grpc    *envoy.Server // nil until listen

	pauses      *pauses
	classifier  *classify.Classifier
	tokens      *token.Issuer // nil when there are none
	credentials *upstream.Credentials
	clock       *pull.Clock
	puller      *pull.Puller         // nil without a publisher
	redis       *redisstore.Store    // nil without --redis
	shared      *redisstore.Verdicts // nil when verdicts are not shared
	secrets     []string             // that they were sealed with at the start
	tombstones  *tombstone.Follower  // likewise
	warned      map[string]bool      // see warnOnce
}

// serve runs until ctx is done, then shuts down in order: readiness, listeners, requests
// under way, records.
func serve(ctx context.Context, cfg *settings, stdout, stderr io.Writer) (err error) {
	if cfg.Licenses == "" && !cfg.follows() {
		return errors.New("no --licenses: name the directory of license files (`pullgate init DIR` writes a first one), or a publisher with --bundle-url")
	}
	p, err := newProcess(cfg, stderr)
	if err != nil {
		return err
	}
	return serveProcess(ctx, p, stdout)
}

// serveProcess is serve of a process, which it closes.
func serveProcess(ctx context.Context, p *process, stdout io.Writer) (err error) {
	defer func() { err = errors.Join(err, p.Close()) }()
	sc, err := newSidecar(p)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sc.Close()) }()
	supply, err := sc.supply()
	if err != nil {
		return err
	}
	defer supply.Close()
	if err := p.listenAdmin(); err != nil {
		return err
	}
	if err := sc.listen(); err != nil { // last, for only Run closes it
		return err
	}
	grpcAddr := sc.grpc.Addr().String()
	if sc.grpc.Addr().Network() == "unix" {
		grpcAddr = "unix:" + grpcAddr // as --grpc-addr takes it
	}
	fmt.Fprintf(stdout, "grpc %s\nadmin %s\n", grpcAddr, p.admin.Addr())
	supply.print(stdout)
	p.log.Info("pullgate serves", "version", version, "grpc", grpcAddr, "admin", p.admin.Addr().String(), "licenses", p.cfg.Licenses, "bundle_url", strings.Join(p.cfg.follow.BundleURL, ","), "data", p.cfg.Data)

	// Servers outlive ctx by the time they need to drain; everything else stops with it.
	group, gctx := errgroup.WithContext(ctx)
	group.Go(func() error { return sc.grpc.Run(gctx) })
	group.Go(func() error { return p.serve(gctx, p.admin, supply.adminHandler(sc.adminHandler())) })
	group.Go(func() error { return sc.watchReadiness(gctx) })
	group.Go(func() error { return sc.watchShadow(gctx) })
	group.Go(func() error { return sc.shadow.Run(gctx) })
	group.Go(func() error { return sc.runTombstones(gctx) })
	group.Go(func() error { return sc.runShared(gctx) })
	group.Go(func() error { return sc.clock.Run(gctx, !p.cfg.follows()) })
	supply.start(gctx, group)
	err = group.Wait()
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = nil
	}
	return err
}

// newSidecar makes everything but Envoy's port.
func newSidecar(p *process) (_ *sidecar, err error) {
	sc := &sidecar{process: p, pauses: newPauses(), warned: map[string]bool{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, sc.Close())
		}
	}()
	cfg := p.cfg
	sc.openClock()
	if sc.credentials, err = cfg.upstreamCredentials(p.log, p.registry); err != nil {
		return nil, err
	}
	p.status.credentials = sc.credentials.Problem
	sc.records, err = audit.Open(audit.Config{Dir: decisionsDir(cfg.Data), MaxTotalBytes: cfg.DecisionsMaxBytes, Logger: p.log, Registerer: p.registry})
	if err != nil {
		return nil, err
	}
	p.status.records = sc.records.Problem
	var cache authz.Cache
	if cfg.CacheBytes > 0 {
		if sc.cache, err = memstore.New(memstore.Config{MaxBytes: uint64(cfg.CacheBytes), Registerer: p.registry}); err != nil {
			return nil, err
		}
		cache = sc.cache
	}
	sc.shadow = shadow.New(shadow.Config{Logger: p.log, Registerer: p.registry})
	sc.engine = engine.New(engine.Config{Logger: p.log, Registerer: p.registry, MaxWait: maxWait, GiveWay: sc.pauses.giveWay})
	shared, err := sc.shareVerdicts()
	if err != nil {
		return nil, err
	}
	sc.gate = authz.NewGate(authz.GateConfig{
		Engine: sc.engine, Cache: cache, Recorder: recorder(sc.records), Observe: sc.shadow.Observe,
		Shared: shared, ShareAlways: cfg.shared.RedisCache == "always", AuditShare: float64(cfg.CacheAudit),
		MaxWaiting: max(1024, waitingEach*runtime.GOMAXPROCS(0)),
		Clock:      sc.clock.Now, Deadline: sc.deadline,
		Instance: cfg.Instance, Logger: p.log, Registerer: p.registry, BadKeysPerMinute: cfg.BadKeysPerMinute,
	})
	if sc.tokens, err = cfg.Bearer.issuer(p.registry); err != nil {
		return nil, err
	}
	if err = sc.followTombstones(); err != nil {
		return nil, err
	}
	sc.classifier = cfg.classifier(sc.tokens)
	return sc, nil
}

// listen opens Envoy's port. Only Run closes it.
func (sc *sidecar) listen() (err error) {
	cfg := sc.cfg
	grpc := envoy.Config{
		Addr: cfg.GRPCAddr, TLS: cfg.grpcTLS(), Decider: noticed{sc.gate, sc.pauses}, Credentials: sc.credentials, Logger: sc.log, Drain: drainTimeout, ConnectionAge: cfg.GRPCAge, Registerer: sc.registry,
		Classifier: sc.classifier,
	}
	if sc.tokens != nil {
		grpc.Reply = sc.tokens.Reply
	}
	if sc.grpc, err = envoy.New(grpc); err != nil {
		return fmt.Errorf("--grpc-addr: %w", err)
	}
	return nil
}

// grpcTLS is nil unless one of its settings is there; the server says which are missing.
func (s *settings) grpcTLS() *envoy.TLS {
	if s.GRPCCert == "" && s.GRPCKey == "" && s.GRPCClientCA == "" && len(s.GRPCClientSAN) == 0 {
		return nil
	}
	return &envoy.TLS{CertFile: s.GRPCCert, KeyFile: s.GRPCKey, ClientCAFile: s.GRPCClientCA, ClientSANs: s.GRPCClientSAN}
}

// Close flushes the records. It also closes what newSidecar has opened before an error.
func (sc *sidecar) Close() error {
	sc.credentials.Close()
	closing := errors.Join(closeRedis(sc.redis), sc.closeShared())
	if sc.engine != nil {
		sc.engine.Close()
	}
	if sc.cache != nil {
		sc.cache.Close()
	}
	if sc.records != nil {
		closing = errors.Join(closing, sc.records.Close())
	}
	return closing
}

// compileSide makes the other side in the same process. It signs with a key that nobody else has.
func (sc *sidecar) compileSide() (*compileSide, error) {
	signer, ring, err := ownKey()
	if err != nil {
		return nil, err
	}
	return newCompileSide(sc.process, publish.Config{
		Bundles: []publish.Bundle{{Deliver: sc.activateIssue, Local: true}},
		Signer:  signer, Ring: ring, Validity: sc.cfg.Validity, Clock: sc.clock.Now, Logger: sc.log,
	})
}

func (sc *sidecar) activateIssue(ctx context.Context, issue *publish.Issue) error {
	err := sc.activate(ctx, issue.Bundle)
	if err == nil {
		sc.effects.observe(issue.Bundle.Name(), fromEdit, toActive, issue.Edited, time.Now())
	}
	return err
}

// activate makes a verified bundle the one that decides.
func (sc *sidecar) activate(ctx context.Context, b *bundle.Bundle) error {
	start := time.Now()
	first := sc.engine.Generation() == nil
	if first { // whoever asks next finds the credentials ready
		sc.aim(b)
	}
	err := sc.engine.Activate(ctx, b)
	sc.status.activatedBundle(b, err)
	if err != nil {
		sc.log.Error("bundle not activated; the last good one stays in use", "revision", b.Revision(), "error", err)
		return err
	}
	if !first {
		sc.aim(b)
	}
	sc.log.Info("bundle active", "revision", b.Revision(), "serial", b.Serial(), "took", time.Since(start).Round(time.Millisecond))
	sc.updateHealth()
	return nil
}

// watchReadiness lets gRPC health follow what can change without an event: the bundle's age.
func (sc *sidecar) watchReadiness(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			sc.status.stop()
			sc.updateHealth()
			return nil
		case <-tick.C:
			sc.updateHealth()
		}
	}
}

func (sc *sidecar) updateHealth() {
	ready, _ := sc.status.ready()
	sc.grpc.SetServing(ready)
}
