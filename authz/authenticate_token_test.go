package authz

import (
	"context"
	"crypto/sha256"
	"fmt"
	"testing"
)

// A token says who asks exactly while it is good, here, its key is there and that customer's; and
// never more than the key itself would say.
func TestTokensAreAsGoodAsTheirKey(t *testing.T) {
	checked := 0
	for _, notBefore := range []int64{noon - 1, noon, noon + 1} {
		for _, expires := range []int64{noon - 1, noon, noon + 1, noon + 300} {
			for _, audience := range []string{"registry.example", "listed.example", "registry.example:443", "REGISTRY.example", ""} {
				for _, customer := range []string{"acme", "globex", Anybody, ""} {
					for _, isKnown := range []bool{true, false} {
						for _, keyExpires := range []int64{noon, noon + 100, Never} {
							for _, identity := range []string{"", "acme", "globex"} {
								gen := newGeneration()
								gen.key.Expires = keyExpires
								r := pull()
								r.Credential = Credential{Kind: CredentialToken, Token: Token{Customer: customer, Audience: audience, NotBefore: notBefore, Expires: expires}}
								if isKnown {
									r.Credential.Hash = known.Hash
								}
								if identity != "" {
									r.Identity = Identity{SAN: "spiffe://ci"}
									gen.identities = map[Identity]string{r.Identity: identity}
								}
								good := notBefore <= noon && noon < expires && audience == "registry.example"
								want := caller{Subject: anonymous, Recorded: anonymous, Refusal: CodeUnknownKey}
								who := Subject{Customer: "acme", Key: "ci", Via: "token"}
								switch {
								case good && customer == Anybody && identity == "":
									want.Refusal = CodeAnonymous
								case good && customer == Anybody:
									s := Subject{Customer: identity, Key: "jwt", Via: "jwt"}
									want = caller{Subject: s, Recorded: s}
								case good && customer == "acme" && isKnown && identity != "globex" && noon >= keyExpires:
									want = caller{Subject: anonymous, Recorded: who, Refusal: CodeKeyExpired}
								case good && customer == "acme" && isKnown && identity != "globex":
									want = caller{Subject: who, Recorded: who, UseKey: true, Key: Key{Expires: min(keyExpires, expires)}}
								}
								got := authenticate(gen, r, noon)
								if got.Subject != want.Subject || got.Recorded != want.Recorded || got.Refusal != want.Refusal || got.UseKey != want.UseKey || got.BadKey || got.Key.Expires != want.Key.Expires {
									t.Errorf("%s: %+v, want %+v", fmt.Sprint(notBefore-noon, expires-noon, audience, customer, isKnown, keyExpires, identity), got, want)
								}
								checked++
							}
						}
					}
				}
			}
		}
	}
	t.Log(checked, "combinations")
}

// What is decided with a token holds no longer than the token, also from the cache.
func TestDecisionsWithATokenEndWithIt(t *testing.T) {
	gen := newGeneration()
	b := newBench(gen, withCache(mapCache{}))
	token := func(r *Request) {
		r.Credential = Credential{Kind: CredentialToken, Hash: known.Hash, Token: Token{Customer: "acme", Audience: r.Host, NotBefore: noon - 10, Expires: noon + 300}}
	}
	expect(t, b.Decide(context.Background(), pull()), OutcomeAllow, 200, CodeOK)
	d := b.Decide(context.Background(), with(token))
	expect(t, d, OutcomeAllow, 200, CodeOK)
	if d.Verdict.Until != noon+300 || d.Subject.Via != "token" || b.records[1].Subject.Via != "token" {
		t.Errorf("until %d, %+v", d.Verdict.Until, d.Subject)
	}
	b.at = noon + 299
	expect(t, b.Decide(context.Background(), with(token)), OutcomeAllow, 200, CodeOK)
	b.at = noon + 300
	for _, k := range askedKinds {
		if k != KindVersion { // a token is for a host
			expect(t, b.Decide(context.Background(), with(kind(k), token)), OutcomeDeny, 401, CodeUnknownKey)
		}
	}
	expect(t, b.Decide(context.Background(), pull()), OutcomeAllow, 200, CodeOK)
}

