package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestAdminPortIsAskedByItsOwnNames(t *testing.T) {
	h := byName(portNames("Gate.internal:9192", []string{"metrics.example", "OTHER.example."}), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "answered") }))
	for host, answered := range map[string]bool{
		"127.0.0.1:9192": true, "127.0.0.1": true, "10.1.2.3:80": true, "[::1]:9192": true, "[::1]": true, "[fe80::1%25eth0]:9192": true,
		"localhost": true, "LocalHost:9192": true, "localhost.": true, "localhost.:1": true,
		"gate.internal:9192": true, "GATE.internal": true, "metrics.example:9192": true, "other.example": true, "other.example.:80": true,
		"":             true, // HTTP/1.0
		"evil.example": false, "evil.example:9192": false, "localhost.evil.example": false, "127.0.0.1.evil.example": false, "metrics.example.evil.example": false,
		"a.localhost": false, "2130706433": false, "0x7f.1": false, "127.1": false, "metrics.example:9192:9192": false, "[metrics.example": true, ".": false, ":9192": false, "localhost:evil": true,
	} {
		r := httptest.NewRequest(http.MethodGet, "/v1/decisions", nil)
		r.Host = host
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, r)
		if body := rec.Body.String(); (rec.Code == http.StatusOK && body == "answered") != answered || !answered && (rec.Code != http.StatusMisdirectedRequest || !strings.Contains(body, "admin_hosts (--admin-host)")) {
			t.Errorf("%q: %d %s", host, rec.Code, body)
		}
	}
	// An address without a name adds none.
	if names := portNames(":9192", nil); names["evil.example"] || len(names) > 2 {
		t.Error(names)
	}
}

// A page of somebody else reads nothing in an operator's browser; registries and customers come under any name.
func TestAdminPortReadsNothingToAForeignPage(t *testing.T) {
	v := newVendor(t)
	v.write("webhook-secret", webhookSecret+"\n", 0o600)
	v.bearer()
	v.config += fmt.Sprintf("admin_hosts: [gate.example]\nwebhooks:\n  main: {secret_file: %q}\n", v.path("webhook-secret"))
	s := v.serve()
	s.awaitReady()
	ask := func(method, path, host, authorization, body string) (int, string) {
		req, err := http.NewRequestWithContext(t.Context(), method, "http://"+s.admin+path, strings.NewReader(body))
		v.must(err)
		req.Host = host
		if authorization != "" {
			req.Header.Set("Authorization", authorization)
		}
		resp, err := s.client.Do(req)
		v.must(err)
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		v.must(err)
		return resp.StatusCode, string(text)
	}
	for _, path := range []string{"/v1/decisions", "/v1/status", "/metrics", "/healthz", "/readyz", "/", "/pullgate/other"} {
		if status, text := ask(http.MethodGet, path, "evil.example:80", "", ""); status != http.StatusMisdirectedRequest || strings.Contains(text, "acme") {
			t.Errorf("%s: %d %s", path, status, text)
		}
	}
	for _, host := range []string{"gate.example", "localhost:9192", s.admin} {
		if status, _ := ask(http.MethodGet, "/v1/status", host, "", ""); status != http.StatusOK {
			t.Errorf("%s: %d", host, status)
		}
	}
	if status, _ := ask(http.MethodPost, "/v1/webhooks/main", "pullgate.internal", webhookSecret, `{"type":"PUSH_ARTIFACT","event_data":{"resources":[{"tag":"1.6.0"}],"repository":{"repo_full_name":"acme/app"}}}`); status != http.StatusAccepted {
		t.Errorf("a registry's notification: %d", status)
	}
	if status, text := ask(http.MethodGet, "/pullgate/token?service="+customersHost, customersHost, basic("acme", v.key), ""); status != http.StatusOK || !strings.Contains(text, `"token"`) {
		t.Errorf("a customer's login: %d %s", status, text)
	}
	if status, text := ask(http.MethodGet, "/pullgate/token", "evil.example", "", ""); status == http.StatusOK || strings.Contains(text, `"token"`) {
		t.Errorf("a login elsewhere: %d %s", status, text)
	}
	// As a health check of HTTP/1.0 asks.
	conn, err := net.DialTimeout("tcp", s.admin, patience)
	v.must(err)
	defer conn.Close()
	_, err = io.WriteString(conn, "GET /readyz HTTP/1.0\r\n\r\n")
	v.must(err)
	if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || !strings.Contains(line, " 200 ") {
		t.Errorf("%q %v", line, err)
	}
}

// The same of bundles that whoever reaches loopback may have.
func TestBundlesWithoutATokenAreNotForAForeignPage(t *testing.T) {
	v := newVendor(t)
	p := v.publish("bundle_hosts: [bundles.example]\n")
	p.await("ready", 20*time.Second, func() bool { code, _ := p.get("/readyz"); return code == http.StatusOK })
	for host, want := range map[string]int{"": 200, "localhost:9193": 200, "bundles.example": 200, "evil.example:80": 421} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.bundles+"default", nil)
		v.must(err)
		req.Host = host
		resp, err := p.client.Do(req)
		v.must(err, resp.Body.Close())
		if resp.StatusCode != want {
			t.Errorf("%q: %s", host, resp.Status)
		}
	}
	if !strings.Contains(p.log.String(), "evil.example:80") {
		t.Errorf("the log does not say so:\n%s", p.log)
	}
}
