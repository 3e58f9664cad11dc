package redisstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/pullgate/pullgate/authz"
)

const (
	maxValue = 64 << 10 // bytes of a value; no more is written or asked for
	minLife  = 250 * time.Millisecond

	writeQueue   = 1024 // verdicts that wait to be written; more are dropped
	writeBatch   = 64
	writeTimeout = time.Second

	alarmEvery  = time.Minute // between two lines in the log about values that are not authentic
	lookupConns = 32
	idleConns   = 2
)

// VerdictsConfig says how verdicts are kept in Redis.
type VerdictsConfig struct {
	// Secrets seal values: the first seals, all open. See ParseSecrets.
	Secrets []string
	// Program names the version of what makes verdicts. Two versions share nothing.
	Program    string
	Clock      func() time.Time // nil: time.Now
	Logger     *slog.Logger     // nil: nothing is logged
	Registerer prometheus.Registerer
}

// Verdicts is an authz.SharedCache in Redis. Redis is not trusted with it: a value counts only if one
// of the secrets has sealed it for the very key that is asked for, and for no longer than the entry in
// it says. Requests wait for it for 5 ms at most, and not at all while it is out of order.
type Verdicts struct {
	client   redis.UniversalClient
	close    func() error
	nodes    sync.Map // addresses of nodes to their *lookups; "" where there is no Cluster
	breakers breakers
	unknown  atomic.Bool // which nodes there are: of a Cluster that has not answered yet
	program  string
	secrets  atomic.Pointer[[]*secret]
	clock    func() time.Time
	log      *slog.Logger
	queue    chan write
	alarmed  atomic.Int64 // when the log was last told, in Unix seconds
	metrics  verdictMetrics
}

type write struct {
	key   [32]byte
	entry authz.Entry
}

// OpenVerdicts makes a Verdicts. Nothing is connected before Run. Errors are mistakes in the
// configuration and files that cannot be read.
func OpenVerdicts(cfg Config, v VerdictsConfig) (*Verdicts, error) {
	quiet()
	options, err := cfg.options(lookupConns)
	if err != nil {
		return nil, fmt.Errorf("redis: %w", err)
	}
	c := &Verdicts{clock: v.Clock, log: v.Logger, program: v.Program, queue: make(chan write, writeQueue)}
	if c.clock == nil {
		c.clock = time.Now
	}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	if err := c.SetSecrets(v.Secrets); err != nil {
		return nil, err
	}
	// A second attempt would be one more evaluation that has waited.
	options.MaxRetries, options.MaxRedirects = -1, 1
	options.MinRetryBackoff, options.MaxRetryBackoff = -1, -1
	options.PoolTimeout, options.MinIdleConns = lookupBudget, idleConns
	c.client = newClient(options)
	c.close = sync.OnceValue(c.client.Close)
	c.breakers.changed = c.breakerChanged
	switch client := c.client.(type) {
	case *redis.Client:
		c.breakers.watch(client)
	case *redis.ClusterClient:
		client.OnNewNode(c.breakers.watch)
		c.unknown.Store(true)
	}
	c.metrics.init(v.Registerer, c)
	return c, nil
}

// SetSecrets makes secrets count in place of those before, for everything that is read and written from then
// on. On error those before stay.
func (c *Verdicts) SetSecrets(texts []string) error {
	if len(texts) == 0 {
		return errors.New("redis: no secret to seal verdicts with")
	}
	var secrets []*secret
	for _, text := range texts {
		s, err := newSecret(text, c.program)
		if err != nil {
			return err
		}
		secrets = append(secrets, s)
	}
	c.secrets.Store(&secrets)
	return nil
}

// Close ends all connections.
func (c *Verdicts) Close() error { return c.close() }

// Get asks Redis for the entry of a key. It does not end with ctx: others may wait for the same answer.
func (c *Verdicts) Get(_ context.Context, key [32]byte) (authz.Entry, authz.Found) {
	if c.unknown.Load() { // the library would ask for the nodes first, each time
		return authz.Entry{}, authz.NotAsked
	}
	secrets := *c.secrets.Load()
	own := &lookup{names: make([]string, len(secrets)), found: make([]string, len(secrets))}
	for i, s := range secrets {
		own.names[i] = s.name(&key)
	}
	node, err := c.node(own.names[0])
	if err != nil {
		return authz.Entry{}, authz.FoundFailed
	}
	node.do(own)
	for i, sealed := range own.found {
		if sealed == "" { // there is none
			continue
		}
		if len(sealed) > maxValue {
			c.metrics.rejected.WithLabelValues("size").Inc()
			continue
		}
		plain, err := secrets[i].open(&key, []byte(sealed))
		if err != nil {
			c.metrics.rejected.WithLabelValues("mac").Inc()
			c.alarm()
			continue
		}
		e, err := parseEntry(plain)
		if err != nil {
			c.metrics.rejected.WithLabelValues("format").Inc()
			continue
		}
		return e, authz.FoundEntry
	}
	switch {
	case leftAlone(own.err):
		return authz.Entry{}, authz.NotAsked
	case own.err != nil:
		return authz.Entry{}, authz.FoundFailed
	}
	return authz.Entry{}, authz.FoundNothing
}

// node returns the look-ups of the node that has a name. Each node has its own, so that one that is slow
// or away holds up nobody who asks another.
func (c *Verdicts) node(name string) (*lookups, error) {
	addr := ""
	if cluster, ok := c.client.(*redis.ClusterClient); ok {
		node, err := cluster.MasterForKey(context.Background(), name) // as is known
		if err != nil {
			return nil, err
		}
		addr = node.Options().Addr
	}
	l, ok := c.nodes.Load(addr)
	if !ok {
		l, _ = c.nodes.LoadOrStore(addr, &lookups{ask: c.ask})
	}
	return l.(*lookups), nil
}

