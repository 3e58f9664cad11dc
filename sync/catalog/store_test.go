package catalog

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestStoreKeepsWhatWasLearned(t *testing.T) {
	r := newRegistry(t)
	r.sample("acme/app")
	dir := filepath.Join(t.TempDir(), "catalog")
	s, err := Open(dir, "main")
	if err != nil {
		t.Fatal(err)
	}
	crawlOK(t, r.crawler(), s, "acme/app")
	want := snapshot(t, s)
	if _, err := Open(dir, "main"); !errors.Is(err, ErrLocked) {
		t.Fatalf("a second writer: %v", err)
	}
	other, err := Open(dir, "other") // another registry is another file
	if err != nil {
		t.Fatal(err)
	}
	other.Close()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	got, err := Last(dir, "main")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatal(diff)
	}
	for path, mode := range map[string]os.FileMode{dir: 0o700, filepath.Join(dir, "main.db"): 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
}

func TestReopenTakesOnlyWhatWasClosed(t *testing.T) {
	r := newRegistry(t)
	r.sample("acme/app")
	dir := t.TempDir()
	s, err := Open(dir, "main")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Reopen(); err == nil {
		t.Fatal("reopened before it was closed")
	}
	crawlOK(t, r.crawler(), s, "acme/app")
	want := snapshot(t, s)
	for range 2 {
		if err := errors.Join(s.Close(), s.Reopen()); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, snapshot(t, s)); diff != "" {
			t.Fatal(diff)
		}
	}
	late := r.image("acme/app", "late", "", "3.0.0")
	rereadOK(t, r.crawler(), s, Hint{Repository: "acme/app", Tag: "3.0.0"})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	other, err := Open(dir, "main")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Reopen(); err == nil {
		t.Fatal("reopened while another has it")
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Reopen(); err == nil && snapshot(t, s).Repositories["acme/app"].Tags["3.0.0"].Digest != late {
		t.Fatal("another content")
	} else if err == nil {
		s.Close()
	}
	other, err = Open(dir, "main")
	if err != nil {
		t.Fatal(err)
	}
	crawlOK(t, r.crawler(clock("2026-07-01T00:00:00Z")), other, "acme/app")
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Reopen(); !errors.Is(err, errChanged) {
		t.Fatalf("somebody else has written to it: %v", err)
	}
	path, err := storePath(dir, "main")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := s.Reopen(); !errors.Is(err, errChanged) {
		t.Fatalf("it is gone: %v", err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Fatal("it was made again, empty")
	}
}

func TestLastSaysWhatIsMissing(t *testing.T) {
	if _, err := Last(t.TempDir(), "main"); !errors.Is(err, ErrNoCatalog) || !strings.Contains(err.Error(), "pullgate catalog crawl") {
		t.Fatal(err)
	}
	for _, id := range []string{"../x", "A", "-x", "a/b"} {
		if _, err := Open(t.TempDir(), id); err == nil {
			t.Errorf("%s is taken for an id", id)
		}
	}
}

func TestStatesTellWhatFailed(t *testing.T) {
	r := newRegistry(t)
	r.sample("acme/app")
	s := open(t)
	crawlOK(t, r.crawler(clock("2026-01-01T00:00:00Z")), s, "acme/app")
	r.misbehave(answering("tags/list", "403", ""))
	if _, err := r.crawler(clock("2026-02-01T00:00:00Z")).Crawl(t.Context(), s, Targets{Repositories: []string{"acme/app"}}); err != nil {
		t.Fatal(err)
	}
	got, err := s.States()
	want := map[string]State{"acme/app": {Succeeded: at("2026-01-01T00:00:00Z").Unix(), Failed: at("2026-02-01T00:00:00Z").Unix(), Failure: "answered 403 Forbidden"}}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Fatal(err, diff)
	}
}

// However a store's file is damaged, Open either moves it aside and says so, or gives a store
// with the same content (the damage hit unused bytes); it never crashes.
func TestDamagedStoreIsMovedAside(t *testing.T) {
	r := newRegistry(t)
	r.sample("acme/app")
	dir := t.TempDir()
	s, err := Open(dir, "main")
	if err != nil {
		t.Fatal(err)
	}
	crawlOK(t, r.crawler(), s, "acme/app")
	want := snapshot(t, s)
	s.Close()
	good, err := os.ReadFile(filepath.Join(dir, "main.db"))
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	damages := map[string]func() []byte{
		"empty": func() []byte { return nil },
		"text":  func() []byte { return []byte(strings.Repeat("not a database\n", 1000)) },
		"zeros": func() []byte { return make([]byte, len(good)) },
		"cut":   func() []byte { return good[:rng.IntN(len(good))] },
		"one byte": func() []byte {
			b := append([]byte(nil), good...)
			b[rng.IntN(len(b))] ^= byte(1 + rng.IntN(255))
			return b
		},
		"a page": func() []byte {
			b := append([]byte(nil), good...)
			at := rng.IntN(len(b)/4096) * 4096
			for i := range 4096 {
				b[at+i] = byte(rng.Uint32())
			}
			return b
		},
	}
	moved := 0
	for name, damage := range damages {
		for range 40 {
			dir, bytes := t.TempDir(), damage()
			if err := os.WriteFile(filepath.Join(dir, "main.db"), bytes, 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := Last(dir, "main"); err != nil {
				if _, ok := errors.AsType[*CorruptError](err); !ok && !errors.Is(err, ErrNoCatalog) {
					t.Fatalf("%s: %v", name, err)
				}
			}
			s, err := Open(dir, "main")
			if err == nil {
				if diff := cmp.Diff(want, snapshot(t, s)); diff != "" && len(bytes) > 0 {
					t.Fatalf("%s: %s", name, diff)
				}
				s.Close()
				continue
			}
			corrupt, ok := errors.AsType[*CorruptError](err)
			if !ok || corrupt.MovedTo == "" || !strings.Contains(err.Error(), "the next crawl builds a new one") {
				t.Fatalf("%s: %v", name, err)
			}
			if _, err := os.Stat(corrupt.MovedTo); err != nil {
				t.Fatal(err)
			}
			moved++
			s, err = Open(dir, "main")
			if err != nil {
				t.Fatalf("after %s: %v", name, err)
			}
			s.Close()
		}
	}
	t.Logf("%d of %d moved aside", moved, 40*len(damages))
	if moved < 100 {
		t.Fatal("damage goes unnoticed")
	}
}

func TestUnwritableDirectoryIsNoDamage(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Open(filepath.Join(dir, "file"), "main")
	if _, corrupt := errors.AsType[*CorruptError](err); err == nil || corrupt {
		t.Fatal(err)
	}
}
