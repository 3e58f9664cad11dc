package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/pullgate/pullgate/authz"
	"github.com/pullgate/pullgate/authz/audit"
	"github.com/pullgate/pullgate/authz/classify"
	"github.com/pullgate/pullgate/authz/engine"
	"github.com/pullgate/pullgate/authz/envoy"
	"github.com/pullgate/pullgate/authz/memstore"
	"github.com/pullgate/pullgate/authz/token"
	"github.com/pullgate/pullgate/authz/upstream"
	"github.com/pullgate/pullgate/bundle"
	"github.com/pullgate/pullgate/sync/publish"
	"github.com/pullgate/pullgate/sync/source"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
)

// Shutdown deadlines: Envoy's requests take milliseconds, an operator's page a little more.
const (
	drainTimeout = 5 * time.Second
	adminTimeout = 2 * time.Second
)

func serveCommand() *cobra.Command {
	var s settings
	var file string
	cmd := &cobra.Command{
		Use:   "serve --licenses DIR",
		Short: "Serve decisions to Envoy, from license files and the registry they are about",
		Long: `Runs the whole of pullgate in one process: reads the license files and watches them, reads the
registry and keeps what it learned, compiles both into a bundle, and serves decisions to Envoy
(gRPC ext_authz). Records of every decision are kept below --data.

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
		Example: "  pullgate serve --licenses licenses --config pullgate.yaml",
		Args:    cobra.NoArgs,
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

// sidecar is one running pullgate.
type sidecar struct {
	cfg       *settings
	log       *slog.Logger
	data      *dataDir
	registry  *prometheus.Registry
	status    *status
	records   *audit.Log
	cache     *memstore.Cache
	engine    *engine.Engine
	gate      *authz.Gate
	publisher *publish.Publisher
	admin     net.Listener
	webhooks  net.Listener // nil when the admin port takes notifications
	webhook   http.Handler
	grpc      *envoy.Server
	crawls    *crawls

	classifier  *classify.Classifier
	tokens      *token.Issuer // nil when there are none
	credentials *upstream.Credentials
}

// serve runs until ctx is done, then shuts down in order: readiness, listeners, requests
// under way, records.
func serve(ctx context.Context, cfg *settings, stdout, stderr io.Writer) (err error) {
	sc, err := newSidecar(cfg, stderr)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, sc.Close()) }()

	grpcAddr := sc.grpc.Addr().String()
	if sc.grpc.Addr().Network() == "unix" {
		grpcAddr = "unix:" + grpcAddr // as --grpc-addr takes it
	}
	fmt.Fprintf(stdout, "grpc %s\nadmin %s\n", grpcAddr, sc.admin.Addr())
	if sc.webhooks != nil {
		fmt.Fprintf(stdout, "webhooks %s\n", sc.webhooks.Addr())
	}
	sc.log.Info("pullgate serves", "version", version, "grpc", grpcAddr, "admin", sc.admin.Addr().String(), "licenses", cfg.Licenses, "data", cfg.Data)

	// Servers outlive ctx by the time they need to drain; everything else stops with it.
	group, gctx := errgroup.WithContext(ctx)
	group.Go(func() error { return sc.grpc.Run(gctx) })
	group.Go(func() error { return serveAdmin(gctx, sc.admin, sc.adminHandler()) })
	group.Go(func() error { return sc.serveWebhooks(gctx) })
	group.Go(func() error { return sc.watch(gctx) })
	group.Go(func() error { return sc.crawls.Run(gctx) })
	group.Go(func() error { return sc.publisher.Run(gctx) })
	group.Go(func() error { return sc.watchReadiness(gctx) })
	err = group.Wait()
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = nil
	}
	return err
}

func newSidecar(cfg *settings, stderr io.Writer) (_ *sidecar, err error) {
	if cfg.Licenses == "" {
		return nil, errors.New("no --licenses: name the directory of license files; `pullgate init DIR` writes a first one")
	}
	if err := cfg.checkFiles(); err != nil {
		return nil, err
	}
	log, err := newLogger(stderr, cfg.LogFormat, cfg.LogLevel)
	if err != nil {
		return nil, err
	}
	reg := prometheus.NewRegistry()
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	credentials, err := cfg.upstreamCredentials(log, reg)
	if err != nil {
		return nil, err
	}
	data, err := openDataDir(cfg.Data)
	if err != nil {
		return nil, err
	}
	sc := &sidecar{cfg: cfg, log: log, data: data, registry: reg, status: newStatus(time.Now, reg), credentials: credentials}
	sc.status.credentials = credentials.Problem
	defer func() {
		if err != nil {
			err = errors.Join(err, sc.Close())
		}
	}()
	sc.records, err = audit.Open(audit.Config{Dir: decisionsDir(cfg.Data), MaxTotalBytes: cfg.DecisionsMaxBytes, Logger: log, Registerer: reg})
	if err != nil {
		return nil, err
	}
	sc.status.records = sc.records.Problem
	sc.cache, err = memstore.New(memstore.Config{MaxBytes: uint64(cfg.CacheBytes), Registerer: reg})
	if err != nil {
		return nil, err
	}
	sc.engine = engine.New(engine.Config{Logger: log, Registerer: reg})
	sc.gate = authz.NewGate(authz.GateConfig{
		Engine: sc.engine, Cache: sc.cache, Recorder: sc.records,
		Instance: cfg.Instance, Logger: log, Registerer: reg, BadKeysPerMinute: cfg.BadKeysPerMinute,
	})
	if sc.tokens, err = cfg.Bearer.issuer(reg); err != nil {
		return nil, err
	}
	sc.classifier = cfg.classifier(sc.tokens)
	signer, ring, err := ownKey()
	if err != nil {
		return nil, err
	}
	sc.publisher = publish.New(publish.Config{Signer: signer, Ring: ring, Validity: cfg.Validity, Deliver: sc.activate, Logger: log})
	sc.crawls = newCrawls(sc)
	if sc.webhook, err = sc.webhookHandler(); err != nil {
		return nil, err
	}
	if sc.admin, err = net.Listen("tcp", cfg.AdminAddr); err != nil {
		return nil, fmt.Errorf("--admin-addr: %w", portHint(err))
	}
	if sc.webhooks, err = cfg.listenWebhooks(); err != nil {
		return nil, err
	}
	grpc := envoy.Config{
		Addr: cfg.GRPCAddr, TLS: cfg.grpcTLS(), Decider: sc.gate, Credentials: credentials, Logger: log, Drain: drainTimeout,
		Classifier: sc.classifier,
	}
	if sc.tokens != nil {
		grpc.Reply = sc.tokens.Reply
	}
	// Last, for only Run closes it.
	sc.grpc, err = envoy.New(grpc)
	if err != nil {
		return nil, fmt.Errorf("--grpc-addr: %w", err)
	}
	return sc, nil
}

// grpcTLS is nil unless one of its settings is there; the server says which are missing.
func (s *settings) grpcTLS() *envoy.TLS {
	if s.GRPCCert == "" && s.GRPCKey == "" && s.GRPCClientCA == "" && len(s.GRPCClientSAN) == 0 {
		return nil
	}
	return &envoy.TLS{CertFile: s.GRPCCert, KeyFile: s.GRPCKey, ClientCAFile: s.GRPCClientCA, ClientSANs: s.GRPCClientSAN}
}

// Close flushes the records and gives the data directory back. It also closes what newSidecar
// has opened before an error.
func (sc *sidecar) Close() error {
	var errs []error
	if sc.admin != nil {
		_ = sc.admin.Close() // again, after serveAdmin
	}
	if sc.webhooks != nil {
		_ = sc.webhooks.Close()
	}
	sc.credentials.Close()
	if sc.engine != nil {
		sc.engine.Close()
	}
	if sc.cache != nil {
		sc.cache.Close()
	}
	if sc.records != nil {
		errs = append(errs, sc.records.Close())
	}
	return errors.Join(append(errs, sc.data.Close())...)
}

// activate makes a verified bundle the one that decides.
func (sc *sidecar) activate(ctx context.Context, b *bundle.Bundle) error {
	start := time.Now()
	err := sc.engine.Activate(ctx, b)
	sc.status.activatedBundle(b, err)
	if err != nil {
		sc.log.Error("bundle not activated; the last good one stays in use", "revision", b.Revision(), "error", err)
		return err
	}
	sc.log.Info("bundle active", "revision", b.Revision(), "serial", b.Serial(), "took", time.Since(start).Round(time.Millisecond))
	sc.updateHealth()
	return nil
}

// watch follows the license directory. A broken edit keeps the last good set.
func (sc *sidecar) watch(ctx context.Context) error {
	return source.Dir{Path: sc.cfg.Licenses}.Watch(ctx, func(snap *source.Snapshot, err error) {
		if err == nil {
			upstreams := map[string]string{}
			for i := range snap.Set.Registries {
				upstreams[snap.Set.Registries[i].ID] = snap.Set.Registries[i].Upstream
			}
			sc.credentials.Aim(upstreams)
			err = sc.crawls.publish(ctx, snap)
		}
		sc.status.licensesLoaded(err)
		if err != nil {
			sc.log.Error("license files refused; the last good set stays in use", "directory", sc.cfg.Licenses, "error", err)
			return
		}
		text := "license files in use"
		if sc.publisher.Set() == nil {
			text = "license files read; they wait for the registry to be read"
		}
		sc.log.Info(text, "directory", sc.cfg.Licenses, "licenses", len(snap.Set.Licenses), "customers", len(snap.Set.Customers))
	})
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

// serveAdmin serves until ctx is done and then lets requests under way finish.
func serveAdmin(ctx context.Context, l net.Listener, h http.Handler) error {
	server := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute}
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	select {
	case err := <-done:
		return fmt.Errorf("admin port: %w", err)
	case <-ctx.Done():
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), adminTimeout)
		defer cancel()
		err := server.Shutdown(stop)
		<-done
		return err
	}
}

// portHint adds the remedy to the error of a port that somebody else has.
func portHint(err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%w; stop what listens there, or name another address (port 0 takes a free one and prints it)", err)
	}
	return err
}

// upstreamCredentials are those that pullgate puts on requests itself.
func (s *settings) upstreamCredentials(log *slog.Logger, reg prometheus.Registerer) (*upstream.Credentials, error) {
	cfg := upstream.Config{Credentials: map[string]upstream.Credential{}, Logger: log, Registerer: reg}
	for id, c := range s.Credentials {
		if c.Username == "" || c.Attach != nil && !*c.Attach {
			continue
		}
		cfg.Credentials[id] = upstream.Credential{
			Username: c.Username, PasswordFile: c.PasswordFile, PasswordEnv: c.PasswordEnv, Realms: c.Realms, Insecure: c.Insecure,
		}
	}
	return upstream.New(cfg)
}
