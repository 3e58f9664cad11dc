// Package envoy speaks Envoy's external authorization protocol (envoy.service.auth.v3, gRPC).
// It contains no policy: a CheckRequest becomes a classify.Inbound, a reply.Reply becomes a
// CheckResponse.
//
// Envoy lets a request through when the reply has status 0, and with failure_mode_allow also
// on every gRPC error. So whatever goes wrong in here, a request that cannot be decoded, a
// panic, no decision, is a denied reply with a status of its own
// (docs/design/failures-as-denied-replies.md).
package envoy

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"runtime/debug"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"

	"github.com/pullgate/pullgate/authz"
	"github.com/pullgate/pullgate/authz/classify"
	"github.com/pullgate/pullgate/authz/reply"
)

// Decider answers requests. It is called concurrently. A nil Decision is answered with 503.
type Decider interface {
	Decide(context.Context, *authz.Request) *authz.Decision
}

// Credentials are those of the registries behind the gate, by registry id. Authorization
// returns a header value, or "" when the registry has none: the client's is then only
// removed. It is called for each allowed request, after everything that is cached and recorded. With
// an error the request is answered with 503: it must not go on without what it needs.
type Credentials interface {
	Authorization(ctx context.Context, registry, repository string) (string, error)
}

// Config is the input of New. Decider and Addr are required.
type Config struct {
	// Addr is host:port or unix:PATH. Every answer can hold the registry's credential, so an
	// address that is neither a Unix socket nor loopback is refused without TLS.
	Addr string
	// TLS requires client certificates when it is not nil.
	TLS *TLS
	// SocketMode are the permissions of a Unix socket; 0 means 0600. Connecting takes write permission.
	SocketMode fs.FileMode

	Decider     Decider
	Classifier  *classify.Classifier // nil means the zero Classifier
	Credentials Credentials          // nil means none: the client's key is removed, nothing replaces it
	// Reply says a decision in HTTP; nil means reply.For.
	Reply  func(*authz.Request, *authz.Decision) *reply.Reply
	Logger *slog.Logger // nil means slog.Default
	// Registerer takes the server's metrics; nil: none are exported.
	Registerer prometheus.Registerer

	// Drain is how long requests under way may take at the end, of the server or of a connection; 0 means 5 s.
	Drain time.Duration
	// ConnectionAge is after how long a connection is given up for a new one, give or take a tenth, so that those
	// who ask spread over the servers there are; 0: never. Requests under way are answered on the old one.
	ConnectionAge time.Duration
}

// Server is an ext_authz server. It listens from New on and serves while Run runs.
type Server struct {
	cfg      Config
	listener net.Listener
	grpc     *grpc.Server
	health   *health.Server
	late     prometheus.Counter
}

// service is the name under which health is asked for, beside "".
const service = "envoy.service.auth.v3.Authorization"

// Each of streamWorkers answers one request at a time on a stack that has grown already; requests beyond them get a
// goroutine each, which grows its own: a tenth of an answer from the cache.
const streamWorkers = 64

// Bytes that a client may send of one request before they are read, which has 1 to 2 KB, and that may be on their way on a
// connection, which carries all requests of one thread of Envoy. 64 KiB is the least that grpc-go takes for a size.
const (
	streamWindow     = 64 << 10
	connectionWindow = 4 << 20
)

