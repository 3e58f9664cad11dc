package publish

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pullgate/pullgate/bundle"
	"github.com/pullgate/pullgate/bundle/index"
	"github.com/pullgate/pullgate/bundle/license"
	"github.com/pullgate/pullgate/sync/catalog"
)

// vendorFiles are license files of three customers; change edits the text.
func vendorFiles(t *testing.T, changes ...string) *license.Set {
	t.Helper()
	text := "kind: Registry\nid: main\nhosts: [registry.example]\nupstream: https://upstream.example\nrevoked_digests: []\n---\nkind: Product\nid: app\nrepositories: [acme/app]\n"
	for i, c := range []string{"acme", "mill", "bakery"} {
		text += fmt.Sprintf("---\nkind: Customer\nid: %[1]s\nstatus: active\nkeys: [{id: ci, hash: \"sha256:%064[2]d\"}, {id: dev, hash: \"sha256:%064[3]d\"}]\n"+
			"---\nkind: License\nid: %[1]s-app\ncustomer: %[1]s\ntype: subscription\nstarts: 2020-01-01\nends: 2099-12-31\nstatus: active # %[1]s\n"+
			"grants: [{product: app, versions: \">=1.0.0\"}]\n", c, i+1, i+101)
	}
	edited := strings.NewReplacer(changes...).Replace(text)
	if len(changes) > 0 && edited == text {
		t.Fatal("nothing changes")
	}
	set, err := license.Parse(map[string][]byte{"a.yaml": []byte(edited)})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// Edits of vendorFiles.
var (
	loss          = []string{`">=1.0.0"`, `">=2.0.0"`} // everybody loses the versions before
	millRevoked   = []string{"status: active # mill", "status: {revoked: {at: 2026-01-01T00:00:00Z, public_reason: please call us}}"}
	millKeyGone   = []string{`{id: dev, hash: "sha256:` + fmt.Sprintf("%064d", 102) + `"}`, ""}
	bakeryBanned  = []string{"kind: Customer\nid: bakery\nstatus: active", "kind: Customer\nid: bakery\nstatus: banned"}
	indexRevoked  = []string{"revoked_digests: []", `revoked_digests: [{repository: acme/app, digest: "` + catalog.DigestOf("1.1.0") + `", at: 2026-01-01T00:00:00Z}]`}
	everyRevoked  = slices.Concat(millRevoked, millKeyGone, bakeryBanned, indexRevoked)
	everyRevoked4 = []string{"customer bakery", "digest " + catalog.DigestOf("1.1.0") + " of acme/app in registry main", "key mill/dev", "license mill-app of mill"}
)

// imagesOf is a catalog with an index of two images at each tag, one of them shared by all.
func imagesOf(tags ...string) *catalog.Catalog {
	c := tagged(tags...)
	r := c.Repositories["acme/app"]
	image := func(name string) string {
		d := catalog.DigestOf(name)
		r.Manifests[d] = &catalog.Manifest{MediaType: "application/vnd.oci.image.manifest.v1+json", Created: catalog.Always}
		return d
	}
	for _, tag := range tags {
		r.Manifests[catalog.DigestOf(tag)] = &catalog.Manifest{
			MediaType: "application/vnd.oci.image.index.v1+json", Created: catalog.Always, Index: []string{image("own of " + tag), image("shared")},
		}
	}
	return c
}

// carefully approves of nothing that takes a version from somebody without saying so.
func carefully(_ context.Context, _ *license.Set, previous, candidate *bundle.Bundle) error {
	if previous == nil {
		return errors.New("nothing to compare with")
	}
	versions := func(b *bundle.Bundle) (n int) {
		for _, text := range b.Object(customersPath).Members() {
			n += strings.Count(string(text), `">=1.0.0"`)
		}
		return n
	}
	if versions(candidate) < versions(previous) {
		return errors.New("somebody loses something")
	}
	return wary(context.Background(), nil, previous, candidate)
}

// heldVendor is a publisher that has published vendorFiles.
func heldVendor(t *testing.T, change ...func(*Config)) (*Publisher, *engine, *bundle.Bundle) {
	t.Helper()
	p, e := newPublisher(t, append([]func(*Config){func(c *Config) { c.Bundles[0].Approve = carefully }}, change...)...)
	if err := errors.Join(p.SetCatalog(t.Context(), "main", imagesOf("1.0.0", "1.1.0")), p.SetLicenses(t.Context(), vendorFiles(t), nil)); err != nil {
		t.Fatal(err)
	}
	return p, e, e.last(t, 1)
}

// compiledOf is the bundle that a publisher of its own makes of a set.
func compiledOf(t *testing.T, set *license.Set, c *catalog.Catalog) *bundle.Bundle {
	t.Helper()
	p, e := newPublisher(t)
	if err := errors.Join(p.SetCatalog(t.Context(), "main", c), p.SetLicenses(t.Context(), set, nil)); err != nil {
		t.Fatal(err)
	}
	return e.last(t, 1)
}

// alike compares all that decisions read: data and rules byte for byte, and of the index the candidates.
func alike(t *testing.T, got, want *bundle.Bundle) {
	t.Helper()
	if !slices.Equal(got.Paths(), want.Paths()) {
		t.Fatalf("paths %v, want %v", got.Paths(), want.Paths())
	}
	for _, path := range want.Paths() {
		switch path {
		case bundle.ManifestPath, bundle.SignaturesPath:
		case bundle.IndexPath:
			if a, b := candidates(t, got), candidates(t, want); a != b {
				t.Errorf("index:\n%s\nwant\n%s", a, b)
			}
		default:
			if string(got.File(path)) != string(want.File(path)) {
				t.Errorf("%s:\n%s\nwant\n%s", path, got.File(path), want.File(path))
			}
		}
	}
}

func candidates(t *testing.T, b *bundle.Bundle) string {
	t.Helper()
	x, err := index.Open(b.File(bundle.IndexPath))
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	product, _ := x.Product("app")
	fmt.Fprintf(&out, "%+v\n", product)
	for _, v := range []string{"1.0.0", "1.1.0"} {
		release, known := x.Release("app", v)
		fmt.Fprintf(&out, "%+v %v\n", release, known)
	}
	for r := range x.Repositories("main") {
		fmt.Fprintln(&out, r.Name(), r.Product(), r.Chart())
		for tag := range r.Tags() {
			fmt.Fprintf(&out, "%s %x %v %+v\n", tag.Name, tag.Digest, tag.Hidden, x.Set(tag.Set))
		}
		for n := range r.Nodes() {
			fmt.Fprintf(&out, "%x %d %+v %+v\n", n.Digest, n.Kind, x.Set(n.Set), r.Referrers(n.Digest))
		}
	}
	return out.String()
}

// What is revoked while an edit is held back is published of what was published before, and is then as
// after a full compile; it stays through what is issued again, and a restart.
func TestRevocationsAreNotHeldBackWithTheRest(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "default")
	p, e, _ := heldVendor(t, func(c *Config) { c.Bundles[0].History = &History{Dir: dir} })
	both := imagesOf("1.0.0", "1.1.0")
	if err := p.SetLicenses(t.Context(), vendorFiles(t, loss...), nil); err != nil || len(p.Held()) != 1 {
		t.Fatal(err, p.Held())
	}
	e.last(t, 1)
	if err := p.SetLicenses(t.Context(), vendorFiles(t, slices.Concat(loss, everyRevoked)...), nil); err != nil || len(p.Held()) != 1 {
		t.Fatal(err, p.Held())
	}
	got := e.last(t, 2)
	alike(t, got, compiledOf(t, vendorFiles(t, everyRevoked...), both))
	if r := p.Revoked(); len(r) != 1 || r[0].Waits != "" || !slices.Equal(r[0].What, everyRevoked4) {
		t.Errorf("told: %+v", r)
	}
	// Nothing more is to be done, whatever else is edited; and what is issued again still has it.
	if err := p.SetLicenses(t.Context(), vendorFiles(t, `">=1.0.0"`, `">=3.0.0"`), nil); err != nil || len(p.Held()) != 1 {
		t.Fatal(err, p.Held())
	}
	e.last(t, 2)
	p.mu.Lock()
	_, err := p.publish(t.Context(), true)
	p.mu.Unlock()
	if again := e.last(t, 3); err != nil || again.Revision() != got.Revision() || again.Serial() <= got.Serial() {
		t.Fatalf("%v: issued again: revision %s", err, again.Revision())
	}
	cfg := p.cfg
	cfg.Registerer = nil
	second := New(cfg)
	if err := second.Restore(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if back := e.last(t, 4); back.Revision() != got.Revision() {
		t.Fatalf("restored revision %s", back.Revision())
	}
	// Accepted, the whole edit counts; nothing is told any more.
	if err := errors.Join(second.SetCatalog(t.Context(), "main", both), second.SetLicenses(t.Context(), vendorFiles(t, slices.Concat(loss, everyRevoked)...), nil)); err != nil || len(second.Held()) != 1 {
		t.Fatal(err, second.Held())
	}
	if err := second.Accept(t.Context(), "", second.Held()[0].Revision); err != nil {
		t.Fatal(err)
	}
	alike(t, e.last(t, 5), compiledOf(t, vendorFiles(t, slices.Concat(loss, everyRevoked)...), both))
	if r := append(p.Revoked()[:0:0], second.Revoked()...); len(r) != 0 {
		t.Errorf("still told: %+v", r)
	}
}

// What a crawl that lost tags holds back does not hold back revocations; a digest that the crawl has lost
// is revoked by itself.
func TestRevocationsAreNotHeldBackByACrawlThatShrank(t *testing.T) {
	p, e, _ := heldVendor(t)
	if err := p.SetCatalog(t.Context(), "main", imagesOf("1.0.0")); err != nil || len(p.Held()) != 1 {
		t.Fatal(err, p.Held())
	}
	if err := p.SetLicenses(t.Context(), vendorFiles(t, everyRevoked...), nil); err != nil || len(p.Held()) != 1 {
		t.Fatal(err, p.Held())
	}
	got := e.last(t, 2)
	want := compiledOf(t, vendorFiles(t, everyRevoked...), imagesOf("1.0.0", "1.1.0"))
	if string(got.File(customersPath)) != string(want.File(customersPath)) || string(got.File(keysPath)) != string(want.File(keysPath)) {
		t.Errorf("%s\n%s", got.File(customersPath), got.File(keysPath))
	}
	if at := revokedIn(t, got, "1.1.0"); at != license.Never && at == revokedIn(t, want, "1.1.0") {
		return
	}
	t.Error("the digest is not revoked")
}

// revokedIn is from when the digest of a name is revoked.
func revokedIn(t *testing.T, b *bundle.Bundle, name string) int64 {
	t.Helper()
	x, err := index.Open(b.File(bundle.IndexPath))
	if err != nil {
		t.Fatal(err)
	}
	r, _ := x.Repository("main", "acme/app")
	tag, ok := r.Tag(name)
	if !ok {
		t.Fatalf("no tag %s", name)
	}
	return x.Set(tag.Set)[0].RevokedAt
}

// Revocations that by themselves take something from too many wait as well, and are told.
func TestTooManyRevocationsWait(t *testing.T) {
	refuse := false
	p, e, _ := heldVendor(t, func(c *Config) {
		c.Bundles[0].Approve = func(context.Context, *license.Set, *bundle.Bundle, *bundle.Bundle) error {
			if refuse {
				return errors.New("from too many")
			}
			return nil
		}
	})
	refuse = true
	if err := p.SetLicenses(t.Context(), vendorFiles(t, slices.Concat(loss, millRevoked)...), nil); err != nil || len(p.Held()) != 1 {
		t.Fatal(err, p.Held())
	}
	e.last(t, 1)
	if r := p.Revoked(); len(r) != 1 || r[0].Waits != "from too many" || !slices.Equal(r[0].What, []string{"license mill-app of mill"}) {
		t.Fatalf("told: %+v", r)
	}
	if err := p.Accept(t.Context(), "", p.Held()[0].Revision); err != nil {
		t.Fatal(err)
	}
	if r := p.Revoked(); len(r) != 0 {
		t.Errorf("still told: %+v", r)
	}
}

// A rollback holds back revocations, too, as it says.
func TestRollbackHoldsBackRevocations(t *testing.T) {
	p, e, first := heldVendor(t, func(c *Config) { c.Bundles[0].History = &History{Dir: filepath.Join(t.TempDir(), "default")} })
	if err := errors.Join(p.SetLicenses(t.Context(), vendorFiles(t, bakeryBanned...), nil), p.Rollback(t.Context(), "", first.Revision())); err != nil {
		t.Fatal(err)
	}
	back := e.last(t, 3)
	if err := p.SetLicenses(t.Context(), vendorFiles(t, everyRevoked...), nil); err != nil || len(p.Held()) != 1 {
		t.Fatal(err, p.Held())
	}
	if e.last(t, 3); back.Revision() != first.Revision() || len(p.Revoked()) != 0 {
		t.Errorf("revision %s, told %+v", back.Revision(), p.Revoked())
	}
}

// A set with mistakes is not published, what it takes back in so many words is; no later registry takes
// it back, and neither does a set that cannot be compiled.
func TestRefusedSetStillRevokes(t *testing.T) {
	p, e, first := heldVendor(t)
	stated := vendorFiles(t, slices.Concat(loss, everyRevoked)...)
	if err := p.SetRefused(t.Context(), stated, false); err != nil {
		t.Fatal(err)
	}
	withoutKeys := slices.Concat(millRevoked, bakeryBanned, indexRevoked)
	alike(t, e.last(t, 2), compiledOf(t, vendorFiles(t, withoutKeys...), imagesOf("1.0.0", "1.1.0")))
	if err := p.SetRefused(t.Context(), stated, true); err != nil { // as when a test fails
		t.Fatal(err)
	}
	alike(t, e.last(t, 3), compiledOf(t, vendorFiles(t, everyRevoked...), imagesOf("1.0.0", "1.1.0")))
	if r := p.Revoked(); len(r) != 1 || r[0].Waits != "" || !slices.Equal(r[0].What, everyRevoked4) {
		t.Errorf("told: %+v", r)
	}
	if err := p.SetCatalog(t.Context(), "main", imagesOf("1.0.0", "1.1.0", "1.2.0")); err != nil {
		t.Fatal(err)
	}
	alike(t, e.last(t, 4), compiledOf(t, vendorFiles(t, everyRevoked...), imagesOf("1.0.0", "1.1.0", "1.2.0")))
	if r := p.Revoked(); len(r) != 1 {
		t.Errorf("told no more: %+v", r)
	}
	// A good set is an edit like any other.
	if err := p.SetLicenses(t.Context(), vendorFiles(t), nil); err != nil {
		t.Fatal(err)
	}
	if now := e.last(t, 5); string(now.File(customersPath)) != string(first.File(customersPath)) || len(p.Revoked()) != 0 {
		t.Errorf("%s\n%+v", now.File(customersPath), p.Revoked())
	}
}

// A publisher that starts with files that are refused takes back what they say of what it had.
func TestRefusedSetRevokesAtTheStart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "default")
	p, e, _ := heldVendor(t, func(c *Config) { c.Bundles[0].History = &History{Dir: dir} })
	cfg := p.cfg
	cfg.Registerer, cfg.StandBy = nil, true
	second := New(cfg)
	if err := errors.Join(second.SetRefused(t.Context(), vendorFiles(t, bakeryBanned...), false), second.Restore(t.Context(), nil)); err != nil {
		t.Fatal(err)
	}
	e.last(t, 2)
	if err := second.Begin(t.Context()); err != nil {
		t.Fatal(err)
	}
	alike(t, e.last(t, 3), compiledOf(t, vendorFiles(t, bakeryBanned...), imagesOf("1.0.0", "1.1.0")))
	if _, err := json.Marshal(second.Revoked()); err != nil || len(second.Revoked()) != 1 {
		t.Error(err, second.Revoked())
	}
}

