package token_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jws"
	"github.com/lestrrat-go/jwx/v3/jwt"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/pullgate/pullgate/authz"
	"github.com/pullgate/pullgate/authz/token"
)

const noon = int64(1_780_000_000)

func newKey(t testing.TB) ed25519.PrivateKey {
	t.Helper()
	key, err := token.GenerateKey()
	must(t, err)
	return key
}

func newIssuer(t testing.TB, keys ...ed25519.PrivateKey) *token.Issuer {
	t.Helper()
	i, err := token.New(token.Config{Keys: keys})
	must(t, err)
	return i
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// asked is a request for a token, and the decision to give it to acme.
func asked(pulls ...string) (*authz.Request, *authz.Decision) {
	return &authz.Request{
		Kind: authz.KindToken, Method: "GET", Host: "registry.example", Pulls: pulls,
		Credential: authz.Credential{Kind: authz.CredentialKey, Hash: sha256.Sum256([]byte("key"))},
	}, &authz.Decision{
		ID: "D1", Time: time.Unix(noon, 999), Outcome: authz.OutcomeAnswer, Status: 200, Code: authz.CodeOK,
		Subject: authz.Subject{Customer: "acme", Key: "ci", Via: "key"},
	}
}

type answer struct {
	Token       string `json:"token"`
	AccessToken string `json:"access_token"`
	ExpiresIn   int64  `json:"expires_in"`
	IssuedAt    string `json:"issued_at"`
}

func issue(t testing.TB, i *token.Issuer, r *authz.Request, d *authz.Decision) answer {
	t.Helper()
	p := i.Reply(r, d)
	var a answer
	dec := json.NewDecoder(bytes.NewReader(p.Body))
	dec.DisallowUnknownFields() // no refresh_token
	if err := dec.Decode(&a); err != nil || p.Status != 200 || p.Allow {
		t.Fatalf("%v: %+v %s", err, p, p.Body)
	}
	return a
}

func payload(t testing.TB, tok string) map[string]any {
	t.Helper()
	body, err := base64.RawURLEncoding.DecodeString(strings.Split(tok, ".")[1])
	must(t, err)
	var claims map[string]any
	must(t, json.Unmarshal(body, &claims))
	return claims
}

func TestATokenSaysWhoForWhereAndHowLong(t *testing.T) {
	key := newKey(t)
	i := newIssuer(t, key)
	r, d := asked("acme/app", "localhost:5000/acme/lib")
	a := issue(t, i, r, d)
	if a.Token != a.AccessToken || a.ExpiresIn != 300 || a.IssuedAt != time.Unix(noon, 0).UTC().Format(time.RFC3339) {
		t.Errorf("%+v", a)
	}
	hash := sha256.Sum256([]byte("key"))
	want := map[string]any{
		"iss": "pullgate", "sub": "acme", "aud": "registry.example", "jti": "D1",
		"iat": float64(noon), "nbf": float64(noon - 10), "exp": float64(noon + 300),
		"key": base64.RawURLEncoding.EncodeToString(hash[:]),
		"access": []any{
			map[string]any{"type": "repository", "name": "acme/app", "actions": []any{"pull"}},
			map[string]any{"type": "repository", "name": "localhost:5000/acme/lib", "actions": []any{"pull"}},
		},
	}
	if got := payload(t, a.Token); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("says %v\nwant %v", got, want)
	}
	c, ok := i.Read(a.Token)
	if !ok || c != (authz.Credential{
		Kind: authz.CredentialToken, Hash: hash,
		Token: authz.Token{Customer: "acme", Audience: "registry.example", NotBefore: noon - 10, Expires: noon + 300},
	}) {
		t.Errorf("read %v %+v", ok, c)
	}
	// Another implementation agrees.
	_, err := jwt.Parse([]byte(a.Token), jwt.WithKey(jwa.EdDSA(), key.Public()), jwt.WithAudience("registry.example"), jwt.WithClock(jwt.ClockFunc(func() time.Time { return time.Unix(noon, 0) })))
	must(t, err)
	message, err := jws.Parse([]byte(a.Token))
	must(t, err)
	id, err := token.KeyID(key.Public().(ed25519.PublicKey))
	must(t, err)
	if kid, _ := message.Signatures()[0].ProtectedHeaders().KeyID(); kid != id || len(id) != 16 {
		t.Errorf("kid %q, want %q", kid, id)
	}
}

