package main

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
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

// Orders may be given as the publisher starts, and are about one bundle when they name it.
func TestOrdersAtTheStart(t *testing.T) {
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

	ready := func() bool { code, _ := p.get("/readyz"); return code == http.StatusOK }
	p = v.publish(both, "--accept", revision, "--bundle", "plant-7")
	p.await("ready", 20*time.Second, ready)
	p.await("accepted", 20*time.Second, func() bool { b, _ := p.bundle("plant-7"); return b.Revision() == revision })
	if b, _ := p.bundle("default"); b.Revision() == revision {
		t.Error("the other bundle was accepted, too")
	}
	p.stop()
	p = v.publish(both, "--rollback", first.Revision(), "--bundle", "plant-7")
	p.await("ready", 20*time.Second, ready)
	p.await("rolled back", 20*time.Second, func() bool { b, _ := p.bundle("plant-7"); return b.Revision() == first.Revision() })
	p.stop()
	p = v.publish(both, "--rollback", strings.Repeat("0", 64))
	p.await("what cannot be done is told", 20*time.Second, func() bool { return strings.Contains(p.log.String(), "not done as told at the start") })
	p.await("it publishes all the same", 20*time.Second, ready)
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
