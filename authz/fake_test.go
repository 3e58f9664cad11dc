package authz

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const noon = int64(1_780_000_000)

// fakeGeneration answers from its fields; what is nil is answered as for a small world with
// one registry, one repository and one customer, who may have everything in it.
type fakeGeneration struct {
	issuedAt, notAfter int64
	evaluate           func(context.Context, *Input) (Verdict, error)
	visible            []int
	target             func(*Request) Target
	key                Key
	identities         map[Identity]string
	named              bool
	repositories       []string
	uncacheable        bool

	evaluations atomic.Int64
	mu          sync.Mutex // guards inputs while requests are under way
	inputs      []Input
}

func newGeneration() *fakeGeneration {
	return &fakeGeneration{
		issuedAt: noon - 3600, notAfter: Never, named: true,
		key: Key{Customer: "acme", ID: "ci", Expires: Never},
	}
}

func (g *fakeGeneration) Generation() Generation { return g }
func (g *fakeGeneration) Revision() string       { return "r1" }
func (g *fakeGeneration) IssuedAt() int64        { return g.issuedAt }
func (g *fakeGeneration) NotAfter() int64        { return g.notAfter }

func (g *fakeGeneration) Registry(authority string) (Registry, bool) {
	switch authority {
	case "registry.example":
		return Registry{ID: "main"}, true
	case "listed.example":
		return Registry{ID: "main", Listed: true}, true
	}
	return Registry{}, false
}

func (g *fakeGeneration) Authenticate(hash [32]byte) (Key, bool) {
	return g.key, hash == sha256.Sum256([]byte("known"))
}

func (g *fakeGeneration) Identify(id Identity) (Subject, bool) {
	c, ok := g.identities[id]
	return Subject{Customer: c, Key: "jwt", Via: "jwt"}, ok
}

func (g *fakeGeneration) Resolve(reg Registry, r *Request) Target {
	if g.target != nil {
		return g.target(r)
	}
	return Target{
		Resource:   Resource{Registry: reg.ID, Repository: r.Repository, Tag: r.Tag, Digest: "sha256:of-" + r.Tag + r.Digest},
		Repository: true, Reference: true,
	}
}

func (g *fakeGeneration) Named(string, *Target, int64) bool { return g.named }

func (g *fakeGeneration) Key(in *Input) ([32]byte, bool) {
	return sha256.Sum256(fmt.Append(nil, in.Subject, in.Kind, in.Target.Resource)), !g.uncacheable
}

func (g *fakeGeneration) Evaluate(ctx context.Context, in *Input) (Verdict, error) {
	g.evaluations.Add(1)
	g.mu.Lock()
	g.inputs = append(g.inputs, *in)
	g.mu.Unlock()
	if g.evaluate != nil {
		return g.evaluate(ctx, in)
	}
	if in.Subject.Customer == "" {
		return Verdict{Code: CodeAnonymous, Until: Never, Ends: Never}, nil
	}
	return Verdict{Allow: true, Code: CodeOK, License: "acme-app", Until: Never, Ends: Never}, nil
}

func (g *fakeGeneration) Visible(context.Context, *Input) ([]int, int64, error) {
	return g.visible, Never, nil
}

func (g *fakeGeneration) Repositories(Registry, string) []string { return g.repositories }

// answering makes Evaluate answer always the same.
func answering(v Verdict) func(context.Context, *Input) (Verdict, error) {
	return func(context.Context, *Input) (Verdict, error) { return v, nil }
}

func denying(c Code) func(context.Context, *Input) (Verdict, error) {
	return answering(Verdict{Code: c, Until: Never, Ends: Never})
}

// mapCache is a Cache that forgets nothing.
type mapCache map[[32]byte]Entry

func (c mapCache) Get(k [32]byte) (Entry, bool) { e, ok := c[k]; return e, ok }
func (c mapCache) Put(k [32]byte, e Entry)      { c[k] = e }
func (c mapCache) Drop(k [32]byte)              { delete(c, k) }

// shared makes a SharedCache of a Cache.
type shared struct{ mapCache }

func (s shared) Get(_ context.Context, k [32]byte) (Entry, Found) {
	if e, ok := s.mapCache.Get(k); ok {
		return e, FoundEntry
	}
	return Entry{}, FoundNothing
}

// kept keeps the records.
type kept []*Record

func (k *kept) Record(r *Record) { *k = append(*k, r) }

// bench is a Gate over a fake generation, with a clock that tests turn.
type bench struct {
	*Gate
	gen     *fakeGeneration
	at      int64
	records kept
	metrics *prometheus.Registry
}

func newBench(gen *fakeGeneration, more ...func(*GateConfig)) *bench {
	b := &bench{gen: gen, at: noon, metrics: prometheus.NewRegistry()}
	cfg := GateConfig{
		Engine: gen, Recorder: &b.records, Instance: "test", Registerer: b.metrics,
		Clock: func() time.Time { return time.Unix(b.at, 999_999_999) },
	}
	for _, m := range more {
		m(&cfg)
	}
	b.Gate = NewGate(cfg)
	return b
}

func withCache(c Cache) func(*GateConfig) { return func(g *GateConfig) { g.Cache = c } }

var known = Credential{Kind: CredentialKey, Hash: sha256.Sum256([]byte("known"))}

// pull is a request for a tag by the known customer.
func pull() *Request {
	return &Request{
		Kind: KindManifest, Method: "GET", Host: "registry.example", Path: "/v2/acme/app/manifests/1.0",
		Repository: "acme/app", Tag: "1.0", N: -1, Via: "cli",
		Credential: known, Address: netip.MustParseAddr("10.0.0.7"),
	}
}

// with changes a pull.
func with(change ...func(*Request)) *Request {
	r := pull()
	for _, c := range change {
		c(r)
	}
	return r
}

func kind(k Kind) func(*Request) {
	return func(r *Request) {
		r.Kind = k
		if k != KindManifest {
			r.Tag = ""
		}
		if k == KindBlob || k == KindReferrers {
			r.Digest = "sha256:abc"
		}
		if k == KindPing || k == KindCatalog || k == KindVersion {
			r.Repository = ""
		}
		if k == KindCatalog {
			r.Host = "listed.example"
		}
		if k == KindVersion {
			r.Host, r.Product, r.Version = "", "app", "1.0.0"
		}
	}
}

func credential(c CredentialKind) func(*Request) {
	return func(r *Request) { r.Credential = Credential{Kind: c} }
}

var nobody = credential(CredentialNone)

// expect checks outcome, status and code.
func expect(t *testing.T, d *Decision, o Outcome, status int, c Code) {
	t.Helper()
	if d.Outcome != o || d.Status != status || d.Code != c {
		t.Errorf("outcome %d, status %d, code %s (%s); want %d, %d, %s", d.Outcome, d.Status, d.Code, d.Detail, o, status, c)
	}
}

var askedKinds = []Kind{KindPing, KindManifest, KindBlob, KindTags, KindReferrers, KindCatalog, KindVersion}

func (g *fakeGeneration) askedAs(customer string) bool {
	return slices.ContainsFunc(g.inputs, func(in Input) bool { return in.Subject.Customer == customer })
}