func TestTokensListOnlyWhatWasAskedForHere(t *testing.T) {
	i := newIssuer(t, newKey(t))
	for _, c := range []struct {
		name   string
		change func(*authz.Request, *authz.Decision)
		sub    string
		names  int
	}{
		{"this service", func(r *authz.Request, _ *authz.Decision) { r.Service = r.Host }, "acme", 1},
		{"no service", func(*authz.Request, *authz.Decision) {}, "acme", 1},
		{"another service", func(r *authz.Request, _ *authz.Decision) { r.Service = "elsewhere.example" }, "acme", 0},
		{"nothing", func(r *authz.Request, _ *authz.Decision) { r.Pulls = nil }, "acme", 0},
		{"nobody", func(r *authz.Request, d *authz.Decision) {
			r.Credential, d.Subject = authz.Credential{Kind: authz.CredentialNone}, authz.Subject{Via: "anonymous"}
		}, "anonymous", 0},
		{"who Envoy vouches for", func(r *authz.Request, d *authz.Decision) {
			r.Credential, d.Subject = authz.Credential{Kind: authz.CredentialNone}, authz.Subject{Customer: "acme", Key: "mtls", Via: "mtls"}
		}, "anonymous", 0},
		{"a key that counts for nobody", func(_ *authz.Request, d *authz.Decision) { d.Subject = authz.Subject{Via: "anonymous"} }, "anonymous", 0},
	} {
		r, d := asked("acme/app")
		c.change(r, d)
		tok := issue(t, i, r, d).Token
		got := payload(t, tok)
		if got["sub"] != c.sub || got["aud"] != "registry.example" || len(got["access"].([]any)) != c.names || (got["key"] != nil) != (c.sub == "acme") {
			t.Errorf("%s: %v", c.name, got)
		}
		if read, ok := i.Read(tok); !ok || read.Token.Customer != c.sub || (read.Hash == [32]byte{}) != (c.sub != "acme") {
			t.Errorf("%s: read %+v", c.name, read)
		}
	}
}

// Everything that is no decision to give a token is said without one.
func TestNoTokenWithoutADecisionToGiveOne(t *testing.T) {
	i := newIssuer(t, newKey(t))
	for name, change := range map[string]func(*authz.Request, *authz.Decision){
		"denied": func(_ *authz.Request, d *authz.Decision) {
			d.Outcome, d.Status, d.Code = authz.OutcomeDeny, 401, authz.CodeUnknownKey
		},
		"failed":        func(_ *authz.Request, d *authz.Decision) { *d = authz.Decision{} },
		"allowed":       func(_ *authz.Request, d *authz.Decision) { d.Outcome = authz.OutcomeAllow },
		"another route": func(r *authz.Request, _ *authz.Decision) { r.Kind = authz.KindPing },
		"too long":      func(r *authz.Request, _ *authz.Decision) { r.Pulls = []string{strings.Repeat("a", 9000)} },
	} {
		r, d := asked()
		change(r, d)
		p := i.Reply(r, d)
		if bytes.Contains(p.Body, []byte("token\"")) || p.Allow || name != "another route" && p.Status == 200 {
			t.Errorf("%s: %+v %s", name, p, p.Body)
		}
	}
	if p := i.Reply(nil, nil); p.Status != 503 {
		t.Errorf("%+v", p)
	}
}

