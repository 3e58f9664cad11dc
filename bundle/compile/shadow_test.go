package compile

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"pgregory.net/rapid"

	"github.com/pullgate/pullgate/bundle/license"
	"github.com/pullgate/pullgate/policies"
)

const shadowVendor = `kind: Registry
id: main
hosts: [registry.acme.example]
upstream: https://harbor.internal
---
kind: Product
id: app
repositories: [acme/app]
---
kind: Customer
id: acme
---
kind: License
id: other
customer: acme
type: subscription
starts: 2026-02-01
ends: 2026-02-28
enforcement: warn
grants: [{product: app, versions: "1.1.x"}, {repository: acme/tools, tags: [a]}]
`

// randomLicense draws a license with one or two grants; what it may say is little, so that grants
// often cover each other.
func randomLicense(t *rapid.T, id string) (fields string, grants []string) {
	pick := func(name string, from ...string) string { return rapid.SampledFrom(from).Draw(t, name) }
	var b strings.Builder
	fmt.Fprintf(&b, "kind: License\nid: %s\ncustomer: acme\n", id)
	typ := pick("type", "perpetual", "subscription", "subscription", "trial")
	fmt.Fprintf(&b, "type: %s\n", typ)
	starts := pick("starts", "2026-01-01", "2026-01-01", "2026-02-01")
	fmt.Fprintf(&b, "starts: %s\n", starts)
	switch typ {
	case "perpetual":
		b.WriteString("ends: never\nupdates: " + pick("updates", "forever", "{until: 2026-03-31}") + "\n")
	default:
		fmt.Fprintf(&b, "ends: %s\n", pick("ends", "2026-03-31", "2026-03-31", "2026-05-31"))
		if u := pick("updates", "", "", "forever", "{until: 2026-02-28}"); u != "" {
			b.WriteString("updates: " + u + "\n")
		}
		if at := pick("terminates", "", "", "P1M", "P3M"); at != "" {
			fmt.Fprintf(&b, "terminates: %s\nkeep_versions: %s\n", at, pick("keep", "true", "false"))
		}
	}
	if typ == "subscription" {
		b.WriteString(pick("grace", "", "", "grace: P14D\n", "grace: P45D\n"))
		b.WriteString(pick("renews", "", "", "renews: {every: P1M}\n", "renews: {every: P1M, cancelled: 2026-01-02T00:00:00Z}\n"))
	}
	b.WriteString(pick("enforcement", "", "", "", "enforcement: warn\n"))
	b.WriteString(pick("features", "", "", "features: {sso: true}\n"))
	b.WriteString(pick("status", "", "", "", "status: {suspended: {at: 2026-02-10, until: 2026-02-20}}\n", "status: {revoked: {at: 2026-04-10}}\n"))
	for range rapid.IntRange(1, 2).Draw(t, "grants") {
		grants = append(grants, pick("grant",
			`{product: app, versions: all}`, `{product: app, versions: "1.x"}`, `{product: app, versions: "1.x", channels: [stable, rc]}`,
			`{product: app, versions: [1.0.0, 1.1.0-rc.1]}`, `{product: app, versions: all, channels: []}`, `{product: app, versions: []}`,
			`{repository: acme/tools, tags: all}`, `{repository: acme/*, tags: [a, "b*"]}`, `{repository: acme/tools, tags: [bb]}`,
			`{repository: acme/tools, tags: {current: {as_of: 2026-01-15}}}`, `{repository: acme/tools, tags: {current: {as_of: 2026-02-15}}}`))
	}
	return b.String(), grants
}

func licenseText(fields string, grants []string) string {
	return "---\n" + fields + "grants:\n  - " + strings.Join(append(grants, `{product: app, versions: [0.0.1]}`), "\n  - ") + "\n"
}

// answers are what the policy says to requests and lists about everything in the catalog at many
// times, each as allowed and code; bundles are issued now and when they are asked.
type asker struct{ decide, visible rego.PreparedEvalQuery }

