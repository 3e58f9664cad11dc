package engine

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net/netip"
	"testing"
	"time"

	"github.com/pullgate/pullgate/authz"
	"github.com/pullgate/pullgate/authz/envoy"
	"github.com/pullgate/pullgate/authz/reply"
	"github.com/pullgate/pullgate/bundle"
	"github.com/pullgate/pullgate/bundle/index"
	"github.com/pullgate/pullgate/policies"
	"github.com/pullgate/pullgate/policies/version"
)

// Instants of the tests: now is a Thursday in the middle of every license's term.
const (
	now   = int64(1780000000)
	day   = int64(24 * 3600)
	start = now - 100*day
	end   = now + 100*day
)

// object is a document of license data.
type object = map[string]any

// world is a bundle's content in the making.
type world struct {
	serial     int64
	notAfter   int64
	customers  object
	keys       object
	public     object
	registries object
	identities object
	modules    map[string][]byte
	rules      object // packages that data.pullgate.rules names
	index      *index.Builder
}

func newWorld() *world {
	return &world{
		serial: 1, notAfter: bundle.Never, customers: object{}, keys: object{}, public: object{},
		registries: object{"main": object{"hosts": []string{"registry.example"}, "listed": true}},
		identities: object{"jwt": []any{}, "mtls": []any{}},
		modules:    policies.Modules(), rules: object{}, index: &index.Builder{},
	}
}

