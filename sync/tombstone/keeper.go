package tombstone

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pullgate/pullgate/bundle"
)

// KeeperConfig says whose tombstones a Keeper keeps. Name, Signer, Ring and Stream are required.
type KeeperConfig struct {
	Name     string   // of the bundle
	Bundles  []string // names of all bundles of the publisher
	Signer   *bundle.Signer
	Ring     *bundle.KeyRing // whose tombstones count: Signer's and those of sidecars' other keys
	Stream   Stream
	Validity time.Duration // longest time for which a bundle of this publisher may be used
	// Held says that newer content is held back until somebody accepts it: then what a bundle does not
	// have may be there. nil: never.
	Held   func() bool
	Clock  func() time.Time
	Logger *slog.Logger
}

// Keepers are those of all bundles of a publisher.
type Keepers struct {
	all     map[string]*keeper
	metrics *keeperMetrics
}

// NewKeepers returns Keepers, of which nothing is said before Announce.
func NewKeepers(reg prometheus.Registerer, configs ...KeeperConfig) *Keepers {
	k := &Keepers{all: map[string]*keeper{}, metrics: newKeeperMetrics(reg)}
	for _, cfg := range configs {
		if cfg.Clock == nil {
			cfg.Clock = time.Now
		}
		if cfg.Logger == nil {
			cfg.Logger = slog.New(slog.DiscardHandler)
		}
		k.all[cfg.Name] = &keeper{cfg: cfg, metrics: k.metrics, held: map[int64]heldTombstone{}, settled: map[int64]bool{}}
	}
	return k
}

// announceTimeout is how long a bundle waits for Redis before it is published all the same.
const announceTimeout = 2 * time.Second

// Announce is to be called before a bundle is published. It says which serial is used up, and makes
// anew the tombstones that this bundle would end although it does not have what they revoke. It waits
// for Redis two seconds at most: what is then not done is done when Redis is there.
func (k *Keepers) Announce(ctx context.Context, b *bundle.Bundle) {
	keeper := k.all[b.Name()]
	if keeper == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, announceTimeout)
	defer cancel()
	keeper.round(ctx, b)
}

// Run sends heartbeats for each bundle that was announced, until ctx is done.
func (k *Keepers) Run(ctx context.Context) error {
	var beating sync.WaitGroup
	for _, keeper := range k.all {
		beating.Go(func() { keeper.run(ctx) })
	}
	beating.Wait()
	return nil
}

func (k *keeper) run(ctx context.Context) {
	tick := time.NewTicker(Beats)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if k.announced() {
			ctx, cancel := context.WithTimeout(ctx, Beats)
			k.round(ctx, nil)
			cancel()
		}
	}
}

// Problem says what is wrong, a line for each bundle.
func (k *Keepers) Problem() string {
	var lines []error
	for _, name := range slices.Sorted(maps.Keys(k.all)) {
		if text := k.all[name].problem(); text != "" {
			lines = append(lines, fmt.Errorf("tombstones of bundle %s: %s", name, text))
		}
	}
	if err := errors.Join(lines...); err != nil {
		return err.Error()
	}
	return ""
}

// keeper keeps the tombstones of one bundle.
type keeper struct {
	cfg     KeeperConfig
	metrics *keeperMetrics

	mu      sync.Mutex // held during a round
	known   bool       // what is in Redis was read once
	current *bundle.Bundle
	first   int64                   // see bundle.Heartbeat
	last    int64                   //
	serial  int64                   //
	at      int64                   // of the last heartbeat
	held    map[int64]heldTombstone // by number, those that may matter
	settled map[int64]bool          // numbers of which a published bundle had what they revoke
	// lostAt is the serial up to which numbers that are not held are missed by those who follow, too:
	// an earlier process has told of them, and the next bundle has what they revoked.
	lostAt int64

	sayMu   sync.Mutex // guards the next
	failure string     // of the last round
	foreign int        // entries signed with a key that is not known here
}

type heldTombstone struct {
	*bundle.Tombstone
	text string
}

func (k *keeper) announced() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.current != nil
}

func (k *keeper) problem() string {
	k.sayMu.Lock()
	defer k.sayMu.Unlock()
	switch {
	case k.failure != "":
		return k.failure + "; until it is there again a revocation counts when the bundle has it"
	case k.foreign > 0:
		return fmt.Sprintf("%d are signed with a key that is not known here: name its public key with key-file, or somebody else writes to Redis", k.foreign)
	}
	return ""
}

