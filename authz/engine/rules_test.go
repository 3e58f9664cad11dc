package engine

import (
	"context"
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/pullgate/pullgate/authz"
	"github.com/pullgate/pullgate/bundle/index"
)

// region denies by the client's address, which no rule of the library reads.
const region = `package vendor.region

deny contains {"code": "outside", "message": "only from the office"} if not _inside

_inside if net.cidr_contains("10.0.0.0/8", input.request.address)

header contains {"name": "X-Region", "value": "office", "to": "upstream"} if _inside
`

func from(r *authz.Request, address string) *authz.Request {
	r.Address = netip.MustParseAddr(address)
	return r
}

// A rule's reads are part of the key, and only what it reads.
func TestRulesWidenTheKeyByWhatTheyRead(t *testing.T) {
	w := shop(t)
	w.rule("region", region)
	g := w.generation(t)
	key := func(r *authz.Request) [32]byte {
		k, ok := keyOf(t, g, "bakery", r)
		if !ok {
			t.Fatal("the rule cannot be cached")
		}
		return k
	}
	image := request("bakery", authz.KindManifest, "acme/app", digestOfName("image140"))
	layer := request("bakery", authz.KindBlob, "acme/app", digestOfName("layer140"))
	if key(from(image, "10.0.0.7")) == key(from(image, "192.0.2.7")) {
		t.Error("one key for two addresses")
	}
	if key(from(image, "10.0.0.7")) != key(from(layer, "10.0.0.7")) {
		t.Error("a layer has a key of its own")
	}
	tags := func(path string) *authz.Request {
		r := request("bakery", authz.KindTags, "acme/app", "")
		r.Path = path
		return from(r, "10.0.0.7")
	}
	if key(tags("/v2/acme/app/tags/list?n=1")) != key(tags("/v2/acme/app/tags/list?n=2")) {
		t.Error("two pages of a list have two keys")
	}
}

// What a rule reads of a path counts for lists too, where the library puts another in its place.
func TestRulesThatReadAPathWidenTheKeyOfLists(t *testing.T) {
	w := shop(t)
	w.rule("paths", `package vendor.paths

deny contains {"code": "paths", "message": "not here"} if startswith(input.request.path, "/v2/secret/")
`)
	g := w.generation(t)
	one, _ := keyOf(t, g, "bakery", &authz.Request{Kind: authz.KindTags, Method: "GET", Host: "registry.example", Path: "/v2/secret/a", Repository: "acme/app"})
	other, _ := keyOf(t, g, "bakery", &authz.Request{Kind: authz.KindTags, Method: "GET", Host: "registry.example", Path: "/v2/a", Repository: "acme/app"})
	if one == other {
		t.Error("one key for two paths")
	}
}

// A header that a rule may set never comes from the client.
func TestHeadersThatRulesMaySetAreRemoved(t *testing.T) {
	w := shop(t)
	w.rule("region", strings.Replace(region, "deny contains", "warn contains", 1))
	a := w.asks(t, nil)
	for address, want := range map[string]authz.Header{
		"10.0.0.7":  {Name: "X-Region", Value: "office", To: "upstream"},
		"192.0.2.7": {Name: "x-region", To: "upstream"},
	} {
		d := a.ask(from(request("bakery", authz.KindManifest, "acme/app", "1.4.0"), address))
		if d.Outcome != authz.OutcomeAllow || len(d.Verdict.Headers) != 1 || d.Verdict.Headers[0] != want {
			t.Errorf("from %s: %s, headers %v", address, line(d), d.Verdict.Headers)
		}
	}
}

