package main

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pullgate/pullgate/bundle"
)

func (p *published) ready() bool { code, _ := p.get("/readyz"); return code == http.StatusOK }

// says is whether /healthz says a text.
func (p *published) says(text string) func() bool {
	return func() bool { _, health := p.get("/healthz"); return strings.Contains(health, text) }
}

// customer is a customer's document in the bundle that is served.
func (p *published) customer(id string) (doc struct {
	Banned   bool
	Licenses map[string]struct{ Revoked any }
},
) {
	p.Helper()
	b, _ := p.bundle("default")
	p.must(json.Unmarshal(b.Object("pullgate/customers/data.json").Get(id), &doc))
	return doc
}

func (p *published) revoked() bool { return p.customer("acme").Licenses["acme-app"].Revoked != "never" }

// What `pullgate revoke` writes counts while another edit is held back, and is told.
func TestRevokedWhileAnEditIsHeldBack(t *testing.T) {
	v := newVendor(t)
	v.push("acme/app", "1.5.0")
	mill := func(versions string) {
		v.write("licenses/mill.yaml", "kind: Customer\nid: mill\n---\n"+strings.ReplaceAll(grants(versions), "acme", "mill"), 0o644)
	}
	mill(">=1.0.0 <2.0.0")
	p := v.publish("")
	p.await("ready", 20*time.Second, p.ready)
	first, _ := p.bundle("default")
	mill(">=1.5.0 <2.0.0")
	p.await("held back", 20*time.Second, p.says("more than max-loss"))
	if p.revoked() {
		t.Fatal("it is revoked")
	}
	began := time.Now()
	if code, _, stderr := once(t, "revoke", "license", "acme-app", "--licenses", v.path("licenses")); code != exitYes {
		t.Fatal(stderr)
	}
	p.await("revoked", 20*time.Second, p.revoked)
	t.Logf("revoked → in the bundle: %s", time.Since(began).Round(time.Millisecond))
	p.await("told", 20*time.Second, p.says("bundle default: revoked all the same: license acme-app of acme"))
	if b, _ := p.bundle("default"); b.Serial() <= first.Serial() || string(b.File(bundle.IndexPath)) != string(first.File(bundle.IndexPath)) {
		t.Errorf("serial %d after %d", b.Serial(), first.Serial())
	}
	if got := p.gauge(`pullgate_publications_total{bundle="default",result="revoked"}`); got != "1" {
		t.Errorf("the metric says %s", got)
	}
	var report struct {
		Revoked []struct {
			Bundle, Waits string
			What          []string
		}
	}
	_, text := p.get("/v1/status")
	v.must(json.Unmarshal([]byte(text), &report))
	if r := report.Revoked; len(r) != 1 || r[0].Bundle != "default" || r[0].Waits != "" || !slices.Equal(r[0].What, []string{"license acme-app of acme"}) {
		t.Errorf("/v1/status says %s", text)
	}
	if !p.says("--accept ")() {
		t.Error("the rest is not held back any more")
	}
}

// What is taken back by hand counts although other files have mistakes, or a test fails.
func TestRevokedWhileTheFilesAreRefused(t *testing.T) {
	v := newVendor(t)
	v.must(os.Mkdir(v.path("tests"), 0o755))
	v.write("tests/acme.txtar", acmeMayHave140, 0o644)
	p := v.publish(fmt.Sprintf("test: [%q]\n", v.path("tests")))
	p.await("ready", 20*time.Second, p.ready)
	good := string(v.read("licenses/license.yaml"))
	v.write("licenses/license.yaml", strings.Replace(good, "kind: License\n", "kind: License\nstatus: {revoked: {at: 2026-01-01T00:00:00Z}}\n", 1), 0o644)
	p.await("a test fails", 20*time.Second, p.says("tests fail"))
	p.await("revoked", 20*time.Second, p.revoked)
	v.write("licenses/broken.yaml", "kind: Customer\nid: mill\nnmae: x\n", 0o644)
	p.await("a mistake", 20*time.Second, p.says("nmae"))
	customer := strings.Replace(string(v.read("licenses/acme.yaml")), "kind: Customer\n", "kind: Customer\nstatus: banned\n", 1)
	v.write("licenses/acme.yaml", customer, 0o644)
	p.await("banned", 20*time.Second, func() bool { return p.customer("acme").Banned })
	p.await("told", 20*time.Second, p.says("bundle default: revoked all the same: customer acme"))
	if !p.revoked() {
		t.Error("what was revoked before is not any more")
	}
}

