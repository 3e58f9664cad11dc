package license

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pullgate/pullgate/policies/version"
)

// whole has every field of every kind of document.
const whole = `kind: Registry
id: main
hosts: [Registry.ACME.example, "registry.acme.example:5000", "[2001:DB8::1]:443", 192.0.2.1]
upstream: https://harbor.internal/
history: P30D
revoked_digests: [{repository: acme/app, digest: "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", at: 2026-03-01T00:00:00Z, reason: leaked key}]
catalog: listed
---
kind: Product
id: app
name: Acme App
registry: main
repositories:
  - acme/app
  - {name: acme/charts/app, type: chart}
  - {name: acme/nightly, versions: none}
variants: [alpine*, slim]
requires: [sso, audit]
---
kind: Product
id: books
---
kind: Release
id: books-1
product: books
version: 1.0.0
---
kind: Release
id: app-1.4.1
product: app
version: v1.4.1+build.7
released: 2026-05-10T09:00:00Z
counts_from: 2026-02-01
channel: lts
withdrawn: {at: 2026-06-01, reason: CVE-2026-1234, except: [globex, acme]}
requires: [beta-terms]
---
kind: Plan
id: gold
type: subscription
grace: P14D
grants: [{product: app, versions: ">=1.0.0 <3.0.0"}]
---
kind: Customer
id: acme
name: ACME GmbH
zone: Europe/Berlin
status: active
labels: {region: eu, seats: 10, ratio: 0.5, vip: true, tags: [a, b], contact: {name: Jo}}
keys:
  - {id: ci, hash: "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", expires: 2027-01-31, repositories: [acme/app], addresses: [10.0.0.0/8, "2001:db8::/32"]}
  - {id: none, hash: "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb", repositories: [], addresses: []}
  - id: all
    hash: "sha256:cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc"
identities:
  - {jwt: {issuer: https://idp.acme.example, subject: ci}}
  - {mtls: {san: "spiffe://acme/ci"}}
---
kind: Customer
id: globex
status: banned
---
kind: License
id: acme-app-2025
customer: acme
type: trial
ends: 2025-12-31
grants: []
---
kind: License
id: acme-app-2026
customer: acme
plan: gold
type: subscription
status: {suspended: {at: 2026-03-01, until: 2026-03-10, reason: unpaid, public_reason: please pay}}
zone: America/New_York
starts: 2026-01-01
ends: 2026-12-31
renews: {every: P1Y, notice: P30D, cancelled: 2026-11-20T10:00:00Z}
grace: P7D
updates: {until: 2026-06-30}
terminates: P60D
keep_versions: true
enforcement: warn
replaces: acme-app-2025
grants:
  - {product: app, versions: ">=1.0.0 <2.0.0", channels: [stable, rc]}
  - {product: app, versions: [1.4.0, v2.0.0-rc.1]}
  - {product: app, versions: []}
  - {repository: acme/tools/*, tags: ["1.4", "1.4.*", stable]}
  - {repository: acme/**, tags: all}
  - {repository: acme/x, tags: {current: {as_of: 2026-02-01}}}
  - {repository: acme/x, tags: {current: {as_of: 2026-02-01T12:00:00Z}}}
  - {repository: acme/x, tags: {current: {}}}
features: {sso: true, nodes: 10, off: false, zero: 0, empty: "", list: [], object: {}, some: [x], text: yes}
---
kind: License
id: globex-app
customer: globex
plan: gold
status: {revoked: {at: 2026-05-01T00:00:00Z, reason: fraud, public_reason: see mail}}
starts: 2026-01-01
term: P1Y
---
kind: Public
id: docs
repositories: [acme/docs/**]
tags: [latest, "1.*"]
`

func instant(t testing.TB, s string) int64 {
	t.Helper()
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return at.Unix()
}

func parse(t testing.TB, text string) *Set {
	t.Helper()
	set, err := Parse(map[string][]byte{"all.yaml": []byte(text)})
	if err != nil {
		t.Fatalf("%v", err)
	}
	return set
}

