package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/pullgate/pullgate/examples/load/drive"
)

// half refuses /no with 403, stalls on /stall, answers /hole without a status.
type half struct {
	authv3.UnimplementedAuthorizationServer
	seen chan *authv3.CheckRequest
}

func (h half) Check(ctx context.Context, r *authv3.CheckRequest) (*authv3.CheckResponse, error) {
	select {
	case h.seen <- r:
	default:
	}
	switch r.Attributes.Request.Http.Path {
	case "/no":
		return &authv3.CheckResponse{
			Status:          &status.Status{Code: 7},
			HttpResponse:    &authv3.CheckResponse_DeniedResponse{DeniedResponse: &authv3.DeniedHttpResponse{Status: &typev3.HttpStatus{Code: 403}}},
			DynamicMetadata: &structpb.Struct{Fields: map[string]*structpb.Value{"code": structpb.NewStringValue("x")}},
		}, nil
	case "/stall":
		<-ctx.Done()
		return nil, ctx.Err()
	case "/hole":
		return &authv3.CheckResponse{}, nil
	}
	return drive.Empty{}.Check(ctx, r)
}

func serve(t *testing.T) (addr string, seen chan *authv3.CheckRequest) {
	t.Helper()
	seen = make(chan *authv3.CheckRequest, 1)
	return serveService(t, half{seen: seen}), seen
}

func serveService(t *testing.T, service authv3.AuthorizationServer) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	authv3.RegisterAuthorizationServer(s, service)
	done := make(chan error)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		s.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

func files(t *testing.T, targets string) []string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"keys": "pg_one\npg_two\n", "targets": targets} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return []string{"--keys", filepath.Join(dir, "keys"), "--targets", filepath.Join(dir, "targets"), "-o", "json"}
}

