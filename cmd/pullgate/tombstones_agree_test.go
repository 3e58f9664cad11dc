package main

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/pullgate/pullgate/authz"
	"github.com/pullgate/pullgate/authz/authztest"
	"github.com/pullgate/pullgate/authz/engine"
	"github.com/pullgate/pullgate/authz/memstore"
	"github.com/pullgate/pullgate/bundle"
	"github.com/pullgate/pullgate/bundle/compile"
	"github.com/pullgate/pullgate/bundle/license"
	"github.com/pullgate/pullgate/policies"
	tagversion "github.com/pullgate/pullgate/policies/version"
)

// buried asks two Gates: one over the bundle of before with tombstones, and one over the bundle of
// the edited files.
type buried struct {
	signer      *bundle.Signer
	ring        *bundle.KeyRing
	tombstones  *engine.Engine
	edited      *engine.Engine
	partly      *engine.Engine // edited, but for the digests
	under, want *authz.Gate
	follows     *authz.Gate // over partly
	clock       int64

	asked, denied, follow int
	kinds                 map[bundle.TombstoneKind]int
}

func newBuried(t *testing.T) *buried {
	t.Helper()
	key, err := bundle.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	b := &buried{kinds: map[bundle.TombstoneKind]int{}}
	if b.signer, err = bundle.NewSigner(key); err != nil {
		t.Fatal(err)
	}
	if b.ring, err = bundle.NewKeyRing(b.signer.Public()); err != nil {
		t.Fatal(err)
	}
	patient := engine.Limits{DecisionTime: time.Minute, VisibleTime: time.Minute}
	for _, e := range []**engine.Engine{&b.tombstones, &b.edited, &b.partly} {
		*e = engine.New(engine.Config{Limits: patient})
		t.Cleanup((*e).Close)
	}
	gate := func(e *engine.Engine, c authz.Cache) *authz.Gate {
		return authz.NewGate(authz.GateConfig{Engine: e, Cache: c, AskPast: true, Clock: func() time.Time { return time.Unix(b.clock, 0) }})
	}
	cache, err := memstore.New(memstore.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cache.Close)
	b.under, b.want, b.follows = gate(b.tombstones, cache), gate(b.edited, nil), gate(b.partly, nil)
	return b
}

// activate compiles a vendor's files after a change of them.
func (b *buried) activate(t *rapid.T, e *engine.Engine, v *randomVendor, serial int64, change func(*license.Set)) {
	set, err := license.Parse(map[string][]byte{"v.yaml": []byte(v.text.String())})
	if err != nil {
		t.Fatalf("the generator wrote files that are refused: %v\n%s", err, v)
	}
	change(set)
	rules := map[string][]byte{}
	for name, text := range v.files {
		rules[name] = []byte(text)
	}
	content, _, err := compile.Compile(&compile.Input{
		Set: set, Catalog: v.catalog, Modules: policies.Modules(), Rules: rules,
		Name: bundle.DefaultName, Serial: serial, IssuedAt: agreeStart.Unix(), NotAfter: license.Never,
	})
	if err != nil {
		t.Fatalf("%v\n%s", err, v)
	}
	var buf bytes.Buffer
	if _, err = bundle.Write(&buf, content, b.signer); err != nil {
		t.Fatal(err)
	}
	made, err := bundle.Read(&buf, b.ring, bundle.ReadOptions{Name: bundle.DefaultName})
	if err == nil {
		err = e.Activate(context.Background(), made)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, v)
	}
}

// revocation is a tombstone, and the edit of the files that it stands for.
type revocation struct {
	tombstone bundle.Tombstone
	edit      func(*license.Set)
}

// kindsRevoked says what a revocation is of, licenses twice as often.
var kindsRevoked = []string{"license", "license", "customer", "key", "digest"}