// elected is a publisher of the same vendor that is elected after p, which has published what newest says.
func elected(t *testing.T, p *Publisher, found *bundle.Bundle, held string, change ...func(*Config)) (*Publisher, *engine) {
	t.Helper()
	late, e := newPublisher(t, append([]func(*Config){func(c *Config) {
		c.StandBy, c.Bundles[0].Approve = true, carefully
		c.Bundles[0].Find = func(context.Context) (*bundle.Bundle, error) { return found, nil }
	}}, change...)...)
	late.cfg.Ring, late.cfg.Signer = p.cfg.Ring, p.cfg.Signer
	o := p.outlets[0]
	if err := errors.Join(late.SetCatalog(t.Context(), "main", imagesOf("1.0.0", "1.1.0")), late.SetLicenses(t.Context(), p.Set(), nil),
		late.Restore(t.Context(), map[string]Newest{"default": {Serial: o.serial, Revision: o.current.Revision(), Held: held}}), late.Begin(t.Context())); err != nil {
		t.Fatal(err)
	}
	return late, e
}

// Who is elected without a history serves what is published, where that can be seen, compares with it, and
// takes back what is revoked meanwhile.
func TestElectedPublisherGoesOnWithWhatIsPublished(t *testing.T) {
	p, _, _ := heldVendor(t)
	if err := errors.Join(p.SetLicenses(t.Context(), vendorFiles(t, slices.Concat(loss, millRevoked)...), nil)); err != nil || len(p.Held()) != 1 {
		t.Fatal(err, p.Held())
	}
	published := p.outlets[0].current
	late, e := elected(t, p, published, p.Held()[0].Revision)
	got := e.last(t, 1)
	if got.Revision() != published.Revision() || got.Serial() <= published.Serial() {
		t.Fatalf("serial %d revision %s, published were %d %s", got.Serial(), got.Revision(), published.Serial(), published.Revision())
	}
	if h := late.Held(); len(h) != 1 || !strings.Contains(h[0].Reason, "held something back (revision "+p.Held()[0].Revision) {
		t.Fatalf("held: %+v", h)
	}
	if err := late.SetLicenses(t.Context(), vendorFiles(t, slices.Concat(loss, everyRevoked)...), nil); err != nil {
		t.Fatal(err)
	}
	alike(t, e.last(t, 2), compiledOf(t, vendorFiles(t, everyRevoked...), imagesOf("1.0.0", "1.1.0")))
}

