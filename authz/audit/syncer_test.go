package audit

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// A platter is a disk that keeps what it was told to keep, and may be slow at that, or fail.
type platter struct {
	mu      sync.Mutex
	written int
	kept    int
	syncs   int
	err     error         // of the next sync
	stuck   chan struct{} // syncs wait until it is closed
}

type platterFile struct {
	file
	p      *platter
	failed bool
}

func (p *platter) open(name string, create bool) (file, error) {
	f, err := openFile(name, create)
	return &platterFile{file: f, p: p}, err
}

func (f *platterFile) Write(b []byte) (int, error) {
	f.p.mu.Lock()
	defer f.p.mu.Unlock()
	if f.failed {
		return 0, errors.New("written to after it was given up")
	}
	f.p.written += len(b)
	return f.file.Write(b)
}

func (f *platterFile) Sync() error {
	f.p.mu.Lock()
	stuck, size := f.p.stuck, f.p.written
	f.p.mu.Unlock()
	if stuck != nil {
		<-stuck
	}
	f.p.mu.Lock()
	defer f.p.mu.Unlock()
	if f.p.err != nil {
		err := f.p.err
		f.p.err, f.failed = nil, true
		return err
	}
	f.p.kept = max(f.p.kept, size)
	f.p.syncs++
	return f.file.Sync()
}

func (p *platter) state() (written, kept, syncs int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.written, p.kept, p.syncs
}

func (p *platter) log(t *testing.T, log *bytes.Buffer) (*Log, string) {
	t.Helper()
	dir := t.TempDir()
	l, err := open(Config{Dir: dir, Logger: slog.New(slog.NewTextHandler(log, nil))}, p.open)
	if err != nil {
		t.Fatal(err)
	}
	return l, dir
}

// While records come without a pause the disk keeps all but the last fifth of a second of them, and is not told to for
// each. The last ones it keeps without another to follow.
func TestRecordsAreOnTheDiskSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &platter{}
		l, _ := p.log(t, new(bytes.Buffer))
		defer l.Close()
		var before []int // bytes written, each hundredth of a second
		for n := range 250 {
			for i := range 40 {
				l.Record(record(40*n + i))
			}
			time.Sleep(10 * time.Millisecond) // virtual
			synctest.Wait()
			written, kept, _ := p.state()
			before = append(before, written)
			if age := 25; n >= age && kept < before[n-age] {
				t.Fatalf("after %d0 ms: %d bytes are kept, %d were written a quarter of a second ago", n, kept, before[n-age])
			}
		}
		if _, _, syncs := p.state(); syncs > 26 {
			t.Errorf("%d syncs in 2.5 s", syncs)
		}
		time.Sleep(flushEvery + syncEvery)
		synctest.Wait()
		written, kept, syncs := p.state()
		if kept != written || l.Stats().Written != 250*40 {
			t.Errorf("%d of %d bytes are kept in the end", kept, written)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if _, _, later := p.state(); later != syncs {
			t.Errorf("%d syncs without anything to sync", later-syncs)
		}
	})
}

func TestADiskThatIsSlowToSyncKeepsNoRecordWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &platter{stuck: make(chan struct{})}
		l, dir := p.log(t, new(bytes.Buffer))
		const many = 25_000 // three queues full
		for n := range many {
			l.Record(record(n))
			if n%100 == 99 {
				time.Sleep(flushEvery)
				synctest.Wait()
			}
		}
		if s := l.Stats(); s.Written != many || s.Dropped != 0 {
			t.Errorf("%+v", s)
		}
		if _, kept, _ := p.state(); kept != 0 {
			t.Errorf("%d bytes are kept: nothing was stuck", kept)
		}
		close(p.stuck)
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		if written, kept, _ := p.state(); kept != written {
			t.Errorf("%d of %d bytes are kept", kept, written)
		}
		if got := all(t, dir, Filter{}, OldestFirst); len(got) != many {
			t.Errorf("%d records", len(got))
		}
	})
}

// After a sync that fails nobody knows what the file holds: another one is begun, and it is said.
func TestASyncThatFailsBeginsAnotherFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &platter{err: &os.PathError{Op: "sync", Err: syscall.EIO}}
		var log bytes.Buffer
		l, dir := p.log(t, &log)
		l.Record(record(1))
		time.Sleep(flushEvery + flushEvery/2) // written, synced, and not yet tried again
		synctest.Wait()
		if s := l.Problem(); !strings.Contains(s, "input/output error") {
			t.Errorf("problem %q", s)
		}
		time.Sleep(2 * flushEvery)
		synctest.Wait()
		if s := l.Problem(); s != "" {
			t.Errorf("problem %q although records are kept again", s)
		}
		l.Record(record(2))
		time.Sleep(flushEvery + syncEvery)
		synctest.Wait()
		if written, kept, _ := p.state(); kept != written {
			t.Errorf("%d of %d bytes are kept", kept, written)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		if s := l.Stats(); s.Written != 2 || s.WriteErrors != 1 || s.Dropped != 0 {
			t.Errorf("%+v", s)
		}
		if _, files := dirSize(t, dir); files != 2 {
			t.Errorf("%d files", files)
		}
		if got := all(t, dir, Filter{}, OldestFirst); len(got) != 2 {
			t.Errorf("%v", ids(got))
		}
		if !strings.Contains(log.String(), "cannot be written") || !strings.Contains(log.String(), "written again") {
			t.Error(log.String())
		}
	})
}
