package engine

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"strings"
	"sync"
	"testing"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/proto"

	"github.com/pullgate/pullgate/authz"
	"github.com/pullgate/pullgate/authz/envoy"
	"github.com/pullgate/pullgate/authz/memstore"
	"github.com/pullgate/pullgate/examples/load/drive"
)

// slowRule reads the caller's address, so that each has its own verdict, and takes some milliseconds.
const slowRule = `package vendor.slow

warn contains {"code": "never", "message": "Never."} if {
	n := count([1 | some i in numbers.range(1, 1200); i > 0])
	n < 0
	input.request.address == "203.0.113.9"
}
`

// served is an engine behind a Gate behind the port that Envoy asks.
type servedGate struct {
	engine *Engine
	gate   *authz.Gate
	addr   string
	key    string
}

func serveGate(t *testing.T, w *world, customer string, cfg Config, maxWaiting int) *servedGate {
	t.Helper()
	secret := "pg_" + strings.Repeat("0", 52)
	s := &servedGate{key: fmt.Sprintf("%s_%08x", secret, crc32.ChecksumIEEE([]byte(secret)))}
	hash := sha256.Sum256([]byte(s.key))
	w.keys[hex.EncodeToString(hash[:])] = object{"customer": customer, "key": "served", "expires": "never"}
	s.engine = w.start(t, cfg)
	l1, err := memstore.New(memstore.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l1.Close)
	s.gate = authz.NewGate(authz.GateConfig{
		Engine: s.engine, Cache: l1, Recorder: dropping{}, Registerer: prometheus.NewRegistry(), Clock: clockAt(now), MaxWaiting: maxWaiting,
	})
	server, err := envoy.New(envoy.Config{Addr: "127.0.0.1:0", Decider: s.gate})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		if err := server.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { stop(); running.Wait() })
	s.addr = server.Addr().String()
	return s
}

// requests are n for a path, from so many addresses.
func (s *servedGate) requests(t *testing.T, path string, network byte, n int) [][]byte {
	t.Helper()
	mix := drive.Mix{
		Host: "registry.example", Who: []string{"Basic " + base64.StdEncoding.EncodeToString([]byte("x:"+s.key))},
		What: []drive.Target{{Method: "GET", Path: path}},
	}
	all, err := mix.Draw(n)
	if err != nil {
		t.Fatal(err)
	}
	for i := range all {
		r := new(authv3.CheckRequest)
		if err := proto.Unmarshal(all[i], r); err != nil {
			t.Fatal(err)
		}
		r.Attributes.Source.Address.GetSocketAddress().Address = fmt.Sprintf("%d.%d.%d.%d", network, i>>16, i>>8&255, i&255)
		if all[i], err = proto.Marshal(r); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

func (s *servedGate) drive(t *testing.T, cfg drive.Config) *drive.Result {
	cfg.Addr, cfg.Timeout = s.addr, 20*time.Second
	d, err := drive.Dial(cfg)
	if err != nil {
		t.Error(err)
		return &drive.Result{}
	}
	defer d.Close()
	return d.Run(t.Context())
}

// At twice what it can evaluate every answer is the right one or a clear refusal; what is in memory is always
// answered; and no more wait than can be answered in the time that they may wait, which bounds memory and, on
// processors of its own, latency.
func TestAtTwiceTheCapacity(t *testing.T) {
	w := shop(t)
	w.rule("slow", slowRule)
	const wait = 100 * time.Millisecond
	s := serveGate(t, w, "bakery", Config{MaxWait: wait}, 1024)
	can := s.drive(t, drive.Config{Requests: s.requests(t, "/v2/acme/app/manifests/1.4.0", 11, 5000), Concurrency: 8, Duration: 500 * time.Millisecond})
	// Where the machine stands still for longer than a question may wait, some of the eight are refused.
	ok := can.Answers["ok"]
	if ok+can.Answers["denied 503"] != can.Sent || ok < 10 || ok < can.Sent/2 {
		t.Fatalf("at capacity: %v", can.Answers)
	}
	// While it was measured the machine may have had something else to do.
	for rate, network := can.Rate()*float64(ok)/float64(can.Sent), byte(20); ; rate, network = 2*rate, network+10 {
		answered, refused := s.overload(t, rate, wait, network)
		if answered == 0 || t.Failed() {
			t.Fatal("nothing is answered, or not rightly")
		}
		if refused > answered/10 {
			return
		}
		if network > 50 {
			t.Fatal("nothing is refused")
		}
	}
}

// overload asks twice as much as a rate, from addresses of networks that nobody has asked from.
func (s *servedGate) overload(t *testing.T, rate float64, wait time.Duration, network byte) (answered, refused int) {
	const allowed, denied, lasts = "/v2/acme/app/manifests/1.4.0", "/v2/acme/app/manifests/2.0.0", 1500 * time.Millisecond
	warm := s.requests(t, allowed, 10, 1)
	s.drive(t, drive.Config{Requests: warm, Count: 1})
	enough := int(rate*lasts.Seconds()*1.5) + 100
	type load struct {
		want     string
		rate     float64
		requests [][]byte
		*drive.Result
	}
	hits := &load{want: "ok", rate: 50, requests: warm}
	misses := []*load{{want: "ok", rate: rate, requests: s.requests(t, allowed, network, enough)}, {want: "denied 403", rate: rate, requests: s.requests(t, denied, network+1, enough)}}
	var all sync.WaitGroup
	for _, l := range append(misses, hits) {
		all.Go(func() { l.Result = s.drive(t, drive.Config{Requests: l.requests, Rate: l.rate, Duration: lasts}) })
	}
	most, over := int64(0), make(chan struct{})
	go func() { all.Wait(); close(over) }()
	for sampling := true; sampling; {
		select {
		case <-over:
			sampling = false
		case <-time.After(time.Millisecond):
			most = max(most, s.engine.decisions.waiting.Load())
		}
	}
	for _, l := range misses {
		t.Logf("%.0f a second: %v, p50 %s, p99 %s", l.rate, l.Answers, l.Latency.At(.5), l.Latency.At(.99))
		if n := l.Answers[l.want] + l.Answers["denied 503"]; n != l.Sent || l.Sent == 0 {
			t.Errorf("want %s or a refusal: %v", l.want, l.Answers)
		}
		answered, refused = answered+l.Answers[l.want], refused+l.Answers["denied 503"]
	}
	if t.Logf("hits: %v, p99 %s; at most %d waited", hits.Answers, hits.Latency.At(.99), most); hits.Answers["ok"] != hits.Sent {
		t.Errorf("hits: %v", hits.Answers)
	}
	if limit := int64(rate*wait.Seconds()*5) + 50; most > limit {
		t.Errorf("%d waited at a time, want %d at most", most, limit)
	}
	return answered, refused
}
