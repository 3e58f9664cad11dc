package engine

import (
	"strings"
	"testing"

	"github.com/pullgate/pullgate/authz"
)

func TestHosts(t *testing.T) {
	h, err := readRegistries(objectOf(t, `{
		"main":{"hosts":["registry.example","pull.example:5000","192.0.2.1","2001:db8::1","[2001:db8::2]:443"],"listed":true},
		"other":{"hosts":["pull.example:5001"],"listed":false}}`))
	if err != nil {
		t.Fatal(err)
	}
	for authority, want := range map[string]string{
		"registry.example": "main", "registry.example:8443": "main", "registry.example:65535": "main", "Registry.EXAMPLE": "main",
		"pull.example:5000": "main", "pull.example:5001": "other", "PULL.example:5001": "other",
		"192.0.2.1": "main", "192.0.2.1:80": "main",
		"2001:db8::1": "main", "[2001:db8::1]": "main", "[2001:DB8:0::1]:8080": "main",
		"[2001:db8::2]:443": "main",

		"pull.example": "", "pull.example:5002": "", "pull.example:05000": "", "example": "", "x.registry.example": "",
		"registry.example.evil": "", "registry.example.": "", "registry.example:": "", "registry.example:x": "",
		"registry.example:443:443": "", "registry.example:123456": "", "registry.example:65536": "", "192.0.2.1:99999": "", "[2001:db8::1]:70000": "", "": "", ":": "", ":443": "",
		"[2001:db8::2]": "", "[2001:db8::2]:80": "", "[192.0.2.1]": "", "[registry.example]": "", "[2001:db8::1": "", "2001:db8::1]": "",
		"registry.example]": "", "user@registry.example": "",
	} {
		reg, ok := h.registry(authority)
		if reg.ID != want || ok != (want != "") || reg.Listed != (want == "main") {
			t.Errorf("%q: %+v, %v; want %q", authority, reg, ok, want)
		}
	}
	for _, bad := range []string{`{"a":[]}`, `{"a":{"hosts":[""]}}`, `{"a":{"hosts":["x:y"]}}`, `{"a":{"hosts":["x:65536"]}}`, `{"a":{"hosts":["x"]},"b":{"hosts":["X"]}}`} {
		if _, err := readRegistries(objectOf(t, bad)); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
}

func TestKeysAreReadWithTheirLimits(t *testing.T) {
	hash := strings.Repeat("ab", 32)
	s, err := readSubjects(objectOf(t, `{
		"`+hash+`":{"customer":"acme","key":"ci","expires":100,"repositories":["acme/*"],"addresses":["10.0.0.0/8"]},
		"`+strings.Repeat("cd", 32)+`":{"customer":"acme","key":"all","expires":"never"},
		"`+strings.Repeat("ef", 32)+`":{"customer":"acme","key":"none","expires":"never","repositories":[],"addresses":[]}}`), nil, nil, func() {})
	if err != nil {
		t.Fatal(err)
	}
	k, _ := s.key([32]byte([]byte(strings.Repeat("\xab", 32))))
	if k.Customer != "acme" || k.ID != "ci" || k.Expires != 100 || len(k.Addresses) != 1 {
		t.Errorf("%+v", k)
	}
	if !k.InScope("acme/app") || k.InScope("acme/app/sub") || k.InScope("other/app") {
		t.Error("scope")
	}
	k, _ = s.key([32]byte([]byte(strings.Repeat("\xcd", 32))))
	if k.Expires != authz.Never || k.InScope != nil || k.Addresses != nil {
		t.Errorf("a key without limits has %+v", k)
	}
	k, _ = s.key([32]byte([]byte(strings.Repeat("\xef", 32))))
	if k.InScope == nil || k.InScope("acme/app") || k.Addresses == nil || len(k.Addresses) != 0 {
		t.Errorf("a key for nothing has %+v", k)
	}
	for _, bad := range []string{
		`{"x":{"customer":"a","key":"k","expires":1}}`, `{"` + strings.ToUpper(hash) + `":{"customer":"a","key":"k","expires":1}}`, `{"` + hash + `":{"key":"k","expires":1}}`,
		`{"` + hash + `":{"customer":"a","expires":1}}`, `{"` + hash + `":{"customer":"a","key":"k"}}`,
		`{"` + hash + `":{"customer":"a","key":"k","expires":"soon"}}`, `{"` + hash + `":{"customer":"a","key":"k","expires":1,"addresses":["x"]}}`,
	} {
		if _, err := readSubjects(objectOf(t, bad), nil, nil, func() {}); err == nil {
			t.Errorf("keys %s are taken", bad)
		}
	}
}

func TestIdentitiesAreWholeStrings(t *testing.T) {
	s, err := readSubjects(nil, objectOf(t, `{"jwt":[{"issuer":"https://idp","subject":"ci","customer":"acme"}],
		"mtls":[{"san":"spiffe://acme/ci","customer":"acme"},{"san":"spiffe://globex/ci","customer":"globex"}]}`), nil, func() {})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		id   authz.Identity
		want authz.Subject
	}{
		{authz.Identity{JWTIssuer: "https://idp", JWTSubject: "ci"}, authz.Subject{Customer: "acme", Key: "jwt", Via: "jwt"}},
		{authz.Identity{SAN: "spiffe://globex/ci"}, authz.Subject{Customer: "globex", Key: "mtls", Via: "mtls"}},
		{authz.Identity{JWTIssuer: "https://idp", JWTSubject: "ci", SAN: "spiffe://acme/ci"}, authz.Subject{Customer: "acme", Key: "jwt", Via: "jwt"}},
		{authz.Identity{JWTIssuer: "https://idp", JWTSubject: "ci", SAN: "spiffe://globex/ci"}, authz.Subject{}},
		{authz.Identity{JWTIssuer: "https://idp/", JWTSubject: "ci"}, authz.Subject{}},
		{authz.Identity{JWTIssuer: "https://idp"}, authz.Subject{}},
		{authz.Identity{SAN: "spiffe://acme"}, authz.Subject{}},
		{authz.Identity{}, authz.Subject{}},
	} {
		got, ok := s.identify(c.id)
		if got != c.want || ok != (c.want.Customer != "") {
			t.Errorf("%+v: %+v, %v", c.id, got, ok)
		}
	}
	for _, bad := range []string{
		`{"jwt":1}`, `{"jwt":[{"issuer":"","subject":"s","customer":"c"}]}`, `{"mtls":[{"san":"","customer":"c"}]}`,
		`{"mtls":[{"san":"s","customer":"a"},{"san":"s","customer":"b"}]}`,
		`{"jwt":[{"issuer":"i","subject":"s","customer":"a"},{"issuer":"i","subject":"s","customer":"b"}]}`,
	} {
		if _, err := readSubjects(nil, objectOf(t, bad), nil, func() {}); err == nil {
			t.Errorf("identities %s are taken", bad)
		}
	}
}
