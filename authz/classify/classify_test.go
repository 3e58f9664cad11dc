package classify_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pullgate/pullgate/authz"
	"github.com/pullgate/pullgate/authz/classify"
)

var (
	hex64  = strings.Repeat("0123456789abcdef", 4)
	digest = "sha256:" + hex64
)

const (
	key      = "pg_00khpaqrsmj132rg5rhrs0dg0a6yp5ak0ham6c6ztnh3rvyvbrj0_21fe4785"
	otherKey = "pg_00czj4w8pkmyzf6f8e6xhqt7z2cykjznhx3399n9akwt0km97yw0_190806a8"
)

func get(target string) *authz.Request {
	return classify.Classify(&classify.Inbound{Method: "GET", Target: target, Host: "registry.example"})
}

func TestRoutes(t *testing.T) {
	long := strings.Repeat("a", 255)
	for target, want := range map[string]authz.Request{
		"/v2/":                          {Kind: authz.KindPing},
		"/v2":                           {Kind: authz.KindPing},
		"/v2/_catalog":                  {Kind: authz.KindCatalog},
		"/v2/a/manifests/1.5.0":         {Kind: authz.KindManifest, Repository: "a", Tag: "1.5.0"},
		"/v2/a/manifests/" + digest:     {Kind: authz.KindManifest, Repository: "a", Digest: digest},
		"/v2/a/b-c/d__e/manifests/_x.Y": {Kind: authz.KindManifest, Repository: "a/b-c/d__e", Tag: "_x.Y"},
		"/v2/a/blobs/" + digest:         {Kind: authz.KindBlob, Repository: "a", Digest: digest},
		"/v2/a/tags/list":               {Kind: authz.KindTags, Repository: "a"},
		"/v2/a/referrers/" + digest:     {Kind: authz.KindReferrers, Repository: "a", Digest: digest},
		"/v2/" + long + "/tags/list":    {Kind: authz.KindTags, Repository: long},
		"/v2/a/manifests/" + long[:128]: {Kind: authz.KindManifest, Repository: "a", Tag: long[:128]},

		// Names that look like routes: the end decides.
		"/v2/foo/manifests/bar/manifests/latest":           {Kind: authz.KindManifest, Repository: "foo/manifests/bar", Tag: "latest"},
		"/v2/foo/manifests/tags/list":                      {Kind: authz.KindTags, Repository: "foo/manifests"},
		"/v2/foo/blobs/manifests/list":                     {Kind: authz.KindManifest, Repository: "foo/blobs", Tag: "list"},
		"/v2/foo/blobs/uploads/manifests/latest":           {Kind: authz.KindManifest, Repository: "foo/blobs/uploads", Tag: "latest"},
		"/v2/foo/blobs/uploads/blobs/" + digest:            {Kind: authz.KindBlob, Repository: "foo/blobs/uploads", Digest: digest},
		"/v2/tags/list/tags/list":                          {Kind: authz.KindTags, Repository: "tags/list"},
		"/v2/v2/manifests/v2":                              {Kind: authz.KindManifest, Repository: "v2", Tag: "v2"},
		"/v2/a/manifests/sha256-" + hex64:                  {Kind: authz.KindManifest, Repository: "a", Tag: "sha256-" + hex64, Digest: digest, DigestTag: true},
		"/v2/a/manifests/sha256-" + hex64 + ".sig":         {Kind: authz.KindManifest, Repository: "a", Tag: "sha256-" + hex64 + ".sig", Digest: digest, DigestTag: true},
		"/v2/a/manifests/sha256-" + hex64 + ".att":         {Kind: authz.KindManifest, Repository: "a", Tag: "sha256-" + hex64 + ".att", Digest: digest, DigestTag: true},
		"/v2/a/manifests/sha256-" + hex64 + ".sbom":        {Kind: authz.KindManifest, Repository: "a", Tag: "sha256-" + hex64 + ".sbom", Digest: digest, DigestTag: true},
		"/v2/a/manifests/sha256-" + hex64 + ".x":           {Kind: authz.KindManifest, Repository: "a", Tag: "sha256-" + hex64 + ".x"},
		"/v2/a/manifests/sha256-" + hex64[1:]:              {Kind: authz.KindManifest, Repository: "a", Tag: "sha256-" + hex64[1:]},
		"/v2/a/manifests/sha256-" + strings.ToUpper(hex64): {Kind: authz.KindManifest, Repository: "a", Tag: "sha256-" + strings.ToUpper(hex64)},

		// Queries.
		"/v2/a/tags/list?n=1":                                                    {Kind: authz.KindTags, Repository: "a", N: 1},
		"/v2/a/tags/list?n=0":                                                    {Kind: authz.KindTags, Repository: "a", N: -2}, // -2 stands for 0
		"/v2/a/tags/list?n=9999999999":                                           {Kind: authz.KindTags, Repository: "a", N: 1000},
		"/v2/a/tags/list?n=0000000007&last=1.0":                                  {Kind: authz.KindTags, Repository: "a", N: 7, Last: "1.0"},
		"/v2/a/tags/list?last=1%2E0&n=%31":                                       {Kind: authz.KindTags, Repository: "a", N: 1, Last: "1.0"},
		"/v2/_catalog?n=1001":                                                    {Kind: authz.KindCatalog, N: 1000},
		"/v2/_catalog?last=acme/app":                                             {Kind: authz.KindCatalog, Last: "acme/app"},
		"/v2/_catalog?last=acme%2fapp":                                           {Kind: authz.KindCatalog, Last: "acme/app"},
		"/v2/a/referrers/" + digest + "?artifactType=application/vnd.x+json":     {Kind: authz.KindReferrers, Repository: "a", Digest: digest, ArtifactType: "application/vnd.x+json"},
		"/v2/a/referrers/" + digest + "?artifactType=application%2Fvnd.x%2Bjson": {Kind: authz.KindReferrers, Repository: "a", Digest: digest, ArtifactType: "application/vnd.x+json"},

		// In the grammar, but nothing a customer may do.
		"/v2/a/blobs/uploads/7f3c":                  {Kind: authz.KindUnsupported, Repository: "a"},
		"/v2/a/manifests/1.5.0?ns=docker.io":        {Kind: authz.KindUnsupported, Repository: "a"},
		"/v2/a/manifests/1.5.0?mount=" + digest:     {Kind: authz.KindUnsupported, Repository: "a"},
		"/v2/a/blobs/" + digest + "?from=acme/gold": {Kind: authz.KindUnsupported, Repository: "a"},
		"/v2/a/blobs/" + digest + "?mount=x&from=y": {Kind: authz.KindUnsupported, Repository: "a"},
		"/v2/_catalog?ns=mirror.example":            {Kind: authz.KindUnsupported},
		"/v2/a/tags/list?n=1&ns=mirror.example":     {Kind: authz.KindUnsupported, Repository: "a"},
	} {
		want.Method, want.Host, want.Path = "GET", "registry.example", target
		want.Credential = authz.Credential{Kind: authz.CredentialNone}
		switch want.N {
		case 0:
			want.N = -1
		case -2:
			want.N = 0
		}
		if diff := cmp.Diff(&want, get(target), cmpopts.EquateComparable(netip.Addr{})); diff != "" {
			t.Errorf("%s:\n%s", target, diff)
		}
	}
}

