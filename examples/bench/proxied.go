package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pullgate/pullgate/examples/envoy"
	"github.com/pullgate/pullgate/examples/load/drive"
	"github.com/pullgate/pullgate/examples/peers"
)

// underWayProxied is how many requests are under way through Envoy.
const underWayProxied = 16

// A way is an Envoy before an upstream that answers at once, and who it asks.
type way struct {
	name   string
	server *server // nil: it asks nobody
	tier   string  // where the verdicts must come from
	addr   string
	client *http.Client
	close  []func() error

	rate, p50, p99 []float64 // by round; milliseconds
}

// proxied measures requests as customers send them, through real Envoy with the shipped configuration.
func (b *bench) proxied(ctx context.Context) (_ *result, err error) {
	v, err := newVendor(ctx, b.o.pullgate, b.dir+"/proxied", asked, nil)
	if err != nil {
		return nil, err
	}
	upstream, err := b.serve(ctx, "upstream")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, upstream.close()) }()
	var ways []*way
	defer func() {
		for _, w := range ways {
			for _, f := range slices.Backward(w.close) {
				err = errors.Join(err, f())
			}
		}
	}()
	for _, w := range []struct {
		name, tier string
		start      func() (*server, error)
	}{
		{"no ext_authz", "", func() (*server, error) { return nil, nil }},
		{"the empty service", "", func() (*server, error) { return b.serve(ctx, "empty") }},
		{"pullgate, warm", "l1", func() (*server, error) { return startPullgate(ctx, b.o.pullgate, v, "warm", "") }},
		{"pullgate, cold", "none", func() (*server, error) { return startPullgate(ctx, b.o.pullgate, v, "cold", "cache_bytes: 0\n") }},
	} {
		s, err := w.start()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", w.name, err)
		}
		x := &way{name: w.name, server: s, tier: w.tier}
		ways = append(ways, x)
		if s != nil {
			x.close = append(x.close, s.close)
		}
		if err := x.startEnvoy(ctx, b.dir, upstream.addr); err != nil {
			return nil, fmt.Errorf("%s: %w", w.name, err)
		}
	}
	mix := drive.Mix{Who: v.who(asked), Zipf: 1.2, For: func(c int) []drive.Target { return allowed(c, c) }}
	for round := range b.o.rounds + 1 { // the first one warms up
		order := slices.Clone(ways)
		if round%2 == 1 {
			slices.Reverse(order)
		}
		var said []string
		for _, w := range order {
			if err := w.turn(ctx, mix.Choose(b.o.requests/2), round > 0); err != nil {
				return nil, fmt.Errorf("%s: %w", w.name, err)
			}
			if n := len(w.rate); n > 0 {
				said = append(said, fmt.Sprintf("%s %.0f/s", w.name, w.rate[n-1]))
			}
		}
		b.say("round %d: %s", round, strings.Join(said, ", "))
	}
	none, empty, warm, cold := ways[0], ways[1], ways[2], ways[3]
	rows := []row{
		rates(warm, empty, 0.9, 1), rates(cold, empty, 0, 0), rates(empty, none, 0, 0), rates(warm, none, 0, 0),
	}
	for _, w := range ways {
		rows = append(rows, row{what: w.name + ", requests a second", samples: w.rate},
			row{what: w.name + ", p50", unit: " ms", samples: w.p50}, row{what: w.name + ", p99", unit: " ms", samples: w.p99})
	}
	return &result{rows: rows, note: fmt.Sprintf("%d rounds of %d requests a side, %d under way, %d customers, %d worker threads of Envoy.",
		b.o.rounds, b.o.requests/2, underWayProxied, v.customers, runtime.NumCPU())}, nil
}

// rates are the requests a second of one way by those of another.
func rates(w, other *way, must, aim float64) row {
	r := row{what: w.name + ", requests a second", against: other.name, unit: "×", must: must, aim: aim, least: true}
	for i := range w.rate {
		r.samples = append(r.samples, w.rate[i]/other.rate[i])
	}
	return r
}

