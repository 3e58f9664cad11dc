package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/pullgate/pullgate/bundle"
	bundleserve "github.com/pullgate/pullgate/bundle/serve"
	"github.com/pullgate/pullgate/sync/publish"
)

// A published is a running `pullgate publish`.
type published struct {
	*started
	bundles string // URL that names of bundles are put behind
}

// publish starts `pullgate publish` on free ports, with a signing key of its own; more goes into its
// configuration file.
func (v *vendor) publish(more string, args ...string) *published {
	v.Helper()
	p := &published{started: v.start(append([]string{"publish", "--config", v.configurePublish(more)}, args...)...)}
	p.bundles = p.printed("bundles")
	return p
}

func (v *vendor) configurePublish(more string) string {
	v.Helper()
	if _, err := os.Stat(v.path("release.key")); err != nil {
		if code, _, stderr := once(v.T, "bundle", "keygen", "--out", v.path("release")); code != exitYes {
			v.Fatal(stderr)
		}
	}
	v.write("publish.yaml", fmt.Sprintf("licenses: %q\ndata: %q\nsigning_key: %q\nadmin_addr: 127.0.0.1:0\nbundle_addr: 127.0.0.1:0\nlog_level: debug\ncredentials:\n  main: {username: %s, password_file: %q}\n",
		v.path("licenses"), v.path("publisher"), v.path("release.key"), registryUser, v.path("registry-password"))+more, 0o600)
	return v.path("publish.yaml")
}