// What is taken back while a set waits for its registry is not given again when that is read.
func TestPendingSetDoesNotGiveAgain(t *testing.T) {
	v := newVendor(t)
	p := v.publish("")
	p.await("ready", 20*time.Second, p.ready)
	p.stop()
	v.must(os.RemoveAll(v.path("publisher/catalog")))
	gate := make(chan struct{})
	v.front.misbehave(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-gate:
			v.front.pass.ServeHTTP(w, r)
		case <-r.Context().Done():
		}
	})
	p = v.publish("crawl_every: 1s\n")
	p.await("what it had", 20*time.Second, func() bool { resp, _ := p.fetch("default"); return resp.StatusCode == http.StatusOK })
	p.await("the files wait", 20*time.Second, func() bool { return strings.Contains(p.log.String(), "license files read; they wait") })
	v.write("licenses/broken.yaml", "kind: Customer\nid: mill\nnmae: x\n", 0o644)
	customer := strings.Replace(string(v.read("licenses/acme.yaml")), "kind: Customer\n", "kind: Customer\nstatus: banned\n", 1)
	v.write("licenses/acme.yaml", customer, 0o644)
	p.await("banned", 20*time.Second, func() bool { return p.customer("acme").Banned })
	v.push("acme/app", "1.5.0") // so that what waits differs from what is published
	was, _ := p.bundle("default")
	close(gate)
	p.await("what waited", 20*time.Second, func() bool { b, _ := p.bundle("default"); return b.Revision() != was.Revision() })
	if !p.customer("acme").Banned {
		t.Errorf("the ban is taken back\n%s", p.log)
	}
	if !p.says("nmae")() {
		t.Error("health does not tell of the mistake any more")
	}
	if !p.says("bundle default: revoked all the same: customer acme")() {
		t.Error("health does not tell of the ban any more")
	}
}

