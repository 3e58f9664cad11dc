package engine

import (
	"context"
	"fmt"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pullgate/pullgate/authz"
	"github.com/pullgate/pullgate/authz/memstore"
	"github.com/pullgate/pullgate/bundle/index"
)

type dropping struct{}

func (dropping) Record(*authz.Record) {}

// gateOver is a Gate as a sidecar has it: metrics and recording on.
func gateOver(t testing.TB, w *world, cached bool) *authz.Gate {
	cfg := authz.GateConfig{
		Engine: w.start(t, Config{Compare: compareEvery}), Recorder: dropping{}, Registerer: prometheus.NewRegistry(), Clock: clockAt(now),
	}
	if cached {
		cache, err := memstore.New(memstore.Config{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(cache.Close)
		cfg.Cache = cache
	}
	return authz.NewGate(cfg)
}

// What a decision allocates is a budget (design §16): decode and encode come on top.
func TestAllocationsOfADecision(t *testing.T) {
	for _, c := range []struct {
		name   string
		cached bool
		max    float64
	}{{"from the cache", true, 7}, {"evaluated", false, 200}} {
		gate, r, ctx := gateOver(t, shop(t), c.cached), request("bakery", authz.KindManifest, "acme/app", digestOfName("image140")), context.Background()
		gate.Decide(ctx, r)
		n := testing.AllocsPerRun(200, func() {
			if d := gate.Decide(ctx, r); d.Outcome != authz.OutcomeAllow || (d.Cached == "l1") != c.cached {
				t.Fatal(line(d), d.Cached)
			}
		})
		t.Logf("%s: %v allocations", c.name, n)
		if n > c.max {
			t.Errorf("%s: %v allocations, want at most %v", c.name, n, c.max)
		}
	}
}

func BenchmarkDecide(b *testing.B) {
	refused := request("bakery", authz.KindManifest, "acme/app", "2.0.0")
	for _, c := range []struct {
		name   string
		cached bool
		r      *authz.Request
	}{
		{"l1", true, request("bakery", authz.KindManifest, "acme/app", digestOfName("image140"))},
		{"evaluated", false, request("bakery", authz.KindManifest, "acme/app", digestOfName("image140"))},
		{"evaluated/denied", false, refused},
		{"ping", true, request("bakery", authz.KindPing, "", "")},
		{"unknown-key", true, &authz.Request{Kind: authz.KindManifest, Method: "GET", Host: "registry.example", Repository: "acme/app", Tag: "1.4.0"}},
		{"malformed", true, &authz.Request{Method: "GET"}},
	} {
		b.Run(c.name, func(b *testing.B) {
			gate, ctx := gateOver(b, shop(b), c.cached), context.Background()
			gate.Decide(ctx, c.r)
			b.ReportAllocs()
			for b.Loop() {
				gate.Decide(ctx, c.r)
			}
		})
	}
}

func BenchmarkTagList(b *testing.B) {
	for _, n := range []int{100, 1000, 10000} {
		b.Run(fmt.Sprintf("tags=%d", n), func(b *testing.B) {
			w := newWorld()
			w.index.AddProduct(index.Product{ID: "app"})
			repo := index.Repository{Registry: "main", Name: "acme/app", Product: "app"}
			for i := range n {
				v := fmt.Sprintf("%d.%d.0", i%4, i)
				repo.Tags = append(repo.Tags, index.Tag{Name: v, Digest: digest(v), Candidates: []index.Candidate{versioned(b, "app", v, v)}})
			}
			w.index.AddRepository(repo)
			w.customer(b, "bakery", grant(b, "bakery-app", "app", ">=1.0.0 <2.0.0"))
			w.key("bakery", "ci", nil)
			gate, ctx, r := gateOver(b, w, false), context.Background(), request("bakery", authz.KindTags, "acme/app", "")
			b.ReportAllocs()
			for b.Loop() {
				if d := gate.Decide(ctx, r); d.Outcome != authz.OutcomeAnswer || len(d.Names) != n/4 {
					b.Fatal(line(d), d.Detail, len(d.Names))
				}
			}
		})
	}
}
