package license

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// An edit that Edited takes gives the set that reading everything gives, positions included; and
// what is wrong it never takes. It may give up on what is right, but not on what operators do all day.
func TestEditedIsWhatReadingEverythingGives(t *testing.T) {
	taken, right := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		files := map[string][]byte{}
		for _, name := range []string{"base.yaml", "plans.yaml", "c0.yaml", "c1.yaml", "c2.yaml", "l0.yaml", "l1.yaml"} {
			files[name] = draw(nil, name)
		}
		set, err := Parse(files)
		if err != nil {
			t.Fatal(err)
		}
		for range 6 {
			next, changed, gone := maps.Clone(files), map[string][]byte{}, []string(nil)
			for _, name := range rapid.SliceOfNDistinct(rapid.SampledFrom(slices.Sorted(maps.Keys(files))), 1, 2, rapid.ID[string]).Draw(t, "edited") {
				if rapid.IntRange(0, 9).Draw(t, "gone") == 0 {
					delete(next, name)
					gone = append(gone, name)
					continue
				}
				next[name] = draw(t, name)
				changed[name] = next[name]
			}
			got := set.Edited(fileParts(changed), gone)
			want, err := Parse(next)
			if err != nil {
				if got != nil {
					t.Fatalf("taken, though\n%v\n%s", err, text(next))
				}
				continue
			}
			right++
			if got == nil {
				continue
			}
			taken++
			for _, s := range []*Set{got, want} {
				slices.SortFunc(s.shared, func(a, b *document) int { return cmp.Or(a.pos.compare(b.pos), strings.Compare(a.id, b.id)) })
			}
			if !reflect.DeepEqual(got, want) {
				t.Fatalf("got  %+v\nwant %+v\nof\n%s\nnow\n%s", got, want, text(files), text(next))
			}
			set, files = got, next
		}
	})
	if t.Logf("%d edits to good sets, %d of them taken", right, taken); taken < right/3 || taken < 50 {
		t.Error("too few to show anything")
	}
}

func text(files map[string][]byte) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(files)) {
		fmt.Fprintf(&b, "# %s\n%s", name, files[name])
	}
	return b.String()
}

// draw writes a file of the set that the test edits; some break it, together with what is in
// others. Those without t are good together.
func draw(t *rapid.T, name string) []byte {
	var b strings.Builder
	pick := func(of ...string) string {
		if t == nil {
			return of[0]
		}
		return rapid.SampledFrom(of).Draw(t, name)
	}
	switch {
	case name == "base.yaml":
		fmt.Fprintf(&b, "kind: Registry\nid: main\nhosts: [r.example]\nupstream: https://up.example\nhistory: %s\n", pick("P1D", "P2D"))
		fmt.Fprintf(&b, "---\nkind: Product\nid: app\nrepositories: [acme/app]\nrequires: [%s]\n", pick("", "sso"))
		b.WriteString(pick("", "---\nkind: Product\nid: lib\nrepositories: [acme/lib]\n"))
		b.WriteString(pick("", "---\nkind: Release\nid: r\nproduct: app\nversion: 1.0.0\nwithdrawn: {at: 2026-01-01, except: [u1]}\n"))
	case name == "plans.yaml":
		fmt.Fprintf(&b, "%skind: Plan\nid: gold\ntype: subscription\nends: %s\ngrants: [{product: %s, versions: all}]\n", pick("", "\n"), pick("2026-12-31", "2027-12-31"), pick("app", "app", "lib"))
	case name[0] == 'c':
		n := name[1:2]
		fmt.Fprintf(&b, "kind: Customer\nid: %s\n%szone: %s\nkeys: [{id: ci, hash: \"sha256:%064s\"}]\n", pick("u"+n, "u"+n, "u"+n, "u0"), pick("", "name: x\n"), pick("UTC", "UTC", "Europe/Berlin"), pick(n, n, n, "0"))
		b.WriteString(pick("", fmt.Sprintf("identities: [{mtls: {san: %s}}]\n", pick(n+"x", n+"x", "0x"))))
		fmt.Fprintf(&b, "---\nkind: License\nid: own%s\ncustomer: u%s\nplan: gold\nstarts: 2026-01-0%s\n", n, n, pick("1", "2"))
	default:
		for _, i := range []string{"a", "b"} {
			id := name[1:2] + i
			fmt.Fprintf(&b, "---\nkind: License\nid: %s\ncustomer: %s\ntype: subscription\nstarts: 2026-01-01\nterm: %s\n", id, pick("u0", "u1"), pick("P1Y", "P2Y"))
			fmt.Fprintf(&b, "grants: [{product: %s, versions: all}]\n%s", pick("app", "app", "app", "lib"), pick("", "", "replaces: "+pick("own0", "own1", "0a", "1b")+"\n"))
		}
	}
	return []byte(b.String())
}

