package main

import (
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/pullgate/pullgate/examples/peers"
)

const webhookSecret = "the-secret-of-the-webhook"

// A notifier is where a registry that is started first sends its notifications.
type notifier struct {
	*httptest.Server
	to       atomic.Pointer[httputil.ReverseProxy]
	answers  atomic.Int32 // that were 202
	refusals atomic.Int32
}

func newNotifier(t *testing.T) *notifier {
	n := &notifier{}
	n.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p := n.to.Load(); p != nil {
			p.ServeHTTP(w, r)
			return
		}
		w.WriteHeader(http.StatusAccepted) // what came before pullgate is of no interest
	}))
	t.Cleanup(n.Close)
	return n
}

// config is the registry's configuration section.
func (n *notifier) config() string {
	return fmt.Sprintf("notifications:\n  endpoints:\n    - name: pullgate\n      url: %s/v1/webhooks/main\n      headers: {Authorization: [Bearer %s]}\n      timeout: 2s\n      threshold: 3\n      backoff: 100ms\n", n.URL, webhookSecret)
}

func (n *notifier) pointTo(addr string) {
	p := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: addr})
	p.ModifyResponse = func(resp *http.Response) error {
		if resp.StatusCode == http.StatusAccepted {
			n.answers.Add(1)
		} else {
			n.refusals.Add(1)
		}
		return nil
	}
	n.to.Store(p)
}

// pushImage pushes an image as a client does, and returns its digest.
func (v *vendor) pushImage(repository, tag string) string {
	v.Helper()
	img, err := random.Image(64, 2)
	v.must(err)
	ref, err := name.NewTag(v.registry.Addr + "/" + repository + ":" + tag)
	v.must(err)
	v.must(remote.Write(ref, img, remote.WithAuth(&authn.Basic{Username: registryUser, Password: registryPassword}), remote.WithTransport(&http.Transport{DisableKeepAlives: true})))
	digest, err := img.Digest()
	v.must(err)
	return digest.String()
}

// newNotifying is a vendor whose registry notifies, and what it notifies.
func newNotifying(t *testing.T) (*vendor, *notifier) {
	n := newNotifier(t)
	v := newVendor(t, n.config())
	v.write("webhook-secret", webhookSecret+"\n", 0o600)
	v.config = fmt.Sprintf("crawl_every: 1h\nwebhooks:\n  main: {secret_file: %q}\n", v.path("webhook-secret"))
	return v, n
}

// What is pushed can be pulled within the budget, and what the tag was keeps its history, though
// the next crawl is an hour away.
func TestPushedIsPullableAfterTheRegistrysNotification(t *testing.T) {
	v, n := newNotifying(t)
	s := v.serve()
	n.pointTo(s.admin)
	s.awaitReady()
	old := s.pull("1.4.0").Forward.Get(":path")
	var took []time.Duration
	for i := range 5 {
		tag := fmt.Sprintf("1.5.%d", i)
		digest := v.pushImage("acme/app", tag)
		pushed := time.Now()
		s.await(tag, 3*time.Second, func() bool {
			a := s.pull(tag)
			return a.Status == http.StatusOK && strings.HasSuffix(a.Forward.Get(":path"), digest)
		})
		took = append(took, time.Since(pushed))
	}
	slices.Sort(took)
	t.Logf("pushed → pullable: median %s, slowest %s of %d", took[len(took)/2].Round(time.Millisecond), took[len(took)-1].Round(time.Millisecond), len(took))
	if median := took[len(took)/2]; median > 9*time.Second { // three times the budget: the machine is others', too
		t.Errorf("what is pushed can be pulled after %s", median)
	}
	moved := v.pushImage("acme/app", "1.4.0")
	s.await("the tag that moved", 3*time.Second, func() bool { return strings.HasSuffix(s.pull("1.4.0").Forward.Get(":path"), moved) })
	if a := s.ask(s.key, http.MethodGet, old); a.Status != http.StatusOK {
		t.Errorf("what it was: %+v", a)
	}
	if n.refusals.Load() > 0 {
		t.Errorf("%d notifications were refused", n.refusals.Load())
	}
	// Questions beside the running server know it.
	code, out, errs := once(t, "decide", "--licenses", v.path("licenses"), "--data", v.path("data"), "--as", "acme", "GET", "https://"+customersHost+"/v2/acme/app/manifests/1.5.0")
	if code != exitYes {
		t.Errorf("decide: %d %s%s", code, out, errs)
	}
	if log := s.log.String(); strings.Contains(log, webhookSecret) || !strings.Contains(log, "repositories read again after a notification") {
		t.Error(log)
	}
	n.to.Store(nil)
	n.CloseClientConnections()
}

