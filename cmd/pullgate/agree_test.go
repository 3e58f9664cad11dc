package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/pullgate/pullgate/authz"
	"github.com/pullgate/pullgate/authz/authztest"
	"github.com/pullgate/pullgate/authz/engine"
	"github.com/pullgate/pullgate/bundle"
	"github.com/pullgate/pullgate/bundle/compile"
	"github.com/pullgate/pullgate/bundle/license"
	"github.com/pullgate/pullgate/policies"
	tagversion "github.com/pullgate/pullgate/policies/version"
)

// agreement asks a Gate over an engine about random vendors.
type agreement struct {
	engine *engine.Engine
	gate   *authz.Gate
	clock  int64
	serial int64
	signer *bundle.Signer
	ring   *bundle.KeyRing

	codes                             map[authz.Code]int
	lists, denied, catalogs, referrer int
}

func newAgreement(t *testing.T) *agreement {
	t.Helper()
	key, err := bundle.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	a := &agreement{codes: map[authz.Code]int{}}
	if a.signer, err = bundle.NewSigner(key); err != nil {
		t.Fatal(err)
	}
	if a.ring, err = bundle.NewKeyRing(a.signer.Public()); err != nil {
		t.Fatal(err)
	}
	patient := engine.Limits{DecisionTime: time.Minute, VisibleTime: time.Minute} // not in steps
	a.engine = engine.New(engine.Config{Limits: patient})
	t.Cleanup(a.engine.Close)
	a.gate = authz.NewGate(authz.GateConfig{Engine: a.engine, AskPast: true, Clock: func() time.Time { return time.Unix(a.clock, 0) }})
	return a
}

// enter makes the Gate answer for a vendor, and returns the instants at which something changes.
func (a *agreement) enter(t *rapid.T, v *randomVendor) []int64 {
	set, err := license.Parse(map[string][]byte{"v.yaml": []byte(v.text.String())})
	if err != nil {
		t.Fatalf("the generator wrote files that are refused: %v\n%s", err, v)
	}
	rules := map[string][]byte{}
	for name, text := range v.files {
		rules[name] = []byte(text)
	}
	a.serial++
	content, _, err := compile.Compile(&compile.Input{
		Set: set, Catalog: v.catalog, Modules: policies.Modules(), Rules: rules,
		Name: bundle.DefaultName, Serial: a.serial, IssuedAt: agreeStart.Unix(), NotAfter: license.Never,
	})
	if err != nil {
		t.Fatalf("%v\n%s", err, v)
	}
	var buf bytes.Buffer
	if _, err = bundle.Write(&buf, content, a.signer); err != nil {
		t.Fatal(err)
	}
	b, err := bundle.Read(&buf, a.ring, bundle.ReadOptions{Name: bundle.DefaultName})
	if err == nil {
		err = a.engine.Activate(context.Background(), b)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, v)
	}

	at := map[int64]bool{}
	var customers map[string]struct {
		Products, Repositories map[string][]struct{ Boundaries []int64 }
	}
	if err := json.Unmarshal(content.Objects["pullgate/customers/data.json"].Bytes(), &customers); err != nil {
		t.Fatal(err)
	}
	for _, c := range customers {
		for _, named := range []map[string][]struct{ Boundaries []int64 }{c.Products, c.Repositories} {
			for _, grants := range named {
				for _, g := range grants {
					for _, b := range g.Boundaries {
						at[b] = true
					}
				}
			}
		}
	}
	for i := range set.Releases {
		for _, instant := range boundariesOf(&set.Releases[i]) {
			at[instant] = true
		}
	}
	for _, r := range set.Registries[0].RevokedDigests {
		at[r.At] = true
	}
	for _, r := range v.catalog {
		for _, pasts := range r.History {
			for _, p := range pasts {
				at[p.Until] = true
				at[time.Unix(p.Until, 0).AddDate(0, 0, v.history).Unix()] = true
			}
		}
		for _, m := range r.Manifests {
			at[m.Created] = true
		}
	}
	delete(at, license.Always)
	delete(at, license.Never)
	return slices.Sorted(maps.Keys(at))
}

// speakers are the subjects that ask.
var speakers = map[string]authz.Credential{
	"acme/ci":     {Kind: authz.CredentialKey, Hash: agreeHash("ci")},
	"acme/narrow": {Kind: authz.CredentialKey, Hash: agreeHash("narrow")},
	"mill/ci":     {Kind: authz.CredentialKey, Hash: agreeHash("mill")},
	"anonymous":   {Kind: authz.CredentialNone},
}

// asker asks as one speaker at one instant.
type asker struct {
	*agreement
	t    *rapid.T
	v    *randomVendor
	who  string
	name string // of the repository
}