// A rule that fails, runs too long or contributes something of another shape refuses, and the
// record names it.
func TestRulesThatFailRefuseAndAreNamed(t *testing.T) {
	for name, c := range map[string]struct{ rule, want string }{
		"error":   {`deny contains {"code": "x", "message": "x"} if time.parse_rfc3339_ns(input.resource.repository) == 1`, "vendor/x.rego:3 in data.vendor.x.deny"},
		"endless": {"deny contains {\"code\": \"x\", \"message\": \"x\"} if {\n\tsome i in numbers.range(1, 100000)\n\ti < 0\n}", "more steps"},
		"shape":   {`boundary contains input.resource.repository`, "vendor.x.boundary"},
		"message": {`warn contains {"code": "x", "message": list} if list := input.resource.candidates`, "vendor.x.warn"},
	} {
		w := shop(t)
		w.rule("x", "package vendor.x\n\n"+c.rule+"\n")
		a := w.asks(t, nil)
		d := a.gate.Decide(context.Background(), request("bakery", authz.KindManifest, "acme/app", "1.4.0"))
		if d.Outcome != authz.OutcomeError || d.Code != authz.CodeInternalError || !strings.Contains(d.Detail, c.want) {
			t.Errorf("%s: %s, %q does not name %q", name, line(d), d.Detail, c.want)
		}
		if d := a.ask(request("bakery", authz.KindPing, "", "")); d.Outcome != authz.OutcomeAnswer {
			t.Errorf("%s: login %s", name, line(d))
		}
	}
}

// Boundaries that rules make of a tag's candidates cut the life of a list.
func TestRulesCutTheLifeOfAList(t *testing.T) {
	w := shop(t)
	w.rule("early", `package vendor.early

boundary contains 1770000777 if input.resource.tag == "1.4.0"

deny contains {"code": "early", "message": "not yet"} if {
	input.time < 1770000777
	input.resource.tag == "1.4.0"
}
`)
	g := w.generation(t)
	reg, _ := g.Registry("registry.example")
	r := request("bakery", authz.KindTags, "acme/app", "")
	target := g.Resolve(reg, r)
	_, until, err := g.Visible(context.Background(), &authz.Input{
		Time: 1770000000, Subject: authz.Subject{Customer: "bakery", Via: "key"}, Action: "list", Kind: r.Kind, Target: &target, Request: r,
	})
	if err != nil || until != 1770000777 {
		t.Errorf("until %d (%v)", until, err)
	}
}

// What a list with vendor rules allocates grows with its tags, not with their square: no tag
// carries the others along.
func TestListsWithRulesGrowWithTheirTags(t *testing.T) {
	allocated := func(tags int) float64 {
		w := newWorld()
		w.index.AddProduct(index.Product{ID: "app"})
		repo := index.Repository{Registry: "main", Name: "acme/app", Product: "app"}
		for i := range tags {
			v := fmt.Sprintf("%d.%d.0", i%4, i)
			repo.Tags = append(repo.Tags, index.Tag{Name: v, Digest: digest(v), Candidates: []index.Candidate{versioned(t, "app", v, v)}})
		}
		w.index.AddRepository(repo)
		w.customer(t, "bakery", grant(t, "bakery-app", "app", ">=1.0.0 <3.0.0"))
		w.key("bakery", "ci", nil)
		w.rule("region", region)
		gate, r := gateOver(t, w, false), from(request("bakery", authz.KindTags, "acme/app", ""), "10.0.0.7")
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		began := time.Now()
		d := gate.Decide(context.Background(), r)
		took := time.Since(began)
		runtime.ReadMemStats(&after)
		if d.Outcome != authz.OutcomeAnswer || len(d.Names) != tags/2 {
			t.Fatalf("%d tags: %s %s, %d names", tags, line(d), d.Detail, len(d.Names))
		}
		bytes := float64(after.TotalAlloc - before.TotalAlloc)
		t.Logf("%d tags: %.1f MB, %s", tags, bytes/1e6, took.Round(time.Millisecond))
		return bytes
	}
	if few, many := allocated(200), allocated(1600); many > 12*few {
		t.Errorf("eight times the tags allocate %.1f times as much", many/few)
	}
}
