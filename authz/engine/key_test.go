package engine

import (
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"net/netip"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/pullgate/pullgate/authz"
	"github.com/pullgate/pullgate/authz/memstore"
	"github.com/pullgate/pullgate/bundle/index"
)

// generation makes the world active and returns it.
func (w *world) generation(t testing.TB) *generation {
	t.Helper()
	return w.start(t, Config{}).active.Load()
}

// keyOf is the cache key of a question.
func keyOf(t testing.TB, g *generation, customer string, r *authz.Request) ([32]byte, bool) {
	t.Helper()
	reg, ok := g.Registry(r.Host)
	if !ok {
		t.Fatal("no registry")
	}
	target := g.Resolve(reg, r)
	subject := authz.Subject{Via: "anonymous"}
	if customer != "" {
		subject = authz.Subject{Customer: customer, Key: "ci", Via: "key"}
	}
	return g.Key(&authz.Input{Time: now, Subject: subject, Action: r.Kind.Action(), Kind: r.Kind, Target: &target, Request: r})
}

// With the library alone, whatever reaches the same versions is one question: tags, digests,
// platforms and layers of an image, by whatever path, key and address.
func TestKeysOfOneImageAreOne(t *testing.T) {
	g := shop(t).generation(t)
	want, ok := keyOf(t, g, "bakery", request("bakery", authz.KindManifest, "acme/app", digestOfName("image140")))
	if !ok {
		t.Fatal("the library cannot be cached")
	}
	for _, r := range []*authz.Request{
		request("bakery", authz.KindBlob, "acme/app", digestOfName("layer140")),
		request("bakery", authz.KindManifest, "acme/app", digestOfName("sig140")),
		{Kind: authz.KindBlob, Method: "HEAD", Host: "registry.example", Path: "/elsewhere", Repository: "acme/app", Digest: digestOfName("layer140"), Via: "http"},
	} {
		if got, ok := keyOf(t, g, "bakery", r); !ok || got != want {
			t.Errorf("%s %s has another key", r.Kind, r.Digest)
		}
	}
}

func TestKeysDifferWhereAnswersMay(t *testing.T) {
	g := shop(t).generation(t)
	seen := map[[32]byte]string{}
	add := func(name, customer string, r *authz.Request) {
		key, ok := keyOf(t, g, customer, r)
		if other, taken := seen[key]; !ok || taken {
			t.Errorf("%s and %s have one key (%v)", name, other, ok)
		}
		seen[key] = name
	}
	for _, who := range []string{"bakery", "mill", "", "nobody"} {
		add(who+" pulls 1.4.0", who, request(who, authz.KindManifest, "acme/app", "1.4.0"))
		add(who+" pulls 2.0.0", who, request(who, authz.KindManifest, "acme/app", "2.0.0"))
		add(who+" pulls an absent tag", who, request(who, authz.KindManifest, "acme/app", "1.9.0"))
		add(who+" pulls another absent tag", who, request(who, authz.KindManifest, "acme/app", "1.9.1"))
		add(who+" pulls what nothing reaches", who, request(who, authz.KindBlob, "acme/app", digestOfName("nothing")))
		add(who+" lists tags", who, request(who, authz.KindTags, "acme/app", ""))
		add(who+" lists repositories", who, request(who, authz.KindCatalog, "", ""))
		add(who+" lists referrers", who, request(who, authz.KindReferrers, "acme/app", digestOfName("image140")))
		add(who+" lists other tags", who, request(who, authz.KindTags, "acme/tools", ""))
		add(who+" asks an absent repository", who, request(who, authz.KindTags, "acme/nosuch", ""))
		add(who+" asks another absent repository", who, request(who, authz.KindTags, "acme/nosuch2", ""))
		add(who+" logs in", who, request(who, authz.KindPing, "", ""))
	}
}

func TestAnEditChangesTheKeysItConcernsOnly(t *testing.T) {
	r := map[string]*authz.Request{
		"app":   request("", authz.KindManifest, "acme/app", "1.4.0"),
		"tools": request("", authz.KindManifest, "acme/tools", "1.4"),
	}
	keys := func(w *world) map[string][32]byte {
		g, out := w.generation(t), map[string][32]byte{}
		for name, req := range r {
			for _, who := range []string{"bakery", "mill"} {
				out[who+" "+name], _ = keyOf(t, g, who, req)
			}
		}
		return out
	}
	before := keys(shop(t))
	for name, c := range map[string]struct {
		edit func(*world)
		want []string
	}{
		"nothing":  {func(*world) {}, nil},
		"serial":   {func(w *world) { w.serial = 99 }, nil},
		"a key":    {func(w *world) { w.key("bakery", "other", nil) }, nil},
		"customer": {func(w *world) { w.customers["bakery"].(object)["name"] = "Bakery!" }, []string{"bakery app", "bakery tools"}},
		"stranger": {func(w *world) { w.customer(t, "new") }, nil},
		"facts": {func(w *world) {
			tools := index.Repository{
				Registry: "main", Name: "acme/tools", Facts: sha256.Sum256([]byte("other facts")),
				Tags: []index.Tag{{Name: "1.4", Digest: digest("tools"), Candidates: []index.Candidate{tagged("1.4")}}},
			}
			w.index = replaceTools(t, tools)
		}, []string{"bakery tools", "mill tools"}},
		"policy": {func(w *world) {
			w.rule("x", "package vendor.x\n")
		}, []string{"bakery app", "bakery tools", "mill app", "mill tools"}},
	} {
		w := shop(t)
		c.edit(w)
		after := keys(w)
		want := map[string]bool{}
		for _, k := range c.want {
			want[k] = true
		}
		for k := range maps.Keys(before) {
			if changed := before[k] != after[k]; changed != want[k] {
				t.Errorf("%s: key of %s changed: %v", name, k, changed)
			}
		}
	}
}

