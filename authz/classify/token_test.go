package classify_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/pullgate/pullgate/authz"
	"github.com/pullgate/pullgate/authz/classify"
)

const tokenPath = "/pullgate/token"

// oneToken reads one token.
type oneToken struct{}

const good = "eyJhbGciOiJFZERTQSIsImtpZCI6IjAxMjM0NTY3ODlhYmNkZWYiLCJ0eXAiOiJKV1QifQ.eyJpc3MiOiJwdWxsZ2F0ZSJ9.c2lnbmF0dXJl"

var goodCredential = authz.Credential{Kind: authz.CredentialToken, Hash: [32]byte{1}, Token: authz.Token{Customer: "acme", Audience: "registry.example", Expires: 7}}

func (oneToken) Read(token string) (authz.Credential, bool) {
	if token == good {
		return goodCredential, true
	}
	if token == unsigned {
		return unsignedCredential, false
	}
	return authz.Credential{}, false
}

// unsigned names a key that has not signed it.
const unsigned = good + "A"

var unsignedCredential = authz.Credential{Kind: authz.CredentialForgedToken, Hash: sha256.Sum256([]byte(unsigned))}

var withTokens = &classify.Classifier{TokenPath: tokenPath, Tokens: oneToken{}}

func h(pairs ...string) (all []classify.Header) {
	for i := 0; i < len(pairs); i += 2 {
		all = append(all, classify.Header{Name: pairs[i], Value: pairs[i+1]})
	}
	return all
}

func isKey(k string) authz.Credential {
	return authz.Credential{Kind: authz.CredentialKey, Hash: sha256.Sum256([]byte(k))}
}

func TestBearerIsReadWhereThereAreTokens(t *testing.T) {
	forged := authz.Credential{Kind: authz.CredentialInvalidToken}
	invalid := authz.Credential{Kind: authz.CredentialInvalid}
	for value, want := range map[string][2]authz.Credential{ // with tokens, and without
		"Bearer " + good:                       {goodCredential, invalid},
		"bEARER   " + good:                     {goodCredential, invalid},
		"Bearer " + good + "x":                 {forged, invalid},
		"Bearer " + unsigned:                   {unsignedCredential, invalid},
		"Bearer " + good + " ":                 {forged, invalid},
		"Bearer\t" + good:                      {invalid, invalid},
		"Bearer":                               {invalid, invalid},
		"Bearer ":                              {forged, invalid},
		"Bearer " + key:                        {forged, invalid},
		"Bearer " + basic("u:" + key)[6:]:      {forged, invalid},
		"Basic " + good:                        {invalid, invalid},
		basic("u:" + good):                     {invalid, invalid},
		basic("u:" + key):                      {isKey(key), isKey(key)},
		good:                                   {invalid, invalid},
		"Token " + good:                        {invalid, invalid},
		"Basic Og==":                           {{Kind: authz.CredentialNone}, {Kind: authz.CredentialNone}},
		"Bearer \xff":                          {forged, invalid},
		"Bearer " + strings.Repeat("a", 1<<20): {forged, invalid},
	} {
		in := &classify.Inbound{Method: "GET", Target: "/v2/", Headers: h("authorization", value)}
		for i, c := range []*classify.Classifier{withTokens, {}} {
			if r := c.Classify(in); r.Credential != want[i] || r.Kind != authz.KindPing || r.TokenPath != c.TokenPath {
				t.Errorf("%.60q: %v, want %v", value, r.Credential, want[i])
			}
		}
	}
	// Two are none.
	r := withTokens.Classify(&classify.Inbound{Method: "GET", Target: "/v2/", Headers: h("authorization", "Bearer "+good, "authorization", basic("u:"+key))})
	if r.Kind != authz.KindMalformed || r.Credential != (authz.Credential{}) {
		t.Errorf("%+v", r)
	}
}

