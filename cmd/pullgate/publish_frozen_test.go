package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/pullgate/pullgate/bundle"
	"github.com/pullgate/pullgate/sync/postgres"
	"github.com/pullgate/pullgate/sync/publish"
)

// tagged is the serial of the artifact that a tag of the registry names.
func (v *vendor) tagged() int64 {
	v.Helper()
	var manifest struct{ Annotations map[string]string }
	v.must(json.Unmarshal(v.fromRegistry("/v2/vendor/bundles/manifests/default"), &manifest))
	serial, err := strconv.ParseInt(manifest.Annotations["org.opencontainers.image.version"], 10, 64)
	v.must(err)
	return serial
}

// inFile is the serial of a bundle's file.
func (v *vendor) inFile(name string) int64 {
	v.Helper()
	ring, err := bundle.ParseKeyRing(v.read("release.pub"))
	v.must(err)
	b, err := bundle.Read(bytes.NewReader(v.read(name)), ring, bundle.ReadOptions{})
	v.must(err)
	return b.Serial()
}

// A leader is stopped in the middle of a push. Another one takes its place; when the first one goes on
// it gives out nothing more, moves no tag and no file back, and ends.
func TestFrozenLeaderGivesNothingOut(t *testing.T) {
	v := newVendor(t)
	db := v.inDatabase()
	front := newFront(t, v.registry.Addr)
	more := func(registry string) string {
		return fmt.Sprintf("max_loss: 100%%\nleader_term: 6s\nout: %q\noci: %s/vendor/bundles\noci_user: %s\noci_password_file: %q\n", v.path("out"), registry, registryUser, v.path("registry-password"))
	}
	v.must(os.Rename(v.configurePublish(more(strings.TrimPrefix(front.URL, "http://"))), v.path("first.yaml")))
	cmd := exec.Command("pullgate", "publish", "--config", v.path("first.yaml"), "--licenses", db)
	stdout, log := newLines(), newLines()
	cmd.Stdout, cmd.Stderr = stdout, log
	v.must(cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	defer func() { _ = cmd.Process.Kill() }()
	v.eventually("the first has written its first bundle", log, func() bool { return strings.Count(log.String(), "bundle written") == 2 })
	url := regexp.MustCompile(`bundles (http://(\S+)/bundles/)`).FindStringSubmatch(stdout.String())
	frozen := &published{started: &started{vendor: v, client: &http.Client{Timeout: patience, Transport: &http.Transport{}}, log: log}, bundles: url[1]}

	second := v.publish(more(v.registry.Addr), "--licenses", db, "--data", v.path("publisher-2"))
	second.await("the second stands by", 10*time.Second, func() bool { _, text := second.get("/readyz"); return strings.Contains(text, "another publisher") })

	// The next push is held between the manifest and the tag.
	held, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	front.misbehave(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/manifests/sha256:") {
			once.Do(func() { close(held) })
			<-release
		}
		front.pass.ServeHTTP(w, r)
	})
	v.sql(db, `UPDATE pullgate.licenses SET ends = '2098-12-31' WHERE id = 'acme-app'`)
	<-held
	was, resp := frozen.bundle("default")
	if v.tagged() >= was.Serial() {
		t.Fatal("the tag was moved already")
	}
	v.eventually("the file is written", log, func() bool { return v.inFile("out/default.tar.gz") == was.Serial() })
	// Somebody waits for the next bundle, and others ask while it is stopped: the kernel takes their requests.
	get := func(more string) net.Conn {
		conn, err := net.DialTimeout("tcp", url[2], patience)
		v.must(err)
		_, err = io.WriteString(conn, "GET /bundles/default HTTP/1.1\r\nHost: "+url[2]+"\r\nConnection: close\r\n"+more+"\r\n")
		v.must(err)
		t.Cleanup(func() { conn.Close() })
		return conn
	}
	conns := []net.Conn{get("If-None-Match: " + resp.Header.Get("ETag") + "\r\nPrefer: wait=1\r\n")}
	v.must(cmd.Process.Signal(syscall.SIGSTOP))
	v.eventually("it has stopped", log, func() bool { return allStopped(t, cmd.Process.Pid) })
	for range 5 {
		conns = append(conns, get(""), get("If-None-Match: "+resp.Header.Get("ETag")+"\r\n"))
	}
	took := second.await("the second leads", 40*time.Second, func() bool { code, _ := second.get("/readyz"); return code == http.StatusOK })
	t.Logf("the other leads after %s", took.Round(time.Millisecond))
	now, _ := second.bundle("default")
	if now.Serial() <= was.Serial() {
		t.Errorf("serial %d after %d", now.Serial(), was.Serial())
	}
	second.await("the second has written its bundle", 10*time.Second, func() bool { return v.inFile("out/default.tar.gz") == now.Serial() && v.tagged() == now.Serial() })

	close(release)
	v.must(cmd.Process.Signal(syscall.SIGCONT))
	for i, conn := range conns {
		v.must(conn.SetReadDeadline(time.Now().Add(patience)))
		answer, _ := io.ReadAll(conn)
		if status, _, _ := bytes.Cut(answer, []byte("\r\n")); len(answer) > 0 && !bytes.Contains(status, []byte(" 503 ")) {
			t.Errorf("request %d is answered with %s", i, status)
		}
	}
	select {
	case <-ended:
		if code := cmd.ProcessState.ExitCode(); code != exitUnknown || !strings.Contains(log.String(), "leads no more") {
			t.Errorf("exit %d\n%s", code, log)
		}
	case <-time.After(patience):
		t.Fatalf("who leads no more goes on\n%s", log)
	}
	if tag, file := v.tagged(), v.inFile("out/default.tar.gz"); tag != now.Serial() || file != now.Serial() {
		t.Errorf("the tag names serial %d, the file is %d, the second has published %d\n%s", tag, file, now.Serial(), log)
	}
	if text := log.String(); strings.Count(text, "bundle written") != 3 {
		t.Errorf("it wrote after it was stopped:\n%s", text)
	}
	v.onlyTheLeaderMoves(db)
}