func (q asker) ask(kind authz.Kind, reference string) *authz.Decision {
	r := &authz.Request{
		Kind: kind, Method: "GET", Host: agreeHost, Repository: q.name, N: -1, Via: "cli", Credential: speakers[q.who],
		Path: "/v2/" + q.name + "/" + kind.String() + "/" + reference,
	}
	if strings.HasPrefix(reference, "sha256:") {
		r.Digest = reference
	} else {
		r.Tag = reference
		if hex, ok := tagversion.DigestTag(reference); ok {
			r.DigestTag, r.Digest = true, "sha256:"+hex
		}
	}
	d := q.gate.Decide(context.Background(), r)
	if d.Outcome == authz.OutcomeError {
		q.t.Fatalf("%s: %s %s: %s\n%s", q, kind, reference, d.Detail, q.v)
	}
	for _, code := range slices.Compact([]authz.Code{d.Code, d.PolicyCode}) {
		if strings.HasPrefix(string(code), "vendor.") {
			code = map[bool]authz.Code{true: "vendor … grants", false: "vendor … denies"}[d.Verdict.Allow && d.Verdict.Enforcement == ""]
		}
		q.codes[code]++
	}
	return d
}

func (q asker) String() string {
	return fmt.Sprintf("%s as %s, %s", time.Unix(q.clock, 0).UTC().Format(time.RFC3339), q.who, q.name)
}

func said(d *authz.Decision) string {
	return fmt.Sprintf("%d %s (policy: %s, license %s, enforcement %q)", d.Status, d.Code, d.PolicyCode, d.Verdict.License, d.Verdict.Enforcement)
}

// TestListsAndSingleChecksAgree: for random vendors, at and around every instant at which
// something changes,
//
//   - a tag is in the answer to tags/list exactly if its manifest would be given to the same
//     subject; digest-like tags are never listed;
//   - while the list is refused, no manifest is given by a license that passes whole or because
//     it is public: only what enforcement lets through, because the reported license may be
//     another for the list, and what a rule grants that speaks of tags;
//   - a repository is in _catalog exactly if its own list is answered, and _catalog is
//     refused exactly if no list is;
//   - referrers are answered exactly if the digest's manifest would be given, and each one
//     that is listed would be given as well.
//
// There are agreeVendors vendors unless -rapid.checks says another number than its default.
func TestListsAndSingleChecksAgree(t *testing.T) {
	vendors(t, agreeVendors)
	for _, rules := range []bool{false, true} {
		t.Run(map[bool]string{false: "licenses", true: "licenses and rules"}[rules], func(t *testing.T) {
			a := newAgreement(t)
			untilItShows(t, func() error { return a.tooLittle(rules) }, func(rt *rapid.T) {
				v := &randomVendor{t: rt}
				v.draw()
				if rules {
					v.rules()
				}
				a.agree(rt, v)
			})
			t.Logf("%d lists, %d of them refused, %d catalogs, %d referrers listed; %v", a.lists, a.denied, a.catalogs, a.referrer, a.codes)
		})
	}
}

// vendors sets how many there are by default.
func vendors(t *testing.T, n int) {
	t.Helper()
	f := flag.Lookup("rapid.checks")
	if f == nil || f.Value.String() != f.DefValue {
		return
	}
	if err := flag.Set(f.Name, strconv.Itoa(n)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := flag.Set(f.Name, f.DefValue); err != nil {
			t.Error(err)
		}
	})
}

// untilItShows checks a property, and once more while what was drawn is too little to show something: by
// chance that happens, but not again and again.
func untilItShows(t *testing.T, tooLittle func() error, property func(*rapid.T)) {
	t.Helper()
	for range 10 {
		if rapid.Check(t, property); t.Failed() {
			return
		}
		err := tooLittle()
		if err == nil {
			return
		}
		t.Logf("once more: %v", err)
	}
	t.Errorf("the vendors are too poor: %v", tooLittle())
}

// tooLittle says whether the vendors were too poor to show anything.
func (a *agreement) tooLittle(rules bool) error {
	if agreeVendors < 25 {
		return nil
	}
	want := []authz.Code{
		authz.CodeOK, authz.CodeGrace, authz.CodeKeptVersion, authz.CodePublic, authz.CodeAnonymous, authz.CodeKeyScope, authz.CodeCustomerBanned, authz.CodeNoLicense,
		authz.CodeNotGranted, authz.CodeTagNotGranted, authz.CodeVersionNotGranted, authz.CodeChannelNotGranted, authz.CodeRevoked, authz.CodeSuspended, authz.CodeNotStarted,
		authz.CodeTerminated, authz.CodeNotYetReleased, authz.CodeWithdrawn, authz.CodeOutsideUpdateWindow, authz.CodeFeatureMissing, authz.CodeExpired, authz.CodeTrialEnded,
	}
	if rules {
		want = append(want, "vendor … denies", "vendor … grants")
	}
	seen := 0
	for _, code := range want {
		if a.codes[code] > 0 {
			seen++
		}
	}
	if seen < len(want)*3/4 || a.denied == 0 || a.denied > a.lists*9/10 || a.referrer == 0 {
		return fmt.Errorf("%d of %d codes, %d of %d lists refused, %d referrers listed", seen, len(want), a.denied, a.lists, a.referrer)
	}
	return nil
}

