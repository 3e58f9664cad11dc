package main

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/pullgate/pullgate/authz/token"
)

const manifest140 = "/v2/acme/app/manifests/1.4.0"

// useTokensElsewhere: a token is good at the host that it was given for, as a token, and nowhere
// else.
func (a *attacked) useTokensElsewhere() {
	a.Helper()
	here, there := a.token(), a.tokenAt(mirror, "scope=repository:acme/app:pull")
	a.allowed("a token", tried{target: manifest140, authorization: "Bearer " + here})
	a.allowed("a token of the mirror, at the mirror", tried{host: mirror, target: manifest140, authorization: "Bearer " + there})
	a.allowed("a key at the mirror", tried{host: mirror, target: manifest140, authorization: a.user})
	for name, x := range map[string]tried{
		"at the mirror":        {host: mirror, authorization: "Bearer " + here},
		"of the mirror":        {authorization: "Bearer " + there},
		"as a password":        {authorization: basic("acme", here)},
		"as a password, twice": {authorization: basic(here, here)},
		"at a foreign host":    {host: "127.0.0.2", authorization: "Bearer " + here},
	} {
		x.target = manifest140
		want := http.StatusUnauthorized
		if x.host == "127.0.0.2" {
			want = http.StatusNotFound
		}
		got := a.refused("a token "+name, x, want)
		if strings.HasPrefix(x.authorization, "Bearer") && want == http.StatusUnauthorized && !strings.Contains(got.header.Get("WWW-Authenticate"), `error="invalid_token"`) {
			a.Errorf("a token %s: %v", name, got.header)
		}
	}
}

// forgeTokens: only what this pullgate wrote is a token, and only until it ends.
func (a *attacked) forgeTokens() {
	a.Helper()
	good := a.token()
	parts := strings.Split(good, ".")
	claims, err := base64.RawURLEncoding.DecodeString(parts[1])
	a.must(err)
	encode := base64.RawURLEncoding.EncodeToString
	public := a.signs.Public().(ed25519.PublicKey)
	kid, err := token.KeyID(public)
	a.must(err)
	foreign, err := token.GenerateKey()
	a.must(err)
	foreignKid, err := token.KeyID(foreign.Public().(ed25519.PublicKey))
	a.must(err)
	x := encode(foreign.Public().(ed25519.PublicKey))
	// with signs claims under a header.
	with := func(header, claims string, sign func([]byte) []byte) string {
		signed := encode([]byte(header)) + "." + encode([]byte(claims))
		return signed + "." + encode(sign([]byte(signed)))
	}
	by := func(key ed25519.PrivateKey) func([]byte) []byte {
		return func(b []byte) []byte { return ed25519.Sign(key, b) }
	}
	none := func([]byte) []byte { return nil }
	mac := func(b []byte) []byte {
		h := hmac.New(sha256.New, public)
		h.Write(b)
		return h.Sum(nil)
	}
	header := fmt.Sprintf(`{"alg":"EdDSA","kid":%q,"typ":"JWT"}`, kid)
	if with(header, string(claims), by(a.signs)) != good {
		a.Fatal("this test forges another format")
	}
	// says changes what the token says, and signs it with the real key.
	says := func(change map[string]any) string {
		var c map[string]any
		a.must(json.Unmarshal(claims, &c))
		for name, value := range change {
			if c[name] == nil {
				a.Fatalf("a token says no %s", name)
			}
			c[name] = value
		}
		text, err := json.Marshal(c)
		a.must(err)
		return with(header, string(text), by(a.signs))
	}
	a.allowed("a token written again", tried{target: manifest140, authorization: "Bearer " + says(nil)})
	now := time.Now().Unix()
	for name, forged := range map[string]string{
		"no algorithm":                with(`{"alg":"none","typ":"JWT"}`, string(claims), none),
		"no algorithm, our kid":       with(fmt.Sprintf(`{"alg":"none","kid":%q,"typ":"JWT"}`, kid), string(claims), none),
		"HS256 with the public key":   with(fmt.Sprintf(`{"alg":"HS256","kid":%q,"typ":"JWT"}`, kid), string(claims), mac),
		"HMAC under our header":       with(header, string(claims), mac),
		"a foreign key, our kid":      with(header, string(claims), by(foreign)),
		"a foreign kid":               with(fmt.Sprintf(`{"alg":"EdDSA","kid":%q,"typ":"JWT"}`, foreignKid), string(claims), by(foreign)),
		"an embedded key":             with(fmt.Sprintf(`{"alg":"EdDSA","jwk":{"kty":"OKP","crv":"Ed25519","x":%q},"kid":%q,"typ":"JWT"}`, x, kid), string(claims), by(foreign)),
		"an address of a key":         with(fmt.Sprintf(`{"alg":"EdDSA","jku":"http://%s/","kid":%q,"typ":"JWT"}`, a.addr, kid), string(claims), by(foreign)),
		"another customer":            parts[0] + "." + encode([]byte(strings.Replace(string(claims), `"acme"`, `"mill"`, 1))) + "." + parts[2],
		"no signature":                parts[0] + "." + parts[1] + ".",
		"ended a second ago":          says(map[string]any{"exp": now - 1}),
		"ends now":                    says(map[string]any{"exp": now}),
		"good later":                  says(map[string]any{"nbf": now + 3600}),
		"5 KB":                        good + strings.Repeat("A", 5<<10),
		"the customer without a key":  says(map[string]any{"key": ""}),
		"a key that nobody has":       says(map[string]any{"key": strings.Repeat("A", len(fieldOf(claims, "key")))}),
		"another host":                says(map[string]any{"aud": "elsewhere.acme.example"}),
		"two tokens":                  good + ", Bearer " + good,
		"a token and something after": good + " " + good,
	} {
		got := a.refused("a forged token: "+name, tried{target: manifest140, authorization: "Bearer " + forged}, http.StatusUnauthorized, http.StatusBadRequest)
		if got.status == http.StatusUnauthorized && !strings.Contains(got.header.Get("WWW-Authenticate"), `error="invalid_token"`) {
			a.Errorf("a forged token: %s: %v", name, got.header)
		}
		if got.status == http.StatusBadRequest && !strings.Contains(name, "token") {
			a.Errorf("a forged token: %s: %d %s", name, got.status, got.body)
		}
	}
	// Envoy bounds headers at 60 KiB, and may hang up while the rest is still sent.
	a.refused("a token of 1 MB", tried{target: manifest140, authorization: "Bearer " + good + strings.Repeat("A", 1<<20)}, 0, http.StatusRequestHeaderFieldsTooLarge)
	a.allowed("the token itself", tried{target: manifest140, authorization: "Bearer " + good})
}

