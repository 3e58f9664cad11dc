package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// A publisher serves bundles to one sidecar that long-polls for them, each when it is released, and
// knows when the sidecar has made one active: it then asks for the next.
type publisher struct {
	url      string
	released chan string        // files
	asked    chan string        // file names of what the sidecar has, when it asks
	sent     chan time.Time     // when a body begins
	end      context.CancelFunc // of requests under way
	server   *http.Server
}

func startPublisher() (*publisher, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	p := &publisher{url: fmt.Sprintf("http://%s/bundle", l.Addr()), released: make(chan string), asked: make(chan string, 16), sent: make(chan time.Time, 16), end: cancel}
	p.server = &http.Server{Handler: p, ReadHeaderTimeout: time.Second, BaseContext: func(net.Listener) context.Context { return ctx }}
	go func() { _ = p.server.Serve(l) }()
	return p, nil
}

func (p *publisher) close() error {
	p.end()
	return p.server.Close()
}

// ServeHTTP answers as a publisher that waits (OPA's protocol of bundle downloads).
func (p *publisher) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	const waits = "application/vnd.openpolicyagent.bundles"
	has := strings.Trim(r.Header.Get("If-None-Match"), `"`)
	select {
	case p.asked <- has:
	default: // nobody waits for it
	}
	var wait time.Duration
	if _, seconds, ok := strings.Cut(r.Header.Get("Prefer"), "wait="); ok {
		wait, _ = time.ParseDuration(seconds + "s")
	}
	if has == "" {
		wait = time.Minute
	}
	w.Header().Set("Content-Type", waits)
	select {
	case <-r.Context().Done():
	case <-time.After(wait):
		w.WriteHeader(http.StatusNotModified)
	case file := <-p.released:
		w.Header().Set("ETag", `"`+filepath.Base(file)+`"`)
		f, err := os.Open(file)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		defer f.Close()
		p.sent <- time.Now()
		http.ServeContent(w, r, "", time.Time{}, f)
	}
}

// deliver releases a bundle and returns when the sidecar has made it active, with how long that took.
func (p *publisher) deliver(ctx context.Context, file string) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	var began time.Time
	select {
	case p.released <- file:
		began = <-p.sent
	case <-ctx.Done():
		return 0, errors.New("the sidecar does not ask for a bundle")
	}
	for len(p.asked) > 0 { // before it was sent one
		<-p.asked
	}
	for {
		select {
		case has := <-p.asked:
			if has == filepath.Base(file) {
				return time.Since(began), nil
			}
			return 0, fmt.Errorf("the sidecar has not taken %s: it asks as one that has %q", file, has)
		case <-ctx.Done():
			return 0, fmt.Errorf("the sidecar has not taken %s", file)
		}
	}
}