func ranges(t testing.TB, constraint string) version.Ranges {
	t.Helper()
	r, err := version.ParseConstraint(constraint)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestEveryFieldArrives(t *testing.T) {
	set := parse(t, whole)
	at := func(s string) int64 { return instant(t, s) }
	hash := func(c byte) string { return "sha256:" + string(slices.Repeat([]byte{c}, 64)) }
	want := &Set{
		Registries: []Registry{{
			ID: "main", Hosts: []string{"registry.acme.example", "registry.acme.example:5000", "[2001:db8::1]:443", "192.0.2.1"},
			Upstream: "https://harbor.internal", History: Period{days: 30}, Catalog: true,
			RevokedDigests: []RevokedDigest{{Repository: "acme/app", Digest: hash('a'), At: at("2026-03-01T00:00:00Z"), Reason: "leaked key"}},
		}},
		Products: []Product{
			{
				ID: "app", Name: "Acme App", Registry: "main",
				Repositories: []ProductRepository{{"acme/app", false, true}, {"acme/charts/app", true, true}, {"acme/nightly", false, false}},
				Variants:     []string{"alpine*", "slim"}, Requires: []string{"audit", "sso"},
			},
			{ID: "books", Name: "books", Registry: "main"},
		},
		Releases: []Release{
			{
				ID: "app-1.4.1", Product: "app", Released: new(at("2026-05-10T09:00:00Z")), CountsFrom: new(at("2026-02-01T00:00:00Z")), Channel: "lts",
				Withdrawn: &Withdrawal{At: at("2026-06-01T00:00:00Z"), Reason: "CVE-2026-1234", Except: []string{"acme", "globex"}}, Requires: []string{"beta-terms"},
			},
			{ID: "books-1", Product: "books"},
		},
		Plans: []Plan{{ID: "gold"}},
		Customers: []Customer{
			{
				ID: "acme", Name: "ACME GmbH", Zone: "Europe/Berlin",
				Labels: map[string]any{"region": "eu", "seats": int64(10), "ratio": 0.5, "vip": true, "tags": []any{"a", "b"}, "contact": map[string]any{"name": "Jo"}},
				Keys: []Key{
					{
						ID: "ci", Hash: hash('a'), Expires: at("2027-01-31T23:00:00Z"), Repositories: &[]string{"acme/app"},
						Addresses: &[]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32")},
					},
					{ID: "none", Hash: hash('b'), Expires: Never, Repositories: &[]string{}, Addresses: &[]netip.Prefix{}},
					{ID: "all", Hash: hash('c'), Expires: Never},
				},
				Identities: []Identity{{Issuer: "https://idp.acme.example", Subject: "ci"}, {SAN: "spiffe://acme/ci"}},
			},
			{ID: "globex", Name: "globex", Zone: "UTC", Banned: true},
		},
		Licenses: []License{
			{ID: "acme-app-2025", Customer: "acme", Type: Trial, Zone: "Europe/Berlin", Enforcement: "enforce", ReplacedAt: at("2026-01-01T05:00:00Z"), Grants: []Grant{}},
			{
				ID: "acme-app-2026", Customer: "acme", Plan: "gold", Type: Subscription, Zone: "America/New_York", ReplacedAt: Never,
				Suspended:    &Suspension{At: at("2026-03-01T05:00:00Z"), Until: at("2026-03-11T04:00:00Z"), Reason: "unpaid", PublicReason: "please pay"},
				KeepVersions: true, Enforcement: "warn", Replaces: "acme-app-2025",
				Grants: []Grant{
					{Product: "app", Versions: ranges(t, ">=1.0.0 <2.0.0"), Channels: []string{"stable", "rc"}, Constraint: ">=1.0.0 <2.0.0"},
					{Product: "app", Versions: ranges(t, "1.4.0||2.0.0-rc.1"), Channels: []string{"stable"}, Constraint: "1.4.0 || v2.0.0-rc.1"},
					{Product: "app", Versions: version.Ranges{}, Channels: []string{"stable"}},
					{Repository: "acme/tools/*", Tags: []string{"1.4", "1.4.*", "stable"}},
					{Repository: "acme/**", Tags: []string{"*"}},
					{Repository: "acme/x", Current: new(at("2026-02-02T05:00:00Z"))},
					{Repository: "acme/x", Current: new(at("2026-02-01T12:00:01Z"))},
					{Repository: "acme/x", Current: new(at("2026-01-01T05:00:01Z"))},
				},
				Features: map[string]any{
					"sso": true, "nodes": int64(10), "off": false, "zero": int64(0), "empty": "", "list": []any{}, "object": map[string]any{}, "some": []any{"x"}, "text": "yes",
				},
			},
			{
				ID: "globex-app", Customer: "globex", Plan: "gold", Type: Subscription, Zone: "UTC", Enforcement: "enforce", ReplacedAt: Never,
				Revoked: &Revocation{At: at("2026-05-01T00:00:00Z"), Reason: "fraud", PublicReason: "see mail"},
				Grants:  []Grant{{Product: "app", Versions: ranges(t, ">=1.0.0 <3.0.0"), Channels: []string{"stable"}, Constraint: ">=1.0.0 <3.0.0"}},
			},
		},
		Public: []Public{{ID: "docs", Repositories: []string{"acme/docs/**"}, Tags: []string{"latest", "1.*"}}},
	}
	diff := cmp.Diff(want, set,
		cmp.AllowUnexported(Period{}), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
		cmpopts.IgnoreUnexported(Set{}, License{}), cmpopts.IgnoreTypes(Position{}, version.Version{}, []version.Version{}))
	if diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}

	if got := set.Releases[0].Version.String(); got != "1.4.1" {
		t.Errorf("the release is of %s", got)
	}
	l := set.License("acme-app-2026")
	if got, want := l.Schedule(0), (Schedule{
		Starts: at("2026-01-01T05:00:00Z"), Ends: at("2027-01-01T05:00:00Z"), Updates: at("2026-07-01T04:00:00Z"),
		Grace: at("2027-01-08T05:00:00Z"), Terminates: at("2027-03-02T05:00:00Z"),
	}); got != want {
		t.Errorf("schedule: got  %s\nwant %s", show(got), show(want))
	}
	if got, want := l.Held(), []string{"nodes", "some", "sso", "text"}; !slices.Equal(got, want) {
		t.Errorf("held features %v, want %v", got, want)
	}
	if l.Pos != (Position{"all.yaml", 70, 1}) || l.Grants[1].Pos != (Position{"all.yaml", 88, 5}) {
		t.Errorf("places: %v, %v", l.Pos, l.Grants[1].Pos)
	}
	for _, g := range l.Grants {
		if want := g.Product == "app" && g.Constraint == ""; g.Empty() != want {
			t.Errorf("%v: empty is %v", g, g.Empty())
		}
	}
	if set.Customer("nobody") != nil || set.Customer("globex") == nil || set.Product("app") == nil || set.Registry("main") == nil || set.License("zzz") != nil {
		t.Error("a lookup by id went wrong")
	}
}