func TestMalformedTargets(t *testing.T) {
	long := strings.Repeat("a", 2100)
	for _, target := range []string{
		"", "/", "*", "v2/", "//v2/", "/V2/", "/v2//", "/v2/a", "/v2/a/b", "/v1/_ping", "/metrics", "/service/token", "/api/v2.0/projects",
		"https://registry.example/v2/", "/v2/_oci/ext/discover", "/v2/a/_oci/ext/discover", "/v2/_zot/ext/search", "/v2/_catalog/",
		"/v2/tags/list", "/v2/manifests/1", "/v2//tags/list", "/v2/a/tags/list/", "/v2/a/tags/List", "/v2/a/tags/1.0",
		"/v2/acme%2Fapp/manifests/1", "/v2%2Facme/app/manifests/1", "/v2/a/manifests/%31", "/v2/a/manifests/sha256%3A" + hex64,
		"/v2/a/../b/manifests/1", "/v2/a/./b/manifests/1", "/v2/a/manifests/..", "/v2/a/manifests/.", "/v2/../v2/a/manifests/1",
		"/v2/a//b/manifests/1", "/v2/a/manifests/1/", "/v2/a/manifests/", "/v2/a/manifests//1", "/v2/a/manifests/1;x=y",
		"/v2/a/manifests/1\x00", "/v2/a/manifests/1 ", "/v2/a\\b/manifests/1", "/v2/a/manifests/1#top", "/v2/a/manifests/\xff", "/v2/a/manifests/é",
		"/v2/A/manifests/1", "/v2/a/Manifests/1", "/v2/a/manifests/SHA256:" + hex64, "/v2/a/manifests/sha256:" + strings.ToUpper(hex64),
		"/v2/localhost:8080/a/manifests/1", "/v2/a@b/manifests/1", "/v2/a/manifests/a@b", "/v2/a/manifests/a:b",
		"/v2/-a/manifests/1", "/v2/a-/manifests/1", "/v2/a..b/manifests/1", "/v2/a___b/manifests/1", "/v2/a._b/manifests/1", "/v2/a-/b/manifests/1",
		"/v2/a/-b/manifests/1", "/v2/_a/manifests/1", "/v2/.a/manifests/1", "/v2/a/manifests/-1", "/v2/a/manifests/.1",
		"/v2/" + long[:256] + "/tags/list", "/v2/a/manifests/" + long[:129],
		"/v2/a/blobs/sha512:" + hex64 + hex64, "/v2/a/blobs/sha256:" + hex64[1:], "/v2/a/blobs/sha256:" + hex64 + "0", "/v2/a/blobs/latest", "/v2/a/referrers/latest",
		"/v2/a/blobs/uploads/", "/v2/a/blobs/uploads", "/v2/a/blobs/uploads/..", "/v2/blobs/uploads/x", "/v2/a/uploads/x", "/v2/A/blobs/uploads/x",
		"/v2/?", "/v2/?n=1", "/v2?", "/v2/a/manifests/1?", "/v2/a/manifests/1?n=1", "/v2/a/blobs/" + digest + "?digest=" + digest,
		"/v2/a/tags/list?", "/v2/a/tags/list?n=", "/v2/a/tags/list?n", "/v2/a/tags/list?n=-1", "/v2/a/tags/list?n=+1", "/v2/a/tags/list?n=ten", "/v2/a/tags/list?n=10000000000",
		"/v2/a/tags/list?n=%2531", "/v2/a/tags/list?n=%3", "/v2/a/tags/list?n=%", "/v2/a/tags/list?n=%zz", "/v2/a/tags/list?%6e=1", "/v2/a/tags/list?N=1",
		"/v2/a/tags/list?page=2", "/v2/a/tags/list?n=1&n=1", "/v2/a/tags/list?=1", "/v2/a/tags/list?&", "/v2/a/tags/list?n=1&", "/v2/a/tags/list?&n=1", "/v2/a/tags/list??n=1",
		"/v2/a/tags/list?n=1;last=x", "/v2/a/tags/list?n=1#x", "/v2/a/tags/list?last=", "/v2/a/tags/list?last=a/b", "/v2/a/tags/list?last=%00", "/v2/a/tags/list?last=a+b",
		"/v2/_catalog?last=A", "/v2/_catalog?last=a/", "/v2/_catalog?n=%2530", "/v2/_catalog?prefix=a", "/v2/_catalog?last=a&last=a", "/v2/_catalog?ns=a&ns=b", "/v2/_catalog?ns=a&x=1",
		"/v2/a/referrers/" + digest + "?n=1", "/v2/a/referrers/" + digest + "?artifactType=", "/v2/a/referrers/" + digest + "?artifactType=a", "/v2/a/referrers/" + digest + "?artifactType=a/b/c",
		"/v2/a/referrers/" + digest + "?artifactType=a/b&artifactType=a/c", "/v2/a/referrers/" + digest + "?artifactType=a/b!", "/v2/a/referrers/" + digest + "?artifactType=a%20b/c",
		"/v2/a/tags/list?last=" + long,
	} {
		r := get(target)
		if r.Kind != authz.KindMalformed {
			t.Errorf("%q: kind %s, want malformed", target, r.Kind)
		}
		if r.Repository+r.Tag+r.Digest+r.Last+r.ArtifactType != "" || r.N != -1 {
			t.Errorf("%q: malformed, but has parts: %+v", target, r)
		}
		if len(r.Path) > 2048 {
			t.Errorf("%q: path of %d bytes kept", target[:20], len(r.Path))
		}
	}
}

