package main

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/pullgate/pullgate/authz"
	"github.com/pullgate/pullgate/authz/engine"
	"github.com/pullgate/pullgate/bundle"
	"github.com/pullgate/pullgate/bundle/compile"
	"github.com/pullgate/pullgate/bundle/license"
	"github.com/pullgate/pullgate/policies"
)

// edited is a random vendor in parts, so that another one can have some of them.
type edited struct {
	*randomVendor
	base      string // registry, products, releases, public
	customers map[string]string
}

// drawEdited draws a vendor with several customers, or one that has some parts of another.
func drawEdited(t *rapid.T, from *edited) *edited {
	v := &randomVendor{t: t}
	v.draw()
	text := v.text.String()
	e := &edited{randomVendor: v, base: text[:strings.Index(text, "---\nkind: Customer")], customers: map[string]string{}}
	for n := range 8 {
		id := fmt.Sprintf("c%d", n)
		if n == 7 {
			id = "acme" // whom withdrawals spare
		} else if v.sometimes(9, "no "+id) {
			continue
		}
		if model := fmt.Sprintf("c%d", v.number("model of "+id, 0, 7)); e.customers[model] != "" {
			e.customers[id] = v.like(e.customers[model], model, id)
			continue
		}
		v.text.Reset()
		v.document("Customer", id)
		v.line("name: %s\nlabels: {tier: %s}", v.pick("name", "One", "Another"), v.pick("tier", "gold", "iron"))
		if v.sometimes(15, "banned") {
			v.line("status: banned")
		}
		v.line("keys: [{id: ci, hash: %q, repositories: %s}]", agreeKey(id+v.pick("key", "a", "b")), v.pick("key reaches", "[acme/app]", "[acme/*]"))
		for i := range v.number("licenses", 0, 3) {
			v.license(fmt.Sprintf("%s-%d", id, i), i)
		}
		e.customers[id] = strings.ReplaceAll(strings.ReplaceAll(v.text.String(), "customer: acme\n", "customer: "+id+"\n"), "replaces: acme-", "replaces: "+id+"-")
	}
	if v.sometimes(2, "rules") {
		v.rules()
		if v.sometimes(2, "rules that tell nobody apart") {
			maps.DeleteFunc(v.files, func(_, text string) bool { return strings.Contains(text, ".id ==") })
		}
	}
	if from == nil {
		return e
	}
	if v.sometimes(2, "same base") {
		e.base, e.catalog, e.digests = from.base, from.catalog, from.digests
	}
	if v.sometimes(2, "same rules") {
		e.files = from.files
	}
	for _, id := range slices.Sorted(maps.Keys(from.customers)) {
		if v.number("same "+id, 1, 3) < 3 {
			e.customers[id] = from.customers[id]
		}
	}
	return e
}

var (
	anyVersions = regexp.MustCompile(`versions: [^,]*, channels`)
	anyTags     = regexp.MustCompile(`(repository: \S+, tags: )(all|\[[^]]*\])`)
	anyDate     = regexp.MustCompile(`202[5-7]-\d\d-\d\d`)
)

// like is a customer as another one, perhaps some days later, or with other versions and tags.
func (v *randomVendor) like(text, model, id string) string {
	days := v.number("later", -2, 2) * v.number("times", 0, 5)
	text = anyDate.ReplaceAllStringFunc(text, func(day string) string {
		at, err := time.Parse(time.DateOnly, day)
		if err != nil {
			v.t.Fatal(err)
		}
		return at.AddDate(0, 0, days).Format(time.DateOnly)
	})
	if v.sometimes(2, "reaches others") {
		text = anyVersions.ReplaceAllString(text, "versions: "+v.pick("other versions", `">=1.0.0 <1.2.0"`, `">=1.1.0"`, `"<1.1.0"`, "all")+", channels")
		text = anyTags.ReplaceAllString(text, "${1}"+v.pick("other tags", `["1.*"]`, `["*.0"]`, "[latest, guide]", "all"))
	}
	for _, word := range []string{"id: %s\n", "customer: %s\n", "id: %s-", "replaces: %s-"} {
		text = strings.ReplaceAll(text, fmt.Sprintf(word, model), fmt.Sprintf(word, id))
	}
	return regexp.MustCompile(`sha256:[0-9a-f]{64}`).ReplaceAllString(text, agreeKey(id+v.pick("key", "a", "b")))
}

