package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/pullgate/pullgate/bundle"
)

// Programs of different ages side by side. The older one is this program. The newer one is built of the
// same sources with the tag formatnext: it writes a bundle format, and keeps a schema in PostgreSQL,
// that this one does not know, and reads those that this one does.

const olderProgram = "pullgate" // this test's own, see TestMain

var nextDir string // of the newer program, "" as long as none was built

var buildNext = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "pullgate-next-")
	if err != nil {
		return "", err
	}
	nextDir = dir
	file := filepath.Join(dir, "pullgate")
	cmd := exec.Command("go", "build", "-tags=grpcnotrace,formatnext", "-ldflags=-s -w", "-o", file, ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	return file, nil
})

func nextProgram(t *testing.T) string {
	t.Helper()
	file, err := buildNext()
	must(t, err)
	return file
}

// A mixed is a vendor with a publisher that is restarted as one program or the other, at one address.
type mixed struct {
	*vendor
	older, newer *vendor
	front        *front
	publisher    *published
}

func newMixed(t *testing.T) *mixed {
	v := newVendor(t)
	return &mixed{vendor: v, older: v.with(olderProgram), newer: v.with(nextProgram(t)), front: newFront(t, "127.0.0.1:1")}
}

// publishes starts the publisher, in place of the one that runs.
func (m *mixed) publishes(as *vendor) {
	m.Helper()
	m.silent()
	m.publisher = as.publish("max_loss: 100%\n")
	m.publisher.beside = true
	m.front.lead(strings.TrimSuffix(strings.TrimPrefix(m.publisher.bundles, "http://"), "/bundles/"))
	m.front.misbehave(nil)
}

// silent stops the publisher.
func (m *mixed) silent() {
	m.Helper()
	m.front.misbehave(hangUp)
	m.front.CloseClientConnections()
	if m.publisher != nil {
		m.publisher.stop()
	}
}

// sidecar starts one on the state of its name.
func (m *mixed) sidecar(as *vendor, name string) *served {
	m.Helper()
	s := as.follow(&published{bundles: m.front.URL + "/bundles/"}, name, fmt.Sprintf("bundle_poll: 1s\ncredentials:\n  main: {username: %s, password_file: %q}\n", registryUser, m.path("registry-password")))
	s.awaitReady()
	return s
}

// allows fails unless exactly these versions of 1.4.0 and 2.0.0 may be pulled, sooner or later.
func (s *served) allows(when string, versions ...string) {
	s.Helper()
	s.await(when, 20*time.Second, func() bool {
		for _, version := range []string{"1.4.0", "2.0.0"} {
			want := http.StatusForbidden
			for _, v := range versions {
				if v == version {
					want = http.StatusOK
				}
			}
			if s.pull(version).Status != want {
				return false
			}
		}
		return true
	})
}

// newerPulls is a pull that was refused for its format.
var newerPulls = regexp.MustCompile(`pullgate_bundle_pulls_total\{result="newer"\} [1-9]`)

// refusesNewer fails unless the sidecar says that the publisher is newer, and what to do.
func (s *served) refusesNewer(when string) {
	s.Helper()
	const text = "the last good one is in use: "
	const why = "bundle is of a newer pullgate: bundle: .manifest: format 2, this program reads format 1; update it before the publisher; until it is updated, or the publisher set back, no edit and no revocation counts here\n"
	s.await(when, 20*time.Second, func() bool {
		code, health := s.get("/healthz")
		_, metrics := s.get("/metrics")
		return code == http.StatusOK && strings.Contains(health, text) && strings.Contains(health, why) && strings.HasPrefix(health, "degraded\n") &&
			newerPulls.MatchString(metrics)
	})
	var report struct {
		Ready     bool
		Following struct {
			Reason    string
			LastError string `json:"last_error"`
		}
	}
	_, status := s.get("/v1/status")
	s.must(json.Unmarshal([]byte(status), &report))
	if !report.Ready || report.Following.Reason != "newer" || !strings.Contains(report.Following.LastError, why[:len(why)-1]) {
		s.Errorf("%s: /v1/status: %s", when, status)
	}
}

// A sidecar that is updated first follows the publisher that is not, also from its disk.
func TestNewerSidecarFollowsAnOlderPublisher(t *testing.T) {
	m := newMixed(t)
	m.publishes(m.older)
	s := m.sidecar(m.newer, "sidecar")
	s.allows("the first bundle", "1.4.0")
	m.write("licenses/license.yaml", grants(">=2.0.0"), 0o644)
	s.allows("the edit", "2.0.0")
	if _, health := s.get("/healthz"); health != "ok\n" {
		t.Errorf("/healthz: %s", health)
	}
	m.silent()
	s.stop()
	s = m.sidecar(m.newer, "sidecar")
	s.allows("what was kept", "2.0.0")
}

