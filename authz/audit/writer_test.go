package audit

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pullgate/pullgate/authz"
)

func TestOpenGoesOnWithTheNewestFileAndCutsATornLine(t *testing.T) {
	dir := t.TempDir()
	l := mustOpen(t, Config{Dir: dir, Clock: func() time.Time { return start }})
	l.Record(record(1))
	l.Close()
	file := filepath.Join(dir, segmentName(start))
	appendTo(t, file, `{"id":"half a rec`)
	if got := all(t, dir, Filter{}, OldestFirst); len(got) != 1 {
		t.Errorf("a reader sees %v beside a torn line", ids(got))
	}
	if got := all(t, dir, Filter{}, NewestFirst); len(got) != 1 {
		t.Errorf("a reader from the end sees %v beside a torn line", ids(got))
	}

	var log bytes.Buffer
	l = mustOpen(t, Config{Dir: dir, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	l.Record(record(2))
	l.Close()
	if diff := cmp.Diff([]*authz.Record{record(1), record(2)}, all(t, dir, Filter{}, OldestFirst)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	data, _ := os.ReadFile(file)
	if bytes.Contains(data, []byte("half")) || !strings.Contains(log.String(), "unfinished") {
		t.Errorf("not cut off, or not said: %s", log.String())
	}
	if _, files := dirSize(t, dir); files != 1 {
		t.Errorf("%d files", files)
	}
}

// Whatever the byte at which a crash cut the file, every whole record before it is kept and
// every one after it is readable.
func TestCrashAtAnyByteLosesNoWholeRecord(t *testing.T) {
	src := t.TempDir()
	l := mustOpen(t, Config{Dir: src, Clock: func() time.Time { return start }})
	for n := range 5 {
		l.Record(record(n))
	}
	l.Close()
	data, err := os.ReadFile(filepath.Join(src, segmentName(start)))
	if err != nil {
		t.Fatal(err)
	}
	for range 200 {
		cut := rand.IntN(len(data) + 1)
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, segmentName(start)), data[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		l := mustOpen(t, Config{Dir: dir})
		l.Record(record(9))
		l.Close()
		want := bytes.Count(data[:cut], []byte("\n")) + 1
		if got := all(t, dir, Filter{}, OldestFirst); len(got) != want || got[want-1].ID != record(9).ID {
			t.Fatalf("cut at byte %d of %d: %d records, want %d", cut, len(data), len(got), want)
		}
	}
}

// A disk opens files that fail or wait on demand.
type disk struct {
	mu    sync.Mutex
	full  bool
	room  int           // bytes that it still takes when full
	stuck chan struct{} // writes wait until it is closed
	tries int
}

func (d *disk) set(full bool, room int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.full, d.room = full, room
}

func (d *disk) open(name string, create bool) (file, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.full && create {
		d.tries++
		return nil, &os.PathError{Op: "open", Path: name, Err: syscall.ENOSPC}
	}
	f, err := openFile(name, create)
	return &diskFile{file: f, disk: d}, err
}

type diskFile struct {
	file
	disk *disk
	size int64
}

func (f *diskFile) Truncate(size int64) error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	f.disk.room += int(f.size - size)
	f.size = size
	return f.file.Truncate(size)
}

func (f *diskFile) Write(p []byte) (int, error) {
	if f.disk.stuck != nil {
		<-f.disk.stuck
	}
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if f.disk.full {
		f.disk.tries++
		n, err := f.file.Write(p[:min(f.disk.room, len(p))])
		f.size += int64(n)
		f.disk.room -= n
		if n < len(p) {
			err = &os.PathError{Op: "write", Err: syscall.ENOSPC}
		}
		return n, err
	}
	n, err := f.file.Write(p)
	f.size += int64(n)
	return n, err
}

func TestAFullDiskIsSurvived(t *testing.T) {
	for _, room := range []int{0, 1, 700} {
		t.Run(fmt.Sprintf("after %d bytes", room), func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				disk := &disk{}
				var log bytes.Buffer
				l, err := open(Config{Dir: dir, Logger: slog.New(slog.NewTextHandler(&log, nil))}, disk.open)
				if err != nil {
					t.Fatal(err)
				}
				l.Record(record(0))
				l.Flush()
				disk.set(true, room)
				const many = 4000 // more than is kept in memory
				for n := 1; n <= many; n++ {
					l.Record(record(n))
					if n%100 == 0 {
						time.Sleep(time.Second) // virtual: 40 seconds in all
						synctest.Wait()
					}
				}
				full := l.Stats()
				if full.WriteErrors == 0 || full.Dropped == 0 || full.Written != uint64(1+room/lineLength(t, record(1))) {
					t.Errorf("while full: %+v", full)
				}
				if n := strings.Count(log.String(), "cannot be written"); n != 1 {
					t.Errorf("complained %d times within a minute", n)
				}
				disk.set(false, 0)
				time.Sleep(flushEvery)
				synctest.Wait()
				l.Record(record(many + 1))
				if err := l.Close(); err != nil {
					t.Errorf("close: %v", err)
				}
				if !strings.Contains(log.String(), "written again") {
					t.Error("did not say that it goes on")
				}
				s := l.Stats()
				if s.Written+s.Dropped != many+2 || s.Dropped != full.Dropped {
					t.Errorf("%+v: every record is written or counted as dropped", s)
				}
				got := all(t, dir, Filter{}, OldestFirst)
				if uint64(len(got)) != s.Written || got[0].ID != record(0).ID || got[len(got)-1].ID != record(many+1).ID {
					t.Errorf("%d records are readable of %d written", len(got), s.Written)
				}
				if lines := countLines(t, dir); lines != len(got) {
					t.Errorf("%d lines, %d records: something half written was left", lines, len(got))
				}
			})
		})
	}
}

