package reply_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"sort"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/pullgate/pullgate/authz"
	"github.com/pullgate/pullgate/authz/reply"
)

func TestAnswers(t *testing.T) {
	tags := []string{"1.0.0", "1.5", "1.5.0"}
	repositories := []string{"acme/a", "acme/a-b", "acme/a/b"}
	for _, tc := range []struct {
		name  string
		r     authz.Request
		names []string
		body  string
		link  string
	}{
		{"ping", authz.Request{Kind: authz.KindPing, N: -1}, nil, `{}`, ""},
		{"tags", authz.Request{Kind: authz.KindTags, N: -1}, tags, `{"name":"acme/app","tags":["1.0.0","1.5","1.5.0"]}`, ""},
		{"no tags", authz.Request{Kind: authz.KindTags, N: -1}, []string{}, `{"name":"acme/app","tags":[]}`, ""},
		{"nil is never null", authz.Request{Kind: authz.KindTags, N: -1}, nil, `{"name":"acme/app","tags":[]}`, ""},
		{"zero", authz.Request{Kind: authz.KindTags, N: 0}, tags, `{"name":"acme/app","tags":[]}`, ""},
		{"first page", authz.Request{Kind: authz.KindTags, N: 1}, tags, `{"name":"acme/app","tags":["1.0.0"]}`, `</v2/acme/app/tags/list?n=1&last=1.0.0>; rel="next"`},
		{"second page", authz.Request{Kind: authz.KindTags, N: 1, Last: "1.0.0"}, tags, `{"name":"acme/app","tags":["1.5"]}`, `</v2/acme/app/tags/list?n=1&last=1.5>; rel="next"`},
		{"last page", authz.Request{Kind: authz.KindTags, N: 1, Last: "1.5"}, tags, `{"name":"acme/app","tags":["1.5.0"]}`, ""},
		{"behind the last", authz.Request{Kind: authz.KindTags, N: 1, Last: "1.5.0"}, tags, `{"name":"acme/app","tags":[]}`, ""},
		{"exactly full", authz.Request{Kind: authz.KindTags, N: 3}, tags, `{"name":"acme/app","tags":["1.0.0","1.5","1.5.0"]}`, ""},
		{"last need not exist", authz.Request{Kind: authz.KindTags, N: -1, Last: "1.4.9"}, tags, `{"name":"acme/app","tags":["1.5","1.5.0"]}`, ""},
		{"catalog", authz.Request{Kind: authz.KindCatalog, N: -1}, repositories, `{"repositories":["acme/a","acme/a-b","acme/a/b"]}`, ""},
		{"catalog page", authz.Request{Kind: authz.KindCatalog, N: 2}, repositories, `{"repositories":["acme/a","acme/a-b"]}`, `</v2/_catalog?n=2&last=acme/a-b>; rel="next"`},
		{"empty catalog", authz.Request{Kind: authz.KindCatalog, N: -1}, nil, `{"repositories":[]}`, ""},
		{"no referrers", authz.Request{Kind: authz.KindReferrers, N: -1}, nil, `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, method := range []string{"GET", "HEAD"} {
				tc.r.Method, tc.r.Repository = method, "acme/app"
				p := reply.For(&tc.r, &authz.Decision{ID: id, Outcome: authz.OutcomeAnswer, Status: 200, Code: authz.CodeOK, Names: tc.names})
				if p.Allow || p.Status != 200 || string(p.Body) != tc.body {
					t.Errorf("%s: allow %v status %d body %s, want %s", method, p.Allow, p.Status, p.Body, tc.body)
				}
				contentType := "application/json"
				if tc.r.Kind == authz.KindReferrers {
					contentType = "application/vnd.oci.image.index.v1+json"
				}
				for name, want := range map[string]string{
					"link": tc.link, "content-type": contentType, "docker-distribution-api-version": "registry/2.0", "cache-control": "private, no-store",
					"x-pullgate-decision": id, "www-authenticate": "", "retry-after": "",
				} {
					if got := header(t, p.Headers, name); got != want {
						t.Errorf("%s: %s: %q, want %q", method, name, got, want)
					}
				}
			}
		})
	}
}

// Without n a list is whole up to 10,000 entries; after them comes a Link, which leads to the rest
// and, like the question, has no n.
func TestListWithoutNEndsAt10000(t *testing.T) {
	names := make([]string, 10_001)
	for i := range names {
		names[i] = fmt.Sprintf("%05d", i)
	}
	for path, kind := range map[string]authz.Kind{"/v2/a/tags/list": authz.KindTags, "/v2/_catalog": authz.KindCatalog} {
		r := &authz.Request{Kind: kind, N: -1}
		if kind == authz.KindTags {
			r.Repository = "a"
		}
		ask := func(names []string) (listed []string, link string) {
			p := reply.For(r, &authz.Decision{Outcome: authz.OutcomeAnswer, Names: names})
			var body struct{ Tags, Repositories []string }
			if err := json.Unmarshal(p.Body, &body); err != nil {
				t.Fatal(err)
			}
			return append(body.Tags, body.Repositories...), header(t, p.Headers, "link")
		}
		if listed, link := ask(names[:10_000]); !slices.Equal(listed, names[:10_000]) || link != "" {
			t.Errorf("%s of 10,000: %d, link %q", kind, len(listed), link)
		}
		if listed, link := ask(names); !slices.Equal(listed, names[:10_000]) || link != "<"+path+`?last=09999>; rel="next"` {
			t.Errorf("%s of 10,001: %d, link %q", kind, len(listed), link)
		}
		r.Last = "09999"
		if listed, link := ask(names); !slices.Equal(listed, names[10_000:]) || link != "" {
			t.Errorf("the rest of %s: %q, link %q", kind, listed, link)
		}
	}
}

// Walking the Links of any list gives exactly its names, in order, and never anything else.
func TestPagesAddUp(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		names := rapid.SliceOfDistinct(rapid.StringMatching(`[A-Za-z0-9_][A-Za-z0-9._-]{0,3}`), rapid.ID).Draw(rt, "names")
		sort.Strings(names)
		r := &authz.Request{Kind: authz.KindTags, Repository: "a/b", N: rapid.IntRange(1, 5).Draw(rt, "n")}
		var walked []string
		for range len(names) + 1 {
			p := reply.For(r, &authz.Decision{Outcome: authz.OutcomeAnswer, Names: names})
			var body struct {
				Name string
				Tags []string
			}
			if err := json.Unmarshal(p.Body, &body); err != nil || body.Name != "a/b" || body.Tags == nil || len(body.Tags) > r.N {
				rt.Fatalf("%s: %v", p.Body, err)
			}
			walked = append(walked, body.Tags...)
			link := header(t, p.Headers, "link")
			if link == "" {
				break
			}
			prefix := fmt.Sprintf("</v2/a/b/tags/list?n=%d&last=", r.N)
			last, ok := strings.CutPrefix(strings.TrimSuffix(link, `>; rel="next"`), prefix)
			if !ok || !slices.Contains(names, last) {
				rt.Fatalf("link %s", link)
			}
			r.Last = last
		}
		if !slices.Equal(walked, names) {
			rt.Fatalf("walked %q, want %q", walked, names)
		}
	})
}

func TestReferrersAreFilteredByType(t *testing.T) {
	all := []authz.Descriptor{
		{MediaType: "application/vnd.oci.image.manifest.v1+json", Digest: digest, Size: 7, ArtifactType: "application/a", Annotations: map[string]string{"k": "<&>"}},
		{MediaType: "application/vnd.oci.image.manifest.v1+json", Digest: digest, Size: 8, ArtifactType: "application/b"},
	}
	r := &authz.Request{Kind: authz.KindReferrers, Repository: "a", Digest: digest, N: -1}
	d := &authz.Decision{Outcome: authz.OutcomeAnswer, Referrers: all}
	p := reply.For(r, d)
	if n := strings.Count(string(p.Body), digest); n != 2 || header(t, p.Headers, "oci-filters-applied") != "" {
		t.Errorf("%d referrers: %s", n, p.Body)
	}
	r.ArtifactType = "application/a"
	p = reply.For(r, d)
	want := `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"` +
		digest + `","size":7,"artifactType":"application/a","annotations":{"k":"<&>"}}]}`
	if string(p.Body) != want {
		t.Errorf("got  %s\nwant %s", p.Body, want)
	}
	if got := header(t, p.Headers, "oci-filters-applied"); got != "artifactType" {
		t.Errorf("oci-filters-applied %q", got)
	}
}
