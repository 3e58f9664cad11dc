package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
)

func TestServeIsNotReadyWhileItReadsTheRegistryFirst(t *testing.T) {
	v := newVendor(t)
	release := make(chan struct{})
	v.front.misbehave(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
			v.front.pass.ServeHTTP(w, r)
		case <-r.Context().Done():
		}
	})
	s := v.serve()
	for _, path := range []string{"/v2/", "/v2/acme/app/manifests/1.4.0", "/v2/no/such/tags/list", "/v2/%2e"} {
		if a := s.ask(v.key, http.MethodGet, path); a.Status != http.StatusServiceUnavailable || a.Code != "not_ready" || a.Header.Get("Retry-After") == "" {
			t.Errorf("%s: %+v", path, a)
		}
	}
	s.await("a line in the log", 5*time.Second, func() bool {
		return strings.Contains(s.log.String(), "license files read; they wait for the registry to be read")
	})
	if got := s.healthy(); got != healthv1.HealthCheckResponse_NOT_SERVING {
		t.Errorf("gRPC health is %s", got)
	}
	if code, body := s.get("/readyz"); code != http.StatusServiceUnavailable || !strings.HasPrefix(body, "not ready: no bundle yet") {
		t.Errorf("/readyz: %d %s", code, body)
	}
	if code, body := s.get("/healthz"); code != http.StatusOK || !strings.HasPrefix(body, "not ready: ") {
		t.Errorf("/healthz: %d %s", code, body)
	}
	if _, body := s.get("/v1/status"); !strings.Contains(body, `"ready":false`) {
		t.Errorf("/v1/status: %s", body)
	}
	close(release)
	s.awaitReady()
	if a := s.pull("1.4.0"); a.Status != http.StatusOK || a.Code != "ok" || !regexp.MustCompile(`^/v2/acme/app/manifests/sha256:[0-9a-f]{64}$`).MatchString(a.Forward.Get(":path")) {
		t.Errorf("%+v", a)
	}
	if code, body := s.get("/healthz"); code != http.StatusOK || body != "ok\n" {
		t.Errorf("/healthz: %d %s", code, body)
	}
	if _, body := s.get("/v1/status"); !strings.Contains(body, `"ready":true`) || !regexp.MustCompile(`"revision":"[0-9a-f]{64}"`).MatchString(body) {
		t.Errorf("/v1/status: %s", body)
	}
}

func TestServeSaysWhatToDoWhenItCannotStart(t *testing.T) {
	v := newVendor(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	v.must(err)
	defer taken.Close()
	leaks := goleak.IgnoreCurrent()
	common := []string{"serve", "--licenses", v.path("licenses")}
	for _, flags := range [][2]string{{"--grpc-addr", "--admin-addr"}, {"--admin-addr", "--grpc-addr"}} {
		code, out, text := once(t, append(common, "--data", v.path("other"), flags[0], taken.Addr().String(), flags[1], "127.0.0.1:0")...)
		want := regexp.MustCompile("^pullgate: " + flags[0] + ": .*" + taken.Addr().String() + ": bind: address already in use.*stop wh.*\n$")
		if code != exitUnknown || out != "" || !want.MatchString(text) {
			t.Errorf("%s in use: exit code %d, %q, %q", flags[0], code, out, text)
		}
	}
	nothingRuns(t, leaks)
	s := v.serve()
	s.awaitReady()
	code, _, text := once(t, append(common, "--data", v.path("data"), "--grpc-addr", "127.0.0.1:0", "--admin-addr", "127.0.0.1:0")...)
	if code != exitUnknown || !strings.Contains(text, "another pullgate uses it; stop that one or name another directory") {
		t.Errorf("a second one on the same --data: exit code %d, %q", code, text)
	}
	if a := s.pull("1.4.0"); a.Status != http.StatusOK {
		t.Errorf("the first one suffered: %+v", a)
	}
	// The lock ends with its holder.
	s.stop()
	s = v.serve()
	s.awaitReady()
}

// The address that is printed is one that --grpc-addr and clients take.
func TestServeOnAUnixSocket(t *testing.T) {
	v := newVendor(t)
	for range 2 { // the second finds nothing left of the first
		s := v.serve("--grpc-addr", "unix:"+v.path("gate.sock"))
		if got := s.conn.Target(); got != "unix:"+v.path("gate.sock") {
			t.Errorf("printed %s", got)
		}
		s.awaitReady()
		if info, err := os.Stat(v.path("gate.sock")); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%v %v", info.Mode(), err)
		}
		if a := s.pull("1.4.0"); a.Status != http.StatusOK {
			t.Errorf("%+v", a)
		}
		s.stop()
	}
}

