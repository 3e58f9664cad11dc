package audit

import (
	"errors"
	"os"
	"time"
)

// syncEvery is how long the disk is left alone after it was told to keep what was written (fsync).
const syncEvery = 100 * time.Millisecond

// A syncer has the disk keep what was written, soon after and many records at once. It does so beside the
// writer, which goes on meanwhile: a disk that is slow to sync must not fill the queue.
type syncer struct {
	due    chan file       // the newest file, when it was written to since
	failed chan failedSync // for the writer; one is enough
	done   chan struct{}
}

type failedSync struct {
	file file
	err  error
}

func newSyncer() *syncer {
	return &syncer{due: make(chan file, 1), failed: make(chan failedSync, 1), done: make(chan struct{})}
}

// wrote notes that a file was written to. Only the writer calls it. A file that waited before is
// forgotten: whoever closes one has it synced.
func (s *syncer) wrote(f file) {
	select {
	case <-s.due:
	default:
	}
	s.due <- f
}

// run syncs until closing, which does not wait for what is due: the writer syncs as it closes.
func (s *syncer) run(closing <-chan struct{}) {
	defer close(s.done)
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		select {
		case <-pause.C:
		case <-closing:
			return
		}
		select {
		case f := <-s.due:
			if err := f.Sync(); err != nil && !errors.Is(err, os.ErrClosed) {
				select {
				case s.failed <- failedSync{f, err}:
				default:
				}
			}
			pause.Reset(syncEvery)
		case <-closing:
			return
		}
	}
}