func (v *randomVendor) revocation(serial int64, kinds ...string) revocation {
	at := agreeStart.AddDate(0, 0, v.number("revoked now", 0, 20)).Unix()
	r := revocation{tombstone: bundle.Tombstone{Bundle: bundle.DefaultName, Serial: serial, Made: at, Number: 1}}
	t := &r.tombstone
	switch t.Kind = bundle.TombstoneKind(v.pick("revokes", kinds...)); t.Kind {
	case bundle.TombstoneCustomer:
		t.Customer = v.pick("customer", "acme", "mill", "nobody")
		r.edit = func(s *license.Set) {
			if c := s.Customer(t.Customer); c != nil {
				c.Banned = true
			}
		}
	case bundle.TombstoneLicense:
		t.Customer, t.License, t.At = "acme", v.pick("license", "acme-0", "acme-1", "acme-2"), at
		r.edit = func(s *license.Set) {
			if l := s.License(t.License); l != nil && (l.Revoked == nil || at < l.Revoked.At) {
				l.Suspended, l.Revoked = nil, &license.Revocation{At: at}
			}
		}
	case bundle.TombstoneKey:
		t.Customer, t.Key = "acme", v.pick("key", "ci", "narrow")
		if v.sometimes(2, "names the hash") {
			t.Hash = strings.TrimPrefix(agreeKey(t.Key), "sha256:")
		}
		r.edit = func(s *license.Set) {
			c := s.Customer(t.Customer)
			c.Keys = slices.DeleteFunc(c.Keys, func(k license.Key) bool { return k.ID == t.Key })
		}
	case bundle.TombstoneDigest:
		t.Registry, t.Repository, t.At = "main", v.pick("repository", slices.Sorted(maps.Keys(v.digests))...), at
		t.Digest = authztest.NameDigest(v.pick("digest", v.digests[t.Repository]...))
		r.edit = func(s *license.Set) {
			reg := s.Registry("main")
			reg.RevokedDigests = append(reg.RevokedDigests, license.RevokedDigest{Repository: t.Repository, Digest: t.Digest, At: at})
		}
	}
	return r
}

// TestTombstonesSayWhatTheNextBundleSays: for random vendors and revocations, at random instants, the
// decision under the tombstones is the decision of the bundle that is compiled from the edited files,
// lists included, in every field; and it is looked up under the same cache key. Of a revoked digest
// that holds for requests that name it, by digest or by tag; for what only it reaches it is the
// decision of before until there is that bundle. Everything has been asked before: no answer comes
// from a cache of before.
func TestTombstonesSayWhatTheNextBundleSays(t *testing.T) {
	vendors(t, agreeVendors/8+1)
	b := newBuried(t)
	serial := int64(0)
	for round := range 10 { // by chance, too little may be drawn to show something
		for _, first := range slices.Compact(slices.Clone(kindsRevoked)) {
			t.Run(fmt.Sprint(first, round), func(t *testing.T) { b.agree(t, &serial, first) })
		}
		if b.denied >= 5 || t.Failed() {
			break
		}
	}
	t.Logf("%d questions, %d answered otherwise than before, %d that follow with the bundle; tombstones %v", b.asked, b.denied, b.follow, b.kinds)
	if b.denied < 5 {
		t.Errorf("the vendors were too poor: %d of %d questions are answered otherwise", b.denied, b.asked)
	}
}

// agree asks about random vendors, of which one to three things are revoked, the first of a kind.
func (b *buried) agree(t *testing.T, serial *int64, first string) {
	rapid.Check(t, func(rt *rapid.T) {
		v := &randomVendor{t: rt}
		v.draw()
		if v.sometimes(3, "rules") {
			v.rules()
		}
		*serial += 2
		var all []revocation
		var tombstones []bundle.Tombstone
		for i := range v.number("revocations", 1, 3) {
			kinds := kindsRevoked
			if i == 0 {
				kinds = []string{first}
			}
			r := v.revocation(*serial+1, kinds...)
			all, tombstones = append(all, r), append(tombstones, r.tombstone)
			b.kinds[r.tombstone.Kind]++
		}
		if err := b.tombstones.SetTombstones(t.Context(), nil); err != nil {
			rt.Fatal(err)
		}
		b.activate(rt, b.tombstones, v, *serial, func(*license.Set) {})
		b.activate(rt, b.edited, v, *serial+1, func(s *license.Set) {
			for _, r := range all {
				r.edit(s)
			}
		})
		b.activate(rt, b.partly, v, *serial+1, func(s *license.Set) {
			for _, r := range all {
				if r.tombstone.Kind != bundle.TombstoneDigest {
					r.edit(s)
				}
			}
		})
		b.clock = agreeStart.Unix() + int64(v.number("hour", 8*24, 35*24))*3600

		asked := v.questions("acme/ci", v.pick("who", "acme/narrow", "mill/ci", "anonymous"))
		before := everything(asked, b.under)
		if err := b.tombstones.SetTombstones(t.Context(), tombstones); err != nil {
			rt.Fatal(err)
		}
		under, want := everything(asked, b.under), everything(asked, b.want)
		for q := range want {
			b.asked++
			if want[q].Outcome != before[q].Outcome {
				b.denied++
			}
			if cmp.Equal(under[q], want[q], sameDecision...) {
				continue
			}
			if reachedThrough(q, all) && cmp.Equal(under[q], b.follows.Decide(context.Background(), q.request()), sameDecision...) {
				b.follow++
				continue
			}
			rt.Fatalf("%s %s/%s %s at %s: under the tombstones it is\n%s\nand with the edited files\n%s\n%v\n%s", q.who, q.repository, q.reference, q.kind,
				time.Unix(b.clock, 0).UTC().Format(time.RFC3339), said(under[q]), cmp.Diff(want[q], under[q], sameDecision...), tombstones, v)
		}
		b.sameKeys(rt, v, all)

		// The bundle that has the edit ends them, and so does every later one, also without it.
		b.activate(rt, b.tombstones, v, *serial+1, func(*license.Set) {})
		for q, d := range everything(asked, b.under) {
			if !cmp.Equal(d, before[q], sameDecision...) {
				rt.Fatalf("%v: a tombstone outlives the bundle with its serial\n%s", q, cmp.Diff(before[q], d, sameDecision...))
			}
		}
	})
}