// Tokens that have become old, or are of another place, are refused and not counted: a client with one would be
// kept from getting another. Forged ones, which cost a signature each, are counted.
func TestForgedTokensAreBadKeysAndOldOnesAreNot(t *testing.T) {
	b := newBench(newGeneration(), limitedTo(3))
	token := func(expires int64) func(*Request) {
		return func(r *Request) {
			r.Credential = Credential{Kind: CredentialToken, Hash: known.Hash, Token: Token{Customer: "acme", Audience: r.Host, Expires: expires}}
		}
	}
	forged := func(n int) func(*Request) {
		return func(r *Request) {
			r.Credential = Credential{Kind: CredentialForgedToken, Hash: sha256.Sum256([]byte{byte(n)})}
		}
	}
	decide := func(change func(*Request)) *Decision { return b.Decide(context.Background(), with(change)) }
	others := func() {
		t.Helper()
		for range 5 {
			expect(t, decide(credential(CredentialInvalidToken)), OutcomeDeny, 401, CodeUnknownKey)
			expect(t, decide(credential(CredentialToken)), OutcomeDeny, 401, CodeUnknownKey) // expired, of no key
			expect(t, decide(token(noon)), OutcomeDeny, 401, CodeUnknownKey)
			expect(t, decide(token(noon+300)), OutcomeAllow, 200, CodeOK)
			expect(t, decide(nobody), OutcomeDeny, 401, CodeAnonymous)
		}
	}
	others()
	for n := range 3 {
		expect(t, decide(forged(n)), OutcomeDeny, 401, CodeUnknownKey)
	}
	for n := range 3 {
		expect(t, decide(forged(n)), OutcomeDeny, 429, CodeRateLimited)
		expect(t, decide(bad(byte(n))), OutcomeDeny, 429, CodeRateLimited)
	}
	others()
}

func TestGateGivesTokensToWhoMayLogIn(t *testing.T) {
	for _, c := range []struct {
		name    string
		change  func(*Request)
		spoil   func(*fakeGeneration)
		outcome Outcome
		status  int
		code    Code
		subject Subject
	}{
		{"a key", nil, nil, OutcomeAnswer, 200, CodeOK, Subject{"acme", "ci", "key"}},
		{"a key of another place", nil, func(g *fakeGeneration) { g.key.Addresses = nil; g.key.InScope = func(string) bool { return false } }, OutcomeAnswer, 200, CodeOK, Subject{"acme", "ci", "key"}},
		{"no key", nobody, nil, OutcomeAnswer, 200, CodeOK, anonymous},
		{"an identity", func(r *Request) { nobody(r); r.Identity.SAN = "spiffe://x" }, func(g *fakeGeneration) { g.identities = map[Identity]string{{SAN: "spiffe://x"}: "globex"} }, OutcomeAnswer, 200, CodeOK, Subject{"globex", "jwt", "jwt"}},
		{"a key of nobody", bad(1), nil, OutcomeDeny, 401, CodeUnknownKey, anonymous},
		{"what is no key", credential(CredentialInvalid), nil, OutcomeDeny, 401, CodeUnknownKey, anonymous},
		{"a key that has expired", nil, func(g *fakeGeneration) { g.key.Expires = noon }, OutcomeDeny, 401, CodeKeyExpired, Subject{"acme", "ci", "key"}},
		{"a token", func(r *Request) {
			r.Credential = Credential{Kind: CredentialToken, Hash: sha256.Sum256([]byte("known")), Token: Token{Customer: "acme", Audience: r.Host, Expires: noon + 9}}
		}, nil, OutcomeDeny, 401, CodeUnknownKey, anonymous},
		{"a token of anybody", func(r *Request) {
			r.Credential = Credential{Kind: CredentialToken, Token: Token{Customer: Anybody, Audience: r.Host, Expires: noon + 9}}
		}, nil, OutcomeDeny, 401, CodeUnknownKey, anonymous},
		{"a token of another place", credential(CredentialInvalidToken), nil, OutcomeDeny, 401, CodeUnknownKey, anonymous},
		{"a forged token", credential(CredentialForgedToken), nil, OutcomeDeny, 401, CodeUnknownKey, anonymous},
		{"another host", func(r *Request) { r.Host = "elsewhere.example" }, nil, OutcomeDeny, 404, CodeUnknownRepository, anonymous},
		{"a policy that lets nobody log in", nil, func(g *fakeGeneration) { g.evaluate = denying(CodeNoLicense) }, OutcomeDeny, 403, CodeNoLicense, Subject{"acme", "ci", "key"}},
		{"a stale bundle", nil, func(g *fakeGeneration) { g.notAfter = noon }, OutcomeError, 503, CodeStale, anonymous},
	} {
		t.Run(c.name, func(t *testing.T) {
			gen := newGeneration()
			if c.spoil != nil {
				c.spoil(gen)
			}
			r := &Request{Kind: KindToken, Method: "POST", Host: "registry.example", Path: "/pullgate/token", TokenPath: "/pullgate/token", Credential: known, Pulls: []string{"acme/app"}, N: -1}
			if c.change != nil {
				c.change(r)
			}
			b := newBench(gen)
			d := b.Decide(context.Background(), r)
			expect(t, d, c.outcome, c.status, c.code)
			if d.Subject != c.subject {
				t.Errorf("%+v", d.Subject)
			}
			if rec := b.records[0]; rec.Action != "ping" || rec.Request.Method != "POST" || rec.Request.Path != "/pullgate/token" {
				t.Errorf("%+v", rec)
			}
			for _, in := range gen.inputs { // a login is a login
				if in.Kind != KindPing || in.Action != "ping" || in.Request.Path != "/v2/" || in.Request.Method != "GET" {
					t.Errorf("the policy was asked %+v", in)
				}
			}
		})
	}
}
