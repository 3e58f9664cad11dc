package audit

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/pullgate/pullgate/authz"
	"github.com/pullgate/pullgate/examples/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

var start = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

// record is the n-th of a test: all fields set, the time n seconds after start.
func record(n int) *authz.Record {
	until := start.AddDate(1, 0, 0)
	at := start.Add(time.Duration(n) * time.Second)
	return &authz.Record{
		ID: fmt.Sprintf("%08x-%04x-7000-8000-%012x", at.UnixMilli()>>16, at.UnixMilli()&0xffff, n), Time: at,
		Instance: "a", Revision: strings.Repeat("0", 64),
		Subject:    authz.RecordSubject{Customer: "acme", Key: "ci", Via: "key"},
		Request:    authz.RecordRequest{Method: "GET", Host: "registry.acme.example", Path: "/v2/acme/app/manifests/1.4.0?a=<&>", Address: "10.0.0.7", Via: "ext_authz"},
		Action:     "pull",
		Repository: "acme/app", Reference: "1.4.0", Product: "app", Version: "1.4.0", Verdict: "allow", Code: "ok", PolicyCode: "ok",
		License: "acme-app-2026", Grant: "acme-app-2026/0", Until: &until, Cached: "l1", DurationUS: 12, Status: 200,
	}
}

func refused(n, status int) *authz.Record {
	r := record(n)
	r.Subject, r.Verdict, r.Code, r.Status = authz.RecordSubject{Via: "anonymous"}, "deny", "unknown_key", status
	return r
}