// A deletion is believed after the list was read.
func TestDeletedTagIsGoneAfterTheRegistrysNotification(t *testing.T) {
	v, n := newNotifying(t)
	v.push("acme/app", "1.4.1")
	s := v.serve()
	n.pointTo(s.admin)
	s.awaitReady()
	path := s.pull("1.4.1").Forward.Get(":path")
	v.toRegistry(http.MethodDelete, "http://"+v.registry.Addr+"/v2/acme/app/manifests/1.4.1", "", "")
	s.await("the tag to go", 5*time.Second, func() bool { return s.pull("1.4.1").Status == http.StatusNotFound })
	if a := s.ask(s.key, http.MethodGet, path); a.Status != http.StatusOK {
		t.Errorf("its digest: %+v", a)
	}
	n.to.Store(nil)
	n.CloseClientConnections()
}

// A push counts while the whole registry is being read, however long that takes, and what the
// reading asked before does not undo it.
func TestPushedIsPullableWhileTheRegistryIsRead(t *testing.T) {
	v, n := newNotifying(t)
	v.config = strings.Replace(v.config, "crawl_every: 1h", "crawl_every: 1s", 1)
	s := v.serve()
	n.pointTo(s.admin)
	s.awaitReady()
	var held atomic.Int32
	release := make(chan struct{})
	v.front.misbehave(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/manifests/2.0.0") {
			held.Add(1)
			select {
			case <-release:
			case <-r.Context().Done():
			}
		}
		v.front.pass.ServeHTTP(w, r)
	})
	s.await("a crawl that hangs", 10*time.Second, func() bool { return held.Load() > 0 })
	digest := v.pushImage("acme/app", "1.4.0")
	pushed := time.Now()
	pinned := func() bool { return strings.HasSuffix(s.pull("1.4.0").Forward.Get(":path"), digest) }
	s.await("the push", 5*time.Second, pinned)
	t.Logf("pushed during a crawl → pullable: %s", time.Since(pushed).Round(time.Millisecond))
	before := s.gauge("pullgate_bundle_serial")
	v.front.misbehave(nil)
	close(release)
	s.await("the crawl to end", 10*time.Second, func() bool { return strings.Count(s.log.String(), "registry read\"") > 1 })
	if !pinned() || s.gauge("pullgate_bundle_serial") != before {
		t.Errorf("the crawl undid it: %+v", s.pull("1.4.0"))
	}
	n.to.Store(nil)
	n.CloseClientConnections()
}

// notify sends a notification as somebody.
func (s *served) notify(addr, registry, authorization, body string) int {
	s.Helper()
	req, err := http.NewRequestWithContext(s.Context(), http.MethodPost, "http://"+addr+"/v1/webhooks/"+registry, strings.NewReader(body))
	s.must(err)
	req.Header.Set("Content-Type", "application/vnd.docker.distribution.events.v2+json")
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	resp, err := s.client.Do(req)
	s.must(err, resp.Body.Close())
	return resp.StatusCode
}

func pushOf(repository, tag string) string {
	return fmt.Sprintf(`{"events":[{"action":"push","target":{"mediaType":"application/vnd.oci.image.manifest.v1+json","repository":%q,"tag":%q,"digest":"sha256:%064d"}}]}`, repository, tag, 7)
}