// agree checks one vendor.
func (a *agreement) agree(t *rapid.T, v *randomVendor) {
	instants := a.enter(t, v)
	var at []int64
	for range 2 {
		if len(instants) > 0 {
			b := rapid.SampledFrom(instants).Draw(t, "boundary")
			at = append(at, b-1, b)
		}
	}
	at = append(at, agreeStart.Unix()+int64(v.number("hour", 0, agreeDays*24))*3600)
	for _, a.clock = range at {
		for _, who := range []string{"acme/ci", v.pick("who", "acme/narrow", "acme/narrow", "mill/ci", "anonymous")} {
			q := asker{agreement: a, t: t, v: v, who: who}
			answered := []string{}
			for _, name := range agreeRepositories {
				q.name = name
				if q.tags() {
					answered = append(answered, name)
				}
				q.referrers()
			}
			q.name = ""
			slices.Sort(answered)
			a.catalogs++
			d := q.ask(authz.KindCatalog, "")
			if given := d.Outcome == authz.OutcomeAnswer; given != (len(answered) > 0) || given && !slices.Equal(d.Names, answered) {
				t.Fatalf("%s: _catalog is %s %q; lists are answered for %q\n%s", q, said(d), d.Names, answered, v)
			}
		}
	}
}

// tags compares the list with each tag, and reports whether it is answered.
func (q asker) tags() bool {
	v := q.v
	q.lists++
	d := q.ask(authz.KindTags, "")
	answered := d.Outcome == authz.OutcomeAnswer
	if !answered {
		q.denied++
	}
	r := v.repository(q.name)
	if r == nil {
		if answered {
			q.t.Fatalf("%s: an absent repository is listed: %s\n%s", q, said(d), v)
		}
		return false
	}
	tags := map[string]bool{"9.9.9": true, "absent": true}
	for tag := range r.Tags {
		tags[tag] = true
	}
	for tag := range r.History {
		tags[tag] = true
	}
	for _, tag := range slices.Sorted(maps.Keys(tags)) {
		m := q.ask(authz.KindManifest, tag)
		given := m.Outcome == authz.OutcomeAllow
		listed := slices.Contains(d.Names, tag)
		_, digestLike := tagversion.DigestTag(tag)
		switch {
		case digestLike && listed:
			q.t.Fatalf("%s: digest-like tag %s is listed\n%s", q, tag, v)
		case digestLike:
		case answered && given != listed:
			q.t.Fatalf("%s: %s is listed: %v (%s); its manifest is %s\n%s", q, tag, listed, said(d), said(m), v)
		case !answered && given && m.Verdict.Enforcement == "" && !strings.HasPrefix(string(m.Code), "vendor."):
			q.t.Fatalf("%s: the list is %s; manifest %s is %s\n%s", q, said(d), tag, said(m), v)
		}
	}
	return answered
}

// referrers compares each referrers answer with the manifest of its digest, and each entry with
// its own.
func (q asker) referrers() {
	v := q.v
	for _, n := range v.digests[q.name] {
		digest := authztest.NameDigest(n)
		m, d := q.ask(authz.KindManifest, digest), q.ask(authz.KindReferrers, digest)
		if given := m.Outcome == authz.OutcomeAllow; given != (d.Outcome == authz.OutcomeAnswer) || !given && (m.Status != d.Status || m.Code != d.Code) {
			q.t.Fatalf("%s: manifest @%s is %s, its referrers %s\n%s", q, n, said(m), said(d), v)
		}
		for _, r := range d.Referrers {
			q.referrer++
			if m := q.ask(authz.KindManifest, r.Digest); m.Outcome != authz.OutcomeAllow {
				q.t.Fatalf("%s: referrer %s of @%s is listed; its manifest is %s\n%s", q, r.Digest, n, said(m), v)
			}
		}
	}
}

func boundariesOf(r *license.Release) (out []int64) {
	if r.Released != nil {
		out = append(out, *r.Released)
	}
	if r.CountsFrom != nil {
		out = append(out, *r.CountsFrom)
	}
	if r.Withdrawn != nil {
		out = append(out, r.Withdrawn.At)
	}
	return out
}