func mustOpen(t *testing.T, cfg Config) *Log {
	t.Helper()
	l, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func all(t *testing.T, dir string, f Filter, order Order) []*authz.Record {
	t.Helper()
	var rs []*authz.Record
	if err := Query(dir, f, order, func(r *authz.Record) bool { rs = append(rs, r); return true }); err != nil {
		t.Fatal(err)
	}
	return rs
}

func ids(rs []*authz.Record) []string {
	var s []string
	for _, r := range rs {
		s = append(s, r.ID)
	}
	return s
}

func dirSize(t *testing.T, dir string) (bytes int64, files int) {
	t.Helper()
	segments, err := list(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range segments {
		bytes += s.size
	}
	return bytes, len(segments)
}

func TestRecordsAreReadAsTheyWereWritten(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data", "decisions")
	l := mustOpen(t, Config{Dir: dir, Clock: func() time.Time { return start }})
	want := []*authz.Record{record(1), record(2), record(3)}
	for _, r := range want {
		l.Record(r)
	}
	l.Flush()
	if diff := cmp.Diff(want, all(t, dir, Filter{}, OldestFirst)); diff != "" {
		t.Errorf("oldest first (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]*authz.Record{want[2], want[1], want[0]}, all(t, dir, Filter{}, NewestFirst)); diff != "" {
		t.Errorf("newest first (-want +got):\n%s", diff)
	}
	data, err := os.ReadFile(filepath.Join(dir, "decisions-20260301T000000.000Z.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(data, []byte("?a=<&>")) {
		t.Error("text is escaped for HTML")
	}
	for path, want := range map[string]os.FileMode{dir: 0o700 | os.ModeDir, filepath.Join(dir, "decisions-20260301T000000.000Z.jsonl"): 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode() != want {
			t.Errorf("%s has mode %v, want %v", path, info.Mode(), want)
		}
	}
	if got := l.Stats(); got != (Stats{Written: 3}) {
		t.Errorf("stats %+v", got)
	}
}

func TestARecordIsCopied(t *testing.T) {
	dir := t.TempDir()
	l := mustOpen(t, Config{Dir: dir})
	r := record(1)
	l.Record(r)
	r.ID = "changed"
	l.Flush()
	if got := ids(all(t, dir, Filter{}, OldestFirst)); !cmp.Equal(got, ids([]*authz.Record{record(1)})) {
		t.Errorf("wrote %v", got)
	}
}

func TestRecordsAreWrittenWithinATenthOfASecond(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		l, err := Open(Config{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		l.Record(record(1))
		synctest.Wait()
		if n := l.Stats().Written; n != 0 {
			t.Errorf("%d records written at once: every record would be a system call", n)
		}
		time.Sleep(flushEvery) // virtual
		synctest.Wait()
		if n := l.Stats().Written; n != 1 {
			t.Errorf("%d records written", n)
		}
	})
}

func TestFilesRotateAndStayWithinTheTotal(t *testing.T) {
	dir := t.TempDir()
	const maxFile, maxTotal = 4 << 10, 20 << 10
	l := mustOpen(t, Config{Dir: dir, MaxFileBytes: maxFile, MaxTotalBytes: maxTotal, Clock: func() time.Time { return start }})
	for n := range 500 {
		l.Record(record(n))
		if n%7 == 0 {
			l.Flush()
			if size, _ := dirSize(t, dir); size > maxTotal {
				t.Fatalf("%d bytes after %d records", size, n)
			}
		}
	}
	l.Flush()
	size, files := dirSize(t, dir)
	if size < maxTotal/2 || files < 4 {
		t.Errorf("only %d bytes in %d files are kept of %d", size, files, maxTotal)
	}
	segments, _ := list(dir)
	for _, s := range segments {
		if s.size > maxFile {
			t.Errorf("%s has %d bytes", s.name, s.size)
		}
	}
	// What is left is the newest, without a gap, in the order it was recorded.
	got := all(t, dir, Filter{}, NewestFirst)
	for i, r := range got {
		if want := record(499 - i).ID; r.ID != want {
			t.Fatalf("record %d from the end is %s, want %s", i, r.ID, want)
		}
	}
}

func TestNamesGoForwardWhenTheClockGoesBack(t *testing.T) {
	dir := t.TempDir()
	now := start
	l := mustOpen(t, Config{Dir: dir, MaxFileBytes: 1, Clock: func() time.Time { return now }})
	for n := range 3 {
		l.Record(record(n))
		l.Flush()
		now = now.Add(-time.Hour)
	}
	if got := all(t, dir, Filter{}, OldestFirst); len(got) != 3 || got[0].ID != record(0).ID || got[2].ID != record(2).ID {
		t.Errorf("order %v", ids(got))
	}
}

func TestOpenRefusesADirectoryItCannotUse(t *testing.T) {
	plain := filepath.Join(t.TempDir(), "file")
	appendTo(t, plain, "")
	if _, err := Open(Config{Dir: filepath.Join(plain, "decisions")}); err == nil {
		t.Error("opened below a file")
	}
	if _, err := Open(Config{}); err == nil {
		t.Error("opened without a directory")
	}
	if _, err := open(Config{Dir: t.TempDir()}, func(string, bool) (file, error) { return nil, os.ErrPermission }); !errors.Is(err, os.ErrPermission) {
		t.Errorf("without permission: %v", err)
	}
}

func TestAFullQueueDropsAndCounts(t *testing.T) {
	disk := &disk{stuck: make(chan struct{})}
	l, err := open(Config{Dir: t.TempDir(), Queue: 10}, disk.open)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for n := range 4 {
		wg.Go(func() {
			for i := range 1000 {
				l.Record(record(n*1000 + i)) // must not block although the disk does
			}
		})
	}
	wg.Wait()
	close(disk.stuck)
	l.Close()
	s := l.Stats()
	if s.Dropped == 0 || s.Written+s.Dropped != 4000 {
		t.Errorf("stats %+v: every record is written or counted as dropped", s)
	}
	l.Record(record(1))
	if got := l.Stats().Dropped; got != s.Dropped+1 {
		t.Error("a record after Close is not counted")
	}
}

func TestAFloodOfTheUnidentifiedCrowdsOutNoCustomer(t *testing.T) {
	dir := t.TempDir()
	now := start
	l := mustOpen(t, Config{Dir: dir, Unidentified: 5, Queue: 1000, Clock: func() time.Time { return now }})
	for n := range 300 {
		l.Record(refused(n, []int{400, 401, 429}[n%3]))
	}
	customers := []*authz.Record{record(1000), refused(1001, 404), refused(1002, 403)}
	for _, r := range customers {
		l.Record(r)
	}
	l.Flush()
	if s := l.Stats(); s.Written != 50+3 || s.Aggregated != 250 || s.Dropped != 0 {
		t.Errorf("stats %+v, want ten seconds' worth of the quota and every other record", s)
	}
	now = now.Add(time.Second)
	for n := range 20 {
		l.Record(refused(n, 401))
	}
	l.Flush()
	if s := l.Stats(); s.Written != 53+5 {
		t.Errorf("stats %+v a second later", s)
	}
}

func TestAFloodWhileTheDiskIsStuckLeavesRoomInTheQueue(t *testing.T) {
	disk := &disk{stuck: make(chan struct{})}
	l, err := open(Config{Dir: t.TempDir(), Queue: 100, Unidentified: 1000}, disk.open)
	if err != nil {
		t.Fatal(err)
	}
	for n := range 1000 {
		l.Record(refused(n, 401))
	}
	for n := range 50 {
		l.Record(record(n))
	}
	close(disk.stuck)
	l.Close()
	if s := l.Stats(); s.Dropped != 0 {
		t.Errorf("stats %+v: records of customers were dropped", s)
	}
}

func TestMetrics(t *testing.T) {
	reg := prometheus.NewRegistry()
	l := mustOpen(t, Config{Dir: t.TempDir(), Registerer: reg, Unidentified: 1, Clock: func() time.Time { return start }})
	for n := range 12 {
		l.Record(refused(n, 401))
	}
	l.Flush()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, label := range m.GetLabel() {
				name += " " + label.GetValue()
			}
			got[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	want := map[string]float64{
		"pullgate_audit_records_total":        10,
		"pullgate_audit_dropped_total queue":  0,
		"pullgate_audit_dropped_total disk":   0,
		"pullgate_audit_dropped_total closed": 0,
		"pullgate_audit_aggregated_total 400": 0,
		"pullgate_audit_aggregated_total 401": 2,
		"pullgate_audit_aggregated_total 429": 0,
		"pullgate_audit_write_errors_total":   0,
		"pullgate_audit_queue_length":         0,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func BenchmarkRecord(b *testing.B) {
	l, err := Open(Config{Dir: b.TempDir(), Queue: 1 << 16})
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	r := record(1)
	b.ReportAllocs()
	for b.Loop() {
		l.Record(r)
	}
	b.ReportMetric(float64(l.Stats().Dropped)/float64(b.N), "dropped/op")
}

func appendTo(t *testing.T, file, text string) {
	t.Helper()
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

func countLines(t *testing.T, dir string) int {
	t.Helper()
	segments, err := list(dir)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, s := range segments {
		data, err := os.ReadFile(filepath.Join(dir, s.name))
		if err != nil {
			t.Fatal(err)
		}
		n += bytes.Count(data, []byte("\n"))
	}
	return n
}