func fieldOf(claims []byte, name string) string {
	var c map[string]any
	_ = json.Unmarshal(claims, &c)
	s, _ := c[name].(string)
	return s
}

// askForWideScopes: what a token was asked for gives nothing.
func (a *attacked) askForWideScopes() {
	a.Helper()
	for _, scope := range []string{
		"*", "*:*:*", "repository:*:*", "repository:acme/*:pull", "repository(plugin):acme/secret:pull", "registry:catalog:*", "repository:acme/secret:pull,push,delete,*",
		"repository:acme/app:*", "repository:" + a.addr + "/acme/secret:pull", "repository:acme/app:pull repository:acme/secret:pull", "admin",
	} {
		form := url.Values{"grant_type": {"password"}, "username": {"acme"}, "password": {a.key}, "service": {"other.example"}, "scope": {scope}, "access_type": {"offline"}}
		for how, x := range map[string]tried{
			"GET":  {target: "/pullgate/token?service=other.example&scope=" + url.QueryEscape(scope), authorization: a.user},
			"POST": {method: http.MethodPost, target: "/pullgate/token", body: form.Encode()},
		} {
			got := a.refused(how+" "+scope, x, http.StatusOK)
			g := a.grant(got.body) // which has no refresh token
			claims, err := base64.RawURLEncoding.DecodeString(strings.Split(g.Token, ".")[1])
			a.must(err)
			if listed := fmt.Sprint(fieldsOf(claims)["access"]); strings.Contains(listed, "*") || strings.Contains(listed, "push") || strings.Contains(listed, "delete") || strings.Contains(listed, "catalog") || strings.Contains(listed, "plugin") {
				a.Errorf("%s %s lists %s", how, scope, listed)
			}
			bearer := "Bearer " + g.Token
			a.allowed("with "+scope, tried{target: manifest140, authorization: bearer})
			a.refused("with "+scope, tried{target: "/v2/acme/app/manifests/2.0.0", authorization: bearer}, http.StatusForbidden)
			a.refused("with "+scope, tried{target: "/v2/acme/secret/manifests/1.4.0", authorization: bearer}, http.StatusNotFound)
			a.refused("with "+scope, tried{target: "/v2/_catalog", authorization: bearer}, http.StatusForbidden)
		}
	}
	const many = 10000
	a.refused("100 scopes", tried{target: "/pullgate/token?" + strings.Repeat("scope=a&", 100), authorization: a.user}, http.StatusBadRequest)
	a.refused("10,000 scopes", tried{target: "/pullgate/token?" + strings.Repeat("scope=a&", many), authorization: a.user}, 0, http.StatusRequestHeaderFieldsTooLarge)
	form := url.Values{"grant_type": {"password"}, "username": {"acme"}, "password": {a.key}}.Encode()
	a.refused("a form of 100 scopes", tried{method: http.MethodPost, target: "/pullgate/token", body: form + "&scope=" + strings.Repeat("a+", 100)}, http.StatusBadRequest)
	a.refused("a form of 10,000 scopes", tried{method: http.MethodPost, target: "/pullgate/token", body: form + "&scope=" + strings.Repeat("a+", many)}, http.StatusRequestEntityTooLarge, http.StatusBadRequest)
}