// A digest that is revoked in files with mistakes, while no publisher runs, is refused by the sidecars when one
// starts, and with it what only it reaches: at once where the registry was kept, else when it has been read, also
// while what else the mended files say is held back.
func TestRevokedDigestTakesWhatOnlyItReaches(t *testing.T) {
	for _, kept := range []bool{true, false} {
		t.Run(fmt.Sprintf("the registry was kept: %t", kept), func(t *testing.T) {
			v := newVendor(t)
			v.push("acme/app", "1.5.0")
			p := v.publish("")
			p.await("ready", 20*time.Second, p.ready)
			p.stop()
			digest := fmt.Sprintf("sha256:%x", sha256.Sum256(v.fromRegistry("/v2/acme/app/manifests/1.5.0")))
			gate := make(chan struct{})
			v.front.misbehave(func(w http.ResponseWriter, r *http.Request) {
				select {
				case <-gate:
					v.front.pass.ServeHTTP(w, r)
				case <-r.Context().Done():
				}
			})
			if !kept {
				v.must(os.RemoveAll(v.path("publisher/catalog")))
			}
			vendorFile := string(v.read("licenses/vendor.yaml"))
			v.write("licenses/vendor.yaml", strings.Replace(vendorFile, "id: main\n", "id: main\nrevoked_digests: [{repository: acme/app, digest: \""+digest+"\", at: 2026-01-01T00:00:00Z}]\n", 1), 0o644)
			v.write("licenses/broken.yaml", "kind: Customer\nid: mill\nnmae: x\n", 0o644)
			p = v.publish("crawl_every: 1s\n")
			p.await("told", 20*time.Second, p.says("bundle default: revoked all the same: digest "+digest))
			s := v.follow(p, "sidecar", "")
			s.awaitReady()
			blob := func(text string) int {
				return s.ask(v.key, http.MethodGet, fmt.Sprintf("/v2/acme/app/blobs/sha256:%x", sha256.Sum256([]byte(text)))).Status
			}
			own := func() int { return blob("layer of 1.5.0") }
			for reference, want := range map[string]int{"1.5.0": http.StatusForbidden, digest: http.StatusForbidden, "1.4.0": http.StatusOK} {
				if a := s.pull(reference); a.Status != want {
					t.Errorf("%s: %+v", reference, a)
				}
			}
			if !kept {
				if got := own(); got != http.StatusOK {
					t.Errorf("the layer: %d before it is known what it belongs to", got)
				}
				v.must(os.Remove(v.path("licenses/broken.yaml")))
				v.write("licenses/license.yaml", grants(">=1.5.0 <2.0.0"), 0o644)
				close(gate)
				p.await("held back", 20*time.Second, p.says("--accept "))
				s.await("the layer is refused", 20*time.Second, func() bool { return own() == http.StatusForbidden })
			}
			if got := own(); got != http.StatusForbidden {
				t.Errorf("the layer: %d", got)
			}
			if got := blob("layer of 1.4.0"); got != http.StatusOK {
				t.Errorf("the layer of the other image: %d", got)
			}
			if got := blob(`{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}`); got != http.StatusOK {
				t.Errorf("what both images have: %d", got)
			}
		})
	}
}

// A publisher that is elected serves what is published where it can be seen, also while something is held
// back, and takes back what is revoked.
func TestElectedWhileSomethingIsHeldBack(t *testing.T) {
	for _, place := range []string{"out", "oci"} {
		t.Run(place, func(t *testing.T) {
			v := newVendor(t)
			db := v.inDatabase()
			more := fmt.Sprintf("out: %q\n", v.path("out"))
			if place == "oci" {
				more = fmt.Sprintf("oci: %s/vendor/bundles\noci_user: %s\noci_password_file: %q\n", v.registry.Addr, registryUser, v.path("registry-password"))
			}
			first := v.publish(more, "--licenses", db)
			first.await("ready", 20*time.Second, first.ready)
			first.await("written", 20*time.Second, func() bool { return strings.Contains(first.log.String(), "bundle written") })
			was, _ := first.bundle("default")
			second := v.publish(more, "--licenses", db, "--data", v.path("publisher-2"))
			v.sql(db, `UPDATE pullgate.licenses SET ends = '2020-12-31' WHERE id = 'acme-app'`)
			first.await("held back", 20*time.Second, first.says("more than max-loss"))
			first.beside = true
			first.stop()
			second.await("ready", 30*time.Second, second.ready)
			if b, _ := second.bundle("default"); b.Revision() != was.Revision() || b.Serial() <= was.Serial() {
				t.Errorf("serial %d revision %s, was %d %s", b.Serial(), b.Revision(), was.Serial(), was.Revision())
			}
			second.await("held back as before", 20*time.Second, second.says("the publisher that led before held something back"))
			v.sql(db, `UPDATE pullgate.licenses SET revoked_at = '2026-03-01T00:00:00Z' WHERE id = 'acme-app'`)
			second.await("revoked", 20*time.Second, second.revoked)
		})
	}
}

