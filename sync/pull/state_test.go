package pull

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/pullgate/pullgate/bundle"
)

// What may have happened to the files between two processes, with the publisher away: what is used
// then, what is said, and what is taken when the publisher is back.
func TestWhatWasKeptMayBeDamaged(t *testing.T) {
	cut := func(path string) error {
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(path, data[:len(data)-30], 0o600)
	}
	alter := func(path string) error {
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		data[len(data)/2] ^= 0x10
		return os.WriteFile(path, data, 0o600)
	}
	older := func(path string) error { return os.WriteFile(path, made(t, 4), 0o600) }
	twin := func(path string) error { return os.WriteFile(path, made(t, 5, large(1)), 0o600) }
	newer := func(path string) error { return os.WriteFile(path, made(t, 6), 0o600) }
	empty := func(path string) error { return os.WriteFile(path, nil, 0o600) }
	tests := []struct {
		name        string
		file, state func(string) error
		serial      int64 // in use after the restart
		highest     int64
		says        string
	}{
		{"nothing", nil, nil, 5, 5, ""},
		{"bundle cut", cut, nil, 0, 5, "the kept one is not used: "},
		{"bundle altered", alter, nil, 0, 5, "the kept one is not used: "},
		{"bundle empty", empty, nil, 0, 5, "the kept one is not used: "},
		{"bundle gone", os.Remove, nil, 0, 5, "no such file or directory"},
		{"bundle older", older, nil, 0, 5, "serial 4, at least 5"},
		{"bundle of the same serial", twin, nil, 0, 5, "with other bytes"},
		{"bundle newer than the state", newer, nil, 6, 6, ""},
		{"state gone", nil, os.Remove, 5, 5, "the highest serial is not known, 5 of the kept bundle is the lowest that is taken"},
		{"state altered", nil, alter, 5, 5, "damaged; the highest serial is not known, 5 of the kept bundle"},
		{"state cut", nil, cut, 5, 5, "damaged"},
		{"state empty", nil, empty, 5, 5, "damaged"},
		{"state of another bundle", nil, func(path string) error {
			return writeChecked(path, &state{Format: 1, Name: "acme", Highest: version{9, "x"}})
		}, 5, 5, `it is for bundle "acme"`},
		{"state of the future", nil, func(path string) error {
			return writeChecked(path, &state{Format: 2, Name: "default"})
		}, 5, 5, "format 2"},
		{"state older", nil, func(path string) error {
			return writeChecked(path, &state{Format: 1, Name: "default", Highest: version{3, "x"}})
		}, 5, 5, ""},
		{"both altered", alter, alter, 0, 0, "the kept one is not used"},
		{"bundle older, state gone", older, os.Remove, 4, 4, "4 of the kept bundle is the lowest that is taken"},
		{"both gone", os.Remove, os.Remove, 0, 0, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			pub := newPublisher(t)
			r := newRig(t, pub.URL).open()
			pub.has(made(t, 5))
			r.expect("", 5)
			if tt.file != nil {
				if err := tt.file(filepath.Join(r.cfg.Dir, bundleFile)); err != nil {
					t.Fatal(err)
				}
			}
			if tt.state != nil {
				if err := tt.state(filepath.Join(r.cfg.Dir, stateFile)); err != nil {
					t.Fatal(err)
				}
			}
			pub.says(nil)
			r.open()
			s := r.Status()
			if s.Serial != tt.serial || s.Highest != tt.highest {
				t.Errorf("serial %d, highest %d; want %d, %d", s.Serial, s.Highest, tt.serial, tt.highest)
			}
			if text := strings.Join(s.Problems, "\n"); !strings.Contains(text, tt.says) || (tt.says == "") != (text == "") {
				t.Errorf("%q is not in %q", tt.says, text)
			}
			pub.has(made(t, 3)) // older than anything
			if tt.highest > 0 {
				r.expect(Rollback, tt.serial)
			}
			pub.has(made(t, 7))
			r.expect("", 7)
			r.says()
			if r.open(); r.serial() != 7 {
				t.Errorf("serial %d after another restart", r.serial())
			}
			r.says()
		})
	}
}