func fieldsOf(claims []byte) (c map[string]any) {
	_ = json.Unmarshal(claims, &c)
	return c
}

// goOnAfterTheEnd: a token ends with its license and its key, whatever was decided before.
func (a *attacked) goOnAfterTheEnd() {
	a.Helper()
	p := &puller{proxied: a.proxied, authorization: "Bearer " + a.token()}
	license, customer := string(a.read("licenses/license.yaml")), string(a.read("licenses/acme.yaml"))
	for _, c := range []struct {
		file, good, bad string
		status          int
		text            string
	}{
		{"licenses/license.yaml", license, strings.Replace(license, "type:", "status: {revoked: {at: 2026-01-01, reason: test}}\ntype:", 1), http.StatusForbidden, "revoked"},
		{"licenses/acme.yaml", customer, "kind: Customer\nid: acme\n", http.StatusUnauthorized, "this token"},
	} {
		a.write(c.file, c.bad, 0o644)
		took := p.until(c.status, http.StatusOK, c.text)
		a.Logf("%s: refused %s after the edit", c.file, took.Round(time.Millisecond))
		a.refused("after the end, over another connection", tried{target: manifest140, authorization: p.authorization}, c.status)
		a.write(c.file, c.good, 0o644)
		p.until(http.StatusOK, c.status, "schemaVersion")
	}
	if p.opened > 1 {
		a.Errorf("%d connections", p.opened)
	}
}

// guessKeys: an address may try so many bad keys, however they are sent, and is not asked more
// often. Who asks without a key, or has one, does not notice.
func (a *attacked) guessKeys() {
	a.Helper()
	const window = time.Minute
	counted := a.metric(`pullgate_bad_keys_total{counter="own",result="answered"}`)
	if counted == 0 || counted > badKeys-5 {
		a.Fatalf("%d bad keys were counted before", counted)
	}
	// The minute begins with the first bad key. What took longer, on a busy machine, is tried again in another.
	began, wrong := a.started, []string{"no minute was long enough"}
	for range 5 {
		if time.Since(began) < window/2 {
			if found := a.guess(counted); time.Since(began) < window {
				wrong = found
				break
			}
		}
		a.Logf("the next minute: %s are over", time.Since(began))
		time.Sleep(window)
		counted, began = 0, time.Now()
	}
	for _, text := range wrong {
		a.Error(text)
	}
	a.works("from the address of somebody who guesses")
	a.allowed("with a token", tried{target: manifest140, authorization: "Bearer " + a.token()})
}

// guess tries more keys than an address may in the minute in which so many were counted before, and says
// what was wrong if it did not take longer.
func (a *attacked) guess(counted int) (wrong []string) {
	a.Helper()
	guessed := 0
	for ; guessed <= badKeys; guessed++ {
		if guessed%8 == 0 {
			a.refused("anybody", tried{target: "/v2/"}, http.StatusUnauthorized)
		}
		guess := basic("acme", fmt.Sprintf("%s%06d", a.key[:len(a.key)-6], guessed))
		if a.refused("a guess", tried{target: []string{"/v2/", manifest140}[guessed%2], authorization: guess}, http.StatusUnauthorized, http.StatusTooManyRequests).status == http.StatusTooManyRequests {
			break
		}
	}
	if counted+guessed != badKeys {
		wrong = append(wrong, fmt.Sprintf("%d guesses were answered after %d bad keys, want %d together", guessed, counted, badKeys))
	}
	parts := strings.Split(a.token(), ".")
	forged := parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"sub":"acme"}`)) + "." + parts[2]
	for _, authorization := range []string{basic("acme", "pg_guess"), basic("mill", a.key[:len(a.key)-1]), basic(a.key, "guess"), "Digest guess", "Bearer " + forged} {
		got := a.refused("a guess too much", tried{target: manifest140, authorization: authorization}, http.StatusTooManyRequests, http.StatusUnauthorized)
		if got.status != http.StatusTooManyRequests || got.header.Get("Retry-After") == "" || got.header.Get("WWW-Authenticate") != "" {
			wrong = append(wrong, fmt.Sprintf("a guess too much: %d %v", got.status, got.header))
		}
	}
	a.refused("anybody", tried{target: "/v2/"}, http.StatusUnauthorized)
	return wrong
}