func TestTargetOf2048BytesIsTheLongest(t *testing.T) {
	base := "/v2/a/blobs/" + digest + "?from="
	if r := get(base + strings.Repeat("x", 2048-len(base))); r.Kind != authz.KindUnsupported {
		t.Errorf("2048 bytes: %s", r.Kind)
	}
	if r := get(base + strings.Repeat("x", 2049-len(base))); r.Kind != authz.KindMalformed {
		t.Errorf("2049 bytes: %s", r.Kind)
	}
}

func TestVerbComesFirst(t *testing.T) {
	twice := []classify.Header{{Name: "Authorization", Value: "x"}, {Name: "Authorization", Value: "x"}}
	for _, method := range []string{"PUT", "POST", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "get", "Head", "", "GET ", strings.Repeat("GET", 100)} {
		for _, target := range []string{"/v2/a/manifests/1", "/v2/a%2Fb/manifests/1", "", "/v2/?", strings.Repeat("x", 5000)} {
			r := classify.Classify(&classify.Inbound{Method: method, Target: target, Headers: twice})
			if r.Kind != authz.KindUnsupported {
				t.Errorf("%s %.30s: %s", method, target, r.Kind)
			}
			if len(r.Method) > 7 || len(r.Path) > 2048 {
				t.Errorf("%s %.30s: method of %d and path of %d bytes kept", method, target, len(r.Method), len(r.Path))
			}
		}
	}
	if r := classify.Classify(&classify.Inbound{Method: "HEAD", Target: "/v2/a/manifests/1"}); r.Kind != authz.KindManifest {
		t.Errorf("HEAD: %s", r.Kind)
	}
}