// A sidecar that is older than its publisher keeps to what it understands, says so, and goes on when
// the publisher is set back or it is updated itself. One beside it that is not older just follows.
func TestOlderSidecarRefusesANewerPublisher(t *testing.T) {
	m := newMixed(t)
	m.publishes(m.older)
	older, newer := m.sidecar(m.older, "older"), m.sidecar(m.newer, "newer")
	was := older.used()

	m.publishes(m.newer)
	m.write("licenses/license.yaml", grants(">=2.0.0"), 0o644)
	newer.allows("the newer one follows", "2.0.0")
	older.refusesNewer("the older one refuses")
	older.allows("the last good one", "1.4.0")
	if now := older.used(); now.Revision != was.Revision {
		t.Errorf("%+v after %+v", now, was)
	}

	// From its disk, while the publisher is there, and while it is not.
	older.stop()
	older = m.sidecar(m.older, "older")
	older.refusesNewer("after a restart")
	older.allows("the last good one, after a restart", "1.4.0")
	older.stop()
	m.silent()
	older = m.sidecar(m.older, "older")
	older.allows("the last good one, without a publisher", "1.4.0")

	// The publisher is set back: what it had published cannot be read by it, and serials go on.
	highest := newer.used().Serial
	m.publishes(m.older)
	older.allows("the publisher is set back", "2.0.0")
	newer.await("it counts for the newer one, too", 20*time.Second, func() bool { return newer.used() == older.used() })
	if s := newer.used().Serial; s <= highest {
		t.Errorf("serial %d after %d", s, highest)
	}
	for _, s := range []*served{older, newer} {
		s.await("health is good again", 20*time.Second, func() bool { _, health := s.get("/healthz"); return health == "ok\n" })
	}

	// Forward again, and the sidecar is updated on its own state.
	m.publishes(m.newer)
	m.write("licenses/license.yaml", grants(">=1.0.0"), 0o644)
	newer.allows("the newer one follows again", "1.4.0", "2.0.0")
	older.refusesNewer("the older one refuses again")
	older.allows("the last good one, again", "2.0.0")
	older.stop()
	older = m.sidecar(m.newer, "older")
	older.allows("it is updated", "1.4.0", "2.0.0")
	if now := newer.used(); older.used() != now {
		t.Errorf("%+v beside %+v", older.used(), now)
	}

	// And all the way back: what was kept in the newer format is not used, what comes next is.
	older.stop()
	m.publishes(m.older)
	older = m.sidecar(m.older, "older")
	older.allows("it is set back", "1.4.0", "2.0.0")
	if log := older.log.String(); !strings.Contains(log, "the kept bundle is not used") || !strings.Contains(log, "format 2") {
		t.Errorf("it does not say what it does not read:\n%s", log)
	}
}