// fetch gets a bundle; header is "Name: value" lines.
func (p *published) fetch(name string, header ...string) (*http.Response, []byte) {
	p.Helper()
	req, err := http.NewRequestWithContext(p.Context(), http.MethodGet, p.bundles+name, nil)
	p.must(err)
	for _, h := range header {
		key, value, _ := strings.Cut(h, ": ")
		req.Header.Set(key, value)
	}
	resp, err := p.client.Do(req)
	p.must(err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	p.must(err)
	return resp, body
}

// bundle gets a bundle and verifies it with the public key.
func (p *published) bundle(name string, header ...string) (*bundle.Bundle, *http.Response) {
	p.Helper()
	resp, body := p.fetch(name, header...)
	if resp.StatusCode != http.StatusOK {
		p.Fatalf("%s: %s %s\n%s", name, resp.Status, body, p.log)
	}
	ring, err := bundle.ParseKeyRing(p.read("release.pub"))
	p.must(err)
	b, err := bundle.Read(bytes.NewReader(body), ring, bundle.ReadOptions{Name: name})
	p.must(err)
	return b, resp
}

func TestPublishedBundleFollowsTheLicenses(t *testing.T) {
	v := newVendor(t)
	p := v.publish("max_loss: 100%\n")
	p.await("ready", 20*time.Second, func() bool { code, _ := p.get("/readyz"); return code == http.StatusOK })
	first, resp := p.bundle("default")
	if left := time.Until(time.Unix(first.NotAfter(), 0)); left < 71*time.Hour || left > 72*time.Hour {
		t.Errorf("good for %s", left)
	}
	// A client that waits gets the next one, as soon as it is there.
	type polled struct {
		b    *bundle.Bundle
		at   time.Time
		resp *http.Response
	}
	next := make(chan polled, 1)
	p.client.Timeout = time.Minute
	go func() {
		b, resp := p.bundle("default", "If-None-Match: "+resp.Header.Get("ETag"), "Prefer: modes=snapshot,delta;wait=30")
		next <- polled{b, time.Now(), resp}
	}()
	p.await("a client that waits", 5*time.Second, func() bool { return p.gauge("pullgate_bundle_waiting") == "1" })
	edited := time.Now()
	v.write("licenses/license.yaml", grants(">=2.0.0"), 0o644)
	got := <-next
	t.Logf("edit → new bundle at a client that waits: %s", got.at.Sub(edited).Round(time.Millisecond))
	if got.b.Serial() <= first.Serial() || got.b.Revision() == first.Revision() {
		t.Errorf("serial %d after %d, revision %s", got.b.Serial(), first.Serial(), got.b.Revision())
	}
	// A broken edit changes nothing but what health says.
	v.write("licenses/license.yaml", "kind: License\nid: acme-app\n", 0o644)
	p.await("health says what is wrong", 5*time.Second, func() bool { _, text := p.get("/healthz"); return strings.Contains(text, "license.yaml") })
	if same, _ := p.bundle("default"); same.Serial() != got.b.Serial() {
		t.Errorf("serial %d after a broken edit, was %d", same.Serial(), got.b.Serial())
	}
	if code, _ := p.get("/v1/decisions"); code != http.StatusNotFound {
		t.Errorf("a publisher has decisions: %d", code)
	}
}

// A publisher that starts again serves what it had, before the registry answers.
func TestPublisherStartsAgainWithWhatItHad(t *testing.T) {
	v := newVendor(t)
	p := v.publish("")
	p.await("ready", 20*time.Second, func() bool { code, _ := p.get("/readyz"); return code == http.StatusOK })
	first, _ := p.bundle("default")
	p.stop()
	v.front.misbehave(hangUp)
	v.must(os.RemoveAll(v.path("publisher/catalog")))
	again := v.publish("")
	b, _ := again.bundle("default", "Prefer: wait=5")
	if b.Serial() != first.Serial() || b.Revision() != first.Revision() {
		t.Errorf("serial %d revision %s, was %d %s", b.Serial(), b.Revision(), first.Serial(), first.Revision())
	}
}

func TestLossIsHeldBackUntilItIsAccepted(t *testing.T) {
	v := newVendor(t)
	v.push("acme/app", "1.5.0")
	p := v.publish("")
	p.await("ready", 20*time.Second, func() bool { code, _ := p.get("/readyz"); return code == http.StatusOK })
	first, _ := p.bundle("default")

	v.write("licenses/license.yaml", grants(">=1.5.0 <2.0.0"), 0o644) // the only customer loses 1.4.0
	var health string
	p.await("health says what is held back", 10*time.Second, func() bool {
		_, health = p.get("/healthz")
		return strings.Contains(health, "--accept")
	})
	if !strings.Contains(health, "1 of 1 customers would lose something (acme), more than max-loss 5%") {
		t.Errorf("health says\n%s", health)
	}
	if same, _ := p.bundle("default"); same.Serial() != first.Serial() {
		t.Fatal("it was published")
	}
	if got := p.gauge(`pullgate_publication_held{bundle="default"}`); got != "1" {
		t.Errorf("the metric says %s", got)
	}
	if code, _ := p.get("/readyz"); code != http.StatusOK {
		t.Errorf("not ready: what is published is as good as before")
	}
	_, revision, _ := strings.Cut(health, "--accept ")
	revision = strings.TrimSpace(revision)

	code, _, stderr := once(t, "publish", "--data", v.path("publisher"), "--accept", strings.Repeat("0", 64))
	if code != exitUnknown || !strings.Contains(stderr, revision) {
		t.Errorf("another revision: %d %s", code, stderr)
	}
	code, stdout, stderr := once(t, "publish", "--data", v.path("publisher"), "--accept", revision)
	if code != exitYes || stdout != "done\n" {
		t.Fatalf("%d %s%s", code, stdout, stderr)
	}
	second, _ := p.bundle("default")
	if second.Revision() != revision || second.Serial() <= first.Serial() {
		t.Errorf("serial %d revision %s", second.Serial(), second.Revision())
	}

	// And back, under a new serial; what is newer is held back.
	if code, _, stderr := once(t, "publish", "--data", v.path("publisher"), "--rollback", first.Revision()); code != exitYes {
		t.Fatal(stderr)
	}
	third, _ := p.bundle("default")
	if third.Revision() != first.Revision() || third.Serial() <= second.Serial() {
		t.Errorf("serial %d revision %s", third.Serial(), third.Revision())
	}
	v.write("licenses/license.yaml", grants(">=1.0.0 <3.0.0"), 0o644) // nobody loses anything
	p.await("health says what is held back", 10*time.Second, func() bool {
		_, health = p.get("/healthz")
		return strings.Contains(health, "rolled back")
	})
	files, err := filepath.Glob(v.path("publisher/bundles/.orders/*"))
	if err != nil || len(files) != 0 {
		t.Errorf("orders are left: %v %v", files, err)
	}
}

// Who is revoked in so many words is no accident: it is never held back.
func TestRevocationIsNotHeldBack(t *testing.T) {
	v := newVendor(t)
	p := v.publish("")
	p.await("ready", 20*time.Second, func() bool { code, _ := p.get("/readyz"); return code == http.StatusOK })
	for _, args := range [][]string{{"license", "acme-app"}, {"customer", "acme"}} {
		was, _ := p.bundle("default")
		if code, _, stderr := once(t, append([]string{"revoke", "--licenses", v.path("licenses")}, args...)...); code != exitYes {
			t.Fatal(stderr)
		}
		p.await("published", 10*time.Second, func() bool { b, _ := p.bundle("default"); return b.Serial() > was.Serial() })
	}
}

const acmeMayHave140 = "files ../licenses\n-- catalog.yaml --\nkind: Catalog\nrepositories:\n  acme/app:\n    tags: {1.4.0: I1}\n    manifests: {I1: {}}\n-- decisions --\nat 2026-03-01T00:00:00Z\nas acme\nGET /v2/acme/app/manifests/1.4.0 allow\n"

func TestNothingIsPublishedThatFailsTheVendorsTests(t *testing.T) {
	v := newVendor(t)
	v.must(os.Mkdir(v.path("tests"), 0o755))
	v.write("tests/acme.txtar", acmeMayHave140, 0o644)
	p := v.publish("test: [" + v.path("tests") + "]\nmax_loss: 100%\n")
	p.await("ready", 20*time.Second, func() bool { code, _ := p.get("/readyz"); return code == http.StatusOK })
	first, _ := p.bundle("default")
	fails := func() bool { _, text := p.get("/healthz"); return strings.Contains(text, "acme.txtar:11") }
	v.write("licenses/license.yaml", grants(">=2.0.0"), 0o644)
	p.await("health says which test fails", 10*time.Second, fails)
	if same, _ := p.bundle("default"); same.Serial() != first.Serial() {
		t.Error("it was published")
	}
	// The test was wrong: mending it is enough.
	v.write("tests/acme.txtar", strings.Replace(acmeMayHave140, " allow", " deny", 1), 0o644)
	p.await("what the mended test allows is published", 10*time.Second, func() bool { b, _ := p.bundle("default"); return b.Serial() > first.Serial() })
	p.await("health says no more that a test fails", 5*time.Second, func() bool { return !fails() })
}

// Of a database the tests see what the rows say.
func TestVendorsTestsSeeTheDatabase(t *testing.T) {
	v := newVendor(t)
	db := v.inDatabase()
	v.must(os.RemoveAll(v.path("licenses")), os.Mkdir(v.path("tests"), 0o755))
	v.write("tests/acme.txtar", acmeMayHave140, 0o644)
	p := v.publish("test: ["+v.path("tests")+"]\nmax_loss: 100%\n", "--licenses", db)
	p.await("ready", 30*time.Second, func() bool { code, _ := p.get("/readyz"); return code == http.StatusOK })
	first, _ := p.bundle("default")
	v.sql(db, `UPDATE pullgate.licenses SET ends = '2026-02-01' WHERE id = 'acme-app'`)
	p.await("health says which test fails", 10*time.Second, func() bool { _, text := p.get("/healthz"); return strings.Contains(text, "acme.txtar:11") })
	if same, _ := p.bundle("default"); same.Serial() != first.Serial() {
		t.Error("it was published")
	}
}

func TestTokensOfBundles(t *testing.T) {
	v := newVendor(t)
	v.write("licenses/globex.yaml", "kind: Customer\nid: globex\n", 0o644)
	v.write("sidecars", "token-of-the-sidecars\n", 0o600)
	v.write("plant", "token-of-the-plant\nnext-token-of-the-plant\n", 0o600)
	p := v.publish(fmt.Sprintf("bundles:\n  default: {token_file: %q}\n  plant-7: {customers: [globex], token_file: %q}\n", v.path("sidecars"), v.path("plant")))
	p.await("ready", 20*time.Second, func() bool { code, _ := p.get("/readyz"); return code == http.StatusOK })
	for _, c := range []struct {
		name, token string
		want        int
	}{
		{"default", "", 401},
		{"default", "token-of-the-sidecars", 200},
		{"default", "token-of-the-plant", 404},
		{"plant-7", "next-token-of-the-plant", 200},
		{"plant-7", "token-of-the-sidecars", 404},
	} {
		var header []string
		if c.token != "" {
			header = []string{"Authorization: Bearer " + c.token}
		}
		if resp, _ := p.fetch(c.name, header...); resp.StatusCode != c.want {
			t.Errorf("%s with %q: %s", c.name, c.token, resp.Status)
		}
	}
	b, _ := p.bundle("plant-7", "Authorization: Bearer token-of-the-plant")
	for _, path := range b.Paths() {
		if !strings.HasSuffix(path, ".rego") && bytes.Contains(b.File(path), []byte("acme/app")) {
			t.Errorf("%s of the plant's bundle names another customer, or what only that one has", path)
		}
	}
	if log := p.log.String(); strings.Contains(log, "token-of") {
		t.Error("a token is in the log")
	}
	// A changed file counts at once.
	v.write("sidecars", "another-token-of-the-sidecars\n", 0o600)
	if resp, _ := p.fetch("default", "Authorization: Bearer token-of-the-sidecars"); resp.StatusCode != 401 {
		t.Errorf("an old token: %s", resp.Status)
	}
}

func TestPublishOnceWritesAndEnds(t *testing.T) {
	v := newVendor(t)
	out := v.path("out")
	args := []string{"publish", "--config", v.configurePublish("oci_insecure: true\n"), "--bundle-addr", "", "--out", out, "--once"}
	ctx, cancel := context.WithTimeout(t.Context(), 3*patience)
	defer cancel()
	var stdout, stderr bytes.Buffer
	if code := run(ctx, args, nil, &stdout, &stderr); code != exitYes {
		t.Fatalf("%d\n%s", code, stderr.String())
	}
	if code, stdout, stderr := once(t, "bundle", "verify", "--key-file", v.path("release.pub"), filepath.Join(out, "default.tar.gz")); code != exitYes {
		t.Fatal(stdout, stderr)
	}
	// Something newer that is there already stays, and ends it with 1.
	newer := []string{"bundle", "build", "--licenses", v.path("licenses"), "--data", v.path("publisher"), "--signing-key", v.path("release.key"), "--serial", "9000000000000"}
	if code, _, stderr := once(t, append(newer, "--out", filepath.Join(out, "default.tar.gz"))...); code != exitYes {
		t.Fatal(stderr)
	}
	if code := run(ctx, args, nil, &stdout, &stderr); code != exitNo || !strings.Contains(stderr.String(), "serial 9000000000000 is there") {
		t.Fatalf("%d\n%s", code, stderr.String())
	}
	v.must(os.RemoveAll(out))
	// So does what is refused.
	v.write("licenses/license.yaml", "kind: License\nid: acme-app\n", 0o644)
	v.must(os.RemoveAll(v.path("publisher")))
	if code := run(ctx, args, nil, &stdout, &stderr); code != exitNo {
		t.Fatalf("%d\n%s", code, stderr.String())
	}
}

// A place that cannot be written to does not keep a publisher for ever that is to end with 1 anyway; one
// that would end well goes on trying.
func TestPublishOnceDoesNotWaitForEverToEndWithNo(t *testing.T) {
	for _, refused := range []error{errors.New("a mistake"), nil} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			pub := &publisher{
				process:  &process{status: newStatus(time.Now, prometheus.NewRegistry())},
				compiled: &compileSide{publisher: publish.New(publish.Config{})},
				outputs:  outputs{{newest: map[string]*delivery{bundle.DefaultName: {failed: "read-only"}}}},
				once:     make(chan struct{}), ordered: make(chan struct{}),
			}
			close(pub.once)
			close(pub.ordered)
			pub.status.licensesLoaded(refused)
			want, began := errNo, time.Now()
			if refused == nil {
				want = context.DeadlineExceeded
			}
			err := pub.waitOnce(ctx)
			if took := time.Since(began); !errors.Is(err, want) || took < putTimeout {
				t.Errorf("refused: %v: %v after %s", refused, err, took)
			}
		})
	}
}