func (e *edited) bundle(t *rapid.T, serial int64) *bundle.Bundle {
	text := e.base
	for _, id := range slices.Sorted(maps.Keys(e.customers)) {
		text += e.customers[id]
	}
	set, err := license.Parse(map[string][]byte{"v.yaml": []byte(text)})
	if err != nil {
		t.Fatalf("the generator wrote files that are refused: %v\n%s", err, text)
	}
	rules := map[string][]byte{}
	for name, text := range e.files {
		rules[name] = []byte(text)
	}
	content, _, err := compile.Compile(&compile.Input{
		Set: set, Catalog: e.catalog, Modules: policies.Modules(), Rules: rules,
		Name: bundle.DefaultName, Serial: serial, IssuedAt: agreeStart.Unix(), NotAfter: license.Never,
	})
	if err != nil {
		t.Fatal(err)
	}
	return writtenBundle(t, content)
}

// writtenBundle is a bundle of this content, as a reader gets it.
func writtenBundle(t interface{ Fatal(...any) }, content *bundle.Content) *bundle.Bundle {
	signer, ring, err := ownKey()
	if err != nil {
		t.Fatal(err)
	}
	b, err := bundle.Seal(content, signer, ring, bundle.ReadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// had are the answers about all tags that somebody may pull, by registry, repository and tag.
type had map[string]tagAnswer

// everyTag asks for every tag of every repository as every customer ("" for nobody), one at a
// time, of a Gate. what-can says the same.
func everyTag(t *rapid.T, of *asked, at time.Time) map[string]had {
	a := *of
	a.Gate = authz.NewGate(authz.GateConfig{Engine: fixedEngine{a.gen}, AskPast: true, Clock: func() time.Time { return at }})
	out := map[string]had{}
	for _, customer := range append(a.customers, "") {
		out[customer] = had{}
		for _, name := range a.gen.Repositories(authz.Registry{ID: "main"}, customer) {
			list := a.gen.Resolve(authz.Registry{ID: "main"}, askedFor(customer, agreeHost, name, "tags/list"))
			for _, tag := range list.Names {
				d := a.Decide(context.Background(), askedFor(customer, agreeHost, name, "manifests/"+tag))
				if d.Outcome == authz.OutcomeAllow {
					out[customer]["main/"+name+":"+tag] = tagAnswer{Allow: true, Code: d.Code, Enforcement: d.Verdict.Enforcement, License: d.Verdict.License, Until: d.Verdict.Until}
				}
			}
		}
	}
	if len(a.customers) > 0 {
		id := a.customers[0]
		rows, err := (&whatCan{asked: &a, customer: id, progress: newAsking(&bytes.Buffer{})}).rows(context.Background())
		if err != nil || len(rows) != len(out[id]) {
			t.Fatalf("what-can %s: %d rows (%v), want %d", id, len(rows), err, len(out[id]))
		}
	}
	return out
}

// naive compares what two bundles give, tag by tag.
func naive(before, after map[string]had) map[string][]string {
	out := map[string][]string{}
	for _, id := range slices.Concat(slices.Collect(maps.Keys(before)), slices.Collect(maps.Keys(after))) {
		if out[id] != nil {
			continue
		}
		out[id] = []string{}
		his := func(a tagAnswer) bool { return a.Allow && (id == "" || a.Code != authz.CodePublic) }
		tags := map[string]bool{}
		for _, side := range []had{before[id], after[id]} {
			for tag := range side {
				tags[tag] = true
			}
		}
		for tag := range tags {
			b, a := before[id][tag], after[id][tag]
			switch {
			case b.Allow && a.Allow && (his(b) || his(a)) && b != a:
				out[id] = append(out[id], fmt.Sprintf("changed %s %v %v", tag, b, a))
			case his(b) && !a.Allow:
				out[id] = append(out[id], fmt.Sprintf("lost %s %v", tag, b))
			case his(a) && !b.Allow:
				out[id] = append(out[id], fmt.Sprintf("gained %s %v", tag, a))
			}
		}
		slices.Sort(out[id])
	}
	return out
}

// told compares two bundles and tells what naive does.
func told(t *rapid.T, e *engine.Engine, before, after *bundle.Bundle, at time.Time, apart bool) (map[string][]string, *difference) {
	out := map[string][]string{}
	last := ""
	diff, err := compareOnce(context.Background(), before, after, compareOptions{At: at, Engine: e, Each: func(c *customerChange) error {
		if c.id() < last {
			t.Errorf("%s is told of after %s", c.id(), last)
		}
		last = c.id()
		out[c.id()] = []string{}
		for i := range c.repositories {
			r := &c.repositories[i]
			add := func(kind string, tag int, answers ...tagAnswer) {
				text := fmt.Sprintf("%s %s/%s:%s", kind, r.registry, r.name, r.tags[tag])
				for _, a := range answers {
					text += fmt.Sprintf(" %v", a)
				}
				out[c.id()] = append(out[c.id()], text)
			}
			for _, l := range r.delta.lost {
				for _, i := range l.tags {
					add("lost", i, r.delta.before.at(i).of(r.before))
				}
			}
			for _, i := range r.delta.gained {
				add("gained", i, r.delta.after.at(i).of(r.after))
			}
			for _, k := range r.changed {
				for _, i := range r.delta.kept[k].tags {
					add("changed", i, r.delta.before.at(i).of(r.before), r.delta.after.at(i).of(r.after))
				}
			}
		}
		slices.Sort(out[c.id()])
		return nil
	}}, apart)
	if err != nil {
		t.Fatal(err)
	}
	return out, diff
}

// turned is what compare says of two bundles the other way round: gains are losses.
func turned(lines []string) []string {
	out := make([]string, len(lines))
	for i, line := range lines {
		kind, rest, _ := strings.Cut(line, " ")
		switch kind {
		case "lost":
			out[i] = "gained " + rest
		case "gained":
			out[i] = "lost " + rest
		default:
			tag, answers, _ := strings.Cut(rest, " ")
			before, after, _ := strings.Cut(answers, "} {")
			out[i] = "changed " + tag + " {" + strings.TrimSuffix(after, "}") + "} {" + strings.TrimPrefix(before, "{") + "}"
		}
	}
	slices.Sort(out)
	return out
}

// What compare says is what asking for every tag says: over random licenses, edits, registries and
// rules, whether or not customers who are alike are asked once.
func TestDifferenceIsThatOfSingleQuestions(t *testing.T) {
	vendors(t, agreeVendors*2/5)
	e := newComparing()
	t.Cleanup(e.Close)
	n := map[string]int{}
	tooLittle := func() error {
		if n["who differ"]*4 < n["customers"] || n["comparisons of who are alike"]*4 < n["comparisons"] {
			return fmt.Errorf("%v", n)
		}
		return nil
	}
	untilItShows(t, tooLittle, func(t *rapid.T) {
		one := drawEdited(t, nil)
		other := drawEdited(t, one)
		before, after := one.bundle(t, 1), other.bundle(t, 2)
		var singly [2]*asked
		for i, b := range []*bundle.Bundle{before, after} {
			var err error
			if singly[i], err = ask(context.Background(), b, agreeStart); err != nil {
				t.Fatal(err)
			}
			defer singly[i].close()
		}
		for i := range 4 {
			at := agreeStart.AddDate(0, 0, rapid.IntRange(0, agreeDays).Draw(t, "day")).Add(time.Duration(rapid.IntRange(-1, 1).Draw(t, "second")) * time.Second)
			want := naive(everyTag(t, singly[0], at), everyTag(t, singly[1], at))
			got, diff := told(t, e, before, after, at, false)
			for id, w := range want {
				if g := got[id]; !slices.Equal(g, w) {
					t.Fatalf("%q at %s:\ngot  %q\nwant %q\nbefore %s\nafter %s", id, at, g, w, one, other)
				}
				n["customers"]++
				if len(w) > 0 {
					n["who differ"]++
				}
			}
			for id := range got {
				if want[id] == nil {
					t.Fatalf("%q is told of, who is in neither", id)
				}
			}
			n["comparisons"]++
			if diff.OneByOne == "" {
				n["comparisons of who are alike"]++
			}
			if i > 0 {
				continue
			}
			apart, diffApart := told(t, e, before, after, at, true)
			n["asked"] += int(diff.Asked)
			n["asked by itself"] += int(diffApart.Asked)
			back, reverse := told(t, e, after, before, at, false)
			for id, lines := range got {
				if !slices.Equal(apart[id], lines) {
					t.Fatalf("%q: %q, and asked by itself %q", id, lines, apart[id])
				}
				if !slices.Equal(turned(back[id]), lines) {
					t.Fatalf("%q: %q, and the other way round %q", id, lines, back[id])
				}
			}
			if diff.Lose != reverse.Gain || diff.Gain != reverse.Lose || diff.Added != reverse.Removed || diff.Removed != reverse.Added || diff.Changed != reverse.Changed {
				t.Fatalf("%s\nthe other way round\n%s", diff.sum(), reverse.sum())
			}
		}
		same, none := told(t, e, before, one.bundle(t, 3), agreeStart, false)
		if len(same) > 0 || none.Different() {
			t.Fatalf("of the same content: %v", same)
		}
	})
	t.Logf("%v", n)
}
