// Package pull keeps a sidecar on the newest bundle of its publisher that can be verified: it
// fetches, verifies, keeps on disk and hands over. Nothing altered, older, of others or too old is
// ever handed over, and the last good bundle is used while its publisher is away.
package pull

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/pullgate/pullgate/bundle"
)

// Defaults of Config.
const (
	DefaultWait          = 30 * time.Second
	DefaultPoll          = 30 * time.Second
	DefaultDegradedAfter = 15 * time.Minute
)

// filePoll is how often a file is looked at.
const filePoll = time.Second

// dense is the size from which the objects of a bundle are kept compressed: the customers of more than
// a small vendor, of whom a sidecar reads few at a time.
const dense = 1 << 20

// ahead is how far a bundle may be issued ahead of the clock.
const ahead = 5 * time.Minute

// Config says whom to follow. URLs, Dir, Ring, Deliver and Clock are required.
type Config struct {
	// URLs are places that have the bundle, of one publisher or of its replicas: https://, http:// on
	// loopback, or file:// (a file, or a directory with NAME.tar.gz). When one fails the next is
	// asked. Changes of everything here count after a restart only.
	URLs []string
	Name string // of the bundle; "" is bundle.DefaultName
	Dir  string // what is kept lies here; nobody else writes to it
	Ring *bundle.KeyRing
	// MinSerial is the lowest serial that is taken, also from Dir; for a lost disk.
	MinSerial int64
	MaxBytes  int64 // of a bundle, unpacked; 0: bundle.MaxBytes

	TokenFile         string // bearer token, read with each request; not readable by others
	CertFile, KeyFile string // client certificate (PEM), read with each request
	CAFile            string // CAs (PEM) to trust in place of the system's, read with each request
	Insecure          bool   // allows http:// off loopback, never with a token

	Wait time.Duration // for long polls, whole seconds; 0: DefaultWait, negative: none
	Poll time.Duration // between requests to who does not wait; 0: DefaultPoll

	// DegradedAfter and StaleAfter are ages of the last verified refresh: that health says degraded,
	// and that every request is refused (0: when the bundle is past its not_after, no earlier).
	DegradedAfter time.Duration // 0: DefaultDegradedAfter
	StaleAfter    time.Duration

	// Deliver makes a verified bundle active. An error keeps the previous one.
	Deliver func(context.Context, *bundle.Bundle) error
	// GiveWay is called by who reads a bundle, see bundle.ReadOptions; nil: nobody is.
	GiveWay    func()
	Clock      *Clock
	Logger     *slog.Logger
	Registerer prometheus.Registerer

	limits limits
}

// Puller follows a publisher. Its methods are safe for concurrent use.
type Puller struct {
	cfg     Config
	store   *store
	metrics *metrics
	limit   atomic.Int64 // Deadline

	// What only Run uses.
	sources []*asked
	at      int                       // the source that is asked first
	fails   int                       // rounds in a row in which none was any good
	heard   bool                      // the last request was answered as it should be
	like    map[string]*bundle.Object // of the active bundle, which the next one is much like

	disk sync.Mutex // held while state and bundle are written; taken before mu

	mu      sync.Mutex // guards all below
	state   state
	active  *used    // nil: none yet
	kept    *kept    // the bundle that was on disk at the start, while none is active
	onDisk  version  // the good file that is there
	unkept  *spool   // the active bundle while it is not on disk
	keeping error    // what keeps it from there, or the state
	lost    string   // what is not known because the state was lost
	failure *Failure // of the last round, if none was any good
	refresh refresh
}

// asked is a source and what is known of it.
type asked struct {
	source
	tag  string    // of the active bundle here; "" when not known
	held time.Time // not to be asked before
	said string    // what was logged last; "" when it is good
}

// used is what is remembered of the active bundle: its content is the engine's to hold.
type used struct {
	version
	issuedAt, notAfter int64
}

// kept is what was found on disk.
type kept struct {
	bundle    *bundle.Bundle // nil: there is none, or it is no good
	file      version
	refreshed int64    // see state
	err       *Failure // why it is not used
}

// refresh is when the active bundle was last known to be the newest.
type refresh struct {
	at int64         // Unix seconds, by Clock
	up time.Duration // by uptime
}

// New opens what an earlier process has kept and verifies it. Errors are mistakes in cfg, and a
// directory that cannot be made.
func New(cfg Config) (*Puller, error) {
	cfg.setDefaults()
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	if len(cfg.URLs) == 0 || len(cfg.Ring.KeyIDs()) == 0 {
		return nil, errors.New("want at least one URL and one public key")
	}
	p := &Puller{cfg: cfg}
	for _, url := range cfg.URLs {
		s, err := newSource(url, &p.cfg)
		if err != nil {
			return nil, err
		}
		p.sources = append(p.sources, &asked{source: s})
	}
	var err error
	if p.store, err = openStore(cfg.Dir); err != nil {
		return nil, err
	}
	p.limit.Store(bundle.Never)
	p.open()
	p.metrics = newMetrics(cfg.Registerer, p)
	return p, nil
}