func TestTokenRequests(t *testing.T) {
	form := []string{"content-type", "application/x-www-form-urlencoded"}
	withKey := []string{"authorization", basic("u:" + key)}
	type want struct {
		kind    authz.Kind
		who     authz.Credential
		service string
		pulls   []string
	}
	none, invalid := authz.Credential{Kind: authz.CredentialNone}, authz.Credential{Kind: authz.CredentialInvalid}
	scopes := func(n, size int) string {
		return "scope=" + strings.Repeat(strings.Repeat("x", size-1)+"+", n)
	}
	for _, tc := range []struct {
		name, method, target string
		headers              []string
		body                 string
		want                 want
	}{
		{"plain", "GET", "", withKey, "", want{authz.KindToken, isKey(key), "", nil}},
		{"HEAD", "HEAD", "?service=s", withKey, "", want{authz.KindToken, isKey(key), "s", nil}},
		{"nobody", "GET", "?service=registry.example&scope=repository:a:pull", nil, "", want{authz.KindToken, none, "registry.example", []string{"a"}}},
		{"as docker asks", "GET", "?account=acme&client_id=docker&offline_token=true&service=Registry.Example", withKey, "", want{authz.KindToken, isKey(key), "registry.example", nil}},
		{"two scopes", "GET", "?scope=repository:a/b:pull&scope=repository:c:pull,push&service=x", nil, "", want{authz.KindToken, none, "x", []string{"a/b", "c"}}},
		{"two scopes in one", "GET", "?scope=repository:a/b:pull+repository:c:push,pull", nil, "", want{authz.KindToken, none, "", []string{"a/b", "c"}}},
		{"two scopes in one, percent-encoded", "GET", "?scope=repository%3Aa%2Fb%3Apull%20repository%3Ac%3Apull", nil, "", want{authz.KindToken, none, "", []string{"a/b", "c"}}},
		{"one scope twice", "GET", "?scope=repository:a:pull+repository:a:pull,push", nil, "", want{authz.KindToken, none, "", []string{"a"}}},
		{"what is not understood is left out", "GET", "?scope=repository:a:pull+registry:catalog:*+x+:::+repository:a+repository:B:pull+repository::pull+repository:c:*+repository:d:push+repository(plugin):e:pull+*+repository:*:pull+repository:f%00:pull+REPOSITORY:g:pull+repository:a:pullx", nil, "", want{authz.KindToken, none, "", []string{"a"}}},
		{"a class that is the usual one", "GET", "?scope=repository(image):a:pull", nil, "", want{authz.KindToken, none, "", []string{"a"}}},
		{"a port in the name", "GET", "?scope=repository:localhost:5000/a/b:pull", nil, "", want{authz.KindToken, none, "", []string{"localhost:5000/a/b"}}},
		{"ports that are none", "GET", "?scope=repository:h:/a:pull+repository:h:x/a:pull+repository:h:123456/a:pull+repository:h:1:2/a:pull+repository:h:1:pull+repository::1/a:pull", nil, "", want{authz.KindToken, none, "", nil}},
		{"16 scopes", "GET", "?" + scopes(16, 9), nil, "", want{authz.KindToken, none, "", nil}},
		{"17 scopes", "GET", "?" + scopes(17, 9), withKey, "", want{kind: authz.KindMalformed, who: isKey(key)}},
		{"long scopes", "POST", "", form, "grant_type=password&password=&" + scopes(1, 2049), want{authz.KindToken, none, "", nil}},
		{"too long scopes", "POST", "", form, "grant_type=password&password=&" + scopes(2, 1026), want{kind: authz.KindMalformed, who: none}},
		{"10,000 scopes", "POST", "", form, "grant_type=password&password=&" + scopes(10_000, 2), want{kind: authz.KindMalformed, who: none}},
		{"two services", "GET", "?service=a&service=b", nil, "", want{kind: authz.KindMalformed, who: none}},
		{"a broken escape", "GET", "?service=%zz", nil, "", want{kind: authz.KindMalformed, who: none}},
		{"a semicolon", "GET", "?service=a;scope=b", nil, "", want{kind: authz.KindMalformed, who: none}},
		{"too long", "GET", "?x=" + strings.Repeat("x", 2048), nil, "", want{kind: authz.KindMalformed, who: none}},
		{"the key in the query", "GET", "?password=" + key, nil, "", want{kind: authz.KindMalformed, who: none}},
		{"what is no key", "GET", "", []string{"authorization", basic("u:nonsense")}, "", want{authz.KindToken, invalid, "", nil}},
		{"a token", "GET", "", []string{"authorization", "Bearer " + good}, "", want{authz.KindToken, goodCredential, "", nil}},
		{"two credentials", "GET", "", slices.Concat(withKey, withKey), "", want{kind: authz.KindMalformed}},
		{"a body where none is read", "GET", "", nil, "grant_type=password&password=" + key, want{authz.KindToken, none, "", nil}},

		{"a form", "POST", "", form, "grant_type=password&username=u&password=" + key + "&service=s&client_id=c&access_type=offline&scope=repository%3Aa%3Apull+repository%3Ab%3Apull", want{authz.KindToken, isKey(key), "s", []string{"a", "b"}}},
		{"a form with a charset", "POST", "", []string{"Content-Type", "Application/X-WWW-Form-Urlencoded; charset=utf-8"}, "grant_type=password&password=" + key, want{authz.KindToken, isKey(key), "", nil}},
		{"a form of nobody", "POST", "", form, "grant_type=password&username=&password=", want{authz.KindToken, none, "", nil}},
		{"a form with what is no key", "POST", "", form, "grant_type=password&password=nonsense", want{authz.KindToken, invalid, "", nil}},
		{"the key as a refresh token", "POST", "", form, "grant_type=refresh_token&refresh_token=" + key, want{authz.KindToken, isKey(key), "", nil}},
		{"a token as a refresh token", "POST", "", form, "grant_type=refresh_token&refresh_token=" + good, want{authz.KindToken, invalid, "", nil}},
		{"no grant", "POST", "", form, "password=" + key, want{kind: authz.KindMalformed}},
		{"another grant", "POST", "", form, "grant_type=client_credentials&password=" + key, want{kind: authz.KindMalformed}},
		{"two grants", "POST", "", form, "grant_type=password&grant_type=refresh_token&password=" + key, want{kind: authz.KindMalformed}},
		{"no password", "POST", "", form, "grant_type=password", want{kind: authz.KindMalformed}},
		{"two passwords", "POST", "", form, "grant_type=password&password=" + key + "&password=" + otherKey, want{kind: authz.KindMalformed}},
		{"a password and a refresh token", "POST", "", form, "grant_type=password&password=" + key + "&refresh_token=x", want{kind: authz.KindMalformed}},
		{"the password of the other grant", "POST", "", form, "grant_type=refresh_token&password=" + key, want{kind: authz.KindMalformed}},
		{"a form and Basic", "POST", "", slices.Concat(form, withKey), "grant_type=password&password=" + key, want{kind: authz.KindMalformed}},
		{"a form and an empty Authorization", "POST", "", slices.Concat(form, []string{"Authorization", ""}), "grant_type=password&password=" + key, want{kind: authz.KindMalformed}},
		{"a form and a query", "POST", "?service=s", form, "grant_type=password&password=" + key, want{kind: authz.KindMalformed, who: none}},
		{"no content type", "POST", "", nil, "grant_type=password&password=" + key, want{kind: authz.KindMalformed, who: none}},
		{"JSON", "POST", "", []string{"content-type", "application/json"}, `{"password":"` + key + `"}`, want{kind: authz.KindMalformed, who: none}},
		{"two content types", "POST", "", slices.Concat(form, []string{"content-type", "text/plain"}), "grant_type=password&password=" + key, want{kind: authz.KindMalformed, who: none}},
		{"one content type twice", "POST", "", slices.Concat(form, form), "grant_type=password&password=" + key, want{kind: authz.KindMalformed, who: none}},
		{"no body", "POST", "", form, "", want{kind: authz.KindMalformed}},
		{"8 KiB", "POST", "", form, pad("grant_type=password&password="+key, 8192), want{authz.KindToken, isKey(key), "", nil}},
		{"more", "POST", "", form, pad("grant_type=password&password="+key, 8193), want{kind: authz.KindMalformed, who: none}},
		{"not UTF-8", "POST", "", form, "grant_type=password&password=\xff", want{authz.KindToken, invalid, "", nil}},

		{"another verb", "PUT", "", withKey, "", want{kind: authz.KindUnsupported, who: isKey(key)}},
		{"a lower-case verb", "post", "", form, "grant_type=password&password=" + key, want{kind: authz.KindUnsupported, who: none}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			in := &classify.Inbound{Method: tc.method, Target: tokenPath + tc.target, Host: "registry.example", Headers: h(tc.headers...), Body: []byte(tc.body)}
			r := withTokens.Classify(in)
			if got := (want{r.Kind, r.Credential, r.Service, r.Pulls}); !reflect.DeepEqual(got, tc.want) {
				t.Errorf("got  %+v\nwant %+v", got, tc.want)
			}
			if text := fmt.Sprintf("%+v", *r); strings.Contains(text, key[3:40]) {
				t.Errorf("the key survives in %s", text)
			}
			// Without tokens there is no such route.
			if r := classify.Classify(in); r.Kind == authz.KindToken {
				t.Error("answered without tokens")
			}
		})
	}
	for _, path := range []string{"/pullgate/token/", "/pullgate//token", "/pullgate/Token", "/pullgate/%74oken", "/v2/pullgate/token", "/pullgate/token;x", "/pullgate", "//pullgate/token"} {
		for _, method := range []string{"GET", "POST"} {
			if r := withTokens.Classify(&classify.Inbound{Method: method, Target: path}); r.Kind != authz.KindMalformed && r.Kind != authz.KindUnsupported {
				t.Errorf("%s %s: %s", method, path, r.Kind)
			}
		}
	}
}

