package compile

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/pullgate/pullgate/bundle"
	"github.com/pullgate/pullgate/bundle/license"
)

// Whatever changes between one Compile and the next, of licenses, catalog and the day, what was kept of
// customers gives the files and the warnings that a first one gives.
func TestKeptCustomersChangeNothing(t *testing.T) {
	shared, made := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		w := licensed{t: t, files: map[string][]byte{"base.yaml": []byte(vendor)}}
		for i := range 4 {
			w.edit(fmt.Sprintf("c%d.yaml", i))
		}
		set := w.read()
		catalogs := [][]Repository{nil}
		for range 3 {
			var cat []Repository
			for _, name := range []string{"acme/app", "acme/tools/a", "acme/tools/b"} {
				r := named(randomRepository(t))
				r.Name, r.Key = name, new(int)
				if rapid.IntRange(0, 3).Draw(t, "there") > 0 {
					cat = append(cat, r)
				}
			}
			catalogs = append(catalogs, cat)
		}
		kept, before := &Kept{}, map[*bundle.Section]bool{}
		catalog := 0
		for step := range 5 {
			switch rapid.IntRange(0, 4).Draw(t, "what changes") {
			case 0:
				catalog = rapid.IntRange(0, 3).Draw(t, "catalog")
			case 1:
				set = w.read() // all of it read again
			default:
				name := fmt.Sprintf("c%d.yaml", rapid.IntRange(0, 4).Draw(t, "file"))
				if rapid.IntRange(0, 5).Draw(t, "gone") == 0 {
					delete(w.files, name)
					if set = set.Edited(nil, []string{name}); set == nil {
						set = w.read()
					}
					break
				}
				w.edit(name)
				if set = set.Edited([]license.Part{license.FilePart(name, w.files[name])}, nil); set == nil {
					set = w.read()
				}
			}
			in := &Input{
				Set: set, Modules: library, Name: "default", NotAfter: license.Never, Catalog: catalogs[catalog],
				IssuedAt: rapid.Int64Range(day(1, 1), day(1, 1)+2*366*86400).Draw(t, "issued"),
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
			gotFiles, wantFiles := got.All(), want.All()
			if !slices.Equal(slices.Sorted(maps.Keys(gotFiles)), slices.Sorted(maps.Keys(wantFiles))) {
				t.Fatal("other files")
			}
			for p, text := range wantFiles {
				if string(gotFiles[p]) != string(text) {
					t.Fatalf("step %d: %s is\n%s\nwant\n%s", step, p, gotFiles[p], text)
				}
			}
			if diff := cmp.Diff(wantWarnings, warnings); diff != "" {
				t.Fatalf("step %d: %s", step, diff)
			}
			for _, s := range got.Objects[pathCustomers].Sections() {
				if made++; before[s] {
					shared++
				}
				before[s] = true
			}
		}
	})
	if t.Logf("%d sections, %d shared with an earlier bundle", made, shared); shared < made/20 {
		t.Error("customers are compiled again")
	}
}

// licensed is a set of license files that is edited file by file.
type licensed struct {
	t     *rapid.T
	files map[string][]byte
}

func (w *licensed) read() *license.Set {
	set, err := license.Parse(w.files)
	if err != nil {
		w.t.Fatal(err)
	}
	return set
}

// edit writes a file with a customer.
func (w *licensed) edit(name string) {
	n := name[1:2]
	pick := func(of ...string) string { return rapid.SampledFrom(of).Draw(w.t, "text") }
	var b strings.Builder
	// Long enough that there are several sections.
	fmt.Fprintf(&b, "kind: Customer\nid: c%s\n%slabels: {x: %s}\n", n, pick("", "status: banned\n", "name: "+n+"x\n"), strings.Repeat("x", 40_000))
	b.WriteString(pick("", fmt.Sprintf("keys: [{id: ci, hash: \"sha256:%064s\"%s}]\n", n, pick("", ", expires: 2027-01-01", ", addresses: [10.0.0.0/8]"))))
	b.WriteString(pick("", fmt.Sprintf("identities: [{mtls: {san: x%s}}]\n", n), fmt.Sprintf("identities: [{jwt: {issuer: i, subject: x%s}}]\n", n)))
	for _, l := range []string{"a", "b"} {
		fmt.Fprintf(&b, "---\nkind: License\nid: l%s%s\ncustomer: c%s\ntype: subscription\nstarts: 2026-01-01\nterm: P1M\n%s", n, l, n, pick("", "renews: {every: P1M}\n", "renews: {every: P1Y}\n"))
		fmt.Fprintf(&b, "%sgrants: [%s]\n", pick("", "features: {sso: true}\n"), pick(
			`{product: app, versions: "`+pick(">=1.0.0", ">=9.0.0")+`"}`, `{repository: acme/tools/*, tags: ["`+pick("1*", "z*", "1.0.0")+`"]}`,
			`{repository: acme/tools/a, tags: {current: {as_of: 2026-02-01}}}`, `{repository: acme/tools/*, tags: {current: {}}}`, `{repository: "acme/**", tags: all}`, ""))
	}
	b.WriteString(pick("", fmt.Sprintf("---\nkind: License\nid: l%sr\ncustomer: c%s\ntype: subscription\nstarts: 2026-03-01\nends: 2026-12-31\nreplaces: l%sa\ngrants: []\n", n, n, n)))
	w.files[name] = []byte(b.String())
}