func canonical(t testing.TB, v any) []byte {
	t.Helper()
	b, err := bundle.CanonicalJSON(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// bundle writes and reads the world, as a sidecar gets it.
func (w *world) bundle(t testing.TB) *bundle.Bundle {
	t.Helper()
	idx, err := w.index.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	files := maps.Clone(w.modules)
	files[bundle.IndexPath] = idx
	for dir, doc := range map[string]object{
		rulesDir:     w.rules,
		customersDir: w.customers, keysDir: w.keys, publicDir: w.public,
		registriesDir: w.registries, identitiesDir: w.identities,
	} {
		files[dir+"/"+dataFile] = canonical(t, doc)
	}
	key, err := bundle.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	signer, err := bundle.NewSigner(key)
	if err != nil {
		t.Fatal(err)
	}
	ring, err := bundle.NewKeyRing(signer.Public())
	if err != nil {
		t.Fatal(err)
	}
	var buf bytes.Buffer
	if _, err := bundle.Write(&buf, &bundle.Content{Serial: w.serial, IssuedAt: start, NotAfter: w.notAfter, Files: files}, signer); err != nil {
		t.Fatal(err)
	}
	b, err := bundle.Read(&buf, ring, bundle.ReadOptions{Name: bundle.DefaultName})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// rule adds a vendor rule, of the package vendor.name.
func (w *world) rule(name, text string) {
	w.modules[policies.RulesDir+name+".rego"] = []byte(text)
	w.rules[name] = true
}

// patient are limits that a test machine under load does not meet.
var patient = Limits{DecisionTime: time.Minute, VisibleTime: time.Minute}

func newEngine(t testing.TB, cfg Config) *Engine {
	if cfg.Limits == (Limits{}) {
		cfg.Limits = patient
	}
	e := New(cfg)
	t.Cleanup(e.Close)
	return e
}

// start returns an engine with the world active.
func (w *world) start(t testing.TB, cfg Config) *Engine {
	t.Helper()
	if _, measured := t.(*testing.B); !measured && cfg.Compare == 0 {
		cfg.Compare = 1
	}
	e := newEngine(t, cfg)
	if err := e.Activate(context.Background(), w.bundle(t)); err != nil {
		t.Fatal(err)
	}
	return e
}

// customer adds a customer with licenses; grants are those of grant and tagGrant.
func (w *world) customer(t testing.TB, id string, grants ...object) object {
	t.Helper()
	licenses, products, repositories := object{}, object{}, object{}
	for _, g := range grants {
		g = maps.Clone(g)
		product, repository := g["product"], g["repository"]
		delete(g, "product")
		delete(g, "repository")
		l := maps.Clone(g["clocks"].(object))
		maps.Copy(l, object{"type": g["type"], "enforcement": g["enforcement"], "features": object{}, "expiring_from": "never", "zone": "UTC"})
		if ends, ok := l["ends"].(int64); ok {
			l["expiring_from"] = ends - 14*day
		}
		licenses[g["license"].(string)] = l
		if product != nil {
			list, _ := products[product.(string)].([]any)
			products[product.(string)] = append(list, g)
		} else {
			list, _ := repositories[repository.(string)].([]any)
			repositories[repository.(string)] = append(list, g)
		}
	}
	doc := object{
		"id": id, "name": id, "banned": false, "labels": object{},
		"licenses": licenses, "products": products, "repositories": repositories,
	}
	sum := sha256.Sum256(canonical(t, doc))
	doc["hash"] = hex.EncodeToString(sum[:])
	w.customers[id] = doc
	return doc
}

// clocks of a running license.
func clocks() object {
	return object{
		"starts": start, "ends": end, "updates": end, "grace": end, "terminates": "never",
		"revoked": "never", "suspended": []any{"never", "never"}, "replaced": "never",
	}
}

// term are the fields of a grant that a running license has.
func term(license string) object {
	return object{
		"license": license, "grant": 0, "type": "subscription", "empty": false, "clocks": clocks(), "keep": false,
		"enforcement": "enforce", "held": []any{}, "boundaries": []any{start, end},
	}
}

// grant is a grant of versions of a product.
func grant(t testing.TB, license, product, constraint string) object {
	t.Helper()
	ranges, err := version.ParseConstraint(constraint)
	if err != nil {
		t.Fatal(err)
	}
	list := []any{}
	for _, r := range ranges {
		list = append(list, []any{rawJSON(r.From), rawJSON(r.To)})
	}
	g := term(license)
	g["product"], g["constraint"], g["ranges"], g["channels"] = product, constraint, list, []string{"stable"}
	return g
}

// tagGrant is a grant of tags of a repository.
func tagGrant(license, repository string, patterns ...string) object {
	g := term(license)
	g["repository"], g["tags"], g["patterns"] = repository, object{}, patterns
	return g
}

// rawJSON is JSON text inside a document.
type rawJSON string

func (r rawJSON) MarshalJSON() ([]byte, error) { return []byte(r), nil }

// digest makes a digest from a name.
func digest(name string) index.Digest { return sha256.Sum256([]byte(name)) }

func digestOfName(name string) string { return digestText(digest(name)) }

// versioned is a candidate of version text v with tag.
func versioned(t testing.TB, product, v, tag string) index.Candidate {
	t.Helper()
	parsed, err := version.Parse(v)
	if err != nil {
		t.Fatal(err)
	}
	return index.Candidate{
		Product: product, Version: parsed.String(), Order: parsed.Order(), Tag: tag, Channel: parsed.Channel(),
		Released: start, CountsFrom: start, WithdrawnAt: index.Never, RetiresAt: index.Never, RevokedAt: index.Never,
	}
}

// tagged is a candidate that is a tag only.
func tagged(tag string) index.Candidate {
	return index.Candidate{
		Tag: tag, Released: start, CountsFrom: start,
		WithdrawnAt: index.Never, RetiresAt: index.Never, RevokedAt: index.Never,
	}
}

// key adds a key and returns its hash.
func (w *world) key(customer, id string, more object) [32]byte {
	hash := sha256.Sum256([]byte(customer + "/" + id))
	doc := object{"customer": customer, "key": id, "expires": "never"}
	maps.Copy(doc, more)
	w.keys[hex.EncodeToString(hash[:])] = doc
	return hash
}

// shop is a world with some of everything:
//
//	acme/app    product app: 1.4.0, 2.0.0, floating 1.4 and latest, a signature of 1.4.0
//	acme/tools  no product: 1.4, stable
//	acme/docs   public: guide
//
// bakery has app 1.x and, as tool tags, 1.4 and 1.4.*; mill has app 2.x; walkin has nothing.
func shop(t testing.TB) *world {
	w := newWorld()
	w.index.AddProduct(index.Product{ID: "app", Variants: []string{"alpine*"}})
	v140, v200 := versioned(t, "app", "1.4.0", "1.4.0"), versioned(t, "app", "2.0.0", "2.0.0")
	floating := func(c index.Candidate, tag string) index.Candidate { c.Tag = tag; return c }
	for _, c := range []index.Candidate{v140, v200} {
		w.index.AddRelease(index.Release{
			Product: "app", Version: c.Version, Channel: "stable", Released: start, CountsFrom: start, WithdrawnAt: index.Never,
		})
	}
	sig := index.Digest(digest("sig140"))
	w.index.AddRepository(index.Repository{
		Registry: "main", Name: "acme/app", Product: "app", Facts: sha256.Sum256([]byte("facts of acme/app")),
		Tags: []index.Tag{
			{Name: "1.4.0", Digest: digest("image140"), Candidates: []index.Candidate{v140}},
			{Name: "1.4", Digest: digest("image140"), Candidates: []index.Candidate{floating(v140, "1.4")}},
			{Name: "2.0.0", Digest: digest("image200"), Candidates: []index.Candidate{v200}},
			{Name: "latest", Digest: digest("image200"), Candidates: []index.Candidate{floating(v200, "latest")}},
			{Name: "sha256-" + hex.EncodeToString(digestBytes("image140")) + ".sig", Digest: sig, Candidates: []index.Candidate{v140}, Hidden: true},
		},
		Nodes: []index.Node{
			{Digest: digest("image140"), Kind: index.Manifest, Candidates: []index.Candidate{v140, floating(v140, "1.4")}},
			{Digest: digest("image200"), Kind: index.Manifest, Candidates: []index.Candidate{v200, floating(v200, "latest")}},
			{Digest: sig, Kind: index.Manifest, Candidates: []index.Candidate{v140, floating(v140, "1.4")}},
			{Digest: digest("sbom140"), Kind: index.Manifest, Candidates: []index.Candidate{v140, floating(v140, "1.4")}},
			{Digest: digest("prov140"), Kind: index.Manifest, Candidates: []index.Candidate{v140, floating(v140, "1.4")}},
			{Digest: digest("layer140"), Kind: index.Blob, Candidates: []index.Candidate{v140, floating(v140, "1.4")}},
			{Digest: digest("base"), Kind: index.Blob, Candidates: []index.Candidate{v140, v200}},
		},
		Referrers: map[index.Digest][]index.Descriptor{digest("image140"): {
			{MediaType: "application/vnd.oci.image.manifest.v1+json", Digest: digest("sbom140"), Size: 10, ArtifactType: "application/vnd.example.sbom"},
			{MediaType: "application/vnd.oci.image.manifest.v1+json", Digest: digest("prov140"), Size: 20, ArtifactType: "application/vnd.example.provenance"},
		}},
	})
	w.index.AddRepository(index.Repository{
		Registry: "main", Name: "acme/tools", Facts: sha256.Sum256([]byte("facts of acme/tools")),
		Tags: []index.Tag{
			{Name: "1.4", Digest: digest("tools"), Candidates: []index.Candidate{tagged("1.4")}},
			{Name: "stable", Digest: digest("tools"), Candidates: []index.Candidate{tagged("stable")}},
		},
		Nodes: []index.Node{{Digest: digest("tools"), Kind: index.Manifest, Candidates: []index.Candidate{tagged("1.4"), tagged("stable")}}},
	})
	w.index.AddRepository(index.Repository{
		Registry: "main", Name: "acme/docs", Facts: sha256.Sum256([]byte("facts of acme/docs")),
		Tags:  []index.Tag{{Name: "guide", Digest: digest("guide"), Candidates: []index.Candidate{tagged("guide")}}},
		Nodes: []index.Node{{Digest: digest("guide"), Kind: index.Manifest, Candidates: []index.Candidate{tagged("guide")}}},
	})
	w.public["acme/docs"] = []any{object{"id": "docs", "tags": object{}, "patterns": []string{"*"}}}
	w.customer(t, "bakery", grant(t, "bakery-app", "app", ">=1.0.0 <2.0.0"), tagGrant("bakery-tools", "acme/tools", "1.4", "1.4.*"))
	w.customer(t, "mill", grant(t, "mill-app", "app", ">=2.0.0 <3.0.0"))
	w.customer(t, "walkin")
	for id := range w.customers {
		w.key(id, "ci", nil)
	}
	return w
}

func digestBytes(name string) []byte { d := digest(name); return d[:] }

// asks is a Gate over an engine, without a cache unless given, with a clock of its own.
type asks struct {
	t      testing.TB
	engine *Engine
	gate   *authz.Gate
	clock  int64
}

func (w *world) asks(t testing.TB, cache authz.Cache) *asks {
	a := &asks{t: t, engine: w.start(t, Config{}), clock: now}
	a.gate = authz.NewGate(authz.GateConfig{
		Engine: a.engine, Cache: cache, Clock: func() time.Time { return time.Unix(a.clock, 0) },
	})
	return a
}

// request makes a request of a customer with key "ci", or of nobody for "".
func request(customer string, kind authz.Kind, repository, reference string) *authz.Request {
	r := &authz.Request{
		Kind: kind, Method: "GET", Host: "registry.example", Path: "/v2/" + repository, Repository: repository, N: -1,
		Via: "cli", Address: netip.MustParseAddr("10.0.0.7"), Credential: authz.Credential{Kind: authz.CredentialNone},
	}
	if customer != "" {
		r.Credential = authz.Credential{Kind: authz.CredentialKey, Hash: sha256.Sum256([]byte(customer + "/ci"))}
	}
	if _, ok := digestOf(reference); ok {
		r.Digest = reference
		return r
	}
	r.Tag = reference
	if hex, ok := version.DigestTag(reference); ok {
		r.DigestTag, r.Digest = true, "sha256:"+hex
	}
	return r
}

func (a *asks) ask(r *authz.Request) *authz.Decision {
	a.t.Helper()
	d := a.gate.Decide(context.Background(), r)
	if d.Outcome == authz.OutcomeError {
		a.t.Fatalf("%s %s %s%s: %s: %s", r.Kind, r.Repository, r.Tag, r.Digest, d.Code, d.Detail)
	}
	return d
}

// line says a decision in a line.
func line(d *authz.Decision) string {
	verdict := map[authz.Outcome]string{
		authz.OutcomeAllow: "allow", authz.OutcomeAnswer: "answer", authz.OutcomeDeny: "deny", authz.OutcomeError: "error",
	}[d.Outcome]
	return fmt.Sprintf("%s %d %s", verdict, d.Status, d.Code)
}

// clockAt is a clock that stands still.
func clockAt(at int64) func() time.Time { return func() time.Time { return time.Unix(at, 0) } }

// answered is what Envoy gets for a decision, but for the decision's id: the bytes of the CheckResponse.
func answered(r *authz.Request, d *authz.Decision) []byte {
	anonymous := *d
	anonymous.ID = "the-id"
	return envoy.Encode(reply.For(r, &anonymous))
}
