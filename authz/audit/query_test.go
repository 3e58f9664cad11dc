package audit

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pullgate/pullgate/authz"
)

func TestFilter(t *testing.T) {
	dir := t.TempDir()
	l := mustOpen(t, Config{Dir: dir, Clock: func() time.Time { return start }})
	for n := range 4 {
		r := record(n)
		switch n {
		case 1:
			r.Subject, r.License, r.Repository = authz.RecordSubject{Customer: "globex", Key: "ci", Via: "key"}, "globex-1", "globex/tools"
		case 2:
			r.Verdict, r.Code, r.PolicyCode, r.Status = "deny", "unknown_reference", "tag_not_granted", 404
			r.Product, r.Version = "other", "2.0.0"
		case 3:
			r.Repository, r.Subject.Key = `odd"<name>\`, "deploy"
		}
		l.Record(r)
	}
	l.Flush()
	at := func(n int) time.Time { return record(n).Time }
	tests := []struct {
		name string
		f    Filter
		want []int
	}{
		{"all", Filter{}, []int{0, 1, 2, 3}},
		{"customer", Filter{Customer: []string{"acme"}}, []int{0, 2, 3}},
		{"one of two customers", Filter{Customer: []string{"globex", "nobody"}}, []int{1}},
		{"license", Filter{License: []string{"globex-1"}}, []int{1}},
		{"key by its id", Filter{Key: []string{"ci"}}, []int{0, 1, 2}},
		{"key with its customer", Filter{Key: []string{"acme/ci"}}, []int{0, 2}},
		{"repository", Filter{Repository: []string{"acme/app"}}, []int{0, 2}},
		{"repository that JSON escapes", Filter{Repository: []string{`odd"<name>\`}}, []int{3}},
		{"product and version", Filter{Product: []string{"other"}, Version: []string{"2.0.0"}}, []int{2}},
		{"product of one and version of another", Filter{Product: []string{"other"}, Version: []string{"1.4.0"}}, nil},
		{"verdict", Filter{Verdict: []string{"deny"}}, []int{2}},
		{"code told", Filter{Code: []string{"unknown_reference"}}, []int{2}},
		{"code of the policy", Filter{Code: []string{"tag_not_granted"}}, []int{2}},
		{"since is included", Filter{Since: at(2)}, []int{2, 3}},
		{"until is not", Filter{Until: at(2)}, []int{0, 1}},
		{"between", Filter{Since: at(1), Until: at(3)}, []int{1, 2}},
		{"id", Filter{ID: record(2).ID}, []int{2}},
		{"nobody", Filter{Customer: []string{"acm"}}, nil},
		{"the empty customer", Filter{Customer: []string{""}}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var want []string
			for _, n := range tt.want {
				want = append(want, record(n).ID)
			}
			if diff := cmp.Diff(want, ids(all(t, dir, tt.f, OldestFirst))); diff != "" {
				t.Errorf("oldest first (-want +got):\n%s", diff)
			}
			slices.Reverse(want)
			if diff := cmp.Diff(want, ids(all(t, dir, tt.f, NewestFirst))); diff != "" {
				t.Errorf("newest first (-want +got):\n%s", diff)
			}
		})
	}
}

func TestQueryStopsWhenItsCallerHasEnough(t *testing.T) {
	dir := t.TempDir()
	l := mustOpen(t, Config{Dir: dir, MaxFileBytes: 2000})
	for n := range 20 {
		l.Record(record(n))
	}
	l.Flush()
	var got []string
	if err := Query(dir, Filter{}, NewestFirst, func(r *authz.Record) bool {
		got = append(got, r.ID)
		return len(got) < 7
	}); err != nil {
		t.Fatal(err)
	}
	if len(got) != 7 || got[0] != record(19).ID || got[6] != record(13).ID {
		t.Errorf("got %v", got)
	}
}

func TestQueryWithoutTheDirectory(t *testing.T) {
	err := Query(filepath.Join(t.TempDir(), "none"), Filter{}, OldestFirst, nil)
	if !os.IsNotExist(err) {
		t.Errorf("error %v, want %v", err, fs.ErrNotExist)
	}
}

func TestQueryReadsOnlyFilesOfItsTime(t *testing.T) {
	dir := t.TempDir()
	hour := func(n int) time.Time { return start.Add(time.Duration(n) * time.Hour) }
	for n := range 5 {
		appendTo(t, filepath.Join(dir, segmentName(hour(n))), "")
	}
	for _, other := range []string{"decisions-.jsonl", "decisions-20260301T000000.000Z.jsonl.bak", "notes.txt"} {
		appendTo(t, filepath.Join(dir, other), "")
	}
	segments, err := list(dir)
	if err != nil {
		t.Fatal(err)
	}
	f := Filter{Since: hour(2).Add(30 * time.Minute), Until: hour(2).Add(40 * time.Minute)}
	var names []string
	for _, s := range f.prune(segments) {
		names = append(names, s.name)
	}
	if want := []string{segmentName(hour(2))}; !cmp.Equal(names, want) {
		t.Errorf("reads %v, want %v", names, want)
	}
}

