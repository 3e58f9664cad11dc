package authz

import (
	"context"
	"net/netip"
	"strings"
	"testing"
)

func TestGateFindsOutWhoAsks(t *testing.T) {
	jwt := Identity{JWTIssuer: "https://idp", JWTSubject: "ci"}
	san := Identity{SAN: "spiffe://acme/ci"}
	both := Identity{JWTIssuer: jwt.JWTIssuer, JWTSubject: jwt.JWTSubject, SAN: san.SAN}
	identity := func(id Identity) func(*Request) { return func(r *Request) { r.Identity = id } }
	for _, c := range []struct {
		name       string
		request    *Request
		identities map[Identity]string
		want       Subject // with ""-customer: refused with code
		code       Code
	}{
		{"key", pull(), nil, Subject{"acme", "ci", "key"}, ""},
		{"no key", with(nobody), nil, anonymous, CodeAnonymous},
		{"no well-formed key", with(credential(CredentialInvalid)), nil, anonymous, CodeUnknownKey},
		{"a key of nobody", with(credential(CredentialKey)), nil, anonymous, CodeUnknownKey},
		{"identity", with(nobody, identity(jwt)), map[Identity]string{jwt: "globex"}, Subject{"globex", "jwt", "jwt"}, ""},
		{"identity of nobody", with(nobody, identity(jwt)), nil, anonymous, CodeUnknownKey},
		{"identity beside garbage", with(credential(CredentialInvalid), identity(jwt)), map[Identity]string{jwt: "acme"}, anonymous, CodeUnknownKey},
		{"key and its own identity", with(identity(jwt)), map[Identity]string{jwt: "acme"}, Subject{"acme", "ci", "key"}, ""},
		{"key and another's identity", with(identity(jwt)), map[Identity]string{jwt: "globex"}, anonymous, CodeUnknownKey},
		{"key and nobody's identity", with(identity(san)), nil, Subject{"acme", "ci", "key"}, ""},
		{"key and identities of two", with(identity(both)), map[Identity]string{jwt: "acme", san: "globex"}, anonymous, CodeUnknownKey},
	} {
		t.Run(c.name, func(t *testing.T) {
			gen := newGeneration()
			gen.identities = c.identities
			d := newBench(gen).Decide(context.Background(), c.request)
			if d.Subject != c.want {
				t.Errorf("subject %+v, want %+v", d.Subject, c.want)
			}
			if c.code != "" {
				expect(t, d, OutcomeDeny, 401, c.code)
			}
		})
	}
}

func TestGateRefusesAnExpiredKeyAndNamesItInTheRecord(t *testing.T) {
	gen := newGeneration()
	gen.key.Expires = noon
	b := newBench(gen, withCache(mapCache{}))
	b.at = noon - 1
	d := b.Decide(context.Background(), pull())
	expect(t, d, OutcomeAllow, 200, CodeOK)
	if d.Verdict.Until != noon {
		t.Errorf("until %d, want the key's expiry %d", d.Verdict.Until, noon)
	}
	b.at = noon
	for _, k := range []Kind{KindPing, KindManifest, KindTags} {
		d := b.Decide(context.Background(), with(kind(k)))
		expect(t, d, OutcomeDeny, 401, CodeKeyExpired)
		if gen.inputs[len(gen.inputs)-1].Subject != anonymous {
			t.Error("the policy was asked about the customer of an expired key")
		}
		if r := b.records[len(b.records)-1]; r.Subject.Customer != "acme" || r.Subject.Key != "ci" || r.Until != nil {
			t.Errorf("record %+v", r)
		}
	}
}