// New listens and returns a server that says NOT_SERVING. Errors say what to set.
func New(cfg Config) (*Server, error) {
	if cfg.Decider == nil {
		return nil, errors.New("ext_authz server without a decider")
	}
	if cfg.Classifier == nil {
		cfg.Classifier = new(classify.Classifier)
	}
	if cfg.Reply == nil {
		cfg.Reply = reply.For
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if cfg.Drain == 0 {
		cfg.Drain = 5 * time.Second
	}
	if cfg.SocketMode == 0 {
		cfg.SocketMode = 0o600
	}
	options := []grpc.ServerOption{
		grpc.ForceServerCodecV2(newCodec()),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
		grpc.KeepaliveParams(keepalive.ServerParameters{
			Time: time.Minute, Timeout: 20 * time.Second,
			MaxConnectionAge: cfg.ConnectionAge, MaxConnectionAgeGrace: cfg.Drain, // 0 is no age
		}),
		grpc.ConnectionTimeout(10 * time.Second),
		grpc.MaxConcurrentStreams(4096), // Envoy's circuit breaker stops at 1024 by default
		grpc.MaxHeaderListSize(16 << 10),
		grpc.MaxRecvMsgSize(16 << 20), // above the largest header section Envoy takes (8 MiB): an error here is not a refusal
		grpc.NumStreamWorkers(streamWorkers),
		grpc.WaitForHandlers(true),
		// Sizes that are set also keep grpc-go from measuring them, with a ping and its answer for nearly every request.
		grpc.InitialWindowSize(streamWindow),
		grpc.InitialConnWindowSize(connectionWindow),
	}
	if cfg.TLS != nil {
		config, err := cfg.TLS.server()
		if err != nil {
			return nil, err
		}
		options = append(options, grpc.Creds(credentials.NewTLS(config)))
	}
	listener, err := listen(cfg.Addr, cfg.TLS != nil, cfg.SocketMode)
	if err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, listener: listener, grpc: grpc.NewServer(options...), health: health.NewServer(), late: prometheus.NewCounter(prometheus.CounterOpts{
		Name: "pullgate_ext_authz_late_total",
		Help: "Requests that nobody waited for any more when their turn came: they are not decided and not recorded.",
	})}
	if cfg.Registerer != nil {
		cfg.Registerer.MustRegister(s.late)
	}
	s.grpc.RegisterService(&authorization, s)
	healthv1.RegisterHealthServer(s.grpc, s.health)
	s.SetServing(false)
	return s, nil
}

// Addr is where the server listens, with the port that was chosen for port 0.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// SetServing sets what the gRPC health service says. Checks are answered either way.
func (s *Server) SetServing(serving bool) {
	status := healthv1.HealthCheckResponse_NOT_SERVING
	if serving {
		status = healthv1.HealthCheckResponse_SERVING
	}
	s.health.SetServingStatus("", status)
	s.health.SetServingStatus(service, status)
}

// Run serves until ctx ends, then fails health, stops accepting, lets requests under way
// finish for Config.Drain and returns nil. Any other end is an error. Run is called once.
func (s *Server) Run(ctx context.Context) error {
	served := make(chan error, 1)
	go func() { served <- s.grpc.Serve(s.listener) }()
	select {
	case err := <-served:
		return fmt.Errorf("ext_authz server on %s: %w", s.Addr(), err)
	case <-ctx.Done():
	}
	s.health.Shutdown()
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		s.grpc.GracefulStop()
	}()
	deadline := time.NewTimer(s.cfg.Drain)
	defer deadline.Stop()
	select {
	case <-stopped:
	case <-deadline.C:
		s.cfg.Logger.Warn("ext_authz requests cut off at shutdown", "after", s.cfg.Drain)
		s.grpc.Stop()
		<-stopped
	}
	<-served
	return nil
}

// check answers one request. It never returns nil and never panics.
func (s *Server) check(ctx context.Context, data string) (out *reply.Reply) {
	defer func() {
		if cause := recover(); cause != nil {
			// The cause may quote a header, so only where it happened is logged.
			s.cfg.Logger.Error("panic in a decision, answered with 503", "type", fmt.Sprintf("%T", cause), "stack", string(debug.Stack()))
			out = reply.For(nil, nil)
		}
	}()
	if over(ctx) { // whoever asked has given up: what is left of the processors is for those who have not
		s.late.Inc()
		return reply.For(nil, &authz.Decision{Outcome: authz.OutcomeError, Status: 503, Code: authz.CodeOverloaded})
	}
	var r *authz.Request
	decoder := decoders.Get().(*decoder)
	defer decoder.release()
	in, err := decoder.decode(data)
	if err == nil {
		r = s.cfg.Classifier.Classify(in)
	} else {
		r = malformed()
	}
	d := s.cfg.Decider.Decide(ctx, r)
	p := s.cfg.Reply(r, d)
	if !p.Allow {
		return p
	}
	if err != nil {
		return reply.For(nil, nil) // nobody allows what nobody could read
	}
	for i := range in.Headers {
		p.Strip(in.Headers[i].Name)
	}
	if s.cfg.Credentials == nil {
		return p
	}
	value, err := s.cfg.Credentials.Authorization(ctx, d.Resource.Registry, d.Resource.Repository)
	if err != nil {
		s.cfg.Logger.Debug("allowed, and answered with 503", "id", d.ID, "error", err)
		return reply.For(r, &authz.Decision{ID: d.ID})
	}
	p.Authorize(value)
	return p
}

// over reports whether a context has ended, or its deadline has passed, which is known a little earlier.
func over(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return ctx.Err() != nil || ok && !time.Now().Before(deadline)
}