// What somebody could try who has a token, the public key and any other key.
func TestForgedTokensAreNotRead(t *testing.T) {
	key, other := newKey(t), newKey(t)
	i := newIssuer(t, key)
	r, d := asked("acme/app")
	tok := issue(t, i, r, d).Token
	parts := strings.Split(tok, ".")
	public := key.Public().(ed25519.PublicKey)
	kid, err := token.KeyID(public)
	must(t, err)
	claims, err := base64.RawURLEncoding.DecodeString(parts[1])
	must(t, err)
	spki, err := x509.MarshalPKIXPublicKey(public)
	must(t, err)
	publicPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: spki})

	encode := base64.RawURLEncoding.EncodeToString
	// with signs the claims under any header, with a key of ours or not.
	with := func(header string, sign func([]byte) []byte) string {
		signed := encode([]byte(header)) + "." + parts[1]
		return signed + "." + encode(sign([]byte(signed)))
	}
	nothing := func([]byte) []byte { return nil }
	ours := func(b []byte) []byte { return ed25519.Sign(key, b) }
	theirs := func(b []byte) []byte { return ed25519.Sign(other, b) }
	mac := func(secret []byte) func([]byte) []byte {
		return func(b []byte) []byte {
			h := hmac.New(sha256.New, secret)
			h.Write(b)
			return h.Sum(nil)
		}
	}
	embedded, err := jwk.Import(other.Public())
	must(t, err)
	must(t, embedded.Set(jwk.KeyIDKey, kid))
	headers := jws.NewHeaders()
	must(t, headers.Set(jws.JWKKey, embedded))
	must(t, headers.Set(jws.KeyIDKey, kid))
	byLibrary, err := jws.Sign(claims, jws.WithKey(jwa.EdDSA(), other, jws.WithProtectedHeaders(headers)))
	must(t, err)
	jwkText, err := json.Marshal(embedded)
	must(t, err)
	real := `{"alg":"EdDSA","kid":"` + kid + `","typ":"JWT"}`
	if with(real, ours) != tok {
		t.Fatal("this test forges another format")
	}

	for name, forged := range map[string]string{
		"alg none":                         with(`{"alg":"none","typ":"JWT"}`, nothing),
		"alg none, our kid":                with(`{"alg":"none","kid":"`+kid+`","typ":"JWT"}`, nothing),
		"alg None":                         with(`{"alg":"NoNe","kid":"`+kid+`","typ":"JWT"}`, nothing),
		"no signature":                     parts[0] + "." + parts[1] + ".",
		"no signature, no dot":             parts[0] + "." + parts[1],
		"HS256 with the public key":        with(`{"alg":"HS256","kid":"`+kid+`","typ":"JWT"}`, mac(public)),
		"HS256 with its SPKI":              with(`{"alg":"HS256","kid":"`+kid+`","typ":"JWT"}`, mac(spki)),
		"HS256 with its PEM":               with(`{"alg":"HS256","kid":"`+kid+`","typ":"JWT"}`, mac(publicPEM)),
		"HMAC under our header":            with(real, mac(public)),
		"another key under our header":     with(real, theirs),
		"another key, its own kid":         with(`{"alg":"EdDSA","kid":"0123456789abcdef","typ":"JWT"}`, theirs),
		"another key embedded":             with(`{"alg":"EdDSA","jwk":`+string(jwkText)+`,"kid":"`+kid+`","typ":"JWT"}`, theirs),
		"another key embedded, by jwx":     string(byLibrary),
		"another key at an address":        with(`{"alg":"EdDSA","jku":"https://evil.example/keys","kid":"`+kid+`","typ":"JWT"}`, theirs),
		"another key's certificate":        with(`{"alg":"EdDSA","x5u":"https://evil.example/cert","kid":"`+kid+`","typ":"JWT"}`, theirs),
		"our key, no kid":                  with(`{"alg":"EdDSA","typ":"JWT"}`, ours),
		"our key, another order":           with(`{"kid":"`+kid+`","alg":"EdDSA","typ":"JWT"}`, ours),
		"our key, a crit header":           with(`{"alg":"EdDSA","kid":"`+kid+`","typ":"JWT","crit":["exp"]}`, ours),
		"our key, another type":            with(`{"alg":"EdDSA","kid":"`+kid+`","typ":"at+jwt"}`, ours),
		"other claims":                     parts[0] + "." + encode([]byte(strings.Replace(string(claims), "acme", "acmf", 1))) + "." + parts[2],
		"a fourth part":                    tok + ".",
		"a part in front":                  "." + tok,
		"padding":                          tok + "=",
		"a line end":                       tok + "\n",
		"a line end inside":                tok[:len(tok)-8] + "\n" + tok[len(tok)-8:],
		"a space":                          tok + " ",
		"spare bits":                       spareBits(tok),
		"empty":                            "",
		"dots":                             "..",
		"1 MB":                             tok + strings.Repeat("A", 1<<20),
		"1 MB of dots":                     strings.Repeat(".", 1<<20),
		"1 MB signed by us":                signed(key, parts[0], `{"iss":"pullgate","sub":"acme","aud":"registry.example","x":"`+strings.Repeat("x", 1<<20)+`"}`),
		"signed by us, not as a token":     signed(key, parts[0], `{"sub":"acme","aud":"registry.example","exp":9999999999}`),
		"signed by us, nobody's":           signed(key, parts[0], `{"iss":"pullgate","aud":"registry.example","exp":9999999999}`),
		"signed by us, nowhere":            signed(key, parts[0], `{"iss":"pullgate","sub":"acme","exp":9999999999}`),
		"signed by us, without a key":      signed(key, parts[0], `{"iss":"pullgate","sub":"acme","aud":"registry.example","exp":9999999999}`),
		"signed by us, half a key":         signed(key, parts[0], `{"iss":"pullgate","sub":"acme","aud":"registry.example","key":"AAAA"}`),
		"signed by us, anybody with a key": signed(key, parts[0], `{"iss":"pullgate","sub":"anonymous","aud":"registry.example","key":"AAAA"}`),
		"signed by us, no JSON":            signed(key, parts[0], `{`),
	} {
		c, ok := i.Read(forged)
		if ok {
			t.Errorf("%s is read as %+v", name, c)
		}
		// Told from others is what names a key and is not signed by it: that costs a signature to see.
		bad := strings.HasPrefix(forged, parts[0]+".") && !strings.HasPrefix(name, "signed by us") && len(forged) < 10_000
		if (c.Kind == authz.CredentialForgedToken) != bad || bad != (c.Hash != [32]byte{}) {
			t.Errorf("%s: kind %d", name, c.Kind)
		}
	}
	// And every token with one bit changed.
	for n := range len(tok) {
		changed := []byte(tok)
		changed[n] ^= 1
		if c, ok := i.Read(string(changed)); ok {
			t.Fatalf("with byte %d changed: %+v", n, c)
		}
	}
	if _, ok := i.Read(tok); !ok {
		t.Error("the token itself is not read")
	}
}