// replaceTools is the shop's index with another acme/tools.
func replaceTools(t testing.TB, tools index.Repository) *index.Builder {
	b := &index.Builder{}
	v140 := versioned(t, "app", "1.4.0", "1.4.0")
	b.AddProduct(index.Product{ID: "app"})
	b.AddRepository(index.Repository{
		Registry: "main", Name: "acme/app", Product: "app", Facts: sha256.Sum256([]byte("facts of acme/app")),
		Tags: []index.Tag{{Name: "1.4.0", Digest: digest("image140"), Candidates: []index.Candidate{v140}}},
	})
	b.AddRepository(tools)
	return b
}

// Whatever a rule reads is in the key, however it reads it.
func TestKeysHaveWhatRulesRead(t *testing.T) {
	base := request("bakery", authz.KindBlob, "acme/app", digestOfName("layer140"))
	variants := map[string]func(*authz.Request){
		"host":    func(r *authz.Request) { r.Host = "registry.example:443" },
		"path":    func(r *authz.Request) { r.Path = "/other" },
		"method":  func(r *authz.Request) { r.Method = "HEAD" },
		"via":     func(r *authz.Request) { r.Via = "http" },
		"address": func(r *authz.Request) { r.Address = netip.MustParseAddr("192.0.2.1") },
		"digest":  func(r *authz.Request) { r.Digest = digestOfName("sig140"); r.Kind = authz.KindManifest },
	}
	for _, c := range []struct {
		name, rule string
		differ     []string // variants with keys of their own
		whole      bool
	}{
		{"nothing", `decision := denied if input.subject.customer`, nil, false},
		{"a field", `decision := denied if input.request.address`, []string{"address"}, false},
		{"a field of the resource", `decision := denied if input.resource.digest == "x"`, []string{"digest"}, false},
		{"by way of a rule", "decision := denied if helper\n\nhelper if input.request.method == \"GET\"", []string{"method"}, false},
		{"by way of a function", "decision := denied if helper(input.request.via)\n\nhelper(x) if x == \"cli\"", []string{"via"}, false},
		{"through a local", "decision := denied if {\n\tp := input.request.path\n\tstartswith(p, \"/\")\n}", []string{"path"}, false},
		{"in a comprehension", "decision := denied if count({x | x := input.request.host}) > 0", []string{"host"}, false},
		{"in an else", "decision := denied if input.action == \"no\" else := denied if input.request.method == \"GET\"", []string{"method"}, false},
		{"in every", "decision := denied if every x in [1] { input.request.via == \"cli\"; x }", []string{"via"}, false},
		{"in a negation", "decision := denied if not input.request.address", []string{"address"}, false},
		{"in the head", "decision := object.union(denied, {\"message\": input.request.method})", []string{"method"}, false},
		{"in visible, which decides about lists alone", "visible := {0} if input.request.method == \"PUT\"", nil, false},
		{"by a computed name", "decision := denied if input.request[input.action]", nil, true},
		{"by walking", "decision := denied if { walk(input.request, [_, v]); v == 1 }", nil, true},
		{"resource as a whole", "decision := denied if helper(input.resource)\n\nhelper(x) if x.digest", nil, true},
		{"resource in a local", "decision := denied if {\n\tr := input.resource\n\tr[_] == \"x\"\n}", nil, true},
		{"input as a whole", "decision := denied if object.get(input, [\"request\", \"path\"], \"\") == \"x\"", nil, true},
		{"all data", "decision := denied if data[input.action].x", nil, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := shop(t)
			w.modules = library(denyAll + "\ndenied := {\"allow\": false, \"code\": \"x\", \"until\": \"never\"}\n\n" + c.rule + "\n")
			g := w.generation(t)
			want, ok := keyOf(t, g, "bakery", base)
			if ok == c.whole {
				t.Fatalf("cacheable: %v", ok)
			}
			differ := map[string]bool{}
			for _, v := range c.differ {
				differ[v] = true
			}
			for name, change := range variants {
				r := *base
				change(&r)
				if got, _ := keyOf(t, g, "bakery", &r); !c.whole && (got != want) != differ[name] {
					t.Errorf("another %s, another key: %v", name, got != want)
				}
			}
		})
	}
}