// The same content that it has published itself is what is published, too.
func TestElectedPublisherHasWhatIsPublished(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "default")
	p, _, first := heldVendor(t, func(c *Config) { c.Bundles[0].History = &History{Dir: dir} })
	p.outlets[0].serial += 100 // another has issued it again, and held something back
	p.set = vendorFiles(t, loss...)
	late, e := elected(t, p, nil, strings.Repeat("a", 64), func(c *Config) { c.Bundles[0].History = &History{Dir: dir} })
	if got := e.last(t, 1); got.Revision() != first.Revision() || got.Serial() <= first.Serial()+100 || len(late.Held()) != 1 || !strings.Contains(late.Held()[0].Reason, "held something back") {
		t.Errorf("serial %d revision %s, held %+v", got.Serial(), got.Revision(), late.Held())
	}
}

// Where nobody can see what another publisher has published, nothing goes out that differs from it before
// it is accepted.
func TestElectedPublisherThatSeesNothingHoldsBack(t *testing.T) {
	p, _, first := heldVendor(t)
	late, e := elected(t, p, nil, "")
	if got := e.last(t, 1); got.Revision() != first.Revision() || len(late.Held()) != 0 {
		t.Fatalf("what the sources say is what is published: revision %s, held %+v", got.Revision(), late.Held())
	}
	if err := p.SetLicenses(t.Context(), vendorFiles(t, millRevoked...), nil); err != nil {
		t.Fatal(err)
	}
	p.set = vendorFiles(t, slices.Concat(millRevoked, loss)...)
	late, e = elected(t, p, nil, "")
	e.none(t)
	h := late.Held()
	if len(h) != 1 || !strings.Contains(h[0].Reason, "another publisher has published since") || !strings.Contains(h[0].Reason, p.outlets[0].current.Revision()) {
		t.Fatalf("held: %+v", h)
	}
	if err := late.Accept(t.Context(), "", h[0].Revision); err != nil {
		t.Fatal(err)
	}
	if got := e.last(t, 1); got.Revision() != h[0].Revision || got.Serial() <= p.outlets[0].serial {
		t.Errorf("serial %d revision %s", got.Serial(), got.Revision())
	}
}