// onlyTheLeaderMoves: what a publisher writes elsewhere is fenced like its serials are.
func (v *vendor) onlyTheLeaderMoves(url string) {
	v.Helper()
	db, err := postgres.Open(postgres.Config{URL: url})
	v.must(err)
	lease, err := db.Lead(v.Context(), "another name", nil)
	v.must(err)
	defer lease.Close()
	pub := &publisher{compiled: &compileSide{source: db}}
	ran := 0
	step := func(context.Context) error { ran++; return nil }
	if err := pub.whileLeading(v.Context(), step); !errors.Is(err, publish.ErrStandsBy) || pub.current() != true {
		v.Errorf("before the election: %v", err)
	}
	pub.lease.Store(lease)
	v.must(pub.whileLeading(v.Context(), step))
	v.sql(url, `UPDATE pullgate.leaders SET fence = fence + 1 WHERE name = 'another name'`)
	if err := pub.whileLeading(v.Context(), step); !errors.Is(err, postgres.ErrNotLeader) || ran != 1 {
		v.Errorf("after another election: %v; it ran %d times", err, ran)
	}
}

// eventually waits for what happens in another process.
func (v *vendor) eventually(what string, log *lines, ok func() bool) {
	v.Helper()
	for limit := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(limit) {
			v.Fatalf("never: %s\n%s", what, log)
		}
	}
}

// allStopped says whether all threads of a process are: the first to see the signal stops the others, and on a
// busy machine they go on until it runs.
func allStopped(t *testing.T, pid int) bool {
	t.Helper()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	must(t, err)
	for _, path := range threads {
		text, err := os.ReadFile(path)
		must(t, err)
		if _, state, _ := strings.Cut(string(text), ") "); !strings.HasPrefix(state, "T") {
			return false
		}
	}
	return len(threads) > 0
}

// issueOf is a bundle as a publisher hands it over.
func issueOf(t *testing.T, file []byte) *publish.Issue {
	t.Helper()
	ring, err := bundle.NewKeyRing(&theFollowWorld().keys[0].PublicKey)
	must(t, err)
	b, err := bundle.Read(bytes.NewReader(file), ring, bundle.ReadOptions{})
	must(t, err)
	return &publish.Issue{Bundle: b, File: file}
}

