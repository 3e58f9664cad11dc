package envoy_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"testing"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc/peer"

	"github.com/pullgate/pullgate/authz"
	"github.com/pullgate/pullgate/authz/envoy"
	envoyexample "github.com/pullgate/pullgate/examples/envoy"
	"github.com/pullgate/pullgate/examples/peers"
)

// visitors allows everything, and remembers the connections that it was asked over and how long was left.
type visitors struct {
	mu    sync.Mutex
	conns map[string]int
	left  time.Duration // the most
}

func (v *visitors) Decide(ctx context.Context, r *authz.Request) *authz.Decision {
	v.mu.Lock()
	defer v.mu.Unlock()
	if p, ok := peer.FromContext(ctx); ok {
		if v.conns == nil {
			v.conns = map[string]int{}
		}
		v.conns[p.Addr.String()]++
	}
	if deadline, ok := ctx.Deadline(); ok {
		v.left = max(v.left, time.Until(deadline))
	}
	return allow(r)
}

func (v *visitors) connections() int { v.mu.Lock(); defer v.mu.Unlock(); return len(v.conns) }

// askUntil has several ask at once until there were so many connections; each must be answered.
func (v *visitors) askUntil(t *testing.T, connections int, ask func() error) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), 40*time.Second)
	defer stop()
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for v.connections() < connections {
				if err := ask(); err != nil {
					t.Errorf("over connection %d: %v", v.connections(), err)
					return
				}
				if ctx.Err() != nil {
					t.Errorf("only %d connections", v.connections())
					return
				}
			}
		})
	}
	all.Wait()
}

// A connection is given up for another, and nobody's request fails for it.
func TestConnectionsAreRenewed(t *testing.T) {
	v := new(visitors)
	_, conn := start(t, envoy.Config{Decider: v, ConnectionAge: 40 * time.Millisecond})
	client := authv3.NewAuthorizationClient(conn)
	v.askUntil(t, 5, func() error {
		out, err := client.Check(t.Context(), raw(message{"GET", "/v2/acme/app/manifests/1", "registry.example", nil}))
		if err == nil && out.GetOkResponse() == nil {
			t.Errorf("not allowed: %v", out)
		}
		return err
	})

	v = new(visitors)
	_, conn = start(t, envoy.Config{Decider: v})
	client = authv3.NewAuthorizationClient(conn)
	for range 50 {
		if _, err := client.Check(t.Context(), raw(message{"GET", "/v2/acme/app/manifests/1", "registry.example", nil})); err != nil {
			t.Fatal(err)
		}
	}
	if n := v.connections(); n != 1 {
		t.Errorf("%d connections without an age", n)
	}
}

// The same with a real Envoy, which also says how long it waits.
func TestConnectionsOfEnvoyAreRenewed(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	v := new(visitors)
	s, _ := start(t, envoy.Config{Decider: v, ConnectionAge: 200 * time.Millisecond})
	registry := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "layer") }))
	defer registry.Close()
	dir := t.TempDir()
	certs, err := peers.NewCertificates(dir, "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	config, err := envoyexample.Render(envoyexample.Options{
		Listen: "127.0.0.1:0", Hosts: []string{"127.0.0.1"}, Cert: certs.Cert, Key: certs.Key,
		Pullgate: s.Addr().String(), Registry: registry.Listener.Addr().String(), AccessLog: filepath.Join(dir, "access.log"),
	})
	if err != nil {
		t.Fatal(err)
	}
	patient := bytes.ReplaceAll(config, []byte("timeout: 0.2s"), []byte("timeout: 17s")) // of a machine that is busy
	if bytes.Equal(config, patient) {
		t.Fatal("the example does not say how long Envoy waits")
	}
	e, err := peers.StartEnvoy(ctx, peers.Envoy(t), patient)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	addr, err := e.Listener(ctx, envoyexample.ListenerName)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: certs.Pool}}}
	defer client.CloseIdleConnections()
	v.askUntil(t, 6, func() error {
		resp, err := client.Get("https://" + addr + "/v2/acme/app/blobs/" + digest)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if resp.StatusCode != http.StatusOK || string(body) != "layer" {
			t.Errorf("%d %s", resp.StatusCode, body)
		}
		return err
	})
	if v.left > 17*time.Second || v.left < 2*time.Second {
		t.Errorf("Envoy said that it waits for %s", v.left)
	}
}
