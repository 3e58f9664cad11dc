package memstore

import (
	"encoding/binary"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/pullgate/pullgate/authz"
)

func newCache(t *testing.T, cfg Config) *Cache {
	t.Helper()
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func key(i int) (k [32]byte) {
	binary.BigEndian.PutUint64(k[:], uint64(i))
	return k
}

func TestCacheReturnsTheLastEntryOfAKey(t *testing.T) {
	c := newCache(t, Config{})
	if _, ok := c.Get(key(1)); ok {
		t.Fatal("an empty cache has an entry")
	}
	first := authz.Entry{Verdict: authz.Verdict{Code: authz.CodeOK}, From: 10, Until: 70}
	second := authz.Entry{
		Verdict: authz.Verdict{Allow: true, Code: authz.CodeGrace, Warnings: []authz.Warning{{Code: "grace", Message: "ends"}}},
		Visible: []int{0, 2}, From: 20, Until: 25,
	}
	c.Put(key(1), first)
	c.Put(key(1), second)
	got, ok := c.Get(key(1))
	if !ok {
		t.Fatal("entry is gone")
	}
	if d := cmp.Diff(second, got); d != "" {
		t.Error(d)
	}
	if _, ok := c.Get(key(2)); ok {
		t.Error("another key has the entry")
	}
}

func TestCacheKeepsEntriesOfOtherClocks(t *testing.T) {
	c := newCache(t, Config{})
	c.Put(key(1), authz.Entry{From: -62135596800, Until: -62135596740}) // the year 1: the Gate judges, not the store
	if _, ok := c.Get(key(1)); !ok {
		t.Error("an entry of an old clock was dropped")
	}
}

func TestCacheRefusesEntriesThatAreNeverTrue(t *testing.T) {
	c := newCache(t, Config{})
	c.Put(key(1), authz.Entry{From: 10, Until: 10})
	c.Put(key(2), authz.Entry{From: 10, Until: 9})
	for _, k := range []int{1, 2} {
		if _, ok := c.Get(key(k)); ok {
			t.Errorf("entry %d was kept", k)
		}
	}
}

func TestCacheStaysWithinItsWeight(t *testing.T) {
	reg := prometheus.NewRegistry()
	c := newCache(t, Config{MaxBytes: 100 << 10, Registerer: reg})
	for i := range 5000 {
		c.Put(key(i), authz.Entry{Verdict: authz.Verdict{Message: "why"}, From: 0, Until: 60})
	}
	c.entries.CleanUp()
	if w := c.entries.WeightedSize(); w > 100<<10 {
		t.Errorf("%d bytes, more than the maximum", w)
	}
	if n := c.entries.EstimatedSize(); n == 0 {
		t.Error("nothing is kept")
	}
	if n, err := testutil.GatherAndCount(reg); err != nil || n != 3 {
		t.Errorf("%d metrics, %v", n, err)
	}
}

func TestWeightCountsWhatAnEntryHolds(t *testing.T) {
	small := Weight(&authz.Entry{})
	list := Weight(&authz.Entry{Visible: make([]int, 1000)})
	if list < small+8000 {
		t.Errorf("a list of 1000 weighs %d, an empty entry %d", list, small)
	}
	long := Weight(&authz.Entry{Verdict: authz.Verdict{Message: string(make([]byte, 500)), Headers: []authz.Header{{Name: "n"}}}})
	if long < small+500 {
		t.Errorf("a message of 500 bytes weighs %d, an empty entry %d", long, small)
	}
}