func TestFind(t *testing.T) {
	dir := t.TempDir()
	now := start
	l := mustOpen(t, Config{Dir: dir, MaxFileBytes: 1, Clock: func() time.Time { return now }})
	for n := range 10 {
		r := record(n * 3600)
		now = r.Time
		l.Record(r)
		l.Flush()
	}
	odd := record(5)
	odd.ID = "made-up"
	l.Record(odd)
	// Its id says another time than the clock that named the files.
	far := record(-1_000_000)
	l.Record(far)
	l.Flush()
	for _, want := range []*authz.Record{record(0), record(5 * 3600), record(9 * 3600), odd, far} {
		got, err := Find(dir, want.ID)
		if err != nil || cmp.Diff(want, got) != "" {
			t.Errorf("find %s: %v %v", want.ID, got, err)
		}
	}
	for _, id := range []string{"", "nothing", record(17).ID, "00000000-0000-7000-8000-00000000000g"} {
		if got, err := Find(dir, id); got != nil || err != nil {
			t.Errorf("find %q: %v %v", id, got, err)
		}
	}
}

func TestReadersDoNotDisturbTheWriter(t *testing.T) {
	dir := t.TempDir()
	l := mustOpen(t, Config{Dir: dir, MaxFileBytes: 20 << 10, MaxTotalBytes: 60 << 10})
	const many = 3000
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for reader := range 4 {
		wg.Go(func() {
			order := Order(reader%2 == 0)
			for {
				select {
				case <-stop:
					return
				default:
				}
				last := ""
				err := Query(dir, Filter{Customer: []string{"acme"}}, order, func(r *authz.Record) bool {
					if last != "" && (r.ID > last) == bool(order) {
						t.Errorf("%s after %s", r.ID, last)
					}
					last = r.ID
					return true
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	for n := range many {
		l.Record(record(n))
		if n%50 == 0 {
			l.Flush()
		}
	}
	l.Flush()
	close(stop)
	wg.Wait()
	if s := l.Stats(); s.Written != many {
		t.Errorf("stats %+v", s)
	}
}

func TestFollow(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "decisions")
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var mu sync.Mutex
		got := map[string][]string{}
		errs := make(chan error, 3)
		follow := func(name string, f Filter, enough int) {
			go func() {
				errs <- Follow(ctx, dir, f, func(r *authz.Record) bool {
					mu.Lock()
					defer mu.Unlock()
					got[name] = append(got[name], strings.TrimLeft(r.ID[24:], "0"))
					return len(got[name]) != enough
				})
			}()
		}
		follow("before the directory is there", Filter{}, 0)
		synctest.Wait()

		now := start
		l, err := Open(Config{Dir: dir, MaxFileBytes: 1500, Clock: func() time.Time { now = now.Add(time.Second); return now }})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		put := func(n int) { l.Record(record(n)); l.Flush() }
		put(1)
		put(2)
		follow("from now on", Filter{}, 0)
		follow("since, two of them", Filter{Since: record(2).Time}, 2)
		synctest.Wait()
		for n := 3; n <= 9; n++ { // over several files
			put(n)
			if n%2 == 0 {
				time.Sleep(followEvery) // virtual
			}
		}
		time.Sleep(2 * followEvery)
		synctest.Wait()
		mu.Lock()
		want := map[string][]string{
			"before the directory is there": {"1", "2", "3", "4", "5", "6", "7", "8", "9"},
			"from now on":                   {"3", "4", "5", "6", "7", "8", "9"},
			"since, two of them":            {"2", "3"},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		mu.Unlock()
		cancel()
		for range 3 {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
	})
}

// Both directions see the same finished lines, whatever a file holds: reading backward is
// reading forward, reversed; and forward is what splitting says.
func FuzzLines(f *testing.F) {
	for _, s := range []string{"", "\n", "a", "a\n", "a\nb", "a\nb\n", "\n\n", strings.Repeat("x", chunk) + "\n" + strings.Repeat("y", chunk+1) + "\nz\n"} {
		f.Add([]byte(s))
	}
	path := filepath.Join(f.TempDir(), "lines")
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		read := func(order Order) (lines []string) {
			if err := eachLine(path, order, func(line []byte) bool { lines = append(lines, string(line)); return true }); err != nil {
				t.Fatal(err)
			}
			return lines
		}
		var want []string
		for line := range strings.Lines(string(data)) {
			if text, ok := strings.CutSuffix(line, "\n"); ok {
				want = append(want, text)
			}
		}
		if got := read(OldestFirst); !slices.Equal(got, want) {
			t.Errorf("forward %.80q, want %.80q", got, want)
		}
		slices.Reverse(want)
		if got := read(NewestFirst); !slices.Equal(got, want) {
			t.Errorf("backward %.80q, want %.80q", got, want)
		}
		whole, err := wholeLines(path)
		if err != nil || whole != int64(strings.LastIndex(string(data), "\n")+1) {
			t.Errorf("whole lines end at %d, %v", whole, err)
		}
	})
}

func BenchmarkQuery(b *testing.B) {
	const records = 50_000
	dir := b.TempDir()
	l, err := Open(Config{Dir: dir, Queue: records})
	if err != nil {
		b.Fatal(err)
	}
	for n := range records {
		r := record(n)
		r.Subject.Customer = fmt.Sprint("customer", n%1000)
		l.Record(r)
	}
	l.Close()
	for _, bb := range []struct {
		name string
		f    Filter
	}{{"one customer of 1000", Filter{Customer: []string{"customer7"}}}, {"verdict", Filter{Verdict: []string{"deny"}}}} {
		b.Run(fmt.Sprintf("records=50k/%s", bb.name), func(b *testing.B) {
			for b.Loop() {
				if err := Query(dir, bb.f, NewestFirst, func(*authz.Record) bool { return true }); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
