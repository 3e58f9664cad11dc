package engine

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pullgate/pullgate/authz"
	"github.com/pullgate/pullgate/authz/memstore"
	"github.com/pullgate/pullgate/authz/reply"
	"github.com/pullgate/pullgate/bundle/index"
)

// counting counts what is asked of a generation and of a cache.
type counting struct {
	authz.Generation
	cache authz.Cache
	n     map[string]int
}

func (c *counting) Registry(host string) (authz.Registry, bool) {
	c.n["registry"]++
	return c.Generation.Registry(host)
}

func (c *counting) Authenticate(hash [32]byte) (authz.Key, bool) {
	c.n["authenticate"]++
	return c.Generation.Authenticate(hash)
}

func (c *counting) Resolve(reg authz.Registry, r *authz.Request) authz.Target {
	c.n["resolve"]++
	return c.Generation.Resolve(reg, r)
}

func (c *counting) Named(customer string, t *authz.Target, at int64) bool {
	c.n["named"]++
	return c.Generation.Named(customer, t, at)
}

func (c *counting) Key(in *authz.Input) ([32]byte, bool) {
	c.n["key"]++
	return c.Generation.Key(in)
}

func (c *counting) Evaluate(ctx context.Context, in *authz.Input) (authz.Verdict, error) {
	c.n["evaluate"]++
	return c.Generation.Evaluate(ctx, in)
}

func (c *counting) Visible(ctx context.Context, in *authz.Input) ([]int, int64, error) {
	c.n["visible"]++
	return c.Generation.Visible(ctx, in)
}

func (c *counting) Repositories(reg authz.Registry, customer string) []string {
	c.n["repositories"]++
	return c.Generation.Repositories(reg, customer)
}

func (c *counting) Get(key [32]byte) (authz.Entry, bool) {
	c.n["cache read"]++
	return c.cache.Get(key)
}

func (c *counting) Put(key [32]byte, e authz.Entry) {
	c.n["cache write"]++
	c.cache.Put(key, e)
}

// countingEngine has one generation.
type countingEngine struct{ *counting }

func (e countingEngine) Generation() authz.Generation { return e.counting }

// A repository that is not there costs what one costs that is somebody else's, in every step and
// every time, and reads the same.
func TestAbsentAndUnrelatedRepositoriesCostTheSame(t *testing.T) {
	for _, rule := range []string{"", region} {
		w := shop(t)
		if rule != "" {
			w.rule("region", rule)
		}
		for _, who := range []string{"walkin", "mill", "bakery", ""} {
			for reference, kind := range map[string]authz.Kind{
				"1.4": authz.KindManifest, "9.9": authz.KindManifest, digestOfName("tools"): authz.KindManifest, digestOfName("nothing"): authz.KindBlob,
				"": authz.KindTags,
			} {
				unrelated := "acme/tools"
				if who == "bakery" {
					continue // has a right there: the control below
				}
				a := cost(t, w, request(who, kind, unrelated, reference))
				b := cost(t, w, request(who, kind, "acme/absent", reference))
				if a != b {
					t.Errorf("%q asks for %s %q: of an unrelated repository\n%sof an absent one\n%s", who, kind, reference, a, b)
				}
			}
		}
	}
	// It can fail: what somebody has a right to costs something else.
	w := shop(t)
	if cost(t, w, request("bakery", authz.KindManifest, "acme/tools", "1.4")) == cost(t, w, request("bakery", authz.KindManifest, "acme/absent", "1.4")) {
		t.Error("a repository of one's own costs what an absent one costs")
	}
}