// round brings Redis and what is known here together; with a bundle that is about to be published,
// before it is.
func (k *keeper) round(ctx context.Context, publishing *bundle.Bundle) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if publishing != nil {
		k.current = publishing
	}
	if k.current == nil {
		return
	}
	err := k.try(ctx)
	result := "ok"
	if err != nil {
		result = "error"
	}
	k.metrics.beats.WithLabelValues(k.cfg.Name, result).Inc()
	k.metrics.kept.WithLabelValues(k.cfg.Name).Set(float64(len(k.held)))
	k.say(err)
}

func (k *keeper) say(err error) {
	k.sayMu.Lock()
	defer k.sayMu.Unlock()
	was := k.failure
	k.failure = ""
	if err != nil {
		k.failure = err.Error()
	}
	switch {
	case was == "" && err != nil:
		k.cfg.Logger.Warn("tombstones: no heartbeat", "bundle", k.cfg.Name, "error", err)
	case was != "" && err == nil:
		k.cfg.Logger.Info("tombstones: heartbeats again", "bundle", k.cfg.Name)
	}
}

// try says first which serial is used up, and only then reads: whoever appends in between sees the
// one or is seen by the other.
func (k *keeper) try(ctx context.Context) error {
	if err := k.adopt(ctx); err != nil {
		return err
	}
	k.serial = max(k.serial, k.current.Serial())
	if err := k.beat(ctx); err != nil {
		return err
	}
	ids, texts, err := k.cfg.Stream.Read(ctx, "")
	if err != nil {
		return err
	}
	said := [2]int64{k.first, k.last}
	there := k.read(texts)
	err = errors.Join(
		k.settle(ctx),
		k.mend(ctx, there),
		k.sweep(ctx, ids, texts),
	)
	if err == nil && said != [2]int64{k.first, k.last} {
		err = k.beat(ctx)
	}
	return err
}

// adopt learns from Redis, once, what an earlier process has said, and takes over what another one
// says: numbers and serials only rise.
func (k *keeper) adopt(ctx context.Context) error {
	text, err := k.cfg.Stream.Heartbeat(ctx)
	if err != nil {
		return err
	}
	h, err := bundle.ReadHeartbeat(text, k.cfg.Name, k.cfg.Ring)
	if err != nil {
		h = nil // there is none, or somebody else wrote it: it is replaced
	}
	if h != nil {
		k.serial, k.at = max(k.serial, h.Serial), max(k.at, h.At)
	}
	if k.known {
		return nil
	}
	_, texts, err := k.cfg.Stream.Read(ctx, "")
	if err != nil {
		return err
	}
	if h != nil {
		k.first, k.last = h.First, h.Last
	}
	k.read(texts)
	if h == nil {
		k.first = firstNumber(k.cfg.Clock())
		for n := range k.held {
			k.first = min(k.first, n)
		}
		k.last = max(k.last, k.first-1)
	} else {
		k.lostAt = h.Serial
		for n, t := range k.held {
			if t.Serial <= min(h.Serial, k.current.Serial()) {
				k.settled[n] = true // an earlier process has seen to it
			}
		}
	}
	k.known = true
	return nil
}

// read takes over tombstones that others have appended, and returns the texts that are good.
func (k *keeper) read(texts []string) (there map[string]bool) {
	there = map[string]bool{}
	foreign := 0
	for _, text := range texts {
		t, err := bundle.ReadTombstone(text, k.cfg.Name, k.cfg.Ring)
		if errors.Is(err, bundle.ErrForeignKey) {
			foreign++
		}
		if err != nil {
			continue
		}
		there[text] = true
		if _, known := k.held[t.Number]; known || t.Number < k.first || len(k.held) >= most {
			continue
		}
		k.held[t.Number] = heldTombstone{t, text}
		k.last = max(k.last, t.Number)
	}
	k.sayMu.Lock()
	k.foreign = foreign
	k.sayMu.Unlock()
	return there
}

// beat sends a heartbeat.
func (k *keeper) beat(ctx context.Context) error {
	k.at = max(k.at+1, k.cfg.Clock().UnixMilli())
	h := &bundle.Heartbeat{
		At: k.at, Bundle: k.cfg.Name, Bundles: slices.Sorted(slices.Values(k.cfg.Bundles)),
		First: k.first, Last: k.last, Serial: k.serial,
	}
	text, err := h.Sign(k.cfg.Signer)
	if err != nil {
		return err
	}
	return k.cfg.Stream.Beat(ctx, text)
}