// Nothing of a customer is made again while nothing about it changes, nor for a new day that
// changes no term, and an edit makes one customer.
func TestKeptCustomersAreUsed(t *testing.T) {
	files := map[string][]byte{"base.yaml": []byte(vendor)}
	doc := func(i int, renews string) []byte {
		return fmt.Appendf(nil, "kind: Customer\nid: c%d\nlabels: {x: %s}\n---\nkind: License\nid: l%d\ncustomer: c%d\ntype: subscription\nstarts: 2026-01-01\nterm: P1Y\n%sgrants: [{product: app, versions: all}]\n",
			i, strings.Repeat("x", 200_000), i, i, renews)
	}
	for i := range 5 {
		files[fmt.Sprintf("c%d.yaml", i)] = doc(i, "")
	}
	files["c1.yaml"] = doc(1, "renews: {every: P1Y}\n")
	s, err := license.Parse(files)
	if err != nil {
		t.Fatal(err)
	}
	kept := &Kept{}
	var last []*bundle.Section
	compile := func(set *license.Set, issued int64, others int) {
		t.Helper()
		content, _, err := Compile(&Input{Set: set, Kept: kept, Modules: library, Name: "default", IssuedAt: issued, NotAfter: license.Never})
		if err != nil {
			t.Fatal(err)
		}
		now, n := content.Objects[pathCustomers].Sections(), 0
		for _, s := range now {
			if !slices.Contains(last, s) {
				n++
			}
		}
		if last = now; n != others {
			t.Errorf("%d sections are others, want %d", n, others)
		}
	}
	compile(s, day(1, 1), 5)
	compile(s, day(1, 1), 0)
	compile(s, day(12, 1), 0)
	compile(s, day(12, 31)+86400, 1) // a renewal of c1
	edited := s.Edited([]license.Part{license.FilePart("c3.yaml", doc(3, "grace: P1D\n"))}, nil)
	compile(edited, day(12, 31)+86400, 1)
	compile(edited.Edited(nil, []string{"c4.yaml"}), day(12, 31)+86400, 0)
}

// A Compile that fails, here when the index was made and customers were not, leaves nothing that the
// next one would take for what it made.
func TestAFailedCompileKeepsNothing(t *testing.T) {
	read := func(doc string) *license.Set {
		s, err := license.Parse(map[string][]byte{"base.yaml": []byte(vendor), "c.yaml": []byte(doc)})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	const doc = "kind: Customer\nid: c\n---\nkind: License\nid: l\ncustomer: c\ntype: perpetual\nends: never\nupdates: forever\ngrants: [{repository: acme/tools/a, tags: {current: {as_of: 2026-02-01}}}]\n"
	good, broken := read(doc), read(doc)
	broken.Customers[0].Labels = map[string]any{"x": math.NaN()} // no JSON
	tools := func(tag string) []Repository {
		return []Repository{{Registry: "main", Name: "acme/tools/a", Key: tag, Tags: map[string]Tag{tag: {Digest: digest(tag), Seen: day(1, 1)}}}}
	}
	in := &Input{Set: good, Catalog: tools("1.0.0"), Kept: &Kept{}, Modules: library, Name: "default", IssuedAt: day(3, 1), NotAfter: license.Never}
	if _, _, err := Compile(in); err != nil {
		t.Fatal(err)
	}
	in.Set, in.Catalog = broken, tools("2.0.0")
	if _, _, err := Compile(in); err == nil {
		t.Fatal("compiled")
	}
	in.Set = good
	got, _, err := Compile(in)
	if err != nil {
		t.Fatal(err)
	}
	if text := string(got.Objects[pathCustomers].Bytes()); !strings.Contains(text, `"2.0.0"`) {
		t.Errorf("customers of the catalog before: %s", text)
	}
}