// cost is what a request asks for, twice in a row, and its answers without their ids.
func cost(t *testing.T, w *world, r *authz.Request) string {
	t.Helper()
	cache, err := memstore.New(memstore.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer cache.Close()
	e := w.start(t, Config{})
	c := &counting{Generation: e.Generation(), cache: cache, n: map[string]int{}}
	gate := authz.NewGate(authz.GateConfig{Engine: countingEngine{c}, Cache: c, Registerer: prometheus.NewRegistry(), Clock: clockAt(now)})
	var out bytes.Buffer
	for range 2 {
		clear(c.n)
		d := gate.Decide(context.Background(), r)
		d.ID = "id"
		p := reply.For(r, d)
		fmt.Fprintf(&out, "%v %d %v %s\n", c.n, p.Status, p.Headers, p.Body)
	}
	return out.String()
}

// What a customer may not see leaves no trace in a list: the same bytes with it and without.
func TestHiddenEntriesLeaveNoTraceInLists(t *testing.T) {
	registry := func(hidden bool) *asks {
		w := newWorld()
		w.index.AddProduct(index.Product{ID: "app"})
		w.index.AddProduct(index.Product{ID: "gold"})
		repo := index.Repository{Registry: "main", Name: "acme/app", Product: "app", Referrers: map[index.Digest][]index.Descriptor{}}
		image := func(v string) {
			c := versioned(t, "app", v, v)
			repo.Tags = append(repo.Tags, index.Tag{Name: v, Digest: digest(v), Candidates: []index.Candidate{c}})
			repo.Nodes = append(repo.Nodes, index.Node{Digest: digest(v), Kind: index.Manifest, Candidates: []index.Candidate{c}})
			repo.Nodes = append(repo.Nodes, index.Node{Digest: digest("sbom " + v), Kind: index.Manifest, Candidates: []index.Candidate{c}})
			repo.Referrers[digest(v)] = []index.Descriptor{{MediaType: "application/vnd.oci.image.manifest.v1+json", Digest: digest("sbom " + v), Size: 7, ArtifactType: "application/vnd.example.sbom"}}
		}
		for _, v := range []string{"1.0.0", "1.2.0", "1.4.0", "1.9.0"} {
			image(v)
		}
		if hidden {
			for _, v := range []string{"0.9.0", "2.0.0", "3.0.0"} {
				image(v)
			}
			c := versioned(t, "gold", "1.0.0", "1.0.0")
			w.index.AddRepository(index.Repository{
				Registry: "main", Name: "acme/gold", Product: "gold",
				Tags:  []index.Tag{{Name: "1.0.0", Digest: digest("gold"), Candidates: []index.Candidate{c}}},
				Nodes: []index.Node{{Digest: digest("gold"), Kind: index.Manifest, Candidates: []index.Candidate{c}}},
			})
		}
		slices.SortFunc(repo.Tags, func(a, b index.Tag) int { return strings.Compare(a.Name, b.Name) })
		w.index.AddRepository(repo)
		w.customer(t, "bakery", grant(t, "bakery-app", "app", ">=1.0.0 <2.0.0"))
		w.key("bakery", "ci", nil)
		return w.asks(t, nil)
	}
	with, without := registry(true), registry(false)
	answer := func(a *asks, r *authz.Request) string {
		d := a.ask(r)
		d.ID = "id"
		p := reply.For(r, d)
		return fmt.Sprintf("%d %v %s", p.Status, p.Headers, p.Body)
	}
	compared := 0
	compare := func(r *authz.Request) {
		compared++
		if a, b := answer(with, r), answer(without, r); a != b {
			t.Errorf("%s n=%d last=%q: with hidden entries\n%s\nwithout\n%s", r.Kind, r.N, r.Last, a, b)
		}
	}
	for _, n := range []int{-1, 0, 1, 2, 3, 4, 5, 1000} {
		for _, last := range []string{"", "0.9.0", "1.0.0", "1.3.0", "1.4.0", "1.9.0", "2.0.0", "acme/app", "acme/gold", "zzz"} {
			for _, kind := range []authz.Kind{authz.KindTags, authz.KindCatalog} {
				r := request("bakery", kind, "acme/app", "")
				if kind == authz.KindCatalog {
					r.Repository = ""
				}
				r.N, r.Last = n, last
				compare(r)
			}
		}
	}
	for _, v := range []string{"1.0.0", "1.4.0", "2.0.0", "3.0.0"} {
		compare(request("bakery", authz.KindReferrers, "acme/app", digestOfName(v)))
	}
	r := request("bakery", authz.KindTags, "acme/app", "")
	if got := answer(with, r); !strings.Contains(got, `["1.0.0","1.2.0","1.4.0","1.9.0"]`) || compared < 100 {
		t.Errorf("%d answers compared; the whole list is %s", compared, got)
	}
}