// ask fills in what there is under the names of a batch, in one write; in a Cluster, while there are two
// secrets, the second names may be on other nodes. No more is asked for than a value may have, whatever
// there is.
func (c *Verdicts) ask(ctx context.Context, batch []*lookup) {
	// That of each command counts. The error of all is the first of them.
	cmds, _ := c.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, one := range batch {
			for _, name := range one.names {
				p.GetRange(ctx, name, 0, maxValue)
			}
		}
		return nil
	})
	if !leftAlone(cmds[0].Err()) {
		c.metrics.trips.Inc()
	}
	for _, one := range batch {
		for i := range one.names {
			cmd := cmds[0].(*redis.StringCmd)
			cmds = cmds[1:]
			one.found[i] = cmd.Val()
			if err := cmd.Err(); one.err == nil && !answers(err) {
				one.err = err
			}
		}
	}
}

// Put has an entry written soon, or drops it.
func (c *Verdicts) Put(key [32]byte, e authz.Entry) {
	select {
	case c.queue <- write{key, e}:
	default:
		c.metrics.writes.WithLabelValues("dropped").Inc()
	}
}

// Run writes entries and looks after nodes that do not answer, until ctx is done. Then it closes all
// connections, because the library waits for Redis longer than a shutdown should.
func (c *Verdicts) Run(ctx context.Context) error {
	defer context.AfterFunc(ctx, func() { _ = c.Close() })()
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.probe(ctx)
	}()
	batch := make([]write, 0, writeBatch)
	for {
		select {
		case <-ctx.Done():
			<-done
			return nil
		case w := <-c.queue:
			batch = append(batch[:0], w)
		}
	more:
		for len(batch) < writeBatch {
			select {
			case w := <-c.queue:
				batch = append(batch, w)
			default:
				break more
			}
		}
		c.write(ctx, batch)
	}
}

// write writes what is worth it.
func (c *Verdicts) write(ctx context.Context, batch []write) {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	now, sealing := c.clock(), (*c.secrets.Load())[0]
	var plain []byte
	cmds, _ := c.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i := range batch {
			w := &batch[i]
			// Redis forgets after so long, by its own clock. That is housekeeping: the entry itself says
			// until when it is true. As a span it keeps a wrong clock from filling Redis for years.
			life := time.Unix(w.entry.Until, 0).Sub(now)
			plain = appendEntry(plain[:0], &w.entry)
			if why := notWritten(len(plain), life); why != "" {
				c.metrics.writes.WithLabelValues(why).Inc()
				continue
			}
			p.Set(ctx, sealing.name(&w.key), sealing.seal(nil, &w.key, plain), min(life, maxLife))
		}
		return nil
	})
	for _, cmd := range cmds {
		result := "written"
		if cmd.Err() != nil {
			result = "failed"
		}
		c.metrics.writes.WithLabelValues(result).Inc()
	}
}

// NotWritten says why an entry is not written at an instant: "short", it is true for less than 250 ms more;
// "large", it is larger than 64 KiB; "" when it is.
func NotWritten(e *authz.Entry, at time.Time) string {
	return notWritten(len(appendEntry(nil, e)), time.Unix(e.Until, 0).Sub(at))
}

// notWritten likewise of so many bytes that are true for so long.
func notWritten(plain int, life time.Duration) string {
	switch {
	case life < minLife:
		return "short"
	case plain+tagSize > maxValue:
		return "large"
	}
	return ""
}

// maxLife bounds how long Redis keeps an entry; the Gate makes none of more than a minute.
const maxLife = 2 * time.Minute

// alarm says that somebody writes to Redis who has no secret, or another one.
func (c *Verdicts) alarm() {
	now := time.Now().Unix()
	last := c.alarmed.Load()
	if now-last >= int64(alarmEvery/time.Second) && c.alarmed.CompareAndSwap(last, now) {
		c.log.Warn("redis holds verdicts that none of the secrets has sealed; they count for nothing. Somebody else writes there, or another secret is in use")
	}
}

// verdictMetrics count what happens in Redis; hits and misses the Gate counts.
type verdictMetrics struct {
	rejected, writes *prometheus.CounterVec
	trips            prometheus.Counter
}

func (m *verdictMetrics) init(reg prometheus.Registerer, c *Verdicts) {
	m.rejected = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "pullgate_shared_cache_rejected_total",
		Help: "Values in Redis that counted for nothing, by what was wrong: mac (no configured secret has sealed it for its key: somebody else writes to Redis, or other secrets are in use), size, format.",
	}, []string{"reason"})
	m.writes = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "pullgate_shared_cache_writes_total",
		Help: "Verdicts for Redis: written, failed, dropped (too many waited), short (true for less than a quarter of a second more), large (more than 64 KiB).",
	}, []string{"result"})
	m.trips = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "pullgate_shared_cache_round_trips_total",
		Help: "Batches of look-ups that Redis was asked for. Look-ups (pullgate_decision_cache_total, tier l2: hit, miss, error) by this is how many one round trip serves.",
	})
	for _, reason := range []string{"mac", "size", "format"} {
		m.rejected.WithLabelValues(reason)
	}
	for _, result := range []string{"written", "failed", "dropped", "short", "large"} {
		m.writes.WithLabelValues(result)
	}
	if reg == nil {
		return
	}
	reg.MustRegister(m.rejected, m.writes, m.trips, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "pullgate_shared_cache_open_breakers",
		Help: "Nodes of Redis that are not asked for verdicts because they did not answer in time.",
	}, func() float64 { return float64(c.leftAlone()) }))
}

var _ authz.SharedCache = (*Verdicts)(nil)
