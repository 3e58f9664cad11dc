package compile

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/pullgate/pullgate/bundle/index"
	"github.com/pullgate/pullgate/bundle/license"
)

// keptFiles are license files that differ in everything that a repository's compilation asks of
// them, and in something that it does not.
var keptFiles = func() (all []string) {
	const customer = "---\nkind: Customer\nid: acme\n"
	base := vendor + customer
	all = append(all, base, base+"---\nkind: Customer\nid: bakery\n")
	for _, change := range []string{
		"history: P30D|history: P31D", "requires: [sso]|requires: [sso, mfa]", "variants: [alpine*, slim]|variants: [slim]", "id: app\n|id: app\nname: Other\n",
		"type: chart|versions: none", "  - acme/app\n|", "history: P30D|history: P30D\nrevoked_digests: [{repository: acme/app, digest: \"" + digest("A") + "\", at: 2026-03-01T00:00:00Z, reason: x}]",
		"history: P30D|catalog: listed",
	} {
		from, to, _ := strings.Cut(change, "|")
		if !strings.Contains(base, from) {
			panic(from)
		}
		all = append(all, strings.Replace(base, from, to, 1))
	}
	for _, more := range []string{
		"---\nkind: Release\nid: r\nproduct: app\nversion: 1.0.0\nreleased: 2026-01-01\n",
		"---\nkind: Release\nid: r\nproduct: app\nversion: 1.0.0\nwithdrawn: {at: 2026-06-01, reason: x, except: [acme]}\n",
		"---\nkind: Public\nid: p\nrepositories: [acme/app]\ntags: all\n",
		"---\nkind: Product\nid: other\nrepositories: [acme/other]\n",
	} {
		all = append(all, base+more)
	}
	return all
}()

// Whatever changes between one Compile and the next, what was kept gives the bytes and the warnings
// that a first one gives.
func TestKeptChangesNothing(t *testing.T) {
	sets := make([]*license.Set, len(keptFiles))
	for i, text := range keptFiles {
		sets[i] = parse(t, map[string]string{"a.yaml": text})
	}
	rapid.Check(t, func(t *rapid.T) {
		versions := map[string][]*Repository{}
		for _, name := range []string{"acme/app", "acme/charts/app", "acme/other"} {
			for range 3 {
				r := named(randomRepository(t))
				r.Name = name
				r.Key = new(int)
				versions[name] = append(versions[name], &r)
			}
		}
		kept := &Kept{}
		for step := range 8 {
			in := &Input{
				Set: sets[rapid.IntRange(0, len(sets)-1).Draw(t, "set")], Modules: library, Name: "default", NotAfter: license.Never,
			}
			for _, name := range []string{"acme/app", "acme/charts/app", "acme/other"} {
				if i := rapid.IntRange(0, 4).Draw(t, name); i < 4 {
					in.Catalog = append(in.Catalog, *versions[name][i%3])
				}
			}
			want, wantWarnings, err := Compile(in)
			if err != nil {
				t.Fatal(err)
			}
			in.Kept = kept
			got, warnings, err := Compile(in)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(want.Files["index.bin"], got.Files["index.bin"]) {
				t.Fatalf("step %d: another index", step)
			}
			if diff := cmp.Diff(wantWarnings, warnings); diff != "" {
				t.Fatalf("step %d: %s", step, diff)
			}
		}
	})
}

func TestKeptIsUsed(t *testing.T) {
	set := parse(t, map[string]string{"a.yaml": vendor})
	repo := func(name, d string, key any) Repository {
		r := named(Repository{Tags: tags{"1.0.0": at(d)}, Manifests: manifests{d: image("L")}})
		r.Name, r.Key = name, key
		return r
	}
	one, two := repo("acme/app", "A", "one"), repo("acme/nightly", "B", "two")
	kept := &Kept{}
	compile := func(set *license.Set, repos ...Repository) []byte {
		t.Helper()
		content, _, err := Compile(&Input{Set: set, Catalog: repos, Kept: kept, Modules: library, Name: "default", NotAfter: license.Never})
		if err != nil {
			t.Fatal(err)
		}
		return content.Files["index.bin"]
	}
	of := func(name string) *index.Node { return &kept.repositories[keptName{"main", name}].compiled.Nodes[0] }
	first := compile(set, one, two)
	app, nightly := of("acme/app"), of("acme/nightly")
	if again := compile(set, one, two); &again[0] != &first[0] {
		t.Error("the same index was made again")
	}
	customers := parse(t, map[string]string{"a.yaml": vendor + "---\nkind: Customer\nid: acme\n"})
	if again := compile(customers, one, two); &again[0] != &first[0] {
		t.Error("a customer made the index again")
	}
	if compile(set, one, repo("acme/nightly", "C", "three")); of("acme/app") != app || of("acme/nightly") == nightly {
		t.Error("a repository that is the same was compiled again, or one that is not was not")
	}
	for _, key := range []any{nil, "four"} {
		app = of("acme/app")
		if compile(set, repo("acme/app", "A", key), two); of("acme/app") == app {
			t.Errorf("key %v: not compiled again", key)
		}
	}
	if compile(set, two); len(kept.repositories) != 1 {
		t.Errorf("%d repositories are kept", len(kept.repositories))
	}
}
