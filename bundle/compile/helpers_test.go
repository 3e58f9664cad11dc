package compile

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pullgate/pullgate/bundle/index"
	"github.com/pullgate/pullgate/bundle/license"
)

// library stands in for the Rego library.
var library = map[string][]byte{"pullgate/decision.rego": []byte("package pullgate\n\ndecision := {}\n")}

// digest is the digest of a name, as in decision scripts.
func digest(name string) string {
	sum := sha256.Sum256([]byte(name))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// named makes digests of the names in r: of tags, history and manifests, and of @NAME in
// digest-like tags.
func named(r Repository) Repository {
	out := Repository{
		Registry: r.Registry, Name: r.Name,
		Tags: map[string]Tag{}, History: map[string][]Past{}, Manifests: map[string]*Manifest{},
	}
	tagName := func(tag string) string {
		before, rest, ok := strings.Cut(tag, "@")
		if !ok {
			return tag
		}
		name, suffix, dot := strings.Cut(rest, ".")
		if dot {
			suffix = "." + suffix
		}
		return before + strings.TrimPrefix(digest(name), "sha256:") + suffix
	}
	all := func(names []string) (out []string) {
		for _, n := range names {
			out = append(out, digest(n))
		}
		return out
	}
	for tag, t := range r.Tags {
		t.Digest = digest(t.Digest)
		out.Tags[tagName(tag)] = t
	}
	for tag, pasts := range r.History {
		for _, p := range pasts {
			out.History[tagName(tag)] = append(out.History[tagName(tag)], Past{digest(p.Digest), p.Until})
		}
	}
	for subject, listed := range r.Referrers {
		if out.Referrers == nil {
			out.Referrers = map[string][]string{}
		}
		out.Referrers[digest(subject)] = all(listed)
	}
	for name, m := range r.Manifests {
		c := *m
		c.Index, c.Layers = all(m.Index), all(m.Layers)
		if m.Config != "" {
			c.Config = digest(m.Config)
		}
		if m.Subject != "" {
			c.Subject = digest(m.Subject)
		}
		out.Manifests[digest(name)] = &c
	}
	return out
}

// at is a tag that names a digest since always.
func at(name string) Tag { return Tag{Digest: name, Seen: license.Always} }

// day is an instant in 2026.
func day(month time.Month, d int) int64 {
	return time.Date(2026, month, d, 0, 0, 0, 0, time.UTC).Unix()
}

// parse reads license files by name.
func parse(t testing.TB, files map[string]string) *license.Set {
	t.Helper()
	in := map[string][]byte{}
	for name, text := range files {
		in[name] = []byte(text)
	}
	set, err := license.Parse(in)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

const vendor = `
kind: Registry
id: main
hosts: [registry.acme.example]
upstream: https://harbor.internal
history: P30D
---
kind: Product
id: app
repositories:
  - acme/app
  - {name: acme/charts/app, type: chart}
  - {name: acme/nightly, versions: none}
variants: [alpine*, slim]
requires: [sso]
`

// compileIndex compiles licenses and a catalog and opens the index.
func compileIndex(t testing.TB, licenses string, repos ...Repository) (*index.Index, []Warning) {
	t.Helper()
	in := &Input{Set: parse(t, map[string]string{"a.yaml": licenses}), Modules: library, Name: "default", NotAfter: license.Never}
	for _, r := range repos {
		in.Catalog = append(in.Catalog, named(r))
	}
	content, warnings, err := Compile(in)
	if err != nil {
		t.Fatal(err)
	}
	x, err := index.Open(content.Files["index.bin"])
	if err != nil {
		t.Fatal(err)
	}
	return x, warnings
}

// show writes a candidate in one word or a few: TAG, then =VERSION, dates and ends where they
// say something.
func show(c index.Candidate) string {
	var out bytes.Buffer
	out.WriteString(c.Tag)
	if c.Version != "" {
		out.WriteString("=" + c.Version)
	}
	for _, i := range []struct {
		name string
		at   int64
		none int64
	}{
		{"released", c.Released, index.Always},
		{"withdrawn", c.WithdrawnAt, index.Never},
		{"retires", c.RetiresAt, index.Never},
		{"revoked", c.RevokedAt, index.Never},
	} {
		if i.at != i.none {
			fmt.Fprintf(&out, " %s %s", i.name, time.Unix(i.at, 0).UTC().Format("01-02"))
		}
	}
	return out.String()
}

func showAll(cs []index.Candidate) string {
	var out []string
	for _, c := range cs {
		out = append(out, show(c))
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

// nodes shows the candidates of every node of a repository by name; blobs have a star.
func nodes(t testing.TB, x *index.Index, repo string, names ...string) map[string]string {
	t.Helper()
	r, ok := x.Repository("main", repo)
	if !ok {
		t.Fatalf("the index has no repository %s", repo)
	}
	byDigest := map[index.Digest]string{}
	for _, n := range names {
		d, _ := parseDigest(digest(n))
		byDigest[d] = n
	}
	out := map[string]string{}
	for n := range r.Nodes() {
		name, ok := byDigest[n.Digest]
		if !ok {
			name = hex.EncodeToString(n.Digest[:4])
		}
		if n.Kind == index.Blob {
			name += "*"
		}
		out[name] = showAll(x.Set(n.Set))
	}
	return out
}

// namesIn lists every name in a repository that is not compiled yet.
func namesIn(r Repository) []string {
	out := map[string]bool{}
	for _, t := range r.Tags {
		out[t.Digest] = true
	}
	for _, pasts := range r.History {
		for _, p := range pasts {
			out[p.Digest] = true
		}
	}
	for name, m := range r.Manifests {
		for _, n := range slices.Concat([]string{name, m.Config, m.Subject}, m.Index, m.Layers) {
			out[n] = true
		}
	}
	for subject, listed := range r.Referrers {
		for _, n := range append([]string{subject}, listed...) {
			out[n] = true
		}
	}
	delete(out, "")
	return slices.Sorted(maps.Keys(out))
}