// Whatever is older than what was written is replaced when it is found: a publisher that led earlier may
// have been frozen between its last look at the lock and its last step. What is newer is left, and told.
func TestSomethingOlderIsPutBack(t *testing.T) {
	v := newVendor(t)
	w := theFollowWorld()
	ring, err := bundle.NewKeyRing(&w.keys[0].PublicKey)
	must(t, err)
	for _, place := range []struct {
		settings publishSettings
		get      func() string
		put      func(string)
		others   string // what somebody else may put there
	}{
		{
			publishSettings{Out: v.path("out")},
			func() string { return string(v.read("out/default.tar.gz")) },
			func(file string) { v.write("out/default.tar.gz", file, 0o644) },
			"no bundle",
		},
		{
			publishSettings{OCI: v.registry.Addr + "/vendor/bundles", OCIUser: registryUser, OCIPassword: v.path("registry-password")},
			func() string { return string(v.fromRegistry("/v2/vendor/bundles/manifests/default")) },
			func(manifest string) {
				v.toRegistry(http.MethodPut, "http://"+v.registry.Addr+"/v2/vendor/bundles/manifests/default", "application/vnd.oci.image.manifest.v1+json", manifest)
			},
			`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":` + fmt.Sprintf(v.blob("vendor/bundles", "{}"), "application/vnd.oci.image.config.v1+json") + `,"layers":[]}`,
		},
	} {
		place.settings.Bundles = map[string]bundleSettings{"default": {}}
		t.Run(place.settings.Out+place.settings.OCI, func(t *testing.T) {
			all, err := place.settings.outputs(ring, func(ctx context.Context, step func(context.Context) error) error { return step(ctx) }, prometheus.NewRegistry())
			must(t, err)
			o := all[0]
			o.every = 20 * time.Millisecond
			ctx, stop := context.WithCancel(t.Context())
			done := make(chan error)
			news := make(chan string, 100)
			go func() {
				done <- o.run(ctx, func(name, result string, err error) { news <- fmt.Sprint(name, " ", result, " ", err) })
			}()
			defer func() { stop(); <-done }()
			expect := func(want string) {
				t.Helper()
				select {
				case got := <-news:
					if !strings.HasPrefix(got, want) {
						t.Fatalf("%s, want %s", got, want)
					}
				case <-time.After(patience):
					t.Fatalf("no news, want %s; problems: %v", want, o.problems())
				}
			}
			states := map[int64]string{}
			for _, serial := range []int64{5, 7} {
				o.offer(issueOf(t, w.allowing(t, serial)))
				expect("default written <nil>")
				states[serial] = place.get()
			}
			for _, wrong := range []string{states[5], place.others} {
				place.put(wrong)
				expect("default put_back <nil>")
				if place.get() != states[7] {
					t.Error("it was not put back")
				}
			}
			// Another publisher, of the same files perhaps, has written something newer.
			other, err := place.settings.outputs(ring, o.move, prometheus.NewRegistry())
			must(t, err)
			must(t, other[0].place.Put(ctx, issueOf(t, w.allowing(t, 9)), o.move))
			newer := place.get()
			expect("default failed another publisher writes there, or this one was set back: serial 9 is there, this one is 7")
			if text := strings.Join(o.problems(), "\n"); !strings.Contains(text, "serial 9") {
				t.Errorf("health says %q", text)
			}
			o.offer(issueOf(t, w.allowing(t, 8)))
			expect("default failed another publisher writes there, or this one was set back: serial 9 is there, this one is 8")
			if place.get() != newer {
				t.Error("something newer was replaced")
			}
			o.offer(issueOf(t, w.allowing(t, 10)))
			expect("default written <nil>")
			if n := testutil.ToFloat64(o.metrics.writes.WithLabelValues(o.what, "default", "put_back")); n != 2 {
				t.Errorf("the metric says %v", n)
			}
			if n := testutil.ToFloat64(o.metrics.pending.WithLabelValues(o.what, "default")); n != 0 {
				t.Errorf("pending: %v", n)
			}
		})
	}
}