// An older bundle that is found is compared with, and not issued again.
func TestOlderBundleThatIsFoundIsComparedWith(t *testing.T) {
	p, _, first := heldVendor(t)
	if err := p.SetLicenses(t.Context(), vendorFiles(t, millRevoked...), nil); err != nil {
		t.Fatal(err)
	}
	p.set = vendorFiles(t, slices.Concat(millRevoked, loss)...)
	late, e := elected(t, p, first, "")
	e.none(t)
	if h := late.Held(); len(h) != 1 || h[0].Reason != "somebody loses something" {
		t.Fatalf("held: %+v", h)
	}
}

// Who is elected after a rollback does not publish what was rolled back from, although nobody loses by it.
func TestElectedPublisherKeepsToARollback(t *testing.T) {
	p, e, first := heldVendor(t, func(c *Config) { c.Bundles[0].History = &History{Dir: filepath.Join(t.TempDir(), "default")} })
	if err := errors.Join(p.SetLicenses(t.Context(), vendorFiles(t, "ends: 2099-12-31", "ends: 2199-12-31"), nil), p.Rollback(t.Context(), "", first.Revision())); err != nil {
		t.Fatal(err)
	}
	e.last(t, 3)
	p.mu.Lock()
	_, err := p.publish(t.Context(), false) // any build notes it
	p.mu.Unlock()
	if err != nil || len(p.Held()) != 1 {
		t.Fatal(err, p.Held())
	}
	late, e2 := elected(t, p, p.outlets[0].current, p.Held()[0].Revision)
	if got := e2.last(t, 1); got.Revision() != first.Revision() || len(late.Held()) != 1 || late.Held()[0].Revision != p.Held()[0].Revision {
		t.Errorf("revision %s, held %+v", got.Revision(), late.Held())
	}
}