func load(t *testing.T, args ...string) (p report) {
	t.Helper()
	var out bytes.Buffer
	if err := run(t.Context(), args, &out); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(out.Bytes(), &p); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestEveryOutcomeIsCounted(t *testing.T) {
	addr, seen := serve(t)
	p := load(t, append(files(t, "GET /yes\nGET /no\nGET /hole\nGET /stall\n"), "--addr", addr, "--count", "80", "--zipf", "0", "--timeout", "200ms")...)
	for _, outcome := range []string{"ok", "denied 403", "no status", "error DeadlineExceeded"} {
		if p.Answers[outcome] == 0 {
			t.Errorf("no %q in %v", outcome, p.Answers)
		}
	}
	if p.Requests != 80 || p.Timeouts != p.Answers["error DeadlineExceeded"] || p.Latency.Max < 50 || p.Latency.P50 > p.Latency.Max {
		t.Errorf("%+v", p)
	}
	r := <-seen
	headers := r.Attributes.Request.Http.HeaderMap.Headers
	if len(headers) != 16 {
		t.Errorf("%d headers", len(headers))
	}
	found := false
	for _, h := range headers {
		if h.Key == "authorization" {
			found = strings.HasPrefix(string(h.RawValue), "Basic ")
		}
	}
	if !found {
		t.Error("no key was sent")
	}
}

// What is due while too many are under way is not sent, and counted.
func TestAnOpenLoopKeepsItsRate(t *testing.T) {
	addr, _ := serve(t)
	p := load(t, append(files(t, "GET /stall\n"), "--addr", addr, "--rate", "200", "--count", "40", "--concurrency", "5", "--timeout", "100ms")...)
	if p.Refused == 0 || p.Requests+p.Refused != 40 || p.Requests < 5 {
		t.Errorf("%d sent, %d not: %+v", p.Requests, p.Refused, p)
	}
}

// standsStill is a context whose loop is kept for a while where it looks whether it has ended.
type standsStill struct {
	context.Context
	at    int
	since time.Duration
	asked atomic.Int64
}

func (c *standsStill) Err() error {
	if c.asked.Add(1) == int64(c.at) {
		time.Sleep(c.since)
	}
	return c.Context.Err()
}

// What is due while the service, or the program that asks it, stands still for half a second is late by what was
// left of that, whenever it is sent.
func TestAnOpenLoopCountsFromWhenARequestWasDue(t *testing.T) {
	const stall, every, count = 500 * time.Millisecond, 5 * time.Millisecond, 120
	requests, err := drive.Mix{Host: "h", Who: []string{""}, What: []drive.Target{{Method: "GET", Path: "/pause"}}}.Draw(count)
	if err != nil {
		t.Fatal(err)
	}
	for _, stands := range []string{"service", "program"} {
		t.Run(stands, func(t *testing.T) {
			pauses, ctx := &pause{}, context.Context(&standsStill{Context: t.Context(), at: 2, since: stall})
			if stands == "service" {
				pauses.lasts, ctx = stall, t.Context()
			}
			d, err := drive.Dial(drive.Config{Addr: serveService(t, pauses), Requests: requests, Rate: float64(time.Second / every), Count: count, Timeout: time.Minute})
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			if err := d.Await(t.Context()); err != nil {
				t.Fatal(err)
			}
			r := d.Run(ctx)
			if r.Answers["ok"] != count || len(r.By["ok"]) != count || len(r.Behind) != count {
				t.Fatal(r.Answers, len(r.By["ok"]), len(r.Behind))
			}
			if most := r.Behind.At(1); stands == "program" && most < stall-2*every {
				t.Errorf("sent %s after it was due at most, want about %s", most, stall)
			}
			for _, late := range []time.Duration{100, 250, 400} {
				late *= time.Millisecond
				n := 0
				for _, l := range r.Latency {
					if l >= late {
						n++
					}
				}
				// The first one or two are sent before.
				if want := int((stall-late)/every) - 2; n < want {
					t.Errorf("%d answers are %s late or more, want %d at least", n, late, want)
				}
			}
		})
	}
}

// pause answers nobody for some time after it is asked first.
type pause struct {
	authv3.UnimplementedAuthorizationServer
	lasts time.Duration
	once  sync.Once
	over  time.Time
}

func (p *pause) Check(ctx context.Context, r *authv3.CheckRequest) (*authv3.CheckResponse, error) {
	p.once.Do(func() { p.over = time.Now().Add(p.lasts) })
	time.Sleep(time.Until(p.over))
	return drive.Empty{}.Check(ctx, r)
}

func TestTheFirstTargetIsAskedMost(t *testing.T) {
	var targets []drive.Target
	for _, p := range []string{"/a", "/b", "/c", "/d"} {
		targets = append(targets, drive.Target{Method: "GET", Path: p})
	}
	mix := drive.Mix{Host: "h", Who: []string{""}, What: targets, Zipf: 1.5}
	requests, err := mix.Draw(1000)
	if err != nil {
		t.Fatal(err)
	}
	again, err := mix.Draw(1000)
	if err != nil {
		t.Fatal(err)
	}
	n := map[string]int{}
	for i := range requests {
		if !bytes.Equal(requests[i], again[i]) {
			t.Fatal("the same mix asks something else")
		}
		for _, p := range targets {
			if bytes.Contains(requests[i], []byte(":path\x1a\x02"+p.Path)) {
				n[p.Path]++
			}
		}
	}
	if n["/a"] < 400 || n["/a"] <= n["/b"] || n["/b"] <= n["/d"] || n["/d"] == 0 {
		t.Errorf("%v", n)
	}
}

func TestPercentiles(t *testing.T) {
	var l drive.Latency
	for i := range 100 {
		l = append(l, time.Duration(i+1))
	}
	for q, want := range map[float64]time.Duration{0: 1, .5: 50, .99: 99, .999: 100, 1: 100} {
		if got := l.At(q); got != want {
			t.Errorf("at %v: %d, want %d", q, got, want)
		}
	}
	if got := l.Mean(); got != 50 {
		t.Errorf("mean %d", got)
	}
}

func TestWrongUse(t *testing.T) {
	for want, args := range map[string][]string{
		"--targets: a file with lines": {"--addr", "127.0.0.1:1"},
		"is not METHOD TARGET":         files(t, "/v2/\n"),
		"must be above 1":              append(files(t, "GET /\nGET /b\n"), "--zipf", "0.5"),
		"-o yaml: table or json":       {"-o", "yaml"},
	} {
		if err := run(t.Context(), args, new(bytes.Buffer)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q", args, err, want)
		}
	}
}