// `pullgate revoke` tells the sidecars of all bundles that somebody publishes, whatever their names, and
// always those of the default one, and names those that nobody publishes.
func TestRevokeTellsEveryBundle(t *testing.T) {
	for _, from := range []string{"files", "database"} {
		t.Run(from, func(t *testing.T) {
			v := newVendor(t)
			redis := v.redis()
			licenses := v.path("licenses")
			if from == "database" {
				licenses = v.inDatabase()
			}
			p := v.publish(fmt.Sprintf("redis: redis://%s\nbundles:\n  plant-7: {}\n", redis.Addr), "--licenses", licenses)
			p.await("ready", 20*time.Second, p.ready)
			if from == "database" {
				v.sql(licenses, `INSERT INTO pullgate.publications (name, serial, revision, fence, published_at) VALUES ('closed', 1, '`+strings.Repeat("a", 64)+`', 1, now())`)
			}
			code, out, stderr := once(t, "revoke", "license", "acme-app", "--licenses", licenses, "--redis", "redis://"+redis.Addr, "--signing-key", v.path("release.key"))
			if code != exitYes || !strings.Contains(out, "bundle plant-7, number") || !strings.Contains(out, "bundle default, number") {
				t.Fatalf("%d\n%s%s", code, out, stderr)
			}
			if said := strings.Contains(out, "bundle closed: no publisher of it was ever heard of"); said != (from == "database") {
				t.Errorf("of a bundle that nobody publishes:\n%s", out)
			}
		})
	}
}

// Where no publisher was ever heard of in this Redis, those of the bundles that the database knows are told,
// and those of the default one.
func TestRevokeTellsWithoutAPublisher(t *testing.T) {
	v := newVendor(t)
	redis, db := v.redis(), v.inDatabase()
	v.configurePublish("")
	v.sql(db, `INSERT INTO pullgate.publications (name, serial, revision, fence, published_at) VALUES ('plant-7', 1, '`+strings.Repeat("a", 64)+`', 1, now())`)
	code, out, stderr := once(t, "revoke", "license", "acme-app", "--licenses", db, "--redis", "redis://"+redis.Addr, "--signing-key", v.path("release.key"))
	if code != exitYes || !strings.Contains(out, "bundle plant-7, number") || !strings.Contains(out, "bundle default, number") {
		t.Fatalf("%d\n%s%s", code, out, stderr)
	}
}

// A publisher that starts with files that are refused does not say that something is in use, and names a
// bounded number of mistakes.
func TestRefusedAtTheFirstStart(t *testing.T) {
	v := newVendor(t)
	v.write("licenses/broken.yaml", strings.Repeat("kind: Customer\nid: A\n---\n", 50), 0o644)
	p := v.publish("")
	const refused = "license files refused, and nothing is in use"
	p.await("refused", 20*time.Second, func() bool { return strings.Contains(p.log.String(), refused) })
	for line := range strings.Lines(p.log.String()) {
		if strings.Contains(line, refused) && (strings.Count(line, "broken.yaml:") != mostLogged || !strings.Contains(line, "and 30 more; `pullgate check` prints all")) {
			t.Errorf("the log says\n%s", line)
		}
	}
	if strings.Contains(p.log.String(), "stays in use") {
		t.Error("something is in use, says the log")
	}
	if _, text := p.get("/v1/status"); !strings.Contains(text, `"publications":[]`) {
		t.Errorf("/v1/status says %s", text)
	}
}

// A key file that holds something else is named.
func TestWrongKeyFileIsNamed(t *testing.T) {
	v := newVendor(t)
	config := v.configurePublish("")
	out := v.path("out")
	if code, _, stderr := once(t, "publish", "--config", config, "--bundle-addr", "", "--out", out, "--once"); code != exitYes {
		t.Fatal(stderr)
	}
	v.must(errors.Join(os.WriteFile(v.path("wrong.pub"), v.read("release.key"), 0o600)))
	for _, args := range [][]string{
		{"bundle", "verify", out + "/default.tar.gz"},
		{"publish", "--config", config, "--once"},
	} {
		if code, _, stderr := once(t, append(args, "--key-file", v.path("wrong.pub"))...); code != exitUnknown || !strings.Contains(stderr, "key-file: "+v.path("wrong.pub")+": ") {
			t.Errorf("%s: %d %s", args[0], code, stderr)
		}
	}
}