// The plan has every field that a license may leave out; each row overrides some.
func TestALicenseOverridesItsPlan(t *testing.T) {
	const plan = "kind: Plan\nid: p\ntype: subscription\nzone: Europe/Berlin\nstarts: 2026-01-01\naligned: {fiscal_year_ends: 06-30}\nminimum_term: P9M\n" +
		"renews: {every: P1Y, notice: P30D}\ngrace: P14D\nupdates: {period: P1Y}\nterminates: P60D\nkeep_versions: true\nenforcement: warn\n" +
		"grants: [{repository: a/b, tags: all}, {repository: a/c, tags: all}]\nfeatures: {sso: true, limits: {nodes: 5, users: 7}}\n"
	at := func(s string) int64 { return instant(t, s) }
	base := Schedule{
		Starts: at("2025-12-31T23:00:00Z"), Ends: at("2028-06-30T22:00:00Z"), Updates: at("2026-12-31T23:00:00Z"),
		Grace: at("2028-07-14T22:00:00Z"), Terminates: at("2028-08-29T22:00:00Z"),
	}
	with := func(change func(*Schedule)) Schedule { s := base; change(&s); return s }
	for _, c := range []struct {
		name, lines string
		want        Schedule
	}{
		{"nothing", "", base},
		{"zone", "zone: UTC", Schedule{at("2026-01-01T00:00:00Z"), at("2028-07-01T00:00:00Z"), at("2027-01-01T00:00:00Z"), at("2028-07-15T00:00:00Z"), at("2028-08-30T00:00:00Z")}},
		{"a date drops aligned and its minimum", "ends: 2026-03-31", with(func(s *Schedule) {
			s.Ends, s.Grace, s.Terminates = at("2027-03-31T22:00:00Z"), at("2027-04-14T22:00:00Z"), at("2027-05-30T22:00:00Z")
		})},
		{"so does a term", "term: P3M", with(func(s *Schedule) {
			s.Ends, s.Grace, s.Terminates = at("2027-03-31T22:00:00Z"), at("2027-04-14T22:00:00Z"), at("2027-05-30T22:00:00Z")
		})},
		{"and aligned itself", "aligned: {fiscal_year_ends: 06-30}", with(func(s *Schedule) {
			s.Ends, s.Grace, s.Terminates = at("2027-06-30T22:00:00Z"), at("2027-07-14T22:00:00Z"), at("2027-08-29T22:00:00Z")
		})},
		{"aligned is replaced, not merged", "aligned: calendar-year\nminimum_term: P9M", with(func(s *Schedule) {
			s.Ends, s.Grace, s.Terminates = at("2027-12-31T23:00:00Z"), at("2028-01-14T23:00:00Z"), at("2028-02-29T23:00:00Z")
		})},
		{"the minimum alone", "minimum_term: P1M", with(func(s *Schedule) {
			s.Ends, s.Grace, s.Terminates = at("2027-06-30T22:00:00Z"), at("2027-07-14T22:00:00Z"), at("2027-08-29T22:00:00Z")
		})},
		{"updates are replaced, not merged", "updates: {until: 2026-02-28}", with(func(s *Schedule) { s.Updates = at("2026-02-28T23:00:00Z") })},
		{"renews merges", "renews: {cancelled: 2026-01-02T00:00:00Z}", with(func(s *Schedule) {
			s.Ends, s.Grace, s.Terminates = at("2027-06-30T22:00:00Z"), at("2027-07-14T22:00:00Z"), at("2027-08-29T22:00:00Z")
		})},
		{"grace", "grace: P0D", with(func(s *Schedule) { s.Grace = s.Ends })},
		{"termination", "terminates: 2040-12-31", with(func(s *Schedule) { s.Terminates = at("2040-12-31T23:00:00Z") })},
	} {
		set := parse(t, plan+"---\nkind: Customer\nid: c\n---\nkind: License\nid: l\ncustomer: c\nplan: p\n"+c.lines+"\n")
		if got := set.License("l").Schedule(at("2026-02-01T00:00:00Z")); got != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", c.name, show(got), show(c.want))
		}
	}
	l := parse(t, plan+"---\nkind: Customer\nid: c\n---\nkind: License\nid: l\ncustomer: c\nplan: p\nkeep_versions: false\n"+
		"enforcement: enforce\ngrants: [{repository: a/d, tags: []}]\nfeatures: {audit: true, limits: {nodes: 6}}\n").License("l")
	if l.KeepVersions || l.Enforcement != "enforce" || len(l.Grants) != 1 || l.Grants[0].Repository != "a/d" {
		t.Errorf("values and lists are the license's: %+v", l)
	}
	want := map[string]any{"sso": true, "audit": true, "limits": map[string]any{"nodes": int64(6), "users": int64(7)}}
	if diff := cmp.Diff(want, l.Features); diff != "" {
		t.Errorf("objects merge (-want +got)\n%s", diff)
	}
}

func TestTheEarliestReplacementCounts(t *testing.T) {
	license := func(id, starts, more string) string {
		return fmt.Sprintf("---\nkind: License\nid: %s\ncustomer: c\ntype: subscription\nstarts: %s\nends: 2030-12-31\ngrants: []\n%s\n", id, starts, more)
	}
	set := parse(t, "kind: Customer\nid: c\n"+license("a", "2026-01-01", "")+license("b", "2026-06-01", "replaces: a")+
		license("c", "2026-03-01", "replaces: a")+license("d", "2027-01-01", "replaces: b"))
	for id, want := range map[string]int64{
		"a": instant(t, "2026-03-01T00:00:00Z"), "b": instant(t, "2027-01-01T00:00:00Z"), "c": Never, "d": Never,
	} {
		if got := set.License(id).ReplacedAt; got != want {
			t.Errorf("%s is replaced at %d, want %d", id, got, want)
		}
	}
}
