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
	key, ok := c.Generation.Authenticate(hash)
	if limit := key.InScope; limit != nil {
		key.InScope = func(repository string) bool {
			c.n["in scope"]++
			return limit(repository)
		}
	}
	return key, ok
}

func (c *counting) Identify(id authz.Identity) (authz.Subject, bool) {
	c.n["identify"]++
	return c.Generation.Identify(id)
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

func (c *counting) Drop(key [32]byte) { c.cache.Drop(key) }

// countingEngine has one generation.
type countingEngine struct{ *counting }

func (e countingEngine) Generation() authz.Generation { return e.counting }

// A speaker is somebody who asks, without a right to the repositories named.
type speaker struct {
	name      string
	unrelated []string
	speak     func(*authz.Request)
}

// speakers are all ways to be somebody without a right, or nobody.
func speakers(w *world) []speaker {
	both, tools := []string{"acme/tools", "acme/app"}, []string{"acme/tools"}
	with := func(credential authz.Credential) func(*authz.Request) {
		return func(r *authz.Request) { r.Credential = credential }
	}
	key := func(customer, id string, limits object) func(*authz.Request) {
		return with(authz.Credential{Kind: authz.CredentialKey, Hash: w.key(customer, id, limits)})
	}
	token := func(customer, id, host string, until int64) func(*authz.Request) {
		c := authz.Credential{Kind: authz.CredentialToken, Token: authz.Token{Customer: customer, Audience: host, NotBefore: now - 10, Expires: until}}
		if customer != authz.Anybody {
			c.Hash = w.key(customer, id, nil)
		}
		set := with(c)
		return func(r *authz.Request) { set(r); r.TokenPath = "/pullgate/token" }
	}
	const here = "registry.example"
	w.identities["jwt"] = []any{object{"issuer": "https://idp", "subject": "ci", "customer": "walkin"}}
	return []speaker{
		{"a customer of nothing", both, key("walkin", "ci", nil)},
		{"a customer of something else", tools, key("mill", "ci", nil)},
		{"nobody", both, func(*authz.Request) {}},
		{"nobody, where there are tokens", both, func(r *authz.Request) { r.TokenPath = "/pullgate/token" }},
		{"a key that is not known", both, with(authz.Credential{Kind: authz.CredentialKey, Hash: [32]byte{1}})},
		{"what is no key", both, with(authz.Credential{Kind: authz.CredentialInvalid})},
		{"a key that has ended", both, key("walkin", "ended", object{"expires": now - 1})},
		{"a key for something else", tools, key("mill", "app", object{"repositories": []string{"acme/app"}})},
		{"a key for everything there", both, key("walkin", "all", object{"repositories": []string{"acme/*"}})},
		{"a key for nothing", both, key("walkin", "none", object{"repositories": []string{}})},
		{"a key from elsewhere", both, key("walkin", "far", object{"addresses": []string{"192.0.2.0/24"}})},
		{"a token of a customer of nothing", both, token("walkin", "ci", here, now+300)},
		{"a token of a customer of something else", tools, token("mill", "ci", here, now+300)},
		{"a token that has ended", both, token("walkin", "ci", here, now)},
		{"a token for another host", both, token("walkin", "ci", "elsewhere.example", now+300)},
		{"a token without a key", both, token(authz.Anybody, "", here, now+300)},
		{"a token that is none", both, with(authz.Credential{Kind: authz.CredentialInvalidToken})},
		{"a token that is forged", both, with(authz.Credential{Kind: authz.CredentialForgedToken, Hash: [32]byte{2}})},
		{"a certificate of nobody", both, func(r *authz.Request) { r.Identity = authz.Identity{SAN: "spiffe://nobody"} }},
		{"an identity", both, func(r *authz.Request) { r.Identity = authz.Identity{JWTIssuer: "https://idp", JWTSubject: "ci"} }},
	}
}

// A repository that is not there costs what one costs that is somebody else's, in every step and
// every time, and reads the same.
func TestAbsentAndUnrelatedRepositoriesCostTheSame(t *testing.T) {
	hex := strings.TrimPrefix(digestOfName("image140"), "sha256:") // of acme/app, with a signature
	questions := []struct {
		kind      authz.Kind
		reference string
	}{
		{authz.KindManifest, "1.4"},
		{authz.KindManifest, "1.4.0"},
		{authz.KindManifest, "9.9"},
		{authz.KindManifest, digestOfName("tools")},
		{authz.KindManifest, digestOfName("image140")},
		{authz.KindManifest, "sha256-" + hex},
		{authz.KindManifest, "sha256-" + hex + ".sig"},
		{authz.KindManifest, "sha256-" + strings.Repeat("0", 64) + ".sig"},
		{authz.KindBlob, digestOfName("base")},
		{authz.KindBlob, digestOfName("nothing")},
		{authz.KindReferrers, digestOfName("image140")},
		{authz.KindReferrers, digestOfName("tools")},
		{authz.KindReferrers, digestOfName("nothing")},
		{authz.KindTags, ""},
	}
	compared := 0
	for _, rule := range []string{"", region} {
		w := shop(t)
		if rule != "" {
			w.rule("region", rule)
		}
		who := speakers(w)
		e := w.start(t, Config{})
		for _, s := range who {
			for _, q := range questions {
				for _, method := range []string{"GET", "HEAD"} {
					ask := func(repository string) string {
						r := request("", q.kind, repository, q.reference)
						r.Method = method
						if q.kind == authz.KindReferrers {
							r.ArtifactType = "application/vnd.example.sbom"
						}
						s.speak(r)
						return strings.ReplaceAll(cost(t, e, r), repository, "REPOSITORY") // a challenge names what was asked for
					}
					absent := ask("acme/absent")
					for _, unrelated := range s.unrelated {
						compared++
						if a := ask(unrelated); a != absent {
							t.Errorf("%s: %s %s %q: of %s, which is there\n%sof an absent one\n%s", s.name, method, q.kind, q.reference, unrelated, a, absent)
						}
					}
				}
			}
		}
	}
	if compared < 1500 {
		t.Errorf("only %d pairs were compared", compared)
	}
	// It can fail: what somebody has a right to costs something else, for every question.
	w := shop(t)
	e := w.start(t, Config{})
	for _, q := range questions {
		r := func(repository string) *authz.Request { return request("bakery", q.kind, repository, q.reference) }
		if cost(t, e, r("acme/app")) == cost(t, e, r("acme/absent")) {
			t.Errorf("%s %q: a repository of one's own costs what an absent one costs", q.kind, q.reference)
		}
	}
}

// cost is what a request asks for, twice in a row, and its answers without their ids.
func cost(t *testing.T, e *Engine, r *authz.Request) string {
	t.Helper()
	cache, err := memstore.New(memstore.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer cache.Close()
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

// A catalog of more repositories than are listed at once is asked for, and walked, whole.
func TestCatalogOf10001Repositories(t *testing.T) {
	const repositories = 10_001
	w := newWorld()
	w.index.AddProduct(index.Product{ID: "app"})
	c := versioned(t, "app", "1.0.0", "1.0.0")
	for i := range repositories {
		w.index.AddRepository(index.Repository{
			Registry: "main", Name: fmt.Sprintf("acme/r%05d", i), Product: "app",
			Tags:  []index.Tag{{Name: "1.0.0", Digest: digest("image"), Candidates: []index.Candidate{c}}},
			Nodes: []index.Node{{Digest: digest("image"), Kind: index.Manifest, Candidates: []index.Candidate{c}}},
		})
	}
	w.customer(t, "bakery", grant(t, "bakery-app", "app", ">=1.0.0"))
	w.key("bakery", "ci", nil)
	cache, err := memstore.New(memstore.Config{}) // the second page asks the same again
	if err != nil {
		t.Fatal(err)
	}
	defer cache.Close()
	a := w.asks(t, cache)
	r := request("bakery", authz.KindCatalog, "", "")
	first := reply.For(r, a.ask(r))
	r.Last = "acme/r09999"
	rest := reply.For(r, a.ask(r))
	link := func(p *reply.Reply) (value string) {
		for _, h := range p.Headers {
			if h.Name == "link" {
				value = h.Value
			}
		}
		return value
	}
	if n := bytes.Count(first.Body, []byte("acme/r")); n != 10_000 || link(first) != `</v2/_catalog?last=acme/r09999>; rel="next"` {
		t.Errorf("%d repositories, link %q", n, link(first))
	}
	if string(rest.Body) != `{"repositories":["acme/r10000"]}` || link(rest) != "" {
		t.Errorf("then %s, link %q", rest.Body, link(rest))
	}
}