func TestGateOpensPublicTagsToAnyone(t *testing.T) {
	public := func(_ context.Context, in *Input) (Verdict, error) {
		return Verdict{Allow: in.Subject == anonymous, Code: CodePublic, Until: Never, Ends: Never}, nil
	}
	for name, change := range map[string]func(*Request, *fakeGeneration){
		"anonymous":            func(r *Request, _ *fakeGeneration) { nobody(r) },
		"unknown key":          func(r *Request, _ *fakeGeneration) { credential(CredentialInvalid)(r) },
		"expired key":          func(_ *Request, g *fakeGeneration) { g.key.Expires = noon },
		"key of another place": func(_ *Request, g *fakeGeneration) { g.key.Addresses = []netip.Prefix{} },
		"key of other repositories": func(_ *Request, g *fakeGeneration) {
			g.key.InScope = func(string) bool { return false }
		},
	} {
		gen, r := newGeneration(), pull()
		gen.evaluate = public
		change(r, gen)
		d := newBench(gen).Decide(context.Background(), r)
		if d.Outcome != OutcomeAllow || d.Code != CodePublic {
			t.Errorf("%s: %+v", name, d)
		}
		if strings.HasSuffix(name, "expired key") && d.Subject != anonymous {
			t.Errorf("%s: given to %+v", name, d.Subject)
		}
	}
}

func TestGateKeepsKeysWithinTheirLimits(t *testing.T) {
	net := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	only := func(repository string) bool { return repository == "acme/tools" }
	for _, c := range []struct {
		name    string
		key     Key
		named   bool
		request *Request
		outcome Outcome
		status  int
		code    Code
	}{
		{"address in", Key{Addresses: net}, true, pull(), OutcomeAllow, 200, CodeOK},
		{"address in, as IPv4 in IPv6", Key{Addresses: net}, true, with(func(r *Request) { r.Address = netip.MustParseAddr("::ffff:10.1.2.3") }), OutcomeAllow, 200, CodeOK},
		{"address out", Key{Addresses: net}, true, with(func(r *Request) { r.Address = netip.MustParseAddr("192.0.2.7") }), OutcomeDeny, 403, CodeKeyScope},
		{"address unknown", Key{Addresses: net}, true, with(func(r *Request) { r.Address = netip.Addr{} }), OutcomeDeny, 403, CodeKeyScope},
		{"no address at all", Key{Addresses: []netip.Prefix{}}, true, pull(), OutcomeDeny, 403, CodeKeyScope},
		{"address out, no right", Key{Addresses: []netip.Prefix{}}, false, pull(), OutcomeDeny, 404, CodeUnknownRepository},
		{"address out, login", Key{Addresses: []netip.Prefix{}}, true, with(kind(KindPing)), OutcomeAnswer, 200, CodeOK},
		{"address out, version", Key{Addresses: []netip.Prefix{}}, true, with(kind(KindVersion)), OutcomeDeny, 403, CodeKeyScope},
		{"repository in", Key{InScope: only}, true, with(func(r *Request) { r.Repository = "acme/tools" }), OutcomeAllow, 200, CodeOK},
		{"repository out", Key{InScope: only}, true, pull(), OutcomeDeny, 403, CodeKeyScope},
		{"repository out, by digest", Key{InScope: only}, true, with(kind(KindBlob)), OutcomeDeny, 403, CodeKeyScope},
		{"repository out, list", Key{InScope: only}, true, with(kind(KindTags)), OutcomeDeny, 403, CodeKeyScope},
		{"repository out, no right", Key{InScope: only}, false, pull(), OutcomeDeny, 404, CodeUnknownRepository},
	} {
		t.Run(c.name, func(t *testing.T) {
			gen := newGeneration()
			gen.key, gen.named = c.key, c.named
			gen.key.Customer, gen.key.ID, gen.key.Expires = "acme", "ci", noon+10
			d := newBench(gen).Decide(context.Background(), c.request)
			expect(t, d, c.outcome, c.status, c.code)
			if c.code == CodeKeyScope {
				if d.Verdict.Until != Never {
					t.Errorf("a refusal by the key's limits has until %d", d.Verdict.Until)
				}
				if gen.askedAs("acme") {
					t.Error("the policy was asked about the customer, out of the key's scope")
				}
			}
		})
	}
}