// A license that is suspended, and to be revoked later, gets nothing back by that: not from a set that is
// refused, and not until then from the set in use.
func TestRevokedLaterLiftsNoSuspension(t *testing.T) {
	suspended, later := []string{"status: active # mill", "status: {suspended: {at: 2020-01-01T00:00:00Z}}"}, []string{"status: active # mill", "status: {revoked: {at: 2098-01-01T00:00:00Z}}"}
	for name, set := range map[string]func(*Publisher) error{
		"refused": func(p *Publisher) error { return p.SetRefused(t.Context(), vendorFiles(t, later...), false) },
		"held back": func(p *Publisher) error {
			return p.SetLicenses(t.Context(), vendorFiles(t, slices.Concat(loss, later)...), nil)
		},
	} {
		p, e, _ := heldVendor(t)
		if err := p.SetLicenses(t.Context(), vendorFiles(t, suspended...), nil); err != nil {
			t.Fatal(err)
		}
		e.last(t, 2)
		if err := set(p); err != nil {
			t.Fatal(err)
		}
		var doc struct {
			Licenses map[string]struct{ Suspended [2]any }
		}
		if err := json.Unmarshal(p.outlets[0].current.Object(customersPath).Get("mill"), &doc); err != nil {
			t.Fatal(err)
		}
		if s := doc.Licenses["mill-app"].Suspended; s[0] != float64(1577836800) || s[1] != "never" && s[1] != float64(4039372800) {
			t.Errorf("%s: suspended %v", name, s)
		}
	}
}