func TestServeRecordsEveryDecision(t *testing.T) {
	v := newVendor(t)
	s := v.serve()
	s.awaitReady()
	allowed, denied := s.pull("1.4.0"), s.pull("2.0.0")
	s.ask("", http.MethodGet, "/v2/acme/app/tags/list")
	if denied.Status != http.StatusForbidden || !strings.Contains(denied.Body, denied.ID) {
		t.Fatalf("the denial's text does not end with its id: %+v", denied)
	}
	s.await("three records", 5*time.Second, func() bool { return len(s.decisions("")) == 3 })
	for query, want := range map[string]int{
		"customer=acme": 2, "customer=acme&verdict=deny": 1, "code=version_not_granted": 1, "code=ok&code=anonymous": 2, "key=acme/ci": 2,
		"repository=acme/app": 3, "version=1.4.0": 1, "product=app&license=acme-app": 2, "since=1h": 3, "until=1h": 0, "limit=1": 1, "customer=globex": 0,
	} {
		if got := s.decisions(query); len(got) != want {
			t.Errorf("/v1/decisions?%s: %d records, want %d: %v", query, len(got), want, got)
		}
	}
	if got := s.decisions("limit=2"); got[0]["code"] != "anonymous" || got[1]["id"] != denied.ID {
		t.Errorf("not the newest first: %v", got)
	}
	for _, query := range []string{"colour=red", "limit=0", "limit=1001", "verdict=maybe", "since=yesterday"} {
		if code, body := s.get("/v1/decisions?" + query); code != http.StatusBadRequest || !strings.HasPrefix(body, `{"error":"`) {
			t.Errorf("/v1/decisions?%s: %d %s", query, code, body)
		}
	}
	for _, a := range []answer{allowed, denied} {
		code, out, errs := once(t, "decisions", "show", a.ID, "--data", v.path("data"), "-o", "table")
		if code != exitYes || !strings.Contains(out, a.Code+" (HTTP ") || !strings.Contains(out, "203.0.113.9") {
			t.Errorf("decisions show %s beside the server: %d %s%s", a.ID, code, out, errs)
		}
	}
	if resp, err := s.client.Post("http://"+s.admin+"/v1/decisions", "", nil); err != nil || resp.Body.Close() != nil || resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("the admin port takes POST: %v %v", resp, err)
	}
}

func TestServeFlushesRecordsWhenItIsStopped(t *testing.T) {
	v := newVendor(t)
	s := v.serve()
	s.awaitReady()
	const n = 200
	for range n {
		s.pull("1.4.0")
	}
	s.stop()
	code, out, errs := once(t, "decisions", "list", "--limit", "0", "--data", v.path("data"), "-o", "json")
	if got := strings.Count(out, "\n"); code != exitYes || got != n {
		t.Errorf("%d records of %d decisions, exit code %d %s", got, n, code, errs)
	}
}

// Envoy's health checks and load balancers see the end before connections are refused.
func TestServeFailsHealthBeforeItStops(t *testing.T) {
	v := newVendor(t)
	s := v.serve()
	s.awaitReady()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	watch, err := s.health.Watch(ctx, &healthv1.HealthCheckRequest{})
	v.must(err)
	first, err := watch.Recv()
	v.must(err)
	stop := s.cancel
	stop()
	last, err := watch.Recv()
	v.must(err)
	if first.Status != healthv1.HealthCheckResponse_SERVING || last.Status != healthv1.HealthCheckResponse_NOT_SERVING {
		t.Errorf("health was %s, then %s", first.Status, last.Status)
	}
	cancel()
	s.stop()
}

// What is set and does nothing is said at the start, each once.
func TestServeWarnsOfSettingsThatDoNothing(t *testing.T) {
	v := newVendor(t)
	v.write("webhook-secret", webhookSecret+"\n", 0o600)
	v.config = fmt.Sprintf("  another: {redirects: [https://storage.example]}\nwebhooks:\n  third: {secret_file: %q}\n", v.path("webhook-secret"))
	t.Setenv("PULLGATE_LOG_LEVLE", "a-secret-perhaps")
	s := v.serve()
	s.awaitReady()
	for _, line := range []string{
		`level=WARN msg="PULLGATE_LOG_LEVLE: nothing reads this variable; the nearest setting is PULLGATE_LOG_LEVEL"`,
		`level=WARN msg="a credential of no registry: no Registry document of the license files has this id" credentials=another`,
		`level=WARN msg="a webhook of no registry: no Registry document of the license files has this id" webhook=third`,
	} {
		s.await(line, 5*time.Second, func() bool { return strings.Contains(s.log.String(), line) })
	}
	if text := s.log.String(); strings.Count(text, "level=WARN") != 3 || strings.Contains(text, "a-secret-perhaps") {
		t.Error(text)
	}
}