func basic(userpass string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(userpass))
}

func TestCredentials(t *testing.T) {
	is := func(k string) authz.Credential {
		return authz.Credential{Kind: authz.CredentialKey, Hash: sha256.Sum256([]byte(k))}
	}
	none := authz.Credential{Kind: authz.CredentialNone}
	invalid := authz.Credential{Kind: authz.CredentialInvalid}
	for _, tc := range []struct {
		name, value string
		want        authz.Credential
	}{
		{"key", basic("anybody:" + key), is(key)},
		{"other key", basic("anybody:" + otherKey), is(otherKey)},
		{"no user", basic(":" + key), is(key)},
		{"user with an at sign and UTF-8", basic("zoë@example.com:" + key), is(key)},
		{"scheme without case", strings.Replace(basic("u:"+key), "Basic", "bAsIc", 1), is(key)},
		{"several spaces", strings.Replace(basic("u:"+key), " ", "   ", 1), is(key)},
		{"empty user and password", "Basic Og==", none},
		{"empty password", basic("anybody:"), none},
		{"second colon", basic("a:b:" + key), invalid},
		{"no colon", basic(key), invalid},
		{"password that is no key", basic("u:nonsense"), invalid},
		{"empty", "", invalid},
		{"no token", "Basic", invalid},
		{"empty token", "Basic ", invalid},
		{"bearer", "Bearer " + key, invalid},
		{"bare key", key, invalid},
		{"not base64", "Basic !!!!", invalid},
		{"no padding", strings.TrimRight(basic("ab:"), "="), none}, // "ab:" needs none
		{"padding missing", "Basic Og", invalid},
		{"spare bits set", "Basic Oh==", invalid},
		{"URL alphabet", "Basic " + base64.URLEncoding.EncodeToString([]byte("\xff\xff:"+key)), invalid},
		{"line end inside", "Basic Og=\n=", invalid},
		{"trailing space", "Basic Og== ", invalid},
		{"not UTF-8", "Basic \xff", invalid},
		{"control character in the user", basic("a\nb:" + key), invalid},
		{"NUL behind the key", basic("u:" + key + "\x00"), invalid},
		{"typo", basic("u:" + strings.Replace(key, "q", "0", 1)), invalid},
		{"upper-case checksum", basic("u:" + key[:len(key)-4] + strings.ToUpper(otherKey[len(otherKey)-4:])), invalid},
		{"upper case", basic("u:" + strings.ToUpper(key)), invalid},
		{"too short", basic("u:" + key[1:]), invalid},
		{"9 KiB", basic("u:" + strings.Repeat("k", 9<<10)), invalid},
		{"9 KiB user", basic(strings.Repeat("u", 9<<10) + ":" + key), invalid},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := classify.Classify(&classify.Inbound{Method: "GET", Target: "/v2/", Headers: []classify.Header{{Name: "authorization", Value: tc.value}}})
			if r.Credential != tc.want {
				t.Errorf("got %v, want %v", r.Credential, tc.want)
			}
			if r.Kind != authz.KindPing {
				t.Errorf("kind %s: a bad credential is no malformed request", r.Kind)
			}
		})
	}
}