// A process may be killed between any two writes: what it leaves is used as far as it is whole.
func TestKilledWhileKeeping(t *testing.T) {
	five, six := made(t, 5), made(t, 6)
	of := func(serial int64, data []byte) version {
		sp := &spool{hash: sha256.New()}
		sp.hash.Write(data)
		return version{serial, sp.sum()}
	}
	tests := []struct {
		name     string
		incoming []byte
		highest  version
		good     version
		serial   int64
	}{
		{"while it was fetched", six[:100], of(5, five), version{}, 5},
		{"before the state", six, of(5, five), version{}, 5},
		{"before it was active", six, of(6, six), version{}, 6},
		{"after the disk was full", nil, of(6, six), version{}, 0},
		{"with a rest of another", six[:100], of(6, six), version{}, 0},
		{"after it was refused", nil, of(6, six), of(5, five), 5},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newRig(t, "http://127.0.0.1:1/")
			s, err := openStore(r.cfg.Dir)
			if err != nil {
				t.Fatal(err)
			}
			for name, data := range map[string][]byte{bundleFile: five, "incoming-1.tmp": tt.incoming} {
				if data != nil && os.WriteFile(s.path(name), data, 0o600) != nil {
					t.Fatal(name)
				}
			}
			if err := s.save(state{Format: 1, Name: "default", Highest: tt.highest, Good: tt.good}); err != nil {
				t.Fatal(err)
			}
			if r.open(); r.serial() != tt.serial || r.Status().Highest != tt.highest.Serial {
				t.Errorf("serial %d, highest %d: %v", r.serial(), r.Status().Highest, r.Status().Problems)
			}
			if left, _ := filepath.Glob(s.path(incomingFile)); left != nil {
				t.Errorf("left: %s", left)
			}
		})
	}
}

// From the moment when a bundle may answer requests nothing older follows it: it is on disk before it is
// handed over, whenever the process is killed.
func TestKilledWhileItIsMadeActive(t *testing.T) {
	pub := newPublisher(t)
	r := newRig(t, pub.URL).open()
	pub.has(made(t, 5))
	r.expect("", 5)
	killed := filepath.Join(t.TempDir(), "default")
	flushed, flush := "", r.store.flush
	r.store.flush = func(f *os.File) error {
		flushed = fileSum(f.Name())
		return flush(f)
	}
	deliver := r.cfg.Deliver
	r.Puller.cfg.Deliver = func(ctx context.Context, b *bundle.Bundle) error {
		if err := os.CopyFS(killed, os.DirFS(r.cfg.Dir)); err != nil {
			t.Error(err)
		}
		if sum := r.state.Highest.Sum; flushed != sum { // the machine may stop, too
			t.Errorf("flushed is %q, handed over %q", flushed, sum)
		}
		return deliver(ctx, b)
	}
	pub.has(made(t, 6))
	r.expect("", 6)

	again := newRig(t, "http://127.0.0.1:1/")
	again.cfg.Dir, again.machine = killed, r.machine
	if again.open(); again.serial() != 6 || again.Status().Highest != 6 {
		t.Errorf("serial %d, highest %d: %v", again.serial(), again.Status().Highest, again.Status().Problems)
	}
}

// A full disk keeps no revocation from counting. What could not be kept is said, and kept as soon
// as there is room.
func TestFullDisk(t *testing.T) {
	full := fullFile(t)
	pub := newPublisher(t)
	r := newRig(t, pub.URL).open()
	pub.has(made(t, 5))
	r.expect("", 5)
	room := r.store.create
	r.store.create = func(string) (*os.File, error) { return os.OpenFile(full, os.O_RDWR, 0) }
	pub.has(made(t, 6))
	r.expect("", 6)
	r.says("bundle: serial 6 is in use but not kept: write " + full + ": no space left on device; a restart would begin with an older one, or with none")
	if unkept, err := testutil.GatherAndCount(r.metrics, "pullgate_bundle_unkept"); err != nil || unkept != 1 || r.Status().Kept {
		t.Errorf("%d series, %v", unkept, err)
	}
	pub.has(made(t, 5, large(1))) // the floor holds
	r.expect(Rollback, 6)
	pub.has(made(t, 7)) // the next one is not kept either
	r.expect("", 7)

	// A restart now does not go back to what was revoked since.
	before := r.Puller
	pub.says(nil)
	if r.open(); r.serial() != 0 {
		t.Errorf("after a restart serial %d", r.serial())
	}
	r.says("the kept one is not used: " + filepath.Join(r.cfg.Dir, bundleFile) + ": bundle serial is lower than one seen before: serial 5, at least 7")

	r.Puller = before
	r.Puller.unkept.file, r.Puller.unkept.written = nil, 0
	r.store.create = room
	r.disk.Lock()
	r.keep()
	r.disk.Unlock()
	r.round(t.Context())
	if !r.Status().Kept {
		t.Error("not kept although there is room")
	}
	if r.open(); r.serial() != 7 {
		t.Errorf("after a restart serial %d", r.serial())
	}
}

