package upstream

import (
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestChallengesAreTakenApart(t *testing.T) {
	type params = map[string]string
	for _, c := range []struct {
		fields []string
		want   []challenge
	}{
		{nil, nil},
		{[]string{""}, nil},
		{[]string{`Basic realm="x"`}, []challenge{{"basic", params{"realm": "x"}}}},
		{[]string{`Basic`}, []challenge{{"basic", params{}}}},
		{[]string{`BEARER Realm="https://a/b?c=d,e",service="a b",scope="x:y:z"`}, []challenge{{"bearer", params{"realm": "https://a/b?c=d,e", "service": "a b", "scope": "x:y:z"}}}},
		{[]string{`Bearer realm=https`, `Basic realm=y`}, []challenge{{"bearer", params{"realm": "https"}}, {"basic", params{"realm": "y"}}}},
		{[]string{`Bearer realm="x" , service = "y", Basic realm="z"`}, []challenge{{"bearer", params{"realm": "x", "service": "y"}}, {"basic", params{"realm": "z"}}}},
		{[]string{`Negotiate, Basic realm="z"`}, []challenge{{"negotiate", params{}}, {"basic", params{"realm": "z"}}}},
		{[]string{`Bearer realm="a\"b\\c"`}, []challenge{{"bearer", params{"realm": `a"b\c`}}}},
		{[]string{`Bearer realm="x",realm="y"`}, []challenge{{"bearer", params{"realm": "x"}}}},
		{[]string{`Bearer realm="x`}, []challenge{{"bearer", params{}}}},
		{[]string{`Bearer realm="x\`}, []challenge{{"bearer", params{}}}},
		{[]string{`Bearer realm=`}, []challenge{{"bearer", params{}}}},
		{[]string{`="x"`}, nil},
		{[]string{`realm="x"`}, nil},
		{[]string{`"Bearer"`}, nil},
		{[]string{`, , Basic`}, []challenge{{"basic", params{}}}},
		{[]string{strings.Repeat("x", maxChallenges+1)}, nil},
	} {
		if got := challenges(http.Header{"Www-Authenticate": c.fields}); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%.99q: %q, want %q", c.fields, got, c.want)
		}
	}
}

// FuzzChallenges: nothing panics, loops, or makes a parameter of what was not sent.
func FuzzChallenges(f *testing.F) {
	f.Add(`Bearer realm="https://a/b",service="c", Basic realm=x`)
	f.Add(`a b c="\`)
	f.Fuzz(func(t *testing.T, s string) {
		for _, c := range challenges(http.Header{"Www-Authenticate": {s}}) {
			if c.scheme == "" || !strings.Contains(strings.ToLower(s), c.scheme) {
				t.Fatalf("%q: scheme %q", s, c.scheme)
			}
			for name, value := range c.params {
				if !strings.Contains(strings.ToLower(s), name) || len(value) > len(s) {
					t.Fatalf("%q: %s is %q", s, name, value)
				}
			}
		}
	})
}

// Tokens are kept for a bounded number of repositories; those that are over, and those that were not
// used for longest, make room.
func TestTokensAreBounded(t *testing.T) {
	now := time.Unix(1_780_000_000, 0)
	r := &registry{tokens: map[string]*token{}}
	put := func(name string, good time.Duration) {
		r.makeRoom(now)
		r.tokens[name] = &token{goodUntil: now.Add(good), used: now}
	}
	for n := range 3 * maxTokens {
		now = now.Add(time.Millisecond)
		put(fmt.Sprint("acme/", n), time.Hour)
		if len(r.tokens) > maxTokens {
			t.Fatalf("%d tokens", len(r.tokens))
		}
	}
	for _, n := range []int{2 * maxTokens, 3*maxTokens - 1} {
		if r.tokens[fmt.Sprint("acme/", n)] == nil {
			t.Errorf("acme/%d was forgotten", n)
		}
	}
	r.tokens["acme/over"] = &token{goodUntil: now, used: now}
	r.tokens["acme/asked"] = &token{fetching: make(chan struct{})}
	put("acme/new", time.Hour)
	if r.tokens["acme/over"] != nil || r.tokens["acme/asked"] == nil || r.tokens["acme/new"] == nil {
		t.Error("made room by another one")
	}
}