func pad(s string, n int) string { return s + "&x=" + strings.Repeat("x", n-len(s)-3) }

func TestNoTokenSurvives(t *testing.T) {
	every := ""
	for i := range len(good) {
		every += "%" + hex.EncodeToString([]byte{good[i]})
	}
	for target, want := range map[string]string{
		"/v2/a/tags/list?last=" + good:                                 "/v2/a/tags/list?last=REDACTED",
		"/v2/a/tags/list?access_token=" + good + "&n=1":                "/v2/a/tags/list?access_token=REDACTED&n=1",
		"/v2/" + good + "/tags/list":                                   "/v2/REDACTED/tags/list",
		tokenPath + "?token=" + good + "&again=" + good:                tokenPath + "?token=REDACTED&again=REDACTED",
		"/v2/a/tags/list?last=" + good[:60]:                            "/v2/a/tags/list?last=REDACTED",
		"/v2/a/tags/list?last=" + strings.Replace(good, "J", "%4A", 1): "/v2/a/tags/list?REDACTED",
		"/v2/a/tags/list?last=" + every:                                "/v2/a/tags/list?REDACTED",
		"/v2/a/tags/list?last=" + good + "%20" + key:                   "/v2/a/tags/list?last=REDACTED%20pg_REDACTED",
		"/v2/" + every: "REDACTED",
		"/v2/a/manifests/1?x=" + strings.Repeat(good+"/", 500): "/v2/a/manifests/1?x=" + strings.Repeat("REDACTED/", 500),
	} {
		r := withTokens.Classify(&classify.Inbound{Method: "GET", Target: target})
		if r.Kind != authz.KindMalformed || r.Path != want[:min(len(want), 2048)] {
			t.Errorf("%.80s: %s, kept as %.200q", target, r.Kind, r.Path)
		}
	}
	// What is in no record may not be either.
	r := withTokens.Classify(&classify.Inbound{Method: "GET", Target: "/v2/", Headers: h("authorization", "Bearer "+good, "x", good)})
	if text := fmt.Sprintf("%+v", *r); strings.Contains(text, good[60:80]) {
		t.Errorf("the token survives in %s", text)
	}
}