// What is taken back of a set that is refused is tried again when it could not be handed over: nobody says
// it twice.
func TestRevocationOfARefusedSetIsTriedAgain(t *testing.T) {
	broken := false
	p, e, _ := heldVendor(t, func(c *Config) {
		deliver := c.Bundles[0].Deliver
		c.Bundles[0].Deliver = func(ctx context.Context, issue *Issue) error {
			if broken {
				return errors.New("no room")
			}
			return deliver(ctx, issue)
		}
	})
	broken = true
	if err := p.SetRefused(t.Context(), vendorFiles(t, millRevoked...), false); err == nil {
		t.Fatal("no error")
	}
	for range 2 { // Run does this
		if !p.failed {
			t.Fatal("it is not tried again")
		}
		p.mu.Lock()
		_, err := p.publish(t.Context(), !p.failed)
		p.mu.Unlock()
		if (err != nil) != broken {
			t.Fatal(err)
		}
		broken = false
	}
	alike(t, e.last(t, 2), compiledOf(t, vendorFiles(t, millRevoked...), imagesOf("1.0.0", "1.1.0")))
	if p.failed {
		t.Error("it is tried for ever")
	}
	if r := p.Revoked(); len(r) != 1 || r[0].Waits != "" || !slices.Equal(r[0].What, []string{"license mill-app of mill"}) {
		t.Errorf("told: %+v", r)
	}
}

