package license

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// fields of a license that speak about each other, each with what may stand there.
var together = map[string][]string{
	"type":          {"perpetual", "subscription", "trial"},
	"starts":        {"2026-01-01"},
	"ends":          {"never", "2026-12-31"},
	"term":          {"P1Y"},
	"aligned":       {"calendar-year", "{fiscal_year_ends: 06-30}"},
	"minimum_term":  {"P3M"},
	"renews":        {"{every: P1Y}", "{notice: P30D}", "{}"},
	"grace":         {"P0D", "P14D"},
	"updates":       {"with-term", "forever", "{until: 2026-12-31}", "{period: P1Y}", "{until: 2026-12-31, period: P1Y}"},
	"terminates":    {"P60D", "2029-12-31"},
	"keep_versions": {"true", "false"},
	"status":        {"active", "{revoked: {at: 2026-06-01}}", "{suspended: {at: 2026-06-01}}", "{}"},
	"grants": {
		"[]", "[{product: app, versions: all}]", "[{repository: a/b, tags: all}]", "[{product: app, repository: a/b, tags: all}]",
		"[{product: app, versions: all, tags: all}]", "[{repository: a/b, tags: {current: {}}, channels: []}]", "[{product: app}]", "[{}]",
	},
}

// Property: about the fields of one license the schema and the parser say the same; with a plan,
// whose fields the schema does not know, it refuses nothing that the parser accepts. The same
// for plans themselves.
func TestSchemaAndParserAgreeOnFieldsTogether(t *testing.T) {
	v := newValidator(t)
	count := make(map[string]int)
	rapid.Check(t, func(t *rapid.T) {
		files := map[string][]byte{"base.yaml": []byte(base)}
		for i := range 8 {
			files[fmt.Sprintf("%d.yaml", i)] = drawDocument(t, i)
		}
		_, err := Parse(files)
		var all Errors
		errors.As(err, &all)
		for i := range 8 {
			name := fmt.Sprintf("%d.yaml", i)
			var wrong []error
			for _, e := range all {
				if e.Pos.File == name {
					wrong = append(wrong, e)
				}
			}
			text := string(files[name])
			problem := v.whole(files[name])
			switch {
			case problem == nil && wrong == nil:
				count["accepted by both"]++
			case problem != nil && wrong != nil:
				count["refused by both"]++
			case problem != nil:
				t.Fatalf("the parser accepts what the schema refuses:\n%s%v", text, problem)
			case strings.Contains(text, "plan: "):
				count["of a plan, refused by the parser"]++
			default:
				t.Fatalf("the schema accepts what the parser refuses:\n%s%v", text, wrong)
			}
		}
	})
	t.Log(count)
}

func drawDocument(t *rapid.T, i int) []byte {
	var b strings.Builder
	head := rapid.SampledFrom([]string{
		"kind: License\ncustomer: acme\n", "kind: License\ncustomer: acme\n", "kind: License\ncustomer: acme\nplan: gold\n", "kind: Plan\n",
	}).Draw(t, "head")
	fmt.Fprintf(&b, "%sid: l%d\n", head, i)
	names := []string{"starts", "term", "aligned", "minimum_term", "renews", "grace", "updates", "terminates", "keep_versions"}
	if !strings.HasPrefix(head, "kind: Plan") {
		names = append(names, "status")
	}
	for _, name := range names {
		if rapid.IntRange(0, 3).Draw(t, "has "+name) == 0 {
			fmt.Fprintf(&b, "%s: %s\n", name, rapid.SampledFrom(together[name]).Draw(t, name))
		}
	}
	// Most licenses have these, so that many are right.
	for _, name := range []string{"type", "ends", "grants"} {
		if rapid.IntRange(0, 5).Draw(t, "has "+name) != 0 {
			values := together[name]
			if name == "grants" && rapid.Bool().Draw(t, "right") {
				values = values[:3]
			}
			fmt.Fprintf(&b, "%s: %s\n", name, rapid.SampledFrom(values).Draw(t, name))
		}
	}
	return []byte(b.String())
}

// Invariant: a document that Parse accepts in a set, the schema accepts.
func FuzzSchema(f *testing.F) {
	for _, seed := range []string{whole, strings.TrimSpace(more), base, base + "---\n" + subscription(), "kind: Plan\nid: p\ngrants: [{}]\n", customerWith("keys:"), customerWith("labels: {a: 0x1F, b: [.5], c: '', d: {e: off}}")} {
		f.Add([]byte(seed))
	}
	v := newValidator(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 1<<14 {
			return
		}
		if _, err := Parse(map[string][]byte{"a.yaml": data, "base.yaml": []byte("kind: Customer\nid: fuzz\n")}); err != nil {
			return
		}
		if err := v.whole(data); err != nil {
			t.Errorf("the parser accepts what the schema refuses: %v", err)
		}
	})
}