// FuzzScope: scopes never widen. What is listed was asked for, as pulling, of one repository, whose name has
// the grammar of names; there are at most 16, each once, whichever way they are sent.
func FuzzScope(f *testing.F) {
	for _, s := range []string{
		"repository:a/b:pull", "repository:localhost:5000/a:pull,push", "repository(plugin):a:pull", "registry:catalog:*", "* : :: repository::pull",
		"repository:a:pull repository:a:pull repository:b:*", "repository:a:b:pull", "repository:a\x00:pull", strings.Repeat("repository:a:pull ", 17),
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, scope string) {
		form := url.Values{"scope": {scope}}
		get := withTokens.Classify(&classify.Inbound{Method: "GET", Target: tokenPath + "?" + form.Encode()})
		form["grant_type"], form["password"] = []string{"password"}, []string{key}
		post := withTokens.Classify(&classify.Inbound{Method: "POST", Target: tokenPath, Headers: h("content-type", "application/x-www-form-urlencoded"), Body: []byte(form.Encode())})
		if get.Kind == authz.KindToken && (post.Kind != authz.KindToken || !slices.Equal(get.Pulls, post.Pulls)) {
			t.Fatalf("%q: GET lists %q, POST %s %q", scope, get.Pulls, post.Kind, post.Pulls)
		}
		if post.Kind != authz.KindToken {
			if len(post.Pulls) > 0 || post.Kind != authz.KindMalformed {
				t.Fatalf("%q: %s %q", scope, post.Kind, post.Pulls)
			}
			return
		}
		if len(post.Pulls) > 16 {
			t.Fatalf("%q: %d names", scope, len(post.Pulls))
		}
		asked := strings.Split(scope, " ")
		for i, name := range post.Pulls {
			if slices.Contains(post.Pulls[:i], name) {
				t.Fatalf("%q: %s twice", scope, name)
			}
			if !slices.ContainsFunc(asked, func(s string) bool {
				for _, kind := range []string{"repository:", "repository(image):"} {
					if actions, ok := strings.CutPrefix(s, kind+name+":"); ok && slices.Contains(strings.Split(actions, ","), "pull") {
						return true
					}
				}
				return false
			}) {
				t.Fatalf("%q: nobody asked to pull %s", scope, name)
			}
			// Without a host it is the name of a repository that could be asked for.
			host, rest, _ := strings.Cut(name, "/")
			if strings.Contains(host, ":") {
				name = rest
			}
			if r := classify.Classify(&classify.Inbound{Method: "GET", Target: "/v2/" + name + "/tags/list"}); r.Kind != authz.KindTags && len(name) > 0 && !strings.Contains(name, "pg_") {
				t.Fatalf("%q: %q is no name", scope, name)
			}
		}
	})
}