func TestHeadersThatMayBeSentOnce(t *testing.T) {
	h := func(kv ...string) (all []classify.Header) {
		for i := 0; i < len(kv); i += 2 {
			all = append(all, classify.Header{Name: kv[i], Value: kv[i+1]})
		}
		return all
	}
	const host = "registry.example"
	for _, tc := range []struct {
		name    string
		headers []classify.Header
		host    string
		want    authz.Kind
	}{
		{"none", nil, host, authz.KindPing},
		{"one of each", h(":authority", host, "authorization", "Basic Og=="), host, authz.KindPing},
		{"two Authorization", h("Authorization", "Basic Og==", "authorization", "Basic Og=="), host, authz.KindMalformed},
		{"second one empty", h("authorization", "Basic Og==", "authorization", ""), host, authz.KindMalformed},
		{"joined Authorization", h("authorization", "Basic Og==,Basic Og=="), host, authz.KindMalformed},
		{"two Host", h("host", host, "Host", host), host, authz.KindMalformed},
		{"Host beside authority", h(":authority", host, "host", host), host, authz.KindMalformed},
		{"another Host", h("host", "internal"), host, authz.KindMalformed},
		{"joined Host", h(":authority", host+","+host), host + "," + host, authz.KindMalformed},
		{"joined Host, attribute only", nil, host + "," + host, authz.KindMalformed},
		{"comma elsewhere", h("accept", "a, b"), host, authz.KindPing},
		{"accept twice", h("accept", "a", "accept", "b"), host, authz.KindPing},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := classify.Classify(&classify.Inbound{Method: "GET", Target: "/v2/", Host: tc.host, Headers: tc.headers})
			if r.Kind != tc.want {
				t.Errorf("got %s, want %s", r.Kind, tc.want)
			}
			if r.Kind == authz.KindMalformed && r.Credential.Kind == authz.CredentialKey {
				t.Error("a malformed request authenticates")
			}
		})
	}
}

func TestHostIsLowerCaseAndOtherwiseKept(t *testing.T) {
	for in, want := range map[string]string{
		"Registry.Example:5000": "registry.example:5000", "[::1]:80": "[::1]:80", "": "", "a b": "a b", "x.": "x.",
		strings.Repeat("A", 1000): strings.Repeat("a", 320),
	} {
		if r := classify.Classify(&classify.Inbound{Method: "GET", Target: "/v2/", Host: in}); r.Host != want {
			t.Errorf("%q: got %q, want %q", in, r.Host, want)
		}
	}
}