var sameDecision = []cmp.Option{
	cmpopts.IgnoreFields(authz.Decision{}, "ID", "Revision", "Cached", "Duration", "Candidates"),
	cmpopts.EquateEmpty(),
}

// aQuestion is one that is asked of a vendor's Gate.
type aQuestion struct {
	kind                       authz.Kind
	who, repository, reference string
}

func (q aQuestion) request() *authz.Request {
	r := &authz.Request{
		Kind: q.kind, Method: "GET", Host: agreeHost, Repository: q.repository, N: -1, Via: "cli", Credential: speakers[q.who],
		Path: "/v2/" + q.repository + "/" + q.kind.String() + "/" + q.reference,
	}
	if strings.HasPrefix(q.reference, "sha256:") {
		r.Digest = q.reference
	} else if r.Tag = q.reference; r.Tag != "" {
		if hex, ok := tagversion.DigestTag(r.Tag); ok {
			r.DigestTag, r.Digest = true, "sha256:"+hex
		}
	}
	return r
}

// questions are all that these speakers can ask of a vendor.
func (v *randomVendor) questions(speakers ...string) (all []aQuestion) {
	for _, who := range speakers {
		all = append(all, aQuestion{authz.KindCatalog, who, "", ""}, aQuestion{authz.KindPing, who, "", ""})
		for _, name := range agreeRepositories {
			all = append(all, aQuestion{authz.KindTags, who, name, ""})
			r := v.repository(name)
			if r == nil {
				continue
			}
			for tag := range r.Tags {
				all = append(all, aQuestion{authz.KindManifest, who, name, tag})
			}
			for _, n := range v.digests[name] {
				d := authztest.NameDigest(n)
				all = append(all, aQuestion{authz.KindManifest, who, name, d}, aQuestion{authz.KindReferrers, who, name, d},
					aQuestion{authz.KindManifest, who, name, "sha256-" + strings.TrimPrefix(d, "sha256:")})
			}
		}
	}
	return all
}

func everything(asked []aQuestion, g *authz.Gate) map[aQuestion]*authz.Decision {
	all := map[aQuestion]*authz.Decision{}
	for _, q := range asked {
		all[q] = g.Decide(context.Background(), q.request())
	}
	return all
}

// reachedThrough says whether a question is about something else in a repository in which a digest
// is revoked.
func reachedThrough(q aQuestion, all []revocation) bool {
	for _, r := range all {
		t := &r.tombstone
		if t.Kind != bundle.TombstoneDigest || t.Repository != q.repository {
			continue
		}
		_, digestLike := tagversion.DigestTag(q.reference)
		switch {
		case q.kind == authz.KindReferrers, digestLike:
			return true
		case q.kind == authz.KindManifest && strings.HasPrefix(q.reference, "sha256:") && q.reference != t.Digest:
			return true
		}
	}
	return false
}

// sameKeys holds that what the edit of a customer's document does to the cache keys, tombstones do.
func (b *buried) sameKeys(t *rapid.T, v *randomVendor, all []revocation) {
	if slices.ContainsFunc(all, func(r revocation) bool { return r.tombstone.Kind == bundle.TombstoneDigest }) {
		return
	}
	under, want := b.tombstones.Generation(), b.edited.Generation()
	reg, _ := want.Registry(agreeHost)
	for _, name := range agreeRepositories {
		q := aQuestion{authz.KindTags, "acme/ci", name, ""}
		r := q.request()
		key := func(g authz.Generation) string {
			target := g.Resolve(reg, r)
			k, ok := g.Key(&authz.Input{Time: b.clock, Subject: authz.Subject{Customer: "acme", Key: "ci", Via: "key"}, Action: "list", Kind: r.Kind, Target: &target, Request: r})
			return fmt.Sprint(k, ok)
		}
		if key(under) != key(want) {
			t.Fatalf("%s has another cache key under the tombstones than with the edited files\n%s", name, v)
		}
	}
}