// A notification is a reason to ask the registry: nothing that it says is believed, nothing else is
// asked for, and a flood of them is a few readings.
func TestNotificationsAreOnlyHints(t *testing.T) {
	v := newVendor(t)
	v.write("webhook-secret", webhookSecret+"\n", 0o600)
	v.config = fmt.Sprintf("crawl_every: 1h\nwebhooks:\n  main: {secret_file: %q}\n  other: {secret_file: %q}\n", v.path("webhook-secret"), v.path("webhook-secret"))
	s := v.serve("--webhook-addr", "127.0.0.1:0")
	hooks := s.printed("webhooks")
	s.awaitReady()
	log := func() []string {
		all, err := v.registry.Requests(t.Context())
		v.must(err)
		var out []string
		for _, r := range all {
			if strings.HasPrefix(r.Path, "/v2/") && r.Path != "/v2/" {
				out = append(out, r.Method+" "+r.Path)
			}
		}
		return out
	}
	before := log()
	for _, c := range []struct {
		what, addr, registry, authorization, body string
		want                                      int
	}{
		{"a wrong secret", hooks, "main", "Bearer wrong", pushOf("acme/app", "1.4.0"), http.StatusUnauthorized},
		{"no secret", hooks, "main", "", pushOf("acme/app", "1.4.0"), http.StatusUnauthorized},
		{"a registry without a webhook", hooks, "second", webhookSecret, pushOf("acme/app", "1.4.0"), http.StatusUnauthorized},
		{"a registry that the license files do not have", hooks, "other", webhookSecret, pushOf("acme/app", "1.4.0"), http.StatusAccepted},
		{"a repository that the license files do not have", hooks, "main", webhookSecret, pushOf("acme/secret", "1.4.0"), http.StatusAccepted},
		{"a path", hooks, "main", webhookSecret, pushOf("acme/app/../secret", "1.4.0"), http.StatusAccepted},
		{"a URL", hooks, "main", webhookSecret, pushOf("http://127.0.0.1:1/acme/app", "1.4.0"), http.StatusAccepted},
		{"no notification", hooks, "main", webhookSecret, "{}", http.StatusBadRequest},
		{"the admin port, as there is another", s.admin, "main", webhookSecret, pushOf("acme/app", "1.4.0"), http.StatusNotFound},
	} {
		if got := s.notify(c.addr, c.registry, c.authorization, c.body); got != c.want {
			t.Errorf("%s: %d, want %d", c.what, got, c.want)
		}
	}
	for _, path := range []string{"/metrics", "/healthz", "/v1/decisions", "/"} {
		resp, err := s.client.Get("http://" + hooks + path)
		v.must(err, resp.Body.Close())
		if resp.StatusCode != http.StatusNotFound {
			t.Errorf("the webhook port serves %s", path)
		}
	}
	time.Sleep(2 * gather)
	if got := log(); len(got) != len(before) {
		t.Fatalf("the registry was asked %q", got[len(before):])
	}

	// A tag that the registry does not have stays unknown.
	began := time.Now()
	for i := range 2000 {
		tag := "9.9.9"
		if i%2 == 0 {
			tag = "1.4.0"
		}
		if got := s.notify(hooks, "main", webhookSecret, pushOf("acme/app", tag)); got != http.StatusAccepted {
			t.Fatal(got)
		}
	}
	s.await("the registry is asked", 5*time.Second, func() bool { return len(log()) > len(before) })
	time.Sleep(2*rereadEvery + 2*gather)
	asked := log()[len(before):]
	most := 2 * (int(time.Since(began)/rereadEvery) + rereadBurst)
	t.Logf("2000 notifications: %d requests in %s", len(asked), time.Since(began).Round(time.Millisecond))
	if len(asked) > most {
		t.Errorf("asked %d times: %q", len(asked), asked)
	}
	for _, a := range asked {
		if a != "HEAD /v2/acme/app/manifests/1.4.0" && a != "HEAD /v2/acme/app/manifests/9.9.9" {
			t.Errorf("asked %s", a)
		}
	}
	s.await("a refusal", 5*time.Second, func() bool { // by the rules; not for want of time
		return s.ask(s.key, http.MethodGet, "/v2/acme/app/manifests/9.9.9").Status == http.StatusForbidden
	})
	_, metrics := s.get("/metrics")
	if !strings.Contains(metrics, `pullgate_webhook_notifications_total{result="accepted"} 2000`) || !strings.Contains(metrics, `pullgate_webhook_notifications_total{result="refused"} 3`) {
		t.Error("the metric does not count them")
	}
	if log := s.log.String(); strings.Contains(log, webhookSecret) || !strings.Contains(log, "no Registry document") {
		t.Error(log)
	}
}

