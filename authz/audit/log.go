// Package audit remembers decisions and answers questions about them.
//
// A [Log] takes records without ever blocking the request they belong to and appends them
// to files, one JSON object a line (docs/records.md), which it rotates by size and keeps within
// a total. [Query], [Follow] and [Find] read those files, with or without a running
// writer; several readers at once do not disturb it.
package audit

import (
	"errors"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pullgate/pullgate/authz"
)

// Defaults of a Config.
const (
	DefaultMaxFileBytes  = 64 << 20
	DefaultMaxTotalBytes = 1 << 30
	DefaultQueue         = 8192
	DefaultUnidentified  = 50
)

// flushEvery bounds how long a record waits to be written.
const flushEvery = 100 * time.Millisecond

// gatherEvery is how long the writer leaves records in the queue after it has emptied it. A writer that waits for
// each one is woken by every request, which costs the request more than its record.
const gatherEvery = 2 * time.Millisecond

// Config says where records go and how much of them is kept. Dir is required.
type Config struct {
	Dir           string // created with 0700; one Log at a time, which the caller sees to
	MaxFileBytes  int64  // a file grows to this, except by a single longer record; 0 is DefaultMaxFileBytes
	MaxTotalBytes int64  // all files together stay below this, oldest removed first; 0 is DefaultMaxTotalBytes, at least two files
	Queue         int    // records that may wait for the writer; 0 is DefaultQueue
	// Unidentified is the quota of records per second for refusals of callers that nobody
	// identified (status 400, 401, 429). Beyond it they are only counted, so that a flood
	// crowds out no customer's record. 0 is DefaultUnidentified; the burst is ten seconds' worth.
	Unidentified int

	Logger     *slog.Logger          // nil discards
	Registerer prometheus.Registerer // nil registers nothing
	Clock      func() time.Time      // nil is time.Now; names files and measures the quota
}

// Stats are the counts of a Log since it was opened.
type Stats struct {
	Written     uint64 // records that are in a file
	Dropped     uint64 // records lost because the queue or the disk was full, or after Close
	Aggregated  uint64 // refusals of the unidentified beyond their quota: counted, not kept
	WriteErrors uint64 // failed attempts to write, and times that the file or its directory was gone
}

// Log is an authz.Recorder that writes files. It is safe for concurrent use.
type Log struct {
	cfg    Config
	queue  chan authz.Record
	quota  quota
	guests atomic.Int64 // records of the unidentified in the queue

	written, writeErrors                     atomic.Uint64
	droppedQueue, droppedDisk, droppedClosed atomic.Uint64
	aggregated                               [3]atomic.Uint64 // by unidentifiedStatus
	trouble                                  trouble
	opened                                   time.Time
	syncer                                   *syncer

	closed  atomic.Bool
	closing chan struct{}
	half    chan struct{} // the queue is half full
	flush   chan chan struct{}
	done    chan struct{}
	once    sync.Once
	err     error // of Close
}

// unidentifiedStatus are the statuses whose records have the quota.
var unidentifiedStatus = [3]int{400, 401, 429}

// Open prepares the directory, cuts off a last line that a crash left half written, and
// starts the writer. An error means that nothing could be written: wrong directory, no
// permission. A full disk is no error: see Record.
func Open(cfg Config) (*Log, error) { return open(cfg, openFile) }

