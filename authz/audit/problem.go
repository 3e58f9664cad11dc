package audit

import (
	"errors"
	"fmt"
	"sync"
	"syscall"
	"time"
)

// A trouble is why records are not being written at the moment, if they are not.
type trouble struct {
	mu      sync.Mutex
	err     error // nil: none
	since   time.Time
	dropped uint64 // records dropped before it began
}

// begin notes the latest error; a trouble that lasts keeps its beginning.
func (t *trouble) begin(err error, now time.Time, dropped uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err == nil {
		t.since, t.dropped = now, dropped
	}
	t.err = err
}

func (t *trouble) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.err = nil
}

// Problem returns "" while records are being kept, otherwise a short text that says why they
// are not, how many have been lost to it and since when. Records that wait in memory for a
// failing disk are not lost yet. It becomes "" again once all that waited is written.
func (l *Log) Problem() string {
	t := &l.trouble
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.err != nil:
		return fmt.Sprintf("decision records are not being written: %s; %d dropped since %s",
			reason(t.err), l.lost()-t.dropped, t.since.UTC().Format(time.RFC3339))
	case !l.closed.Load() && len(l.queue) == cap(l.queue):
		return fmt.Sprintf("decision records are not being written: the disk does not keep up and the queue is full; %d dropped since %s",
			l.lost(), l.opened.UTC().Format(time.RFC3339))
	}
	return ""
}

// lost counts the records that a disk lost, which refused them or was too slow.
func (l *Log) lost() uint64 { return l.droppedDisk.Load() + l.droppedQueue.Load() }

// reason is the text of an error without the path it is about.
func reason(err error) string {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno.Error()
	}
	return err.Error()
}