// startEnvoy runs an Envoy that asks the way's server.
func (w *way) startEnvoy(ctx context.Context, dir, upstream string) error {
	certs, err := peers.NewCertificates(dir, "127.0.0.1")
	if err != nil {
		return err
	}
	o := envoy.Options{Hosts: []string{host}, Cert: certs.Cert, Key: certs.Key, Registry: upstream, AccessLog: os.DevNull, Pullgate: "127.0.0.1:1"}
	if w.server != nil {
		o.Pullgate = w.server.addr
	}
	config, err := envoy.Render(o)
	if err != nil {
		return err
	}
	text := string(config)
	if w.server == nil {
		if text, err = withoutExtAuthz(text); err != nil {
			return err
		}
	}
	// What takes longer than 200 ms is in the p99, not an error, so that a busy machine ends no run.
	text = strings.Replace(text, "timeout: 0.2s\n              # KEEP: no answer", "timeout: 9s\n              # KEEP: no answer", 1)
	path, err := peers.Path(ctx, "envoy")
	if err != nil {
		return err
	}
	p, err := peers.StartEnvoy(ctx, path, []byte(text), "--concurrency", strconv.Itoa(runtime.NumCPU()))
	if err != nil {
		return err
	}
	w.close = append(w.close, p.Close)
	if w.addr, err = p.Listener(ctx, envoy.ListenerName); err != nil {
		return err
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: certs.Pool}, MaxIdleConnsPerHost: underWayProxied}
	w.client = &http.Client{Transport: transport, Timeout: 20 * time.Second}
	w.close = append(w.close, func() error { transport.CloseIdleConnections(); return nil })
	return nil
}

// withoutExtAuthz cuts the filter out of the shipped configuration.
func withoutExtAuthz(text string) (string, error) {
	const begin, end = "          - name: envoy.filters.http.ext_authz\n", "          # A 401 of the registry itself"
	before, rest, ok := strings.Cut(text, begin)
	_, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		return "", errors.New("envoy.yaml has no ext_authz filter where it was")
	}
	return before + end + after, nil
}

// turn sends every request once, as customers do.
func (w *way) turn(ctx context.Context, list []drive.Choice, keep bool) error {
	from := 0
	var err error
	if w.tier != "" {
		if from, err = w.server.decided(ctx, w.tier); err != nil {
			return err
		}
	}
	took, errs := make([]time.Duration, len(list)), make([]error, underWayProxied)
	var next atomic.Int64
	var wg sync.WaitGroup
	began := time.Now()
	for i := range underWayProxied {
		wg.Go(func() {
			for errs[i] == nil {
				n := int(next.Add(1)) - 1
				if n >= len(list) {
					return
				}
				sent := time.Now()
				errs[i] = w.pull(ctx, list[n])
				took[n] = time.Since(sent)
			}
		})
	}
	wg.Wait()
	elapsed := time.Since(began)
	if err := cmp.Or(errs...); err != nil {
		return err
	}
	if w.tier != "" {
		to, err := w.server.decided(ctx, w.tier)
		if err != nil {
			return err
		}
		if n := to - from; keep && n < len(list)*9/10 {
			return fmt.Errorf("%d of %d verdicts are from %s", n, len(list), w.tier)
		}
	}
	if keep {
		slices.Sort(took)
		w.rate = append(w.rate, float64(len(list))/elapsed.Seconds())
		w.p50 = append(w.p50, drive.Latency(took).At(.5).Seconds()*1e3)
		w.p99 = append(w.p99, drive.Latency(took).At(.99).Seconds()*1e3)
	}
	return nil
}

// pull sends one request, which must be answered by the upstream.
func (w *way) pull(ctx context.Context, c drive.Choice) error {
	status, body, err := w.ask(ctx, c)
	if err == nil && (status != http.StatusOK || string(body) != upstreamBody) {
		err = fmt.Errorf("%s %s: %d %s", c.Method, c.Path, status, body)
	}
	return err
}

// ask sends one request.
func (w *way) ask(ctx context.Context, c drive.Choice) (status int, body []byte, err error) {
	req, err := http.NewRequestWithContext(ctx, c.Method, "https://"+w.addr+c.Path, nil)
	if err != nil {
		return 0, nil, err
	}
	req.Host = host
	req.Header.Set("Authorization", c.Authorization)
	req.Header.Set("Accept", "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json")
	resp, err := w.client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	body, err = io.ReadAll(resp.Body)
	return resp.StatusCode, body, err
}

// upstreamBody is what the upstream answers to everything.
const upstreamBody = "{}"

func upstreamHandler(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, upstreamBody) }