func open(cfg Config, opener opener) (*Log, error) {
	if cfg.Dir == "" {
		return nil, errors.New("audit: no directory")
	}
	if cfg.MaxFileBytes <= 0 {
		cfg.MaxFileBytes = DefaultMaxFileBytes
	}
	if cfg.MaxTotalBytes <= 0 {
		cfg.MaxTotalBytes = DefaultMaxTotalBytes
	}
	cfg.MaxTotalBytes = max(cfg.MaxTotalBytes, 2*cfg.MaxFileBytes)
	if cfg.Queue <= 0 {
		cfg.Queue = DefaultQueue
	}
	if cfg.Unidentified <= 0 {
		cfg.Unidentified = DefaultUnidentified
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Clock == nil {
		cfg.Clock = time.Now
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, err
	}
	l := &Log{
		cfg:     cfg,
		queue:   make(chan authz.Record, cfg.Queue),
		quota:   quota{rate: float64(cfg.Unidentified), left: float64(cfg.Unidentified) * 10, at: cfg.Clock()},
		closing: make(chan struct{}),
		half:    make(chan struct{}, 1),
		flush:   make(chan chan struct{}),
		done:    make(chan struct{}),
		opened:  cfg.Clock(),
		syncer:  newSyncer(),
	}
	w := &writer{log: l, open: opener}
	if err := w.resume(); err != nil {
		return nil, err
	}
	l.register(cfg.Registerer)
	go l.syncer.run(l.closing)
	go l.run(w)
	return l, nil
}

// Record queues a copy of r and returns at once. What cannot be queued is dropped and
// counted. While the disk refuses to take anything, the first 1 MiB of records waits in memory
// and is written when there is space again; newer ones are dropped and counted until then.
func (l *Log) Record(r *authz.Record) {
	if l.closed.Load() {
		l.droppedClosed.Add(1)
		return
	}
	guest := unidentified(r.Status)
	if guest >= 0 {
		// A quarter of the queue at most, also while the writer is stuck.
		if l.guests.Load() >= int64(cap(l.queue)/4+1) || !l.quota.take(l.cfg.Clock()) {
			l.aggregated[guest].Add(1)
			return
		}
		l.guests.Add(1)
	}
	select {
	case l.queue <- *r:
		if len(l.queue) > cap(l.queue)/2 {
			select {
			case l.half <- struct{}{}:
			default: // it is known
			}
		}
	default:
		l.droppedQueue.Add(1)
		if guest >= 0 {
			l.guests.Add(-1)
		}
	}
}

// unidentified returns the index of a status in unidentifiedStatus, -1 for any other.
func unidentified(status int) int {
	for i, s := range unidentifiedStatus {
		if s == status {
			return i
		}
	}
	return -1
}

// Flush waits until everything recorded before it has been written, or dropped. That the disk keeps it,
// should the machine stop, takes syncEvery and what the disk takes.
func (l *Log) Flush() {
	done := make(chan struct{})
	select {
	case l.flush <- done:
		<-done
	case <-l.done:
	}
}

// Close writes what is queued and closes the file. It returns the last error of the disk
// if records were lost to it at the end. Records that come later are dropped and counted.
func (l *Log) Close() error {
	l.once.Do(func() {
		l.closed.Store(true)
		close(l.closing)
	})
	<-l.done
	for {
		select {
		case <-l.queue: // came in while the writer ended
			l.droppedClosed.Add(1)
		default:
			return l.err
		}
	}
}

// Stats returns the counts so far.
func (l *Log) Stats() Stats {
	s := Stats{
		Written:     l.written.Load(),
		Dropped:     l.droppedQueue.Load() + l.droppedDisk.Load() + l.droppedClosed.Load(),
		WriteErrors: l.writeErrors.Load(),
	}
	for i := range l.aggregated {
		s.Aggregated += l.aggregated[i].Load()
	}
	return s
}

// run is the only goroutine that touches the writer.
func (l *Log) run(w *writer) {
	defer close(l.done)
	timer := time.NewTimer(flushEvery)
	timer.Stop()
	defer timer.Stop()
	waiting := w.lost // a disk that was full at the start is asked again
	if waiting {
		timer.Reset(flushEvery)
	}
	add := func(r *authz.Record) {
		if unidentified(r.Status) >= 0 {
			l.guests.Add(-1)
		}
		w.add(r)
		if !waiting {
			waiting = true
			timer.Reset(flushEvery)
		}
	}
	queue, gather := l.queue, time.NewTimer(gatherEvery)
	defer gather.Stop()
	drain := func() {
		for range cap(l.queue) {
			select {
			case r := <-l.queue:
				add(&r)
			default:
				return
			}
		}
	}
	for {
		select {
		case r := <-queue:
			add(&r)
			drain()
			queue = nil
			gather.Reset(gatherEvery)
		case <-gather.C:
			queue = l.queue
		case <-l.half:
			queue = l.queue
		case <-timer.C:
			waiting = false
			if !w.flush() { // a disk that is full is asked again
				waiting = true
				timer.Reset(flushEvery)
			}
		case failed := <-l.syncer.failed:
			w.notSynced(failed)
			waiting = true
			timer.Reset(flushEvery)
		case done := <-l.flush:
			drain()
			w.flush()
			close(done)
		case <-l.closing:
			drain()
			<-l.syncer.done
			l.err = w.close()
			return
		}
	}
}

// quota is a token bucket.
type quota struct {
	mu   sync.Mutex
	rate float64 // per second; ten seconds' worth at most
	left float64
	at   time.Time
}

func (q *quota) take(now time.Time) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if d := now.Sub(q.at).Seconds(); d > 0 {
		q.left = min(q.left+d*q.rate, 10*q.rate)
		q.at = now
	}
	if q.left < 1 {
		return false
	}
	q.left--
	return true
}