func signed(key ed25519.PrivateKey, header, claims string) string {
	text := header + "." + base64.RawURLEncoding.EncodeToString([]byte(claims))
	return text + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(key, []byte(text)))
}

// spareBits sets bits of the last character that stand for nothing.
func spareBits(tok string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	at := strings.IndexByte(alphabet, tok[len(tok)-1])
	return tok[:len(tok)-1] + string(alphabet[at|1])
}

func TestKeysRotate(t *testing.T) {
	first, second := newKey(t), newKey(t)
	before, both, swapped, after := newIssuer(t, first), newIssuer(t, first, second), newIssuer(t, second, first), newIssuer(t, second)
	r, d := asked()
	for _, c := range []struct {
		name      string
		by        *token.Issuer
		readBy    []*token.Issuer
		unknownTo []*token.Issuer
	}{
		{"before", before, []*token.Issuer{before, both, swapped}, []*token.Issuer{after}},
		{"with the second key known", both, []*token.Issuer{before, both, swapped}, []*token.Issuer{after}},
		{"with the second key first", swapped, []*token.Issuer{both, swapped, after}, []*token.Issuer{before}},
		{"without the first key", after, []*token.Issuer{both, swapped, after}, []*token.Issuer{before}},
	} {
		tok := issue(t, c.by, r, d).Token
		for n, i := range c.readBy {
			if _, ok := i.Read(tok); !ok {
				t.Errorf("%s: not read by %d", c.name, n)
			}
		}
		for n, i := range c.unknownTo {
			if _, ok := i.Read(tok); ok {
				t.Errorf("%s: read by %d", c.name, n)
			}
		}
	}
}

