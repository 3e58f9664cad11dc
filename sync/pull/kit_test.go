package pull

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/pullgate/pullgate/bundle"
)

var keys = sync.OnceValue(func() (all [2]*ecdsa.PrivateKey) {
	for i := range all {
		k, err := bundle.GenerateKey()
		if err != nil {
			panic(err)
		}
		all[i] = k
	}
	return all
})

// start is when the tests' clocks begin.
const start int64 = 1_780_000_000

// made is a bundle's file; the options change what is in it.
func made(t testing.TB, serial int64, change ...func(*bundle.Content)) []byte {
	t.Helper()
	return signedBy(t, keys()[0], serial, change...)
}

func signedBy(t testing.TB, key *ecdsa.PrivateKey, serial int64, change ...func(*bundle.Content)) []byte {
	t.Helper()
	c := &bundle.Content{Serial: serial, IssuedAt: start, NotAfter: start + 72*3600, Files: map[string][]byte{
		"pullgate/a/data.json": fmt.Appendf(nil, `{"serial":%d}`, serial),
	}}
	for _, f := range change {
		f(c)
	}
	var s *bundle.Signer
	if key != nil {
		var err error
		if s, err = bundle.NewSigner(key); err != nil {
			t.Fatal(err)
		}
	}
	var out bytes.Buffer
	if _, err := bundle.Write(&out, c, s); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func issued(at int64) func(*bundle.Content) {
	return func(c *bundle.Content) { c.IssuedAt, c.NotAfter = at, at+72*3600 }
}

// large adds bytes that do not compress.
func large(n int) func(*bundle.Content) {
	return func(c *bundle.Content) {
		data := make([]byte, 0, n+32)
		for sum := sha256.Sum256(nil); len(data) < n; sum = sha256.Sum256(sum[:]) {
			data = append(data, sum[:]...)
		}
		c.Files["index.bin"] = data
	}
}

// machine is a machine's clock and uptime, set by hand.
type machine struct {
	mu   sync.Mutex
	wall time.Time
	up   time.Duration
}

func newMachine() *machine { return &machine{wall: time.Unix(start+60, 0), up: time.Hour} }

func (m *machine) read() (time.Time, time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.wall, m.up
}

// pass lets time pass, set sets the clock.
func (m *machine) pass(d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.wall, m.up = m.wall.Add(d), m.up+d
}

func (m *machine) set(d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.wall = m.wall.Add(d)
}

// publisher is a bundle server whose answers the test writes.
type publisher struct {
	*httptest.Server
	mu     sync.Mutex
	answer http.HandlerFunc
	seen   []*http.Request
}

func newPublisher(t testing.TB) *publisher {
	t.Helper()
	p := &publisher{}
	p.Server = httptest.NewServer(p)
	t.Cleanup(p.CloseClientConnections)
	t.Cleanup(p.Close)
	return p
}

func (p *publisher) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.seen = append(p.seen, r)
	answer := p.answer
	p.mu.Unlock()
	if answer == nil {
		answer = http.NotFound
	}
	answer(w, r)
}

func (p *publisher) requests() []*http.Request {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.seen)
}

func (p *publisher) says(answer http.HandlerFunc) {
	p.mu.Lock()
	p.answer = answer
	p.mu.Unlock()
}

// has makes it serve a file as a static server does, with an ETag.
func (p *publisher) has(file []byte) {
	sum := sha256.Sum256(file)
	tag := `"` + hex.EncodeToString(sum[:]) + `"`
	p.says(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", tag)
		if r.Header.Get("If-None-Match") == tag {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		w.Header().Set("Content-Type", "application/gzip")
		_, _ = w.Write(file)
	})
}

// rig is a Puller that is driven by hand, a round at a time.
type rig struct {
	*Puller
	t         testing.TB
	cfg       Config
	machine   *machine
	log       *bytes.Buffer
	metrics   *prometheus.Registry
	delivered []int64
	refuse    error // of Deliver
}

func newRig(t testing.TB, urls ...string) *rig {
	t.Helper()
	ring, err := bundle.NewKeyRing(&keys()[0].PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, machine: newMachine(), log: &bytes.Buffer{}}
	r.cfg = Config{
		URLs: urls, Dir: filepath.Join(t.TempDir(), "default"), Ring: ring, Wait: -1,
		Logger: slog.New(slog.NewTextHandler(r.log, nil)),
		limits: limits{answer: 10 * time.Second, stall: 10 * time.Second, first: time.Millisecond, last: 8 * time.Millisecond},
	}
	r.cfg.Deliver = func(_ context.Context, b *bundle.Bundle) error {
		if r.refuse == nil {
			r.delivered = append(r.delivered, b.Serial())
		}
		return r.refuse
	}
	return r
}

// open starts a process: it opens what the one before has left and uses what was kept.
func (r *rig) open() *rig {
	r.t.Helper()
	r.cfg.Clock = OpenClock(filepath.Join(filepath.Dir(r.cfg.Dir), "clock"), r.machine.read)
	r.metrics = prometheus.NewRegistry()
	r.cfg.Registerer = r.metrics
	p, err := New(r.cfg)
	if err != nil {
		r.t.Fatal(err)
	}
	r.Puller, r.delivered = p, nil
	p.useKept(r.t.Context())
	return r
}

// serial is that of the active bundle, 0 without one.
func (r *rig) serial() int64 { return r.Status().Serial }

// expect asks once and checks what came of it: reason "" is for a good answer.
func (r *rig) expect(reason Reason, serial int64) {
	r.t.Helper()
	r.round(r.t.Context())
	got := Reason("")
	if f := r.Status().Failure; f != nil {
		got = f.Reason
	}
	if got != reason || r.serial() != serial {
		r.t.Fatalf("reason %q, serial %d; want %q, %d: %v", got, r.serial(), reason, serial, r.Status().Failure)
	}
	if reason != "" && testutil.ToFloat64(r.Puller.metrics.pulls.WithLabelValues(string(reason))) < 1 {
		r.t.Errorf("%s is not counted", reason)
	}
}

// says checks the problems that are told; none when want is empty.
func (r *rig) says(want ...string) {
	r.t.Helper()
	got := r.Status().Problems
	if len(got) != len(want) {
		r.t.Fatalf("%d problems, want %d:\n%s", len(got), len(want), strings.Join(got, "\n"))
	}
	for i, w := range want {
		if !strings.Contains(got[i], w) {
			r.t.Errorf("%q is not in %q", w, got[i])
		}
	}
}

var errTest = errors.New("a test says so")
