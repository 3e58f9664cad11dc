package main

import (
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"testing"
	"time"
)

// TestRevokedLicenseEndsARunningPull: a client that goes on pulling over the connection it has is
// refused within a second of the edit that revokes its license. Three fail, since a machine may
// be busy.
func TestRevokedLicenseEndsARunningPull(t *testing.T) {
	v := newVendor(t)
	p := v.proxy(nil)
	key := "Basic " + base64.StdEncoding.EncodeToString([]byte("acme:"+v.key))
	opened := 0
	pull := func() (*http.Response, string) {
		req, err := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
			GotConn: func(c httptrace.GotConnInfo) {
				if !c.Reused {
					opened++
				}
			},
		}), http.MethodGet, "https://"+p.addr+"/v2/acme/app/manifests/1.4.0", nil)
		v.must(err)
		req.Header.Set("Authorization", key)
		req.Header.Set("Accept", "application/vnd.oci.image.manifest.v1+json")
		resp, err := p.client.Do(req)
		v.must(err)
		body := new(strings.Builder)
		_, err = io.Copy(body, resp.Body)
		v.must(err)
		resp.Body.Close()
		return resp, body.String()
	}
	for range 20 {
		if resp, body := pull(); resp.StatusCode != http.StatusOK {
			t.Fatalf("%s %s", resp.Status, body)
		}
	}
	arrived := len(p.arrivedPulls())
	v.write("licenses/license.yaml", strings.Replace(grants(">=1.0.0 <2.0.0"), "type:", "status: {revoked: {at: 2026-01-01, reason: test}}\ntype:", 1), 0o644)
	edited, pulled := time.Now(), 0
	for {
		resp, body := pull()
		if resp.StatusCode == http.StatusForbidden && strings.Contains(body, "DENIED") {
			break
		}
		if pulled++; resp.StatusCode != http.StatusOK || time.Since(edited) > 10*time.Second {
			t.Fatalf("%s %s after %s", resp.Status, body, time.Since(edited))
		}
		time.Sleep(5 * time.Millisecond)
	}
	took := time.Since(edited)
	t.Logf("refused %s after the edit, %d pulls later, over %d connection", took.Round(time.Millisecond), pulled, opened)
	if took > 3*time.Second {
		t.Errorf("refused only %s after the edit", took)
	}
	if opened != 1 {
		t.Errorf("%d connections were opened, want one that is kept", opened)
	}
	for range 20 {
		if resp, _ := pull(); resp.StatusCode != http.StatusForbidden {
			t.Fatalf("%s after it was revoked", resp.Status)
		}
	}
	if got := len(p.arrivedPulls()); got != arrived+pulled {
		t.Errorf("%d pulls arrived at the registry, want %d: none after the license was revoked", got, arrived+pulled)
	}
}

// arrivedPulls are the manifests that this test's own client got from the registry.
func (p *proxied) arrivedPulls() (paths []string) {
	p.Helper()
	all, err := p.registry.Requests(p.Context())
	p.must(err)
	for _, r := range all {
		if strings.Contains(r.Agent, "Go-http-client") && r.Method == http.MethodGet && strings.Contains(r.Path, "/manifests/sha256:") {
			paths = append(paths, r.Path)
		}
	}
	return paths
}