// What is known of a registry is kept although what it adds to what a refused set takes back could not be
// delivered, so that what a later one revokes is revoked with what only that reaches; and it is tried again.
func TestCatalogIsKeptWhileARevocationIsNotDelivered(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "default")
	p, e, _ := heldVendor(t, func(c *Config) { c.Bundles[0].History = &History{Dir: dir} })
	cfg := p.cfg
	cfg.Registerer = nil
	second := New(cfg)
	if err := second.Restore(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	e.refuse = errors.New("no room")
	if err := second.SetRefused(t.Context(), vendorFiles(t, bakeryBanned...), false); !errors.Is(err, e.refuse) {
		t.Fatal(err)
	}
	second.failed = false
	if err := second.SetCatalog(t.Context(), "main", imagesOf("1.0.0", "1.1.0")); err != nil || !second.failed {
		t.Fatalf("%v, tried again: %t", err, second.failed)
	}
	revoked := slices.Concat(bakeryBanned, indexRevoked)
	if err := second.SetRefused(t.Context(), vendorFiles(t, revoked...), false); !errors.Is(err, e.refuse) {
		t.Fatal(err)
	}
	e.refuse = nil
	again(t, second)
	alike(t, e.last(t, 3), compiledOf(t, vendorFiles(t, revoked...), imagesOf("1.0.0", "1.1.0")))
}

// again publishes what could not be delivered, as Run does.
func again(t *testing.T, p *Publisher) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, err := p.publish(t.Context(), !p.failed); err != nil {
		t.Fatal(err)
	}
}

// What a refused set takes back, and a publisher that has just been elected could not deliver, it tries again.
func TestRevocationIsTriedAgainAfterBegin(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "default")
	p, e, _ := heldVendor(t, func(c *Config) { c.Bundles[0].History = &History{Dir: dir} })
	cfg := p.cfg
	cfg.Registerer, cfg.StandBy = nil, true
	second := New(cfg)
	if err := errors.Join(second.SetRefused(t.Context(), vendorFiles(t, bakeryBanned...), false), second.Restore(t.Context(), nil)); err != nil {
		t.Fatal(err)
	}
	e.refuse = errors.New("no room")
	if err := second.Begin(t.Context()); err != nil || !second.failed {
		t.Fatalf("%v, tried again: %t", err, second.failed)
	}
	e.refuse = nil
	again(t, second)
	alike(t, e.last(t, 3), compiledOf(t, vendorFiles(t, bakeryBanned...), imagesOf("1.0.0", "1.1.0")))
}

