package main

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pullgate/pullgate/authz"
)

// The tiers that are told are those that the sidecar has and that the answer fits into.
func TestExplainTellsTheTiersThatThereAre(t *testing.T) {
	at := time.Unix(1_780_000_000, 0)
	with := func(settings ...string) *settings {
		f := cacheFlags{cache: true}
		for i := 0; i < len(settings); i += 2 {
			t.Setenv("PULLGATE_"+settings[i], settings[i+1])
		}
		if err := f.load(); err != nil {
			t.Fatal(err)
		}
		return f.settings
	}
	small := authz.Entry{From: at.Unix(), Until: at.Unix() + 60}
	list := func(n int) authz.Entry {
		e := small
		e.Visible = make([]int, n)
		for i := range e.Visible {
			e.Visible[i] = i
		}
		return e
	}
	none := with()
	redis := []string{"REDIS", "rediss://redis.example:6379", "REDIS_SECRET_FILE", "secret"}
	auto := with(redis...)
	always := with(append(redis, "REDIS_CACHE", "always")...)
	off := with("REDIS_CACHE", "off", "REVOCATION_KEY_FILE", "revoke.pub")
	t.Setenv("PULLGATE_REVOCATION_KEY_FILE", "")
	bare := with("REDIS_CACHE", "always", "CACHE_BYTES", "0")
	tight := with("CACHE_BYTES", "1048576")
	for _, c := range []struct {
		name  string
		of    *settings
		entry authz.Entry
		at    time.Time
		want  string // the tiers
		why   []string
	}{
		{"no Redis", none, small, at, "l1", []string{"l2: redis is not set"}},
		{"auto", auto, small, at, "l1 l2", []string{"l2: while asking takes less time"}},
		{"always", always, small, at, "l1 l2", nil},
		{"off", off, small, at, "l1", []string{"l2: redis_cache is off"}},
		{"no memory", bare, small, at, "l2", []string{"l1: cache_bytes is 0"}},
		{"a list", always, list(60_000), at, "l1 l2", nil},
		{"a list too long for Redis", always, list(70_000), at, "l1", []string{"l2: it is larger than 64 KiB"}},
		{"the same where it is not asked always", auto, list(70_000), at, "l1", []string{"l2: it is larger than 64 KiB"}},
		{"a list too long for memory", tight, list(140_000), at, "", []string{"l1: it is larger than cache_bytes", "l2: it is larger than 64 KiB"}},
		{"its last moment", always, small, at.Add(59_800 * time.Millisecond), "l1", []string{"l2: it is true for less than 250 ms"}},
		{"its end", always, small, at.Add(time.Minute), "", nil},
	} {
		k := &authz.Kept{Entry: c.entry, Until: c.entry.Until, Because: "cap"}
		e := &explanation{caches: c.of, d: &authz.Decision{Time: c.at}}
		doc := e.cacheDoc(&authz.Reasoning{Kept: k})
		if got := strings.Join(doc.Tiers, " "); got != c.want || doc.Tiers == nil || len(doc.Why) != len(c.why) {
			t.Errorf("%s: %q, %v", c.name, got, doc.Why)
		}
		p := page{zone: time.UTC}
		e.printTiers(&p, k)
		for _, want := range c.why {
			name, words, _ := strings.Cut(want, ": ")
			if !strings.HasPrefix(doc.Why[name], words) {
				t.Errorf("%s: %s is not because of %q", c.name, name, doc.Why[name])
			}
			if !strings.Contains(p.String(), words) || strings.Contains(p.String(), "  not "+name) == slices.Contains(doc.Tiers, name) {
				t.Errorf("%s:\n%s", c.name, p.String())
			}
		}
	}
	e := &explanation{caches: none, d: &authz.Decision{Time: at}}
	if doc := e.cacheDoc(&authz.Reasoning{}); doc.Uncacheable == "" || len(doc.Tiers) > 0 {
		t.Errorf("of what fails: %+v", doc)
	}
}