// Check says what is wrong with URLs and names of files, everything at once. It opens nothing.
func (cfg *Config) Check() error {
	var errs []error
	for _, url := range cfg.URLs {
		_, err := newSource(url, cfg)
		errs = append(errs, err)
	}
	if (cfg.CertFile == "") != (cfg.KeyFile == "") {
		errs = append(errs, errors.New("a client certificate and its key belong together"))
	}
	return errors.Join(errs...)
}

func (cfg *Config) setDefaults() {
	if cfg.Name == "" {
		cfg.Name = bundle.DefaultName
	}
	if cfg.MaxBytes <= 0 {
		cfg.MaxBytes = bundle.MaxBytes
	}
	if cfg.Wait == 0 {
		cfg.Wait = DefaultWait
	}
	cfg.Wait = max(cfg.Wait, 0).Truncate(time.Second)
	if cfg.Poll <= 0 {
		cfg.Poll = DefaultPoll
	}
	if cfg.DegradedAfter <= 0 {
		cfg.DegradedAfter = DefaultDegradedAfter
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	cfg.limits = cfg.limits.orDefault()
}

// Run makes the kept bundle active, if it is good, and then follows the publisher until ctx is done.
func (p *Puller) Run(ctx context.Context) error {
	var tending sync.WaitGroup
	tending.Go(func() { p.tend(ctx) })
	defer tending.Wait()
	defer p.leave()
	p.useKept(ctx)
	for ctx.Err() == nil {
		timer := time.NewTimer(p.round(ctx))
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
	}
	return nil
}

// leave closes the connections to the sources.
func (p *Puller) leave() {
	for _, s := range p.sources {
		if h, ok := s.source.(*httpSource); ok && h.client.http != nil {
			h.client.http.CloseIdleConnections()
		}
	}
}

// Deadline is the instant from which every request is to be refused because the publisher has not
// been heard of for StaleAfter (Unix seconds), or bundle.Never.
func (p *Puller) Deadline() int64 { return p.limit.Load() }

// round asks the sources, one after the other, until one is good, and returns how long to pause.
func (p *Puller) round(ctx context.Context) time.Duration {
	for range p.sources {
		s := p.sources[p.at]
		if time.Now().Before(s.held) {
			p.at = (p.at + 1) % len(p.sources)
			continue
		}
		pause, err := p.ask(ctx, s)
		switch {
		case ctx.Err() != nil:
			return 0
		case err == nil:
			p.fails = 0
			p.good(s)
			return pause
		}
		p.heard = false
		p.bad(s, err)
		p.at = (p.at + 1) % len(p.sources)
	}
	p.useKept(ctx) // it may be that only the clock was wrong
	p.fails++
	pause := p.cfg.limits.pause(p.fails)
	soonest := p.sources[0].held
	for _, s := range p.sources {
		if s.held.Before(soonest) {
			soonest = s.held
		}
	}
	return max(pause, time.Until(soonest))
}

// pause is how long to wait after so many failures in a row: twice as long each time, and between
// a half and the whole of that, so that sidecars that lost the same publisher do not come back at once.
func (l limits) pause(fails int) time.Duration {
	d := l.last
	if fails < 16 {
		d = min(d, l.first<<(fails-1))
	}
	return d/2 + rand.N(d/2)
}

// good notes that a source has answered as it should.
func (p *Puller) good(s *asked) {
	if s.said != "" {
		p.cfg.Logger.Info("the publisher answers again", "source", s.String())
	}
	s.said, s.held = "", time.Time{}
	p.mu.Lock()
	p.failure = nil
	p.mu.Unlock()
}

// bad notes what is wrong with a source, and logs it once.
func (p *Puller) bad(s *asked, err error) {
	if paused, ok := errors.AsType[*pausedError](err); ok {
		s.held = time.Now().Add(paused.after)
	}
	f := failed(s.String(), err)
	p.metrics.pulls.WithLabelValues(string(f.Reason)).Inc()
	if text := f.Error(); text != s.said {
		s.said = text
		p.cfg.Logger.Warn("no bundle from the publisher; the last good one stays in use", "reason", string(f.Reason), "error", f)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	// Of several sources the one that needs somebody is worth more than one that is away.
	if p.failure == nil || p.failure.passing() || !f.passing() || p.failure.Source == f.Source {
		p.failure = f
	}
}