// What is taken back of a set that is refused is told as long as that is so, also when a set is published
// that waited: whether it was taken back before, or comes with that one.
func TestRevocationOfARefusedSetIsToldWhenWhatWaitedIsPublished(t *testing.T) {
	for _, before := range []bool{true, false} {
		dir := filepath.Join(t.TempDir(), "default")
		p, e, _ := heldVendor(t, func(c *Config) { c.Bundles[0].History = &History{Dir: dir} })
		cfg := p.cfg
		cfg.Registerer = nil
		second := New(cfg)
		if err := errors.Join(second.Restore(t.Context(), nil), second.SetCatalog(t.Context(), "main", imagesOf("1.0.0", "1.1.0"))); err != nil {
			t.Fatal(err)
		}
		if !before {
			e.refuse = errors.New("no room")
		}
		stated := vendorFiles(t, bakeryBanned...)
		if err := second.SetRefused(t.Context(), stated, false); !errors.Is(err, e.refuse) {
			t.Fatal(err)
		}
		e.refuse = nil
		waited := vendorFiles(t, "ends: 2099-12-31", "ends: 2199-12-31").Revoked(stated, false)
		if err := second.SetPending(t.Context(), waited, nil, time.Time{}); err != nil {
			t.Fatal(err)
		}
		issued := map[bool]int{true: 4, false: 3}[before]
		alike(t, e.last(t, issued), compiledOf(t, waited, imagesOf("1.0.0", "1.1.0")))
		if r := second.Revoked(); len(r) != 1 || r[0].Waits != "" || !slices.Equal(r[0].What, []string{"customer bakery"}) {
			t.Errorf("before: %t: told: %+v", before, r)
		}
		// The same again says nothing new, and is no good set.
		if err := second.SetPending(t.Context(), waited, nil, time.Time{}); err != nil || len(second.Revoked()) != 1 {
			t.Errorf("%v: told: %+v", err, second.Revoked())
		}
		e.last(t, issued)
		if err := second.SetLicenses(t.Context(), stated, nil); err != nil || len(second.Revoked()) != 0 {
			t.Errorf("%v: still told: %+v", err, second.Revoked())
		}
	}
}

// What could not be taken back is not told as if it were, when something else is published.
func TestWhatIsNotTakenBackIsNotTold(t *testing.T) {
	p, e, _ := heldVendor(t)
	ring := p.cfg.Ring
	key, err := bundle.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	if p.cfg.Ring, err = bundle.NewKeyRing(&key.PublicKey); err != nil {
		t.Fatal(err)
	}
	if err := p.SetRefused(t.Context(), vendorFiles(t, millRevoked...), false); !errors.Is(err, bundle.ErrUnknownKey) {
		t.Fatal(err)
	}
	p.cfg.Ring = ring
	later := imagesOf("1.0.0", "1.1.0", "1.2.0")
	if err := p.SetCatalog(t.Context(), "main", later); err != nil {
		t.Fatal(err)
	}
	if alike(t, e.last(t, 2), compiledOf(t, vendorFiles(t), later)); len(p.Revoked()) != 0 {
		t.Errorf("told: %+v", p.Revoked())
	}
}

// What cannot be told of the sources is not told as if it were taken back, when what waited is published.
func TestWhatCannotBeToldIsNotTold(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "default")
	p, e, _ := heldVendor(t, func(c *Config) { c.Bundles[0].History = &History{Dir: dir} })
	stated := vendorFiles(t, everyRevoked...)
	cfg := p.cfg
	cfg.Registerer = nil
	deliver, damaged := cfg.Bundles[0].Deliver, false
	cfg.Bundles = slices.Clone(cfg.Bundles)
	cfg.Bundles[0].Deliver = func(ctx context.Context, issue *Issue) error {
		if damaged {
			stated.Registries[0].RevokedDigests[0].Digest = "sha256:none"
		}
		return deliver(ctx, issue)
	}
	second := New(cfg)
	if err := errors.Join(second.Restore(t.Context(), nil), second.SetCatalog(t.Context(), "main", imagesOf("1.0.0", "1.1.0"))); err != nil {
		t.Fatal(err)
	}
	e.refuse = errors.New("no room")
	if err := second.SetRefused(t.Context(), stated, false); !errors.Is(err, e.refuse) {
		t.Fatal(err)
	}
	e.refuse, damaged = nil, true
	if err := second.SetPending(t.Context(), vendorFiles(t, "ends: 2099-12-31", "ends: 2199-12-31"), nil, time.Time{}); err != nil {
		t.Fatal(err)
	}
	if e.last(t, 3); stated.Registries[0].RevokedDigests[0].Digest != "sha256:none" || len(second.Revoked()) != 0 {
		t.Errorf("told: %+v", second.Revoked())
	}
}