// What an edit costs beside what reading everything costs.
func BenchmarkEdited(b *testing.B) {
	const customers = 100_000
	set, err := Parse(large(customers))
	if err != nil {
		b.Fatal(err)
	}
	b.Run(fmt.Sprintf("customers=%d", customers), func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			doc := fmt.Appendf(nil, "kind: Customer\nid: new\nname: n%d\n", rand.Int())
			if set = set.Edited([]Part{FilePart("new.yaml", doc)}, nil); set == nil || len(set.Licenses) != 3*customers {
				b.Fatal("not taken")
			}
		}
	})
}

// Edits that everybody makes are taken.
func TestEditedTakesWhatOperatorsDo(t *testing.T) {
	at := func(name string) string {
		return "---\nkind: License\nid: " + name + "\ncustomer: u1\nplan: gold\nstarts: 2026-01-01\n"
	}
	files := map[string][]byte{
		"plan.yaml": []byte("kind: Plan\nid: gold\ntype: subscription\nterm: P1Y\ngrants: [{product: app, versions: all}]\n"),
		"app.yaml":  []byte("kind: Registry\nid: main\nhosts: [r.example]\nupstream: https://up.example\n---\nkind: Product\nid: app\nrepositories: [acme/app]\n"),
		"u1.yaml":   []byte("kind: Customer\nid: u1\n" + at("a") + at("b")),
	}
	for _, edit := range []struct {
		name, file, text string
		taken            bool
	}{
		{"a customer and a license more", "u2.yaml", "kind: Customer\nid: u2\n---\nkind: License\nid: c\ncustomer: u2\nplan: gold\nstarts: 2026-02-01\n", true},
		{"a license of an old customer", "c.yaml", "kind: License\nid: c\ncustomer: u1\nplan: gold\nstarts: 2026-02-01\nreplaces: a\n", true},
		{"a license revoked", "u1.yaml", "kind: Customer\nid: u1\n" + at("a") + at("b") + "status: {revoked: {at: 2026-03-01}}\n", true},
		{"a license gone", "u1.yaml", "kind: Customer\nid: u1\n" + at("a"), true},
		{"a customer gone with all licenses", "u1.yaml", "", true},
		{"a release", "r.yaml", "kind: Release\nid: r\nproduct: app\nversion: 1.0.0\nwithdrawn: {at: 2026-01-01, except: [u1]}\n", true},
		{"a product more", "p.yaml", "kind: Product\nid: lib\nrepositories: [acme/lib]\n", true},
		{"a product that is named otherwise", "app.yaml", string(files["app.yaml"]) + "name: App\n", true},
		{"a plan that others use", "plan.yaml", string(files["plan.yaml"]) + "grace: P1D\n", false},
	} {
		t.Run(edit.name, func(t *testing.T) {
			set, err := Parse(files)
			if err != nil {
				t.Fatal(err)
			}
			next, gone := maps.Clone(files), []string(nil)
			changed := []Part{FilePart(edit.file, []byte(edit.text))}
			if next[edit.file] = []byte(edit.text); edit.text == "" {
				delete(next, edit.file)
				changed, gone = nil, []string{edit.file}
			}
			want, err := Parse(next)
			if err != nil {
				t.Fatal(err)
			}
			got := set.Edited(changed, gone)
			if (got != nil) != edit.taken {
				t.Fatalf("taken: %t", got != nil)
			}
			if got != nil && !reflect.DeepEqual(says(t, got), says(t, want)) {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
		})
	}
}

// What others still name cannot go, also when they are in no part that changed.
func TestEditedTakesNothingAwayThatIsNamed(t *testing.T) {
	license := func(id, more string) string {
		return "---\nkind: License\nid: " + id + "\ncustomer: u\ntype: subscription\nends: 2026-12-31\ngrants: []\n" + more
	}
	set, err := Parse(map[string][]byte{
		"u.yaml":   []byte("kind: Customer\nid: u\n"),
		"old.yaml": []byte(license("old", "")), "new.yaml": []byte(license("new", "replaces: old\n")),
		"p.yaml": []byte("kind: Product\nid: p\nrepositories: [acme/p]\n"),
	})
	if err != nil {
		t.Fatal(err)
	}
	for gone, want := range map[string]bool{"u.yaml": false, "old.yaml": false, "new.yaml": true} {
		if got := set.Edited(nil, []string{gone}); (got != nil) != want {
			t.Errorf("without %s: taken is %t", gone, got != nil)
		}
	}
}