func TestNewRefuses(t *testing.T) {
	key := newKey(t)
	for want, cfg := range map[string]token.Config{
		"no key":                                 {},
		"twice":                                  {Keys: []ed25519.PrivateKey{key, newKey(t), key}},
		"no Ed25519":                             {Keys: []ed25519.PrivateKey{key[:31]}},
		"want whole seconds from 1m0s to 1h0m0s": {Keys: []ed25519.PrivateKey{key}, TTL: 59 * time.Second},
		"tokens for 1h0m1s":                      {Keys: []ed25519.PrivateKey{key}, TTL: time.Hour + time.Second},
		"tokens for 1m0.5s":                      {Keys: []ed25519.PrivateKey{key}, TTL: time.Minute + time.Second/2},
	} {
		if i, err := token.New(cfg); i != nil || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func TestKeyFiles(t *testing.T) {
	key := newKey(t)
	text, err := token.MarshalKey(key)
	must(t, err)
	got, err := token.ParseKey(text)
	must(t, err)
	if !key.Equal(got) {
		t.Error("another key")
	}
	for name, bad := range map[string][]byte{
		"nothing": nil, "two": append(bytes.Clone(text), text...), "public": bytes.ReplaceAll(text, []byte("PRIVATE"), []byte("PUBLIC")),
		"garbage": []byte("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
		"P-256": []byte(`-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgevZzL1gdAFr88hb2
OF/2NxApJCzGCEDdfSp6VQO30hyhRANCAAQRWz+jn65BtOMvdyHKcvjBeBSDZH2r
1RTwjmYSi9R/zpBnuQ4EiMnCqfMPWiZqB4QdbAd0E7oH50VpuZ1P087G
-----END PRIVATE KEY-----
`),
	} {
		if k, err := token.ParseKey(bad); err == nil || k != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Tokens that were seen before read the same, whoever asks.
func TestReadingAgainIsReadingTheSame(t *testing.T) {
	i := newIssuer(t, newKey(t))
	const tokens = 5000 // more than are remembered
	all := make([]string, tokens)
	for n := range all {
		r, d := asked()
		d.Subject.Customer = fmt.Sprint("customer-", n)
		all[n] = issue(t, i, r, d).Token
	}
	var readers sync.WaitGroup
	for g := range 4 {
		readers.Go(func() {
			for n := range tokens / 5 {
				n = (n*7 + g*1000) % tokens
				if c, ok := i.Read(all[n]); !ok || c.Token.Customer != fmt.Sprint("customer-", n) {
					t.Errorf("token %d is %+v", n, c)
				}
			}
		})
	}
	readers.Wait()
}

func TestTokensAreCounted(t *testing.T) {
	reg := prometheus.NewRegistry()
	i, err := token.New(token.Config{Keys: []ed25519.PrivateKey{newKey(t)}, Registerer: reg})
	must(t, err)
	r, d := asked()
	tok := issue(t, i, r, d).Token
	r.Credential = authz.Credential{Kind: authz.CredentialNone}
	issue(t, i, r, d)
	i.Read(tok)
	i.Read(tok)
	i.Read(tok + "x")
	want := `# HELP pullgate_tokens_issued_total Bearer tokens given, by whom they are for (customer; anybody: given without a key).
# TYPE pullgate_tokens_issued_total counter
pullgate_tokens_issued_total{for="anybody"} 1
pullgate_tokens_issued_total{for="customer"} 1
# HELP pullgate_tokens_read_total Bearer tokens that requests came with, by whether one of the keys has signed them (valid, invalid). A valid one may have expired.
# TYPE pullgate_tokens_read_total counter
pullgate_tokens_read_total{result="invalid"} 1
pullgate_tokens_read_total{result="valid"} 2
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
}

// FuzzRead: only what this issuer made is read, whatever it looks like.
func FuzzRead(f *testing.F) {
	key := newKey(f)
	i := newIssuer(f, key)
	r, d := asked("acme/app")
	tok := issue(f, i, r, d).Token
	header := strings.Split(tok, ".")[0]
	f.Add(tok)
	f.Add(tok[:len(tok)-1])
	f.Add(header + ".e30.")
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Fuzz(func(t *testing.T, s string) {
		for _, s := range []string{s, header + "." + s, strings.Replace(tok, ".", s, 1)} {
			if c, ok := i.Read(s); ok && s != tok {
				t.Fatalf("%q is read as %+v", s, c)
			}
		}
		// Signed, any claims are a token of a customer with a key, of anybody without, or none.
		if c, ok := i.Read(signed(key, header, s)); ok && (c.Token.Customer == "" || c.Token.Audience == "" || (c.Token.Customer == authz.Anybody) != (c.Hash == [32]byte{}) && c.Hash == [32]byte{}) {
			t.Fatalf("%q is read as %+v", s, c)
		}
	})
}

func BenchmarkRead(b *testing.B) {
	i := newIssuer(b, newKey(b))
	r, d := asked("acme/app")
	tok := issue(b, i, r, d).Token
	b.Run("again", func(b *testing.B) {
		for b.Loop() {
			i.Read(tok)
		}
	})
	b.Run("signature", func(b *testing.B) {
		wrong := []byte(tok)
		wrong[len(wrong)-9] ^= 1 // never remembered
		for b.Loop() {
			i.Read(string(wrong))
		}
	})
}
