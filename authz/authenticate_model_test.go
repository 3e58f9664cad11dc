package authz

import (
	"fmt"
	"net/netip"
	"testing"
)

// Everything that a request can say about who asks, against what it means: each condition of
// authenticate decides somewhere here.
func TestAuthenticateIsTheTable(t *testing.T) {
	const own, other, nobody = "acme", "globex", ""
	halves := []string{"absent", own, other, nobody}
	checked := 0
	for _, credential := range []CredentialKind{CredentialInvalid, CredentialNone, CredentialKey} {
		for _, isKnown := range []bool{true, false} {
			for _, expires := range []int64{noon - 1, noon, noon + 1, Never} {
				for _, jwt := range halves {
					for _, san := range halves {
						gen := newGeneration()
						gen.key.Expires = expires
						gen.identities = map[Identity]string{}
						r := pull()
						r.Credential = Credential{Kind: credential}
						if credential == CredentialKey && isKnown {
							r.Credential = known
						}
						if jwt != "absent" {
							r.Identity.JWTIssuer, r.Identity.JWTSubject = "https://idp", "ci"
						}
						if san != "absent" {
							r.Identity.SAN = "spiffe://ci"
						}
						identify(gen, Identity{JWTIssuer: "https://idp", JWTSubject: "ci"}, jwt)
						identify(gen, Identity{SAN: "spiffe://ci"}, san)
						if jwt == san { // both of one customer, or nobody's
							identify(gen, r.Identity, jwt)
						}
						var vouched Subject
						whole := false
						if !r.Identity.IsZero() {
							vouched, whole = gen.Identify(r.Identity)
						}

						key := Subject{Customer: own, Key: "ci", Via: "key"}
						want := caller{Subject: anonymous, Recorded: anonymous, Refusal: CodeUnknownKey}
						switch {
						case credential == CredentialKey && isKnown && jwt != other && san != other && expires > noon:
							want = caller{Subject: key, Recorded: key, UseKey: true}
						case credential == CredentialKey && isKnown && jwt != other && san != other:
							want = caller{Subject: anonymous, Recorded: key, Refusal: CodeKeyExpired}
						case credential == CredentialNone && r.Identity.IsZero():
							want.Refusal = CodeAnonymous
						case credential == CredentialNone && whole:
							want = caller{Subject: vouched, Recorded: vouched}
						}
						got := authenticate(gen, r, noon)
						name := fmt.Sprintf("credential %d, known %v, expires %d, jwt of %q, san of %q", credential, isKnown, expires-noon, jwt, san)
						if got.Subject != want.Subject || got.Recorded != want.Recorded || got.Refusal != want.Refusal || got.UseKey != want.UseKey {
							t.Errorf("%s: %+v, want %+v", name, got, want)
						}
						if badKey := credential != CredentialNone && want.Refusal == CodeUnknownKey; got.BadKey != badKey {
							t.Errorf("%s: counted as a bad key %v", name, got.BadKey)
						}
						if got.UseKey != (got.Key.Customer == own) {
							t.Errorf("%s: limits of key %+v", name, got.Key)
						}
						checked++
					}
				}
			}
		}
	}
	if checked != 3*2*4*16 {
		t.Errorf("%d combinations", checked)
	}
}

// identify makes an identity that of a customer; "absent" and "" are nobody's.
func identify(gen *fakeGeneration, id Identity, customer string) {
	if customer != "absent" && customer != "" && !id.IsZero() {
		gen.identities[id] = customer
	}
}

// The limits of a key narrow only what is asked with that key.
func TestLimitsOfAKeyAreTheTable(t *testing.T) {
	office := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32")}
	for _, c := range []struct {
		name    string
		who     caller
		address string
		want    bool
	}{
		{"no key", caller{Key: Key{Addresses: []netip.Prefix{}}}, "192.0.2.7", true},
		{"no limits", caller{UseKey: true}, "192.0.2.7", true},
		{"no limits, no address", caller{UseKey: true}, "", true},
		{"nowhere", caller{UseKey: true, Key: Key{Addresses: []netip.Prefix{}}}, "10.0.0.7", false},
		{"first network", caller{UseKey: true, Key: Key{Addresses: office}}, "10.0.0.7", true},
		{"second network", caller{UseKey: true, Key: Key{Addresses: office}}, "2001:db8::1", true},
		{"IPv4 in IPv6", caller{UseKey: true, Key: Key{Addresses: office}}, "::ffff:10.0.0.7", true},
		{"elsewhere", caller{UseKey: true, Key: Key{Addresses: office}}, "192.0.2.7", false},
		{"no address", caller{UseKey: true, Key: Key{Addresses: office}}, "", false},
	} {
		var a netip.Addr
		if c.address != "" {
			a = netip.MustParseAddr(c.address)
		}
		if got := c.who.reachesFrom(a); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
	only := func(repository string) bool { return repository == "acme/app" }
	for _, c := range []struct {
		name       string
		who        caller
		repository string
		want       bool
	}{
		{"no key", caller{Key: Key{InScope: only}}, "acme/lib", true},
		{"no limits", caller{UseKey: true}, "acme/lib", true},
		{"in", caller{UseKey: true, Key: Key{InScope: only}}, "acme/app", true},
		{"out", caller{UseKey: true, Key: Key{InScope: only}}, "acme/lib", false},
		{"no repository", caller{UseKey: true, Key: Key{InScope: only}}, "", true},
	} {
		if got := c.who.reaches(c.repository); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}