// fullFile names a file that takes no byte.
func fullFile(t *testing.T) string {
	t.Helper()
	const device = "/dev/full"
	if _, err := os.Stat(device); err == nil {
		return device
	}
	dir, page := small(t, os.Getpagesize()), make([]byte, os.Getpagesize())
	if err := os.WriteFile(filepath.Join(dir, "filler"), page, 0o600); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "full")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// small mounts a file system of so many bytes, where the machine lets it; with CI=true it must.
func small(t *testing.T, size int) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", size)); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("no file system can be mounted here: %v", err)
		}
		t.Skipf("no file system can be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// The same on a real file system that is full, with a part of the bundle on it.
func TestFullFileSystem(t *testing.T) {
	dir := small(t, 128<<10)
	pub := newPublisher(t)
	r := newRig(t, pub.URL)
	r.cfg.Dir = filepath.Join(dir, "default")
	r.open()
	pub.has(made(t, 5))
	r.expect("", 5)
	data := made(t, 6, large(300<<10))
	pub.has(data)
	r.expect("", 6)
	if text := strings.Join(r.Status().Problems, "\n"); !strings.Contains(text, "serial 6 is in use but not kept: ") || !strings.Contains(text, "no space left on device") {
		t.Errorf("problems %q", text)
	}
	if sp := r.unkept; sp.written == 0 || len(sp.rest) == 0 {
		t.Errorf("%d bytes on disk, %d in memory", sp.written, len(sp.rest))
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, "size=1048576"); err != nil {
		t.Fatal(err)
	}
	r.disk.Lock()
	r.keep()
	r.disk.Unlock()
	if err := r.cfg.Clock.Save(); err != nil {
		t.Error(err)
	}
	r.says()
	kept, err := os.ReadFile(filepath.Join(r.cfg.Dir, bundleFile))
	if err != nil || !bytes.Equal(kept, data) {
		t.Errorf("%d bytes are kept of %d: %v", len(kept), len(data), err)
	}
	pub.says(nil)
	if r.open(); r.serial() != 6 {
		t.Errorf("after a restart serial %d", r.serial())
	}
}

func TestReadOnlyFileSystem(t *testing.T) {
	dir := small(t, 1<<20)
	pub := newPublisher(t)
	r := newRig(t, pub.URL)
	r.cfg.Dir = filepath.Join(dir, "default")
	r.open()
	pub.has(made(t, 5))
	r.expect("", 5)
	if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	pub.has(made(t, 6, issued(start+60)))
	r.expect("", 6)
	r.says("read-only file system")
	pub.has(made(t, 5, large(1)))
	r.expect(Rollback, 6)
	if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, ""); err != nil {
		t.Fatal(err)
	}
	pub.has(made(t, 7, issued(start+61)))
	r.expect("", 7)
	r.says()
}

// A write that fails at any point leaves the file as it was.
func TestStateIsWholeOrAsBefore(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	want := state{Format: 1, Name: "default", Highest: version{7, "x"}}
	if err := writeChecked(path, &want); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(filepath.Dir(path), ".new-"+filepath.Base(path)), 0o700); err != nil { // the next write fails
		t.Fatal(err)
	}
	if err := writeChecked(path, &state{Format: 1}); err == nil {
		t.Error("written")
	}
	var got state
	if err := readChecked(path, &got); err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for bit := range len(text) * 8 {
		text[bit/8] ^= 1 << (bit % 8)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := readChecked(path, &got); err == nil {
			t.Errorf("bit %d of byte %d is free", bit%8, bit/8)
		}
		text[bit/8] ^= 1 << (bit % 8)
	}
}

func TestStateIsKeptWhileItRuns(t *testing.T) {
	pub := newPublisher(t)
	r := newRig(t, pub.URL).open()
	pub.has(made(t, 5))
	r.expect("", 5)
	r.machine.pass(20 * time.Minute)
	r.expect("", 5)
	r.disk.Lock()
	r.keep()
	r.disk.Unlock()
	pub.says(nil)
	r.machine.pass(10 * time.Minute)
	if r.open(); r.Status().Age != 10*time.Minute {
		t.Errorf("age %s", r.Status().Age)
	}
}
