package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"sync/atomic"
	"time"
)

// crawlEvery is how often the registry is read by itself, in seconds.
const crawlEvery = 3

// pushed measures from the end of a push to a real registry until a customer may pull the image.
func (b *bench) pushed(ctx context.Context) (_ *result, err error) {
	hooks, err := startHooks()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, hooks.Close()) }()
	const secret = "the-secret-of-the-webhook"
	w, err := b.newWorld(ctx, "push", b.few(), fmt.Sprintf("notifications:\n  endpoints:\n    - name: pullgate\n      url: http://%s/v1/webhooks/main\n      headers: {Authorization: [Bearer %s]}\n      timeout: 2s\n      threshold: 3\n      backoff: 1s\n", hooks.Addr, secret))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	acme, err := w.customer("acme")
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(w.path("webhook-secret"), []byte(secret+"\n"), 0o600); err != nil {
		return nil, err
	}
	n, unnotified := b.share(5), b.share(10)
	notified := fmt.Sprintf("crawl_every: 1h\nwebhooks:\n  main: {secret_file: %q}\n", w.path("webhook-secret"))
	var rows []row
	for i, way := range []struct {
		what      string
		start     func() error
		hooks     bool
		n         int
		must, aim float64
	}{
		{"one process", func() error { return w.one(ctx, notified) }, true, n, 3, 1},
		{"publisher, two sidecars", func() error { return w.split(ctx, notified, "") }, true, n, 3, 1},
		// Between two readings the interval lies, give or take a tenth.
		{fmt.Sprintf("one process, no webhook, read every %d s", crawlEvery), func() error { return w.one(ctx, fmt.Sprintf("crawl_every: %ds\n", crawlEvery)) }, false, unnotified, 1.1 * crawlEvery, 1.1 * crawlEvery},
	} {
		if err := way.start(); err != nil {
			return nil, err
		}
		if way.hooks {
			hooks.to.Store(&url.URL{Scheme: "http", Host: w.admin})
		}
		pause := func(int) time.Duration { return time.Second } // hints that come faster are rationed
		if !way.hooks {
			pause = func(i int) time.Duration { return crawlEvery * time.Second * time.Duration(i) / time.Duration(way.n) } // the last push was seen by a reading
		}
		took, err := w.pushes(ctx, acme, fmt.Sprintf("1.%d", 5+i), way.n, pause)
		hooks.to.Store(nil)
		if err = errors.Join(err, w.stop()); err != nil {
			return nil, fmt.Errorf("%s: %w", way.what, err)
		}
		rows = append(rows, timed("an image can be pulled, "+way.what, took, way.must, way.aim)...)
	}
	return &result{rows: rows, note: fmt.Sprintf("%d pushes with a webhook, %d without, %d customers with 3 licenses each.", n, unnotified, b.few())}, nil
}

// pushes pushes new tags, a while after the last one could be pulled.
func (w *world) pushes(ctx context.Context, who, prefix string, n int, pause func(int) time.Duration) (took []time.Duration, err error) {
	for i := range n {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(pause(i)):
		}
		tag := fmt.Sprintf("%s.%d", prefix, i)
		if err := w.push(ctx, tag); err != nil {
			return nil, err
		}
		pushed := time.Now()
		if err := w.await(ctx, who, tag, http.StatusOK); err != nil {
			return nil, err
		}
		took = append(took, time.Since(pushed))
		if i%10 == 0 {
			w.b.say("%s can be pulled after %.2f s", tag, took[i].Seconds())
		}
	}
	return took, nil
}

// hooks is where a registry sends its notifications, which is known before pullgate, whom they are
// for, is there.
type hooks struct {
	*http.Server
	to atomic.Pointer[url.URL] // nil: nobody
}

func startHooks() (*hooks, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	h := &hooks{}
	h.Server = &http.Server{Addr: l.Addr().String(), ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		to := h.to.Load()
		if to == nil {
			w.WriteHeader(http.StatusAccepted)
			return
		}
		(&httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) { p.SetURL(to) }}).ServeHTTP(w, r)
	})}
	go func() { _ = h.Serve(l) }()
	return h, nil
}