func TestClientAddress(t *testing.T) {
	peer := netip.MustParseAddr("192.0.2.1")
	xff := func(values ...string) (all []classify.Header) {
		for _, v := range values {
			all = append(all, classify.Header{Name: "X-Forwarded-For", Value: v})
		}
		return append(all, classify.Header{Name: "x-other", Value: "203.0.113.9"})
	}
	for _, tc := range []struct {
		name    string
		config  classify.ClientAddress
		headers []classify.Header
		want    string
	}{
		{"no header is read unless configured", classify.ClientAddress{}, xff("203.0.113.1"), "192.0.2.1"},
		{"rightmost", classify.ClientAddress{Header: "x-forwarded-for"}, xff("6.6.6.6, 203.0.113.1"), "203.0.113.1"},
		{"one hop", classify.ClientAddress{Header: "x-forwarded-for", TrustedHops: 1}, xff("6.6.6.6, 203.0.113.1, 10.0.0.1"), "203.0.113.1"},
		{"over several lines", classify.ClientAddress{Header: "x-forwarded-for", TrustedHops: 2}, xff("6.6.6.6, 203.0.113.1", "10.0.0.1", "10.0.0.2"), "203.0.113.1"},
		{"last of an earlier line", classify.ClientAddress{Header: "x-forwarded-for", TrustedHops: 1}, xff("6.6.6.6,203.0.113.1", "10.0.0.2"), "203.0.113.1"},
		{"too few entries", classify.ClientAddress{Header: "x-forwarded-for", TrustedHops: 2}, xff("203.0.113.1, 10.0.0.1"), ""},
		{"absent", classify.ClientAddress{Header: "x-forwarded-for"}, nil, ""},
		{"unreadable", classify.ClientAddress{Header: "x-forwarded-for"}, xff("203.0.113.1, unknown"), ""},
		{"empty", classify.ClientAddress{Header: "x-forwarded-for"}, xff(""), ""},
		{"port", classify.ClientAddress{Header: "x-forwarded-for"}, xff("203.0.113.1:4711"), "203.0.113.1"},
		{"IPv6 with port", classify.ClientAddress{Header: "x-forwarded-for"}, xff("[2001:db8::1]:4711"), "2001:db8::1"},
		{"mapped", classify.ClientAddress{Header: "x-forwarded-for"}, xff("::ffff:203.0.113.1"), "203.0.113.1"},
		{"zone", classify.ClientAddress{Header: "x-forwarded-for"}, xff("fe80::1%eth0"), "fe80::1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := &classify.Classifier{ClientAddress: tc.config}
			r := c.Classify(&classify.Inbound{Method: "GET", Target: "/v2/", Headers: tc.headers, Address: peer})
			want, _ := netip.ParseAddr(tc.want)
			if r.Address != want {
				t.Errorf("got %v, want %v", r.Address, want)
			}
		})
	}
	r := classify.Classify(&classify.Inbound{Method: "GET", Target: "/v2/", Address: netip.MustParseAddr("::ffff:10.0.0.7")})
	if r.Address != netip.MustParseAddr("10.0.0.7") {
		t.Errorf("mapped peer: %v", r.Address)
	}
}

func TestNoSecretSurvives(t *testing.T) {
	for _, in := range []*classify.Inbound{
		{Method: "GET", Target: "/v2/", Headers: []classify.Header{{Name: "Authorization", Value: basic("u:" + key)}}},
		{Method: "GET", Target: "/v2/", Headers: []classify.Header{{Name: "Authorization", Value: "Bearer " + key}}},
		{Method: "GET", Target: "/v2/a/manifests/" + key},
		{Method: "PUT", Target: "/v2/a/manifests/" + key},
		{Method: "GET", Target: "/v2/" + key + "/tags/list?last=" + otherKey},
		{Method: "GET", Target: "/login?key=pg_" + key + "&x=" + otherKey},
		{Method: "GET", Target: "/v2/a/tags/list?last=" + key + otherKey},
		{Method: "GET", Target: "/v2/", Host: key},
	} {
		r := classify.Classify(in)
		for _, k := range []string{key, otherKey} {
			for _, s := range []string{r.Path, r.Host, r.Repository, r.Tag, r.Last, r.Method} {
				if strings.Contains(s, k[3:40]) {
					t.Errorf("%s %s: a key survives in %q", in.Method, in.Target, s)
				}
			}
		}
		if strings.Contains(in.Target, "pg_") && in.Method == "GET" && r.Kind != authz.KindMalformed {
			t.Errorf("%s: %s, want malformed", in.Target, r.Kind)
		}
	}
	if r := get("/v2/a/manifests/pg_16"); r.Kind != authz.KindManifest || r.Path != "/v2/a/manifests/pg_16" {
		t.Errorf("a tag that only begins like a key: %s %s", r.Kind, r.Path)
	}
}