// Harbor sends what is configured as Authorization, zot a password; both name repository and tag in
// their own way. A secret that was changed counts with the next notification.
func TestHarborAndZotNotify(t *testing.T) {
	v := newVendor(t)
	v.write("webhook-secret", webhookSecret+"\n", 0o600)
	v.config = fmt.Sprintf("crawl_every: 1h\nwebhooks:\n  main: {secret_file: %q}\n", v.path("webhook-secret"))
	s := v.serve()
	s.awaitReady()
	const newer = "another-secret-of-the-webhook"
	for tag, c := range map[string]struct {
		secret, body string
		header       http.Header
	}{
		"1.6.0": {webhookSecret, `{"type":"PUSH_ARTIFACT","event_data":{"resources":[{"tag":"1.6.0"}],"repository":{"repo_full_name":"acme/app"}}}`, http.Header{"Authorization": {webhookSecret}}},
		"1.6.1": {newer, `{"specversion":"1.0","type":"harbor.artifact.pushed","data":{"resources":[{"tag":"1.6.1"}],"repository":{"repo_full_name":"acme/app"}}}`, http.Header{"Authorization": {"Bearer " + newer}, "Content-Type": {"application/cloudevents+json"}}},
		"1.6.2": {webhookSecret + "\n" + newer, `{"name":"acme/app","reference":"1.6.2","manifest":"{}"}`, http.Header{"Ce-Type": {"zotregistry.image.updated"}, "Ce-Specversion": {"1.0"}, "Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte("zot:"+newer))}}},
	} {
		v.write("webhook-secret", c.secret+"\n", 0o600)
		v.push("acme/app", tag)
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+s.admin+"/v1/webhooks/main", strings.NewReader(c.body))
		v.must(err)
		req.Header = c.header
		if req.Header.Get("Content-Type") == "" {
			req.Header.Set("Content-Type", "application/json")
		}
		resp, err := s.client.Do(req)
		v.must(err, resp.Body.Close())
		if resp.StatusCode != http.StatusAccepted {
			t.Fatalf("%s: %s", tag, resp.Status)
		}
		s.await(tag, 3*time.Second, func() bool { return s.pull(tag).Status == http.StatusOK })
	}
	v.must(os.Chmod(v.path("webhook-secret"), 0o644))
	for range 3 {
		if got := s.notify(s.admin, "main", webhookSecret, pushOf("acme/app", "1.4.0")); got != http.StatusUnauthorized {
			t.Errorf("with a secret that others may read: %d", got)
		}
	}
	if n := strings.Count(s.log.String(), "notifications are refused: their secret cannot be read"); n != 1 {
		t.Errorf("logged %d times", n)
	}
}

// Off loopback the port of webhooks has a certificate, which is read again when it is renewed.
func TestWebhookPortWithTLS(t *testing.T) {
	v := newVendor(t)
	v.write("webhook-secret", webhookSecret+"\n", 0o600)
	v.config = fmt.Sprintf("webhooks:\n  main: {secret_file: %q}\n", v.path("webhook-secret"))
	certs, err := peers.NewCertificates(v.dir, "localhost")
	v.must(err)
	s := v.serve("--webhook-addr", "127.0.0.1:0", "--webhook-cert", certs.Cert, "--webhook-key", certs.Key)
	hooks := s.printed("webhooks")
	s.awaitReady()
	post := func(certs *peers.Certificates) error {
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: certs.Pool, ServerName: "localhost"}, DisableKeepAlives: true}}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+hooks+"/v1/webhooks/main", strings.NewReader(pushOf("acme/app", "1.4.0")))
		v.must(err)
		req.Header.Set("Authorization", webhookSecret)
		req.Header.Set("Content-Type", "application/vnd.docker.distribution.events.v2+json")
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusAccepted {
			return errors.New(resp.Status)
		}
		return nil
	}
	v.must(post(certs))
	renewed, err := peers.NewCertificates(v.dir, "localhost")
	v.must(err, post(renewed))
	if err := post(certs); err == nil {
		t.Error("the old certificate is still in use")
	}
}
