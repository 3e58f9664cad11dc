package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pullgate/pullgate/bundle"
)

// heldRevision waits for something that is held back, and returns its revision.
func (p *published) heldRevision() (revision string) {
	p.Helper()
	p.await("held back", 20*time.Second, func() bool {
		_, health := p.get("/healthz")
		_, revision, _ = strings.Cut(health, "--accept ")
		revision, _, _ = strings.Cut(revision, "\n")
		return revision != ""
	})
	return revision
}

// Orders are about one bundle when they name it, and are carried out by a publisher that runs, or once.
func TestOrdersWithoutAPublisher(t *testing.T) {
	v := newVendor(t)
	v.push("acme/app", "1.5.0")
	const both = "bundles:\n  default: {}\n  plant-7: {customers: [acme, umbrela]}\n"
	p := v.publish(both)
	p.await("ready", 20*time.Second, func() bool { code, _ := p.get("/readyz"); return code == http.StatusOK })
	var report struct {
		Absent map[string][]string `json:"absent_customers"`
	}
	_, text := p.get("/v1/status")
	v.must(json.Unmarshal([]byte(text), &report))
	if !slices.Equal(report.Absent["plant-7"], []string{"umbrela"}) || len(report.Absent) != 1 || !strings.Contains(p.log.String(), "customers=umbrela") {
		t.Errorf("of a customer that does not exist /v1/status says %v", report.Absent)
	}
	first, _ := p.bundle("plant-7")
	v.write("licenses/license.yaml", grants(">=1.5.0 <2.0.0"), 0o644)
	p.await("both are held back", 20*time.Second, func() bool { _, health := p.get("/healthz"); return strings.Count(health, "--accept ") == 2 })
	if code, _, stderr := once(t, "publish", "--data", v.path("publisher"), "--accept", strings.Repeat("0", 64), "--bundle", "absent"); code != exitUnknown || !strings.Contains(stderr, "default, plant-7") {
		t.Errorf("a name that no bundle has: %d %s", code, stderr)
	}
	if code, _, stderr := once(t, "publish", "--data", v.path("publisher"), "--bundle", "plant-7"); code != exitUnknown || !strings.Contains(stderr, "--accept or --rollback") {
		t.Errorf("a name without an order: %d %s", code, stderr)
	}
	revision := p.heldRevision()
	p.stop()

	// Where no publisher runs none is started that stays; told to do it once, it does it and ends.
	order := []string{"publish", "--config", v.configurePublish(both)}
	if code, _, stderr := once(t, append(order, "--accept", revision)...); code != exitUnknown || !strings.Contains(stderr, "no publisher uses --data "+v.path("publisher")) {
		t.Errorf("without a publisher: %d %s", code, stderr)
	}
	out := v.path("out")
	order = append(order, "--once", "--out", out, "--bundle", "plant-7")
	if code, _, stderr := once(t, append(order, "--accept", revision)...); code != exitNo { // the other bundle is held back
		t.Errorf("accepted: %d %s", code, stderr)
	}
	if got := v.written("plant-7"); got.Revision() != revision {
		t.Errorf("accepted: revision %s, want %s", got.Revision(), revision)
	}
	if code, _, stderr := once(t, append(order, "--rollback", first.Revision())...); code != exitNo {
		t.Errorf("rolled back: %d %s", code, stderr)
	}
	if got := v.written("plant-7"); got.Revision() != first.Revision() {
		t.Errorf("rolled back: revision %s, want %s", got.Revision(), first.Revision())
	}
	if code, _, stderr := once(t, append(order, "--rollback", strings.Repeat("0", 64))...); code != exitUnknown || !strings.Contains(stderr, "no bundle that is kept has revision") {
		t.Errorf("what cannot be done: %d %s", code, stderr)
	}
}

// What is held back ends --once with 1: the log says which revision and why, and what is written stays as it
// is until that is accepted.
func TestPublishOnceEndsWithWhatIsHeldBack(t *testing.T) {
	v := newVendor(t)
	v.push("acme/app", "1.5.0")
	publish := func(more string, order ...string) (int, string) {
		args := []string{"publish", "--config", v.configurePublish(more), "--bundle-addr", "", "--out", v.path("out"), "--once"}
		code, _, stderr := once(t, append(args, order...)...)
		return code, stderr
	}
	if code, stderr := publish(""); code != exitYes {
		t.Fatalf("%d\n%s", code, stderr)
	}
	first := v.read("out/default.tar.gz")
	v.write("licenses/license.yaml", grants(">=1.5.0 <2.0.0"), 0o644)
	var revision string
	for range 2 { // also when it was held back before
		code, stderr := publish("")
		_, line, _ := strings.Cut(stderr, "bundle held back")
		line, _, _ = strings.Cut(line, "\n")
		_, revision, _ = strings.Cut(line, "revision=")
		revision, _, _ = strings.Cut(revision, " ")
		if code != exitNo || len(revision) != 64 || !strings.Contains(line, "bundle=default") || !strings.Contains(line, "more than max-loss") || !strings.Contains(line, "--accept "+revision) {
			t.Fatalf("%d\n%s", code, stderr)
		}
		if !bytes.Equal(v.read("out/default.tar.gz"), first) {
			t.Fatal("something else is written")
		}
	}
	if code, stderr := publish("", "--accept", revision); code != exitYes {
		t.Fatalf("accepted: %d\n%s", code, stderr)
	}
	if got := v.written("default"); got.Revision() != revision {
		t.Errorf("accepted: revision %s, want %s", got.Revision(), revision)
	}
	// Where nothing was published before, nothing is written, and there is nothing to accept.
	code, stderr := publish("bundles:\n  default: {}\n  plant-7: {customers: [umbrela]}\n")
	if code != exitNo || !strings.Contains(stderr, "none of its customers exists: umbrela") || strings.Contains(stderr, "--accept") {
		t.Errorf("of nobody: %d\n%s", code, stderr)
	}
	if _, err := os.Stat(v.path("out/plant-7.tar.gz")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of nobody: %v", err)
	}
}

// written is a bundle in the directory out.
func (v *vendor) written(name string) *bundle.Bundle {
	v.Helper()
	ring, err := bundle.ParseKeyRing(v.read("release.pub"))
	v.must(err)
	b, err := bundle.Read(bytes.NewReader(v.read("out/"+name+".tar.gz")), ring, bundle.ReadOptions{Name: name})
	v.must(err)
	return b
}

// Whoever takes long to download does not make a publisher that is told to end fail.
func TestSlowDownloadIsNoFailureOfTheEnd(t *testing.T) {
	p := &process{log: slog.New(slog.DiscardHandler)}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	ctx, stop := context.WithCancel(t.Context())
	done, begun := make(chan error, 1), make(chan struct{})
	go func() {
		done <- p.serve(ctx, l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			close(begun)
			<-r.Context().Done()
		}))
	}()
	conn, err := net.Dial("tcp", l.Addr().String())
	must(t, err)
	defer conn.Close()
	_, err = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	must(t, err)
	<-begun
	stop()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(adminTimeout + patience):
		t.Error("it does not end")
	}
}
