package tombstone

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pullgate/pullgate/bundle"
)

// FollowerConfig says what a Follower follows and whom it tells. Name, Ring, Stream, Apply and Serial
// are required.
type FollowerConfig struct {
	Name   string // of the bundle
	Ring   *bundle.KeyRing
	Stream Stream
	// Apply makes the tombstones count, in place of those it was given before.
	Apply func(context.Context, []bundle.Tombstone) error
	// Serial is that of the active bundle, 0 without one.
	Serial func() int64
	// Unattended means that no publisher sends heartbeats: that there is none is no alarm.
	Unattended bool
	Reread     time.Duration    // how often the whole stream is read; 0: 10 s
	most       int              // tombstones that are held; 0: most
	Clock      func() time.Time // that heartbeats are held against; nil: time.Now
	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

const (
	look       = time.Second     // how often the heartbeat is looked at
	clockSkew  = 5 * time.Minute // between publisher and sidecar, that heartbeats allow for
	reread     = 10 * time.Second
	firstPause = 100 * time.Millisecond // after a failure; twice as long each time, and
	lastPause  = 5 * time.Second        // at most so long
)

// Follower reads the tombstones of one bundle. Its methods are safe for concurrent use.
//
// It holds what it has read until the active bundle has ended it: what is removed from the stream
// goes on counting here. It reads the stream from the beginning every few seconds, so that nothing
// that is done to the stream (emptied, put back, made anew, ids that leave no room) keeps it from
// what there is.
type Follower struct {
	cfg     FollowerConfig
	metrics *followerMetrics

	// What only Run uses.
	judged map[string]*bundle.Tombstone // by text, of the last reading; nil for one that is none
	last   string                       // id of the entry that was read last
	said   string                       // kinds of problems that were logged

	mu      sync.Mutex                  // guards all below
	live    map[string]bundle.Tombstone // by text: those that no bundle has ended
	numbers map[int64]bool              // that were seen, from beat.First on
	highest int64
	beat    *bundle.Heartbeat // nil: none yet
	beaten  time.Time         // when it came
	away    error             // why the stream cannot be read
	since   time.Time         // when that began, or when Run did
	alarms  alarms
	applied bool // Apply has had what is live
}

// mostBad is how many entries of one answer may be no tombstones before the next one is waited for.
const mostBad = 100

// alarms are what is wrong, told until it is so no more.
type alarms struct {
	bad      int    // entries that nobody who is trusted has signed
	badBeat  string // what is wrong with the heartbeat
	missing  []int64
	wasShort bool  // numbers were missing at the last look, too
	apply    error // what keeps tombstones from counting
	over     bool  // there are more than are held
	many     bool  // there may be more than are looked for one by one
}

// NewFollower returns a Follower that knows nothing yet.
func NewFollower(cfg FollowerConfig) *Follower {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Reread <= 0 {
		cfg.Reread = reread
	}
	cfg.most = cmp.Or(cfg.most, most)
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	f := &Follower{cfg: cfg, live: map[string]bundle.Tombstone{}, numbers: map[int64]bool{}, since: time.Now()}
	f.metrics = newFollowerMetrics(cfg.Registerer, f)
	return f
}

// Run follows until ctx is done. That the stream is away is no error.
func (f *Follower) Run(ctx context.Context) error {
	f.mu.Lock()
	f.since = time.Now()
	f.mu.Unlock()
	for fails := 0; ctx.Err() == nil; {
		err := f.follow(ctx)
		if ctx.Err() != nil {
			return nil
		}
		f.lost(err)
		if err == nil {
			fails = 0
			continue
		}
		pause := lastPause
		if fails < 10 {
			pause = min(pause, firstPause<<fails)
		}
		fails++
		timer := time.NewTimer(pause/2 + rand.N(pause/2))
		select {
		case <-ctx.Done():
		case <-timer.C:
		}
		timer.Stop()
	}
	return nil
}

// follow reads the whole stream, and then what comes, for a while.
func (f *Follower) follow(ctx context.Context) error {
	ids, texts, err := f.cfg.Stream.Read(ctx, "")
	if err != nil {
		return err
	}
	f.last = ""
	f.take(ctx, ids, texts, true)
	for end := time.Now().Add(f.cfg.Reread); ; {
		if err := f.listen(ctx); err != nil {
			return err
		}
		f.lost(nil)
		if time.Now().After(end) {
			return nil
		}
		ids, texts, err := f.cfg.Stream.Wait(ctx, f.last, look)
		if err != nil {
			return err
		}
		if f.take(ctx, ids, texts, false) > mostBad { // whoever floods the stream does not get the processor
			select {
			case <-ctx.Done():
			case <-time.After(look):
			}
		}
	}
}

// take judges entries, makes those that are new count, and returns how many are no tombstones.
func (f *Follower) take(ctx context.Context, ids, texts []string, whole bool) (bad int) {
	before := f.judged
	if whole {
		f.judged = make(map[string]*bundle.Tombstone, len(texts))
	}
	var fresh []string
	for i, text := range texts {
		f.last = ids[i]
		t, known := before[text]
		if !known {
			var err error
			if t, err = bundle.ReadTombstone(text, f.cfg.Name, f.cfg.Ring); err != nil {
				f.metrics.refused.Inc()
				f.cfg.Logger.Debug("an entry is no tombstone", "bundle", f.cfg.Name, "id", ids[i], "error", err)
			} else {
				fresh = append(fresh, text)
			}
		}
		if t == nil {
			bad++
		}
		if t != nil || len(f.judged) < f.cfg.most && len(text) <= bundle.MaxStatement {
			f.judged[text] = t
		}
	}
	f.mu.Lock()
	if whole {
		f.alarms.bad, f.alarms.over = 0, false
	}
	f.alarms.bad += bad
	for _, text := range fresh {
		if !f.hold(text, f.judged[text]) {
			delete(f.judged, text) // it is tried again when there is room
		}
	}
	f.mu.Unlock()
	f.apply(ctx)
	return bad
}

// hold takes a tombstone, and says whether there was room. It is called with mu held.
func (f *Follower) hold(text string, t *bundle.Tombstone) bool {
	if len(f.numbers) < f.cfg.most && (f.beat == nil || t.Number >= f.beat.First) {
		f.numbers[t.Number] = true
	}
	f.highest = max(f.highest, t.Number)
	if _, known := f.live[text]; known || t.Serial <= f.cfg.Serial() {
		return true
	}
	if len(f.live) >= f.cfg.most {
		f.alarms.over = true
		return false
	}
	f.live[text], f.applied = *t, false
	f.metrics.taken.Inc()
	f.cfg.Logger.Info("revoked before the bundle says so", "bundle", f.cfg.Name, "number", t.Number, "what", t.Target(), "until_serial", t.Serial)
	return true
}

// apply makes what is live count, without what the active bundle has ended.
func (f *Follower) apply(ctx context.Context) {
	serial := f.cfg.Serial()
	f.mu.Lock()
	for text, t := range f.live {
		if t.Serial <= serial {
			delete(f.live, text) // it counts no more anyway
			f.cfg.Logger.Info("the bundle has what was revoked", "bundle", f.cfg.Name, "number", t.Number, "what", t.Target(), "serial", serial)
		}
	}
	done := f.applied
	list := slices.SortedFunc(maps.Values(f.live), func(a, b bundle.Tombstone) int { return int(a.Number - b.Number) })
	f.mu.Unlock()
	if done {
		return
	}
	err := f.cfg.Apply(ctx, list)
	f.mu.Lock()
	f.applied, f.alarms.apply = err == nil, err
	f.mu.Unlock()
}

// listen looks at the heartbeat.
func (f *Follower) listen(ctx context.Context) error {
	text, err := f.cfg.Stream.Heartbeat(ctx)
	if err != nil {
		return err
	}
	var h *bundle.Heartbeat
	var bad string
	if text != "" {
		if h, err = bundle.ReadHeartbeat(text, f.cfg.Name, f.cfg.Ring); err != nil {
			bad = err.Error()
		}
	} else if !f.cfg.Unattended {
		bad = "there is none"
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.alarms.badBeat = bad
	if h != nil && (f.beat == nil || h.At > f.beat.At) {
		f.beat, f.beaten = h, time.Now()
		if age := f.cfg.Clock().Sub(time.UnixMilli(h.At)); age > clockSkew {
			f.beaten = f.beaten.Add(-age) // the publisher has long been silent, and an old one may have been put back
		}
		for n := range f.numbers {
			if n < h.First {
				delete(f.numbers, n)
			}
		}
	}
	f.count()
	return nil
}

// count finds out which numbers are missing. Those that are missing once may be on their way. It is
// called with mu held.
func (f *Follower) count() {
	var missing []int64
	f.alarms.many = f.beat != nil && f.beat.Last-f.beat.First >= int64(f.cfg.most)
	if f.beat != nil && !f.alarms.many {
		for n := f.beat.First; n <= f.beat.Last; n++ {
			if !f.numbers[n] {
				missing = append(missing, n)
			}
		}
	}
	f.alarms.missing = nil
	if f.alarms.wasShort {
		f.alarms.missing = missing
	}
	f.alarms.wasShort = len(missing) > 0
}

// lost notes that the stream can or cannot be read, and logs what is wrong when that changes.
func (f *Follower) lost(err error) {
	f.mu.Lock()
	if err != nil && f.away == nil {
		f.since = time.Now()
	}
	f.away = err
	f.mu.Unlock()
	problems := f.problems()
	kinds := strings.Join(slices.Sorted(maps.Keys(problems)), " ")
	if kinds != "" && kinds != f.said {
		f.cfg.Logger.Warn("a revocation may count only with the bundle that has it", "bundle", f.cfg.Name, "problem", f.Problem())
	} else if kinds == "" && f.said != "" {
		f.cfg.Logger.Info("revocations count at once again", "bundle", f.cfg.Name)
	}
	f.said = kinds
}

// Problem says what is wrong, a line each; "" when revocations count at once.
func (f *Follower) Problem() string {
	problems := f.problems()
	var lines []string
	for _, kind := range problemKinds {
		if text, ok := problems[kind]; ok {
			lines = append(lines, "tombstones: "+text)
		}
	}
	return strings.Join(lines, "\n")
}

// problemKinds are the kinds of problems, in the order in which they are told.
var problemKinds = []string{"away", "heartbeat", "missing", "forged", "many", "apply"}

// problems are what is wrong now, by kind.
func (f *Follower) problems() map[string]string {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := map[string]string{}
	tell := func(kind, format string, args ...any) { out[kind] = fmt.Sprintf(format, args...) }
	a := &f.alarms
	quiet := f.quiet()
	switch {
	case f.away != nil:
		tell("away", "Redis cannot be read: %v; a revocation counts when the bundle has it", f.away)
	case a.badBeat != "" && f.beat != nil, a.badBeat != "" && quiet > Missed:
		tell("heartbeat", "the publisher's heartbeat is no good: %s; Redis may have been emptied or altered, or the publisher has no --redis", a.badBeat)
	case quiet > Missed:
		tell("heartbeat", "no heartbeat of the publisher for %s; a revocation may count only when the bundle has it", quiet.Round(time.Second))
	}
	if n := len(a.missing); n > 0 {
		tell("missing", "%d are missing (number %d the first): they have been removed from Redis; what they revoke counts when the bundle has it", n, a.missing[0])
	}
	if a.bad > 0 {
		tell("forged", "%d entries that no configured key has signed, and that count for nothing: somebody else writes to Redis, or the key they are signed with is not configured", a.bad)
	}
	switch {
	case a.over:
		tell("many", "more than %d: the rest counts when the bundle has it", f.cfg.most)
	case a.many:
		tell("many", "more than %d numbers: whether one of them is missing is not looked for; what they revoke counts when the bundle has it", f.cfg.most)
	}
	if a.apply != nil {
		tell("apply", "not in effect: %v", a.apply)
	}
	return out
}

// quiet is how long no new heartbeat has come, 0 when none is expected. It is called with mu held.
func (f *Follower) quiet() time.Duration {
	switch {
	case f.beat != nil:
		return time.Since(f.beaten)
	case f.cfg.Unattended:
		return 0
	}
	return time.Since(f.since)
}
