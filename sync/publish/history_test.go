package publish

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestHistoryKeepsContentsNotIssues(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "default")
	p, _ := newPublisher(t, func(c *Config) { c.Bundles[0].History = &History{Dir: dir, Keep: 3} })
	for _, versions := range []string{">=1.0.0", ">=1.5.0", ">=2.0.0", ">=3.0.0"} {
		if err := p.SetLicenses(t.Context(), licenses(t, versions, 0), nil); err != nil {
			t.Fatal(err)
		}
	}
	reissue(t, p)
	files, err := filepath.Glob(dir + "/*" + historySuffix)
	if err != nil || len(files) != 3 {
		t.Fatal(err, files)
	}
	// A damaged file is nothing to go on with or roll back to, and what is older is not issued in its place.
	slices.Sort(files)
	if err := os.Truncate(files[2], 100); err != nil {
		t.Fatal(err)
	}
	again, e := newPublisher(t, func(c *Config) { c.Bundles[0].History = &History{Dir: dir} })
	again.cfg.Ring, again.cfg.Signer = p.cfg.Ring, p.cfg.Signer
	if err := again.Restore(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	reissue(t, again) // while the licenses are broken
	e.none(t)
	_, revision, _ := strings.Cut(filepath.Base(files[2]), "-")
	if err := again.Rollback(t.Context(), "", strings.TrimSuffix(revision, historySuffix)); err == nil {
		t.Error("rolled back to a damaged file")
	}
	if err := again.SetLicenses(t.Context(), licenses(t, ">=3.0.0", 0), nil); err != nil {
		t.Fatal(err)
	}
	if got := e.last(t, 1); got.Serial() <= p.outlets[0].serial {
		t.Errorf("serial %d after %d", got.Serial(), p.outlets[0].serial)
	}
	// With another key nothing is restored, and that is said.
	other, e := newPublisher(t, func(c *Config) { c.Bundles[0].History = &History{Dir: dir} })
	if err := other.Restore(t.Context(), nil); err == nil {
		t.Error("restored what nobody vouches for")
	}
	e.none(t)
}

// A bundle goes out although the disk has no room for it. What the disk has then must not take its place
// when the licenses cannot be read after a restart, unless the content is the same.
func TestWhatWasNotKeptIsNotTakenBack(t *testing.T) {
	for _, c := range []struct {
		next   string
		issued int
	}{{">=2.0.0", 0}, {">=1.0.0", 2}} {
		dir := filepath.Join(t.TempDir(), "default")
		change := func(c *Config) { c.Bundles[0].History = &History{Dir: dir} }
		p, _ := newPublisher(t, change)
		if err := p.SetLicenses(t.Context(), licenses(t, ">=1.0.0", 0), nil); err != nil {
			t.Fatal(err)
		}
		kept, err := filepath.Glob(dir + "/*" + historySuffix)
		if err != nil || len(kept) != 1 {
			t.Fatal(err, kept)
		}
		file, err := os.ReadFile(kept[0])
		if err != nil {
			t.Fatal(err)
		}
		if err := p.SetLicenses(t.Context(), licenses(t, c.next, 0), nil); err != nil {
			t.Fatal(err)
		}
		reissue(t, p)
		last := p.outlets[0].current
		lost, err := filepath.Glob(dir + "/*" + last.Revision() + historySuffix)
		if err != nil || len(lost) != 1 {
			t.Fatal(err, lost)
		}
		if err := os.Remove(lost[0]); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(kept[0], file, 0o600); err != nil {
			t.Fatal(err)
		}

		again, e := newPublisher(t, change)
		again.cfg.Ring, again.cfg.Signer = p.cfg.Ring, p.cfg.Signer
		if err := again.Restore(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		reissue(t, again)
		if len(e.got) != c.issued {
			t.Fatalf("%s: %d bundles delivered, want %d", c.next, len(e.got), c.issued)
		}
		if c.issued > 0 && e.last(t, c.issued).Serial() <= last.Serial() {
			t.Error("issued again with a serial that was used")
		}
	}
}

// What was published last is not known: then nobody knows either what the next one takes away.
func TestDamagedNoteOfTheNewestHoldsEverythingBack(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "default")
	change := func(c *Config) { c.Bundles[0].History = &History{Dir: dir} }
	p, _ := newPublisher(t, change)
	if err := p.SetLicenses(t.Context(), licenses(t, ">=1.0.0", 0), nil); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, newestFile), []byte("17"), 0o600); err != nil {
		t.Fatal(err)
	}
	again, e := newPublisher(t, change)
	again.cfg.Ring, again.cfg.Signer = p.cfg.Ring, p.cfg.Signer
	if err := again.Restore(t.Context(), nil); err == nil {
		t.Error("restored")
	}
	if err := again.SetLicenses(t.Context(), licenses(t, ">=2.0.0", 0), nil); err != nil || len(again.Held()) != 1 {
		t.Fatal(err, again.Held())
	}
	e.none(t)
}

// reissue is what Run does at half of the validity.
func reissue(t *testing.T, p *Publisher) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, err := p.publish(t.Context(), true); err != nil {
		t.Fatal(err)
	}
}

// Who is elected while something is held back publishes nothing unasked, though there is nothing of its
// own to compare with; what the others find is noted until it is accepted.
func TestWhatAnotherHeldBackWaits(t *testing.T) {
	old := Newest{Serial: 1000, Revision: strings.Repeat("a", 64)}
	for _, heldBack := range []bool{false, true} {
		var notes []string
		p, e := newPublisher(t, func(c *Config) {
			c.Bundles[0].History = &History{Dir: filepath.Join(t.TempDir(), "default")}
			c.Bundles[0].Hold = func(_ context.Context, revision string) error { notes = append(notes, revision); return nil }
		})
		newest := old
		if heldBack {
			newest.Held = strings.Repeat("b", 64)
		}
		if err := p.Restore(t.Context(), map[string]Newest{"default": newest}); err != nil {
			t.Fatal(err)
		}
		if err := p.SetLicenses(t.Context(), licenses(t, ">=1.0.0", 0), nil); err != nil {
			t.Fatal(err)
		}
		if !heldBack {
			e.last(t, 1)
			continue
		}
		held := p.Held()
		if len(held) != 1 || !strings.Contains(held[0].Reason, newest.Held) || len(notes) != 1 || notes[0] != held[0].Revision {
			t.Fatal(held, notes)
		}
		e.none(t)
		if err := p.Accept(t.Context(), "", held[0].Revision); err != nil {
			t.Fatal(err)
		}
		e.last(t, 1)
		if err := p.SetLicenses(t.Context(), licenses(t, ">=2.0.0", 0), nil); err != nil || !slices.Equal(notes, []string{held[0].Revision, ""}) {
			t.Fatal(err, notes)
		}
		e.last(t, 2)
	}
}
