package classify_test

import (
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/pullgate/pullgate/authz"
)

var (
	pageSize = regexp.MustCompile(`^[0-9]{1,10}$`)
	aTag     = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$`)
	aName    = regexp.MustCompile(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$`)
)

// FuzzQuery: what is taken from a query is what net/url reads in it; each key is one that its
// route has, once; every value has its grammar.
func FuzzQuery(f *testing.F) {
	for _, s := range []string{"n=1", "n=0&last=1.0.0", "last=%31", "n=1&n=2", "last=a%2Fb", "artifactType=a%2Fb%2Bc", "artifactType=a/b+c", "n=", "=1", "n", "n=+1", "n=1&", "&n=1", "n=%31", "last=%00", "n=99999999999", "ns=x", "%6e=1", "n=1;last=2", "last=%2", "from=a"} {
		f.Add(s)
	}
	routes := map[string][]string{"/v2/a/b/tags/list": {"n", "last"}, "/v2/_catalog": {"n", "last"}, "/v2/a/b/referrers/" + digest: {"artifactType"}, "/v2/a/b/manifests/1": nil}
	f.Fuzz(func(t *testing.T, query string) {
		for route, keys := range routes {
			r := get(route + "?" + query)
			if r.Kind == authz.KindMalformed || r.Kind == authz.KindUnsupported {
				continue
			}
			values, err := url.ParseQuery(strings.ReplaceAll(query, "+", "%2B")) // a plus is one
			if err != nil {
				t.Fatalf("%s?%s: %s, and it is no query: %v", route, query, r.Kind, err)
			}
			for key, list := range values {
				if len(list) != 1 || !slices.Contains(keys, key) {
					t.Fatalf("%s?%s: %s with %s %q", route, query, r.Kind, key, list)
				}
			}
			if n, ok := values["n"]; ok {
				size, err := strconv.Atoi(n[0])
				if !pageSize.MatchString(n[0]) || err != nil || r.N != min(size, 1000) {
					t.Fatalf("%s?%s: n is %d", route, query, r.N)
				}
			} else if r.N != -1 {
				t.Fatalf("%s?%s: n is %d and nobody said so", route, query, r.N)
			}
			if r.Last != values.Get("last") || r.ArtifactType != values.Get("artifactType") {
				t.Fatalf("%s?%s: last %q, type %q", route, query, r.Last, r.ArtifactType)
			}
			grammar := aTag
			if r.Kind == authz.KindCatalog {
				grammar = aName
			}
			if r.Last != "" && !grammar.MatchString(r.Last) {
				t.Fatalf("%s?%s: last %q is none that can be listed", route, query, r.Last)
			}
		}
	})
}