func TestNoSecretSurvivesInAnotherSpelling(t *testing.T) {
	var every, twice strings.Builder
	for i := range len(key) {
		every.WriteString("%" + hex.EncodeToString([]byte{key[i]}))
		twice.WriteString("%25" + strings.ToUpper(hex.EncodeToString([]byte{key[i]})))
	}
	for _, tc := range []struct{ method, target, path string }{
		{"GET", "/v2/a/tags/list?last=%70g_" + key[3:], "/v2/a/tags/list?REDACTED"},
		{"HEAD", "/v2/a/tags/list?n=1&last=pg%5F" + key[3:], "/v2/a/tags/list?REDACTED"},
		{"GET", "/v2/a/tags/list?last=" + key[:63] + "%35", "/v2/a/tags/list?REDACTED"},
		{"GET", "/v2/a/tags/list?last=" + every.String(), "/v2/a/tags/list?REDACTED"},
		{"GET", "/v2/a/tags/list?last=" + twice.String(), "/v2/a/tags/list?REDACTED"},
		{"GET", "/v2/a/tags/list?x=%zz&last=%70g_" + key[3:], "/v2/a/tags/list?REDACTED"},
		{"GET", "/v2/a/tags/list?last=%70g_" + key[3:] + "%", "/v2/a/tags/list?REDACTED"},
		{"GET", "/v2/a/tags/list?last=" + otherKey + "&x=%70g_" + key[3:], "/v2/a/tags/list?REDACTED"},
		{"GET", "/v2/a/manifests/1?%70g_" + key[3:], "/v2/a/manifests/1?REDACTED"},
		{"PUT", "/v2/a/manifests/%70g_" + key[3:], "REDACTED"},
		{"GET", "/v2/a/manifests/" + every.String() + "?n=1", "REDACTED"},
		{"GET", "/v2/%3F%70g_" + key[3:] + "?" + strings.Repeat("x", 3000), "REDACTED"},
	} {
		r := classify.Classify(&classify.Inbound{Method: tc.method, Target: tc.target})
		if r.Path != tc.path || r.Last+r.Tag+r.Repository != "" {
			t.Errorf("%.99s: kept as %q, %q", tc.target, r.Path, r.Last+r.Tag+r.Repository)
		}
		if tc.method != "PUT" && r.Kind != authz.KindMalformed {
			t.Errorf("%.99s: %s", tc.target, r.Kind)
		}
	}
	for _, host := range []string{"%70g_" + key[3:], strings.ToUpper(key)} {
		if r := classify.Classify(&classify.Inbound{Method: "GET", Target: "/v2/", Host: host}); strings.Contains(r.Host, key[3:40]) {
			t.Errorf("host %q", r.Host)
		}
	}
	if r := get("/v2/a/tags/list?last=%70g_16"); r.Kind != authz.KindTags || r.Path != "/v2/a/tags/list?last=%70g_16" || r.Last != "pg_16" {
		t.Errorf("a tag that only begins like a key: %s %s", r.Kind, r.Path)
	}
}

func TestMethodsAreKeptOnlyWhenTheyAreMethods(t *testing.T) {
	for method, want := range map[string]string{
		"GET": "GET", "HEAD": "HEAD", "PUT": "PUT", "POST": "POST", "PATCH": "PATCH", "DELETE": "DELETE", "OPTIONS": "OPTIONS", "TRACE": "TRACE", "CONNECT": "CONNECT",
		"PROPFIND": "?", "get": "?", "": "?", "GET ": "?", key: "?", strings.ToUpper(key): "?", "X" + key: "?", strings.Repeat("GET", 100): "?",
	} {
		if r := classify.Classify(&classify.Inbound{Method: method, Target: "/v2/"}); r.Method != want {
			t.Errorf("%q: kept as %q, want %q", method, r.Method, want)
		}
	}
}

func TestAllocations(t *testing.T) {
	in := &classify.Inbound{
		Method: "GET", Target: "/v2/acme/app/manifests/1.5.0", Host: "registry.example",
		Headers: []classify.Header{{Name: "accept", Value: "*/*"}, {Name: "authorization", Value: basic("u:" + key)}},
	}
	if n := testing.AllocsPerRun(100, func() { classify.Classify(in) }); n > 1 {
		t.Errorf("%v allocations, want at most 1", n)
	}
}