func newAsker(t rapid.TB, compiler *ast.Compiler, text string, issued int64) asker {
	set, err := license.Parse(map[string][]byte{"a.yaml": []byte(text)})
	if err != nil {
		t.Fatal(err)
	}
	in := &Input{
		Set: set, Modules: library, Name: "default", IssuedAt: issued, NotAfter: license.Never,
		Catalog: []Repository{
			named(Repository{Name: "acme/app", Tags: tags{"1.0.0": at("A")}}),
			named(Repository{Name: "acme/tools", Tags: tags{"a": at("A"), "bb": {"B", day(2, 1)}, "c": at("C")}}),
		},
	}
	content, _, err := Compile(in)
	if err != nil {
		t.Fatal(err)
	}
	data := map[string]any{}
	for name, file := range content.All() {
		key, ok := strings.CutSuffix(name, "/data.json")
		if !ok {
			continue
		}
		dec := json.NewDecoder(bytes.NewReader(file))
		dec.UseNumber()
		var doc any
		if err := dec.Decode(&doc); err != nil {
			t.Fatal(err)
		}
		data[strings.TrimPrefix(key, "pullgate/")] = doc
	}
	store := inmem.NewFromObject(map[string]any{"pullgate": data})
	prepare := func(query string) rego.PreparedEvalQuery {
		q, err := rego.New(rego.Query(query), rego.Compiler(compiler), rego.Store(store)).PrepareForEval(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		return q
	}
	return asker{prepare("data.pullgate.decision"), prepare("data.pullgate.visible")}
}

func (a asker) ask(t rapid.TB, input map[string]any) string {
	eval := func(q rego.PreparedEvalQuery) any {
		rs, err := q.Eval(context.Background(), rego.EvalInput(input))
		if err != nil || len(rs) != 1 {
			t.Fatalf("%v, %v", rs, err)
		}
		return rs[0].Expressions[0].Value
	}
	if input["action"] == "view" {
		return fmt.Sprint(eval(a.visible))
	}
	d := eval(a.decide).(map[string]any)
	return fmt.Sprintf("%v %v", d["allow"], d["code"])
}

// questions are requests by name: versions, tags, and lists of both.
func questions() map[string]map[string]any {
	out := map[string]map[string]any{}
	candidate := func(fields map[string]any, released, counts int64) map[string]any {
		maps.Copy(fields, map[string]any{"released": released, "counts_from": counts, "withdrawn_at": "never", "retires_at": "never", "revoked_at": "never", "boundaries": []any{}})
		return fields
	}
	input := func(name, action string, resource map[string]any) {
		out[name] = map[string]any{"subject": map[string]any{"customer": "acme"}, "action": action, "resource": resource, "request": map[string]any{"method": "GET"}}
	}
	var versions, tagged []any
	for _, v := range []struct {
		text, channel string
		order         []any
	}{
		{"1.0.0", "stable", []any{1, 0, 0, map[string]any{}}},
		{"1.1.0-rc.1", "rc", []any{1, 1, 0, []any{"rc", 1}}},
		{"2.0.0", "stable", []any{2, 0, 0, map[string]any{}}},
	} {
		for _, counts := range []int64{license.Always, day(2, 15), day(4, 15)} {
			for _, requires := range []string{"", "sso"} {
				c := candidate(map[string]any{"product": "app", "version": v.text, "order": v.order, "channel": v.channel, "tag": v.text}, counts, counts)
				if requires != "" {
					c["requires"] = []any{requires}
				}
				name := fmt.Sprintf("%s of %d %s", v.text, counts, requires)
				input(name, "pull", map[string]any{"kind": "manifest", "product": "app", "repository": "acme/app", "candidates": []any{c}})
				versions = append(versions, c)
			}
		}
	}
	for _, tag := range []string{"a", "bb", "c"} {
		c := candidate(map[string]any{"tag": tag}, license.Always, license.Always)
		input("tag "+tag, "pull", map[string]any{"kind": "manifest", "repository": "acme/tools", "tag": tag, "candidates": []any{c}})
		tagged = append(tagged, c)
	}
	input("versions", "view", map[string]any{"kind": "tags", "product": "app", "repository": "acme/app", "candidates": versions})
	input("tags", "view", map[string]any{"kind": "tags", "repository": "acme/tools", "candidates": tagged})
	input("list of versions", "list", map[string]any{"kind": "tags", "product": "app", "repository": "acme/app"})
	input("list of tags", "list", map[string]any{"kind": "tags", "repository": "acme/tools"})
	return out
}

// Property: a grant that check calls covered by another changes no answer: without it the policy allows
// and refuses the same with the same codes, and lists the same, at every time and for bundles
// that are issued at any.
func TestGrantsThatAreCoveredChangeNoAnswer(t *testing.T) {
	modules := map[string]*ast.Module{}
	for name, text := range policies.Modules() {
		m, err := ast.ParseModuleWithOpts(name, string(text), ast.ParserOptions{ProcessAnnotation: true, RegoVersion: ast.RegoV1})
		if err != nil {
			t.Fatal(err)
		}
		modules[name] = m
	}
	compiler := ast.NewCompiler()
	if compiler.Compile(modules); compiler.Failed() {
		t.Fatal(compiler.Errors)
	}
	all := questions()
	named := slices.Sorted(maps.Keys(all))
	times := []int64{day(1, 1) - 1, day(1, 20), day(2, 12), day(3, 20), day(4, 1), day(4, 20), day(5, 10), day(5, 31), day(6, 20), day(9, 1)}
	found := map[string]int{}
	rapid.Check(t, func(t *rapid.T) {
		fieldsA, grantsA := randomLicense(t, "a")
		fieldsB, grantsB := randomLicense(t, "b")
		if rapid.Bool().Draw(t, "same clocks") {
			fieldsB = strings.Replace(fieldsA, "id: a", "id: b", 1)
		}
		text := func(grantsA, grantsB []string) string {
			return shadowVendor + licenseText(fieldsA, slices.Clone(grantsA)) + licenseText(fieldsB, slices.Clone(grantsB))
		}
		set, err := license.Parse(map[string][]byte{"a.yaml": []byte(text(grantsA, grantsB))})
		if err != nil {
			return // such as a plain end that comes before the start
		}
		for _, w := range set.Warnings(day(1, 1)) {
			if w.Kind != license.WarnShadowed {
				continue
			}
			n, err := strconv.Atoi(strings.Trim(w.Path, "grants[]"))
			if err != nil {
				t.Fatal(err)
			}
			without := [2][]string{grantsA, grantsB}
			which := 0
			if w.Pos.Line > set.License("b").Pos.Line {
				which = 1
			}
			if n >= len(without[which]) || w.Pos.Line < set.License("a").Pos.Line {
				continue // the grant that keeps the license from being empty, or one of `other`
			}
			without[which] = slices.Delete(slices.Clone(without[which]), n, n+1)
			found[regexp.MustCompile(`^license|^grants`).FindString(w.Msg)]++
			issued := rapid.SampledFrom([]int64{day(1, 1), day(3, 15)}).Draw(t, "issued")
			before, after := newAsker(t, compiler, text(grantsA, grantsB), issued), newAsker(t, compiler, text(without[0], without[1]), issued)
			for range 3 {
				now := rapid.SampledFrom(times).Draw(t, "now")
				for _, name := range rapid.Permutation(named).Draw(t, "questions")[:10] {
					input := maps.Clone(all[name])
					input["time"] = now
					if was, is := before.ask(t, input), after.ask(t, input); was != is {
						t.Fatalf("%s, but at %d %s: %s was %s before\n%s", w, now, name, is, was, text(grantsA, grantsB))
					}
				}
			}
		}
	})
	if found["grants"] == 0 || found["license"] == 0 {
		t.Errorf("the property was hardly asked: %v", found)
	}
	t.Logf("covered grants: %v", found)
}
