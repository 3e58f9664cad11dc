package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// slowRule reads the caller's address, so that each has its own verdict, and takes some milliseconds, of the 20
// that it may.
const slowRule = `package vendor.slow

warn contains {"code": "never", "message": "Never."} if {
	text := concat("", [x | some _ in numbers.range(1, 400); x := "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"])
	n := count([1 | some i in numbers.range(1, 60); crypto.md5(sprintf("%s%d", [text, i])) != ""])
	n < 0
	input.request.address == "203.0.113.9"
}
`

// serveSlowly is pullgate on one processor, so that it has one worker, with a slow vendor rule.
func serveSlowly(t *testing.T) *served {
	t.Helper()
	v := newVendor(t)
	v.must(os.MkdirAll(v.path("licenses/rules"), 0o755))
	v.write("licenses/rules/slow.rego", slowRule, 0o644)
	t.Setenv("GOMAXPROCS", "1")
	s := v.with("pullgate").serve()
	s.awaitReady()
	return s
}

// A rush is many requests at once: what was answered, in the order in which it was.
type rush struct {
	mu   sync.Mutex
	all  sync.WaitGroup
	got  []answer
	next int // address
}

// ask has n ask for an image that acme may pull, each from an address of its own or all from one.
func (r *rush) ask(s *served, n int, together bool) {
	s.Helper()
	for range n {
		if !together {
			r.next++
		}
		address := fmt.Sprintf("10.%d.%d.%d", r.next>>16, r.next>>8&255, r.next&255)
		r.all.Go(func() {
			a := s.askFrom(address, basic("acme", s.key), http.MethodGet, "/v2/acme/app/manifests/1.4.0")
			r.mu.Lock()
			defer r.mu.Unlock()
			r.got = append(r.got, a)
		})
	}
}

// begun is whether one was answered.
func (r *rush) begun() bool { r.mu.Lock(); defer r.mu.Unlock(); return len(r.got) > 0 }

// answered waits for all, of which each must be the right answer or a clear refusal. before are the refusals that
// came before the first answer.
func (r *rush) answered(s *served) (ok, refused, before int) {
	s.Helper()
	r.all.Wait()
	for _, a := range r.got {
		switch {
		case a.Status == http.StatusOK && a.Code == "ok":
			if ok++; ok == 1 {
				before = refused
			}
		case a.Status == http.StatusServiceUnavailable && a.Code == "overloaded" && a.Header.Get("Retry-After") != "":
			refused++
		default:
			s.Errorf("neither an answer nor a refusal: %+v", a)
		}
	}
	r.got = nil
	return ok, refused, before
}

// Who would have to wait too long for a worker is refused, while others are answered. So many may wait that
// only the time can be why.
func TestServeRefusesWhoWouldWaitTooLong(t *testing.T) {
	s := serveSlowly(t)
	var r rush
	s.await("answers and refusals", patience, func() bool {
		r.ask(s, 1000, false)
		ok, refused, _ := r.answered(s)
		t.Logf("%d answered, %d refused", ok, refused)
		return t.Failed() || ok > 0 && refused > 0
	})
}

// No more than 1,024 wait at a time, and who comes beyond them is refused before those are answered. They all wait
// for one answer, behind others who have asked before, of whom a slow machine may refuse some.
func TestServeRefusesBeyondThoseWhoMayWait(t *testing.T) {
	s := serveSlowly(t)
	byWorkers := func() int {
		_, text := s.get("/metrics")
		if !strings.Contains(text, `pullgate_evaluations_total{entrypoint="decision",result="ok"} `) {
			t.Error("evaluations are not counted as they were")
		}
		n, _ := strconv.Atoi(s.gauge(`pullgate_evaluations_total\{entrypoint="decision",result="refused"\}`)) // absent: none
		return n
	}
	var ahead, same rush
	same.next = 1 << 20
	n := 25
	s.await("refusals by number", patience, func() bool {
		byWorkersBefore := byWorkers()
		ahead.ask(s, n, false)
		s.await("the first of the line", patience, ahead.begun)
		same.next++
		same.ask(s, 2000, true)
		ok, refused, before := same.answered(s)
		_, late, _ := ahead.answered(s)
		none := byWorkers()-byWorkersBefore == late
		t.Logf("behind %d: %d answered, %d refused, %d of them before any answer; none by workers: %t", n, ok, refused, before, none)
		if n *= 2; n > 200 {
			n = 25
		}
		return t.Failed() || ok > 0 && before > 0 && none
	})
}

// Connections are renewed at the age that is set, and no request fails for it.
func TestServeRenewsConnections(t *testing.T) {
	v := newVendor(t)
	s := v.serve("--grpc-connection-age", "1s")
	s.awaitReady()
	var dialed atomic.Int32
	conn, err := grpc.NewClient("passthrough:///"+s.conn.Target(), grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
		dialed.Add(1)
		return new(net.Dialer).DialContext(ctx, "tcp", addr)
	}))
	v.must(err)
	defer conn.Close()
	s.check = authv3.NewAuthorizationClient(conn)
	s.await("a third connection", 10*time.Second, func() bool {
		if a := s.pull("1.4.0"); a.Status != http.StatusOK {
			t.Errorf("over connection %d: %+v", dialed.Load(), a)
		}
		return t.Failed() || dialed.Load() >= 3
	})
}