// An older publisher beside a newer one replaces nothing that the newer one has written: no file, no
// tag, no row.
func TestOlderPublisherReplacesNothingOfANewerOne(t *testing.T) {
	m := newMixed(t)
	db := m.inDatabase()
	outputs := fmt.Sprintf("max_loss: 100%%\nout: %q\noci: %s/vendor/bundles\noci_user: %s\noci_password_file: %q\n", m.path("out"), m.registry.Addr, registryUser, m.path("registry-password"))
	start := func(as *vendor, data string, args ...string) *published {
		p := as.publish(outputs, append([]string{"--data", m.path(data)}, args...)...)
		p.beside = true
		return p
	}
	says := func(p *published, path string, texts ...string) {
		t.Helper()
		p.await(strings.Join(texts, ", "), 20*time.Second, func() bool {
			_, got := p.get(path)
			for _, text := range texts {
				if !strings.Contains(got, text) {
					return false
				}
			}
			return true
		})
	}
	// Who is elected first issues again what the one before it had published: that is not yet it.
	written := func(p *published) {
		t.Helper()
		p.await("both outputs have the bundle of the sources", 20*time.Second, func() bool {
			if _, metrics := p.get("/metrics"); !strings.Contains(metrics, `pullgate_publications_total{bundle="default",result="published"} 1`+"\n") {
				return false
			}
			_, served := p.fetch("default")
			file, err := os.ReadFile(m.path("out/default.tar.gz"))
			return err == nil && bytes.Equal(file, served) && strings.Count(p.log.String(), "bundle written") >= 2 &&
				bytes.Contains(m.fromRegistry("/v2/vendor/bundles/manifests/default"), fmt.Appendf(nil, "sha256:%x", sha256.Sum256(file)))
		})
	}
	older := start(m.older, "older", "--licenses", db)
	written(older)

	// The newer one waits for its tables, and then for the older one, which serves what it has.
	newer := start(m.newer, "newer", "--licenses", db)
	says(newer, "/readyz", "the tables have schema 1, this pullgate needs 2: run `pullgate licenses migrate --to URL` as their owner")
	if code, text := m.newer.once("licenses", "migrate", "--to", db); code != exitYes {
		t.Fatalf("%d %s", code, text)
	}
	says(newer, "/readyz", "another publisher of this database leads")
	m.sql(db, `UPDATE pullgate.licenses SET grants = '[{"product": "app", "versions": ">=2.0.0"}]' WHERE id = 'acme-app'`)
	says(older, "/healthz", "the tables have schema 2, which this pullgate cannot read (it knows 1): upgrade pullgate")
	if resp, _ := older.fetch("default"); resp.StatusCode != http.StatusOK {
		t.Errorf("%s", resp.Status)
	}
	older.stop()
	newer.await("the newer one leads", 30*time.Second, func() bool { code, _ := newer.get("/readyz"); return code == http.StatusOK })
	written(newer)
	file, tag, tables := m.read("out/default.tar.gz"), m.fromRegistry("/v2/vendor/bundles/manifests/default"), m.tables(db)
	if _, err := bundle.Read(bytes.NewReader(file), nil, bundle.ReadOptions{AllowUnsigned: true}); err == nil || !strings.Contains(err.Error(), "format 2") {
		t.Fatalf("what the newer one has written: %v", err)
	}

	// Started again, the older one is not elected, and writes no row by any command.
	older = start(m.older, "older", "--licenses", db)
	const refusal = "the tables have schema 2, which this pullgate cannot read (it knows 1): upgrade pullgate"
	says(older, "/readyz", refusal)
	if resp, _ := older.fetch("default"); resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("it serves: %s", resp.Status)
	}
	for _, args := range [][]string{
		{"licenses", "migrate", "--to", db},
		{"licenses", "import", m.path("licenses"), "--replace", "--to", db},
		{"licenses", "export", m.path("exported"), "--from", db},
		{"revoke", "license", "acme-app", "--licenses", db},
		{"check", db},
	} {
		if code, text := m.older.once(args...); code != exitUnknown || !strings.Contains(text, refusal) {
			t.Errorf("%v: %d %s", args, code, text)
		}
	}
	older.stop()
	if now := m.tables(db); now != tables {
		t.Errorf("tables were\n%s\nand are\n%s", tables, now)
	}
	newer.stop()

	// Where nobody is elected, a higher serial makes nobody newer.
	other := start(m.older, "files")
	serial := m.tagged()
	other.await("ready", 20*time.Second, func() bool { code, _ := other.get("/readyz"); return code == http.StatusOK })
	other.await("the clock has caught up with the serials", 20*time.Second, func() bool { return time.Now().Unix() > serial })
	m.write("licenses/license.yaml", grants(">=1.0.0"), 0o644)
	other.await("a higher serial", 20*time.Second, func() bool { b, _ := other.bundle("default"); return b.Serial() > serial })
	// Of each output, how often it was tried in vain.
	tried := func() (n []string) {
		_, metrics := other.get("/metrics")
		for _, m := range regexp.MustCompile(`(?m)^pullgate_output_writes_total{.*result="failed".*} (\d+)$`).FindAllStringSubmatch(metrics, -1) {
			n = append(n, m[1])
		}
		return n
	}
	before := tried()
	other.await("both outputs are tried", 20*time.Second, func() bool {
		now := tried()
		return len(before) == 2 && now[0] != before[0] && now[1] != before[1]
	})
	const taken = ": another publisher writes there, or this one was set back: what is there: bundle is of a newer pullgate: "
	says(other, "/healthz", "bundle default: not written to "+m.path("out"), "bundle default: not written to repository "+m.registry.Addr, taken+"bundle: .manifest: format 2", taken+"format 2", "update this publisher, or remove what is there")
	if !bytes.Equal(m.read("out/default.tar.gz"), file) {
		t.Error("the file was replaced")
	}
	if now := m.fromRegistry("/v2/vendor/bundles/manifests/default"); !bytes.Equal(now, tag) {
		t.Errorf("the tag was moved: %x, %s", sha256.Sum256(now), now)
	}
}

// once runs a command that ends, and returns what it said.
func (v *vendor) once(args ...string) (int, string) {
	v.Helper()
	var out bytes.Buffer
	code := v.run(v.Context(), args, &out, &out)
	return code, out.String()
}

// tables is all that the tables of a database hold.
func (v *vendor) tables(url string) string {
	v.Helper()
	conn, err := pgx.Connect(v.Context(), url)
	v.must(err)
	defer conn.Close(context.WithoutCancel(v.Context()))
	var text string
	v.must(conn.QueryRow(v.Context(), "SELECT schema_to_xml('pullgate', true, false, '')::text").Scan(&text))
	return text
}