// FuzzTokenRequest: whatever is sent, a key or a token is kept nowhere, and a credential of the kind
// key has the hash of one that was sent.
func FuzzTokenRequest(f *testing.F) {
	f.Add("grant_type=password&password="+key, "service=a")
	f.Add("grant_type=refresh_token&refresh_token="+key+"&scope=repository:"+key+":pull", "")
	f.Add("%70assword="+key+"&grant_type=password", "x="+good)
	f.Fuzz(func(t *testing.T, body, query string) {
		for _, in := range []*classify.Inbound{
			{Method: "POST", Target: tokenPath, Headers: h("content-type", "application/x-www-form-urlencoded"), Body: []byte(body)},
			{Method: "GET", Target: tokenPath + "?" + query, Headers: h("authorization", basic("u:"+key))},
		} {
			r := withTokens.Classify(in)
			form, _ := url.ParseQuery(body)
			switch c := r.Credential; {
			case c.Kind == authz.CredentialKey && in.Method == "POST":
				if c != isKey(form.Get("password")) && c != isKey(form.Get("refresh_token")) {
					t.Fatalf("%q: hash of something else", body)
				}
			case c.Kind != authz.CredentialKey && c.Hash != [32]byte{}:
				t.Fatalf("%q: %+v", body, c)
			}
			r.Pulls = nil // where a name is what was asked for
			if text := fmt.Sprintf("%+v", *r); strings.Contains(text, key) || strings.Contains(text, good) {
				t.Fatalf("%q %q: kept in %s", body, query, text)
			}
		}
	})
}