// fromRegistry gets something with the registry's own account.
func (v *vendor) fromRegistry(path string) []byte {
	v.Helper()
	req, err := http.NewRequestWithContext(v.Context(), http.MethodGet, "http://"+v.registry.Addr+path, nil)
	v.must(err)
	req.SetBasicAuth(registryUser, registryPassword)
	req.Header.Set("Accept", "application/vnd.oci.image.manifest.v1+json")
	resp, err := http.DefaultClient.Do(req)
	v.must(err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	v.must(err)
	if resp.StatusCode != http.StatusOK {
		v.Fatalf("%s: %s %s", path, resp.Status, body)
	}
	return body
}

// The artifact in a registry is the bundle, byte for byte.
func TestBundleIsPushedToARegistry(t *testing.T) {
	v := newVendor(t)
	front := newFront(t, v.registry.Addr)
	repository := strings.TrimPrefix(front.URL, "http://") + "/vendor/bundles"
	metric := func(name string) string {
		return name + `bundle="default",` + fmt.Sprintf(`to="repository %s"}`, repository)
	}
	p := v.publish(fmt.Sprintf("oci: %q\noci_user: %s\noci_password_file: %q\n", repository, registryUser, v.path("registry-password")))
	p.await("pushed", 20*time.Second, func() bool { return strings.Contains(p.log.String(), "bundle written") })
	_, file := p.fetch("default")
	var manifest struct {
		Layers []struct{ MediaType, Digest string }
	}
	v.must(json.Unmarshal(p.fromRegistry("/v2/vendor/bundles/manifests/default"), &manifest))
	if len(manifest.Layers) != 1 || manifest.Layers[0].MediaType != "application/vnd.oci.image.layer.v1.tar+gzip" {
		t.Fatalf("%+v", manifest)
	}
	got := p.fromRegistry("/v2/vendor/bundles/blobs/" + manifest.Layers[0].Digest)
	if !bytes.Equal(got, file) {
		t.Errorf("%d bytes, the bundle has %d", len(got), len(file))
	}
	if got := p.gauge(regexp.QuoteMeta(metric("pullgate_output_pending{"))); got != "0" {
		t.Errorf("pending: %s", got)
	}
	// A registry that goes away in the middle of a push holds nothing else up, and is told of.
	var cut atomic.Int64
	front.misbehave(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			cut.Add(1)
			hangUp(w, r)
			return
		}
		front.pass.ServeHTTP(w, r)
	})
	v.write("licenses/license.yaml", grants(">=1.0.0 <3.0.0"), 0o644)
	p.await("published all the same", 10*time.Second, func() bool {
		resp, _ := p.fetch("default")
		return resp.Header.Get("ETag") != bundleserve.ETag(file)
	})
	p.await("health says so", 20*time.Second, func() bool {
		_, text := p.get("/healthz")
		return strings.Contains(text, "not written to repository") && p.gauge(regexp.QuoteMeta(metric("pullgate_output_pending{"))) == "1"
	})
	if _, text := p.get("/metrics"); cut.Load() == 0 || !regexp.MustCompile(`pullgate_output_writes_total\{bundle="default",result="failed",to="repository [^"]*"\} [1-9]`).MatchString(text) {
		t.Errorf("cut %d pushes:\n%s", cut.Load(), text)
	}
	front.misbehave(nil)
	p.await("pushed when it is back", 20*time.Second, func() bool { _, text := p.get("/healthz"); return !strings.Contains(text, "not written") })
	// A password that was changed in the registry alone.
	v.setPassword("changed")
	v.write("licenses/license.yaml", grants(">=1.0.0 <4.0.0"), 0o644)
	p.await("health says so", 20*time.Second, func() bool { _, text := p.get("/healthz"); return strings.Contains(text, "not written to repository") })
	if strings.Contains(p.log.String(), registryPassword) {
		t.Error("the password is in the log")
	}
	v.write("registry-password", "changed\n", 0o600)
	p.await("pushed again", 20*time.Second, func() bool { _, text := p.get("/healthz"); return !strings.Contains(text, "not written") })
}
