package pull

import (
	"context"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Clock is the time decisions are made by: the machine's, but never below an instant that is known
// to have passed. So a clock that is set back, also across a restart, brings no ended right back.
//
// What is known is the floor: the highest instant that somebody vouched for (Raise), plus the time
// that this process has run since. A publisher vouches for the issued_at of each bundle it signs. The
// machine's own clock does not count, for one that is set ahead by mistake would otherwise hold the
// floor up for ever: while it is ahead bundles are stale, and when it is right again all is as
// before. Where there is no publisher the machine's clock must vouch for itself (see Run).
//
// The price is that the floor may lag: by the age that a bundle had when it was fetched, and by the
// time that the process did not run or the machine was suspended, until the next bundle is issued.
//
// It is safe for concurrent use.
type Clock struct {
	read  func() (wall time.Time, up time.Duration)
	floor atomic.Pointer[mark]

	mu      sync.Mutex // guards the next three
	path    string     // "" keeps nothing
	saved   int64
	problem string
}

// mark is an instant that had passed, and when that was known, in uptime.
type mark struct {
	at int64
	up time.Duration
}

// instantFile is the content of the clock's file.
type instantFile struct {
	Format  int   `json:"format"`
	Instant int64 `json:"instant"`
}

// How the floor moves by itself. A step is a difference between the machine's clock and uptime from
// one look to the next.
const (
	saveEvery = time.Minute
	maxStep   = 5 * time.Second
	settled   = time.Hour
)

// SystemTime reads the machine's clock and the time since the call, which no setting of the clock changes.
func SystemTime() func() (time.Time, time.Duration) {
	start := time.Now()
	return func() (time.Time, time.Duration) {
		now := time.Now()
		return now, now.Sub(start)
	}
}

// OpenClock reads the floor that an earlier process has kept in a file; "" keeps none. A file that
// cannot be read, or is damaged, is no floor, and Problem says so. read is SystemTime() unless a
// test has another.
func OpenClock(path string, read func() (wall time.Time, up time.Duration)) *Clock {
	c := &Clock{read: read, path: path}
	if path == "" {
		return c
	}
	var kept instantFile
	switch err := readChecked(path, &kept); {
	case err == nil && kept.Format == 1:
		c.saved = kept.Instant
		c.Raise(kept.Instant)
	case err == nil:
		c.problem = fmt.Sprintf("clock: %s is of another version; the highest instant seen is not known", path)
	case !os.IsNotExist(err):
		c.problem = fmt.Sprintf("clock: %s: %v; the highest instant seen is not known", path, err)
	}
	return c
}

// Now returns the machine's time, or the floor when that is later.
func (c *Clock) Now() time.Time {
	wall, up := c.read()
	if f := c.at(up); wall.Unix() < f {
		return time.Unix(f, 0)
	}
	return wall
}

// Raise notes an instant (Unix seconds) that somebody who is trusted says has passed.
func (c *Clock) Raise(at int64) {
	_, up := c.read()
	for {
		old := c.floor.Load()
		if old != nil && at <= old.at+int64((up-old.up)/time.Second) {
			return
		}
		if c.floor.CompareAndSwap(old, &mark{at, up}) {
			return
		}
	}
}

// at is the floor at an uptime; 0 when nothing is known.
func (c *Clock) at(up time.Duration) int64 {
	if f := c.floor.Load(); f != nil {
		return f.at + int64((up-f.up)/time.Second)
	}
	return 0
}

// Behind is how far the machine's clock is below the floor; 0 when it is not.
func (c *Clock) Behind() time.Duration {
	wall, up := c.read()
	return time.Duration(max(0, c.at(up)-wall.Unix())) * time.Second
}

// Problem says what is wrong with the clock or its file, and what to do; "" for nothing.
func (c *Clock) Problem() string {
	if b := c.Behind(); b > time.Minute {
		return fmt.Sprintf("clock: this machine's is %s behind an instant that has passed (%s); decisions are made by the later one: set the clock, or, if a publisher's or this machine's was ahead, stop pullgate and remove %s",
			b, c.Now().UTC().Format(time.RFC3339), c.path)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.problem
}

// Save keeps the floor, unless that is what the file says already.
func (c *Clock) Save() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, up := c.read()
	at := c.at(up)
	if c.path == "" || at <= c.saved {
		return nil
	}
	if err := writeChecked(c.path, &instantFile{Format: 1, Instant: at}); err != nil {
		c.problem = fmt.Sprintf("clock: the highest instant is not kept, so that a clock set back would count after a restart: %v", err)
		return err
	}
	c.saved, c.problem = at, ""
	return nil
}

// Run keeps the floor once a minute and at the end, until ctx is done.
//
// With alone, for a pullgate without a publisher, it also lets the machine's clock vouch for itself
// once that has kept pace with uptime for an hour: a step ahead that is taken back within the hour
// leaves nothing. One that lasts longer holds until its time has come or the file is removed.
func (c *Clock) Run(ctx context.Context, alone bool) error {
	tick := time.NewTicker(saveEvery)
	defer tick.Stop()
	var s steady
	for {
		select {
		case <-ctx.Done():
			_ = c.Save() // Problem has it
			return nil
		case <-tick.C:
			if wall, up := c.read(); alone && s.look(wall, up) {
				c.Raise(wall.Unix())
			}
			_ = c.Save()
		}
	}
}

// steady tells whether the machine's clock has kept pace with uptime for long.
type steady struct {
	offset time.Duration // of the clock over uptime, when last seen
	since  time.Duration // uptime since when there was no step
	seen   bool
}

func (s *steady) look(wall time.Time, up time.Duration) bool {
	offset := time.Duration(wall.UnixNano()) - up
	if step := offset - s.offset; !s.seen || step > maxStep || step < -maxStep {
		s.since = up
	}
	s.offset, s.seen = offset, true
	return up-s.since >= settled
}