// settle looks at the tombstones that the current bundle ends. One of which the bundle does not have
// what it revokes, because its sources did not have it yet, is made anew, unless that takes too long:
// then the sources count.
func (k *keeper) settle(ctx context.Context) error {
	now := k.cfg.Clock()
	for _, n := range slices.Sorted(maps.Keys(k.held)) {
		t := k.held[n]
		if k.settled[n] || t.Serial > k.current.Serial() {
			continue
		}
		has, err := Has(k.current, t.Tombstone)
		switch {
		case err != nil:
			return err
		case has:
			k.cfg.Logger.Info("tombstones: the bundle has what was revoked", "bundle", k.cfg.Name, "number", n, "what", t.Target(), "serial", k.current.Serial())
		case now.Unix() >= t.Made+t.Hold && (k.cfg.Held == nil || !k.cfg.Held()):
			k.cfg.Logger.Warn("tombstones: the sources do not have what was revoked, and it counts no more; revoke it where the publisher reads it, or publish what is held back",
				"bundle", k.cfg.Name, "number", n, "what", t.Target(), "made", time.Unix(t.Made, 0).UTC())
		default:
			if err := k.carry(ctx, t.Tombstone); err != nil {
				return err
			}
			k.cfg.Logger.Info("tombstones: the sources do not have yet what was revoked", "bundle", k.cfg.Name, "number", n, "what", t.Target())
		}
		k.settled[n] = true
	}
	return nil
}

// carry makes a tombstone anew, which the bundle after the current one ends.
func (k *keeper) carry(ctx context.Context, old *bundle.Tombstone) error {
	return k.cfg.Stream.Append(ctx, func(texts []string, _ string) (string, error) {
		k.read(texts)
		t := *old
		t.Number, t.Serial = k.last+1, k.serial+1
		for _, other := range k.held {
			if other.Denies(&t) && other.Serial >= t.Serial {
				return "", nil // somebody has, on purpose
			}
		}
		k.metrics.carried.WithLabelValues(k.cfg.Name).Inc()
		return t.Sign(k.cfg.Signer)
	})
}

// mend puts back what is gone from Redis, and forgets what matters to nobody any more.
func (k *keeper) mend(ctx context.Context, there map[string]bool) error {
	var gone []string
	for _, n := range slices.Sorted(maps.Keys(k.held)) {
		if t := k.held[n]; !there[t.text] && n >= k.first {
			gone = append(gone, t.text)
		}
	}
	if len(gone) == 0 {
		return nil
	}
	if err := k.cfg.Stream.Restore(ctx, gone); err != nil {
		return err
	}
	k.metrics.restored.WithLabelValues(k.cfg.Name).Add(float64(len(gone)))
	k.cfg.Logger.Warn("tombstones: put back what was gone from Redis", "bundle", k.cfg.Name, "entries", len(gone))
	return nil
}

// sweep removes what matters to nobody any more, from the lowest number on, and what nobody signed.
func (k *keeper) sweep(ctx context.Context, ids, texts []string) error {
	for k.first <= k.last {
		t, ok := k.held[k.first]
		if ok && !k.over(t.Tombstone) || !ok && k.current.Serial() <= k.lostAt {
			break
		}
		delete(k.held, k.first)
		delete(k.settled, k.first)
		k.first++
	}
	var old, forged []string
	for i, text := range texts {
		t, err := bundle.ReadTombstone(text, k.cfg.Name, k.cfg.Ring)
		switch {
		case errors.Is(err, bundle.ErrForeignKey) && i < most/2: // it may be somebody's whom sidecars trust
		case err != nil:
			forged = append(forged, ids[i])
		case t.Number < k.first:
			old = append(old, ids[i])
		}
	}
	if len(forged) > 0 {
		k.metrics.forged.WithLabelValues(k.cfg.Name).Add(float64(len(forged)))
		k.cfg.Logger.Warn("tombstones: removed what nobody has signed; somebody else writes to Redis", "bundle", k.cfg.Name, "entries", len(forged))
	}
	return k.cfg.Stream.Remove(ctx, append(old, forged...))
}

// longestAhead is how far a clock may be wrong that still ends a tombstone in time.
const longestAhead = time.Hour

// over says that no bundle that may still be used is from before a tombstone was ended: a bundle is
// issued no later than its serial says, in Unix seconds.
func (k *keeper) over(t *bundle.Tombstone) bool {
	return t.Serial <= k.current.Serial() && k.cfg.Clock().After(time.Unix(t.Serial, 0).Add(k.cfg.Validity+longestAhead))
}