// A document that rules read beside customers is in every key, by its content.
func TestKeysHaveDocumentsThatRulesRead(t *testing.T) {
	r := request("mill", authz.KindManifest, "acme/app", "1.4.0")
	for name, c := range map[string]struct {
		rule  string
		edit  func(*world)
		wants bool
	}{
		"registries":             {"decision := denied if data.pullgate.registries.main.listed", func(w *world) { w.registries["main"].(object)["listed"] = false }, true},
		"registries, unread":     {"decision := denied if input.action", func(w *world) { w.registries["main"].(object)["listed"] = false }, false},
		"a customer by name":     {"decision := denied if data.pullgate.customers.bakery.banned", func(w *world) { w.customers["bakery"].(object)["banned"] = true }, true},
		"own customer, another":  {"decision := denied if data.pullgate.customers[input.subject.customer].banned", func(w *world) { w.customers["bakery"].(object)["banned"] = true }, false},
		"own customer, that one": {"decision := denied if data.pullgate.customers[input.subject.customer].banned", func(w *world) { w.customers["mill"].(object)["banned"] = true }, true},
	} {
		key := func(edit func(*world)) [32]byte {
			w := shop(t)
			w.modules = library(denyAll + "\ndenied := {\"allow\": false, \"code\": \"x\", \"until\": \"never\"}\n\n" + c.rule + "\n")
			edit(w)
			k, ok := keyOf(t, w.generation(t), "mill", r)
			if !ok {
				t.Errorf("%s: not cacheable", name)
			}
			return k
		}
		if got := key(func(*world) {}) != key(c.edit); got != c.wants {
			t.Errorf("%s: an edit changes the key: %v", name, got)
		}
	}
}

// A first pull of an image for two platforms with twelve layers, whose base layers 50
// versions share, evaluates the policy as often as there are different sets of versions
// (design §16: at most 4).
func TestAFirstPullEvaluatesAFewTimes(t *testing.T) {
	w := newWorld()
	w.index.AddProduct(index.Product{ID: "app"})
	repo := index.Repository{Registry: "main", Name: "acme/app", Product: "app"}
	var all []index.Candidate
	for i := range 50 {
		v := fmt.Sprintf("1.%d.0", i)
		c := []index.Candidate{versioned(t, "app", v, v)}
		all = append(all, c...)
		node := func(name string, kind index.Kind) {
			repo.Nodes = append(repo.Nodes, index.Node{Digest: digest(v + name), Kind: kind, Candidates: c})
		}
		repo.Tags = append(repo.Tags, index.Tag{Name: v, Digest: digest(v + "index"), Candidates: c})
		node("index", index.Manifest)
		for _, platform := range []string{"amd64", "arm64"} {
			node(platform, index.Manifest)
			node(platform+"config", index.Blob)
			for layer := range 6 {
				node(fmt.Sprint(platform, "layer", layer), index.Blob)
			}
		}
	}
	for layer := range 6 {
		repo.Nodes = append(repo.Nodes, index.Node{Digest: digest(fmt.Sprint("base", layer)), Kind: index.Blob, Candidates: all})
	}
	w.index.AddRepository(repo)
	w.customer(t, "bakery", grant(t, "bakery-app", "app", ">=1.0.0 <2.0.0"))
	w.key("bakery", "ci", nil)

	reg := prometheus.NewRegistry()
	e := w.start(t, Config{Registerer: reg})
	cache, err := memstore.New(memstore.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cache.Close)
	gate := authz.NewGate(authz.GateConfig{Engine: e, Cache: cache, AskPast: true, Clock: clockAt(now)})
	count := func() float64 {
		return testutil.ToFloat64(e.metrics.evaluations.WithLabelValues("decision", "ok"))
	}
	before := count()
	pull := func(kind authz.Kind, reference string) {
		if d := gate.Decide(context.Background(), request("bakery", kind, "acme/app", reference)); d.Outcome != authz.OutcomeAllow {
			t.Errorf("%s %s: %s %s", kind, reference, line(d), d.Detail)
		}
	}
	pull(authz.KindManifest, "1.40.0") // HEAD
	pull(authz.KindManifest, "1.40.0") // GET
	pull(authz.KindManifest, digestOfName("1.40.0index"))
	for _, platform := range []string{"amd64", "arm64"} {
		pull(authz.KindManifest, digestOfName("1.40.0"+platform))
		pull(authz.KindBlob, digestOfName("1.40.0"+platform+"config"))
		for layer := range 6 {
			pull(authz.KindBlob, digestOfName(fmt.Sprint("base", layer)))
			pull(authz.KindBlob, digestOfName(fmt.Sprint("1.40.0", platform, "layer", layer)))
		}
	}
	n := count() - before
	t.Logf("%v evaluations", n)
	if n > 4 {
		t.Errorf("%v evaluations of one pull, want at most 4", n)
	}
}