func lineLength(t *testing.T, r *authz.Record) int {
	t.Helper()
	w := &writer{log: &Log{}}
	w.add(r)
	return w.pending.Len()
}

func TestLittleRoomOnAFullDiskIsUsed(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		disk := &disk{}
		l, err := open(Config{Dir: dir}, disk.open)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		disk.set(true, 0)
		const many = 3000
		for n := range many {
			l.Record(record(n))
		}
		l.Flush()
		full := l.Stats()
		if full.Written != 0 || full.Dropped == 0 {
			t.Fatalf("while full: %+v, want more records than wait in memory", full)
		}
		const room = 500_000
		disk.set(true, room)
		time.Sleep(2 * flushEvery) // virtual
		synctest.Wait()
		some := l.Stats()
		if want := uint64(room / (lineLength(t, record(0)) + 1)); some.Written < want {
			t.Errorf("%d records written into room for %d", some.Written, want)
		}
		if size, _ := dirSize(t, dir); size > room || countLines(t, dir) != int(some.Written) {
			t.Errorf("%d bytes, %d lines for %d records", size, countLines(t, dir), some.Written)
		}
		disk.set(false, 0)
		time.Sleep(2 * flushEvery) // virtual
		synctest.Wait()
		if s := l.Stats(); s.Written+s.Dropped != many || s.Dropped != full.Dropped {
			t.Errorf("with room: %+v", s)
		}
		for i, r := range all(t, dir, Filter{}, OldestFirst) { // the first ones, each once
			if r.ID != record(i).ID {
				t.Fatalf("record %d is %s, want %s", i, r.ID, record(i).ID)
			}
		}
	})
}

func TestCloseOnAFullDiskSaysWhatIsLost(t *testing.T) {
	disk := &disk{}
	l, err := open(Config{Dir: t.TempDir()}, disk.open)
	if err != nil {
		t.Fatal(err)
	}
	disk.set(true, 3)
	l.Record(record(1))
	if err := l.Close(); !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "1 records lost") {
		t.Errorf("error %v", err)
	}
	if got := l.Stats().Dropped; got != 1 {
		t.Errorf("%d dropped", got)
	}
}

func TestOpenOnAFullDiskWaitsForSpace(t *testing.T) {
	dir := t.TempDir()
	disk := &disk{full: true}
	l, err := open(Config{Dir: dir}, disk.open)
	if err != nil {
		t.Fatal(err)
	}
	l.Record(record(1))
	l.Flush()
	disk.set(false, 0)
	l.Record(record(2))
	l.Flush()
	l.Close()
	if got := all(t, dir, Filter{}, OldestFirst); len(got) != 2 {
		t.Errorf("%v", ids(got))
	}
}

func TestARemovedFileIsNotWrittenTo(t *testing.T) {
	dir := t.TempDir()
	l := mustOpen(t, Config{Dir: dir})
	l.Record(record(1))
	l.Flush()
	segments, _ := list(dir)
	for _, s := range segments {
		os.Remove(filepath.Join(dir, s.name))
	}
	l.Record(record(2))
	l.Flush()
	if got := ids(all(t, dir, Filter{}, OldestFirst)); !cmp.Equal(got, []string{record(2).ID}) {
		t.Errorf("readable: %v", got)
	}
}

func TestADirectoryThatWentIsMadeAgain(t *testing.T) {
	away := func(t *testing.T, data string) {
		if err := os.Rename(data, data+".old"); err != nil {
			t.Fatal(err)
		}
	}
	tests := map[string]func(t *testing.T, data string){
		"moved away": away,
		"removed": func(t *testing.T, data string) {
			if err := os.RemoveAll(data); err != nil {
				t.Fatal(err)
			}
		},
		"moved away, a copy in its place": func(t *testing.T, data string) {
			away(t, data)
			if err := os.CopyFS(data, os.DirFS(data+".old")); err != nil {
				t.Fatal(err)
			}
		},
	}
	for name, goes := range tests {
		t.Run(name, func(t *testing.T) {
			data := filepath.Join(t.TempDir(), "data")
			dir := filepath.Join(data, "decisions")
			var log bytes.Buffer
			now := start
			l := mustOpen(t, Config{Dir: dir, Logger: slog.New(slog.NewTextHandler(&log, nil)), Clock: func() time.Time { return now }})
			l.Record(record(0))
			l.Flush()
			for n := 1; n <= 3; n++ {
				goes(t, data)
				l.Record(record(n))
				l.Flush()
				got := all(t, dir, Filter{}, NewestFirst)
				if len(got) == 0 || got[0].ID != record(n).ID {
					t.Fatalf("readable: %v", ids(got))
				}
				if info, err := os.Stat(dir); err != nil || !strings.Contains(name, "copy") && info.Mode().Perm() != 0o700 {
					t.Errorf("mode %v, %v", info.Mode(), err)
				}
				if err := os.RemoveAll(data + ".old"); err != nil {
					t.Fatal(err)
				}
			}
			if n := strings.Count(log.String(), "gone"); n != 1 {
				t.Errorf("said %d times within a minute:\n%s", n, log.String())
			}
			now = now.Add(complainEvery)
			goes(t, data)
			l.Record(record(4))
			l.Flush()
			if n := strings.Count(log.String(), "gone"); n != 2 {
				t.Errorf("said %d times a minute later", n)
			}
			if s := l.Stats(); s.Written != 5 || s.WriteErrors != 4 || s.Dropped != 0 {
				t.Errorf("stats %+v", s)
			}
			if p := l.Problem(); p != "" {
				t.Errorf("problem %q while records are kept", p)
			}
		})
	}
}
