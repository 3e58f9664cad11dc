package version

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the tables of docs/versions.md from the table of tests")

const page = "../../docs/versions.md"

// TestVersionsPage compares the tables of docs/versions.md with testdata/versions.json and the
// list of differences; -update writes them.
func TestVersionsPage(t *testing.T) {
	data, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	for name, block := range pageBlocks(t) {
		before, rest, ok := strings.Cut(text, "<!-- made by a test: "+name+" -->\n")
		_, after, ok2 := strings.Cut(rest, "<!-- end -->")
		if !ok || !ok2 {
			t.Fatalf("docs/versions.md has no place for %s", name)
		}
		text = before + "<!-- made by a test: " + name + " -->\n" + block + "<!-- end -->" + after
	}
	if *update {
		if err := os.WriteFile(page, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if text != string(data) {
		t.Error("docs/versions.md is not what the table says now; write it with go test ./policies/version -run VersionsPage -update")
	}
}

// pageBlocks makes the parts of the page that the table decides.
func pageBlocks(t *testing.T) map[string]string {
	f := fixture(t)
	code := func(s string) string { return "`" + strings.ReplaceAll(s, "|", `\|`) + "`" }
	codes := func(list []string) string {
		var out []string
		for _, s := range list {
			out = append(out, code(s))
		}
		return strings.Join(out, " ")
	}
	row := func(cells ...string) string { return "| " + strings.Join(cells, " | ") + " |\n" }
	head := func(cells ...string) string { return row(cells...) + strings.Repeat("|---", len(cells)) + "|\n" }

	tags := head("tag", "version", "channel", "")
	for _, c := range f.Tags {
		if c.Says == "" {
			continue
		}
		v, channel := "", ""
		if c.Is == "version" {
			v, channel = code(c.Version), code(c.Channel)
			if c.Base != "" {
				v = code(c.Base)
			}
		}
		tag := c.Tag
		if len(tag) > 40 {
			tag = tag[:12] + "…" + tag[len(tag)-5:]
		}
		tags += row(code(tag), v, channel, c.Says)
	}
	constraints := head("constraint", "", "in it", "not in it")
	for _, c := range f.Constraints {
		if c.Says != "" {
			constraints += row(code(c.Constraint), c.Says, codes(c.Yes), codes(c.No))
		}
	}
	patterns := head("pattern", "", "matches", "does not match")
	for _, list := range [][]pattern{f.TagPatterns, f.RepositoryPatterns} {
		for _, p := range list {
			if p.Says != "" {
				patterns += row(code(p.Pattern), p.Says, codes(p.Yes), codes(p.No))
			}
		}
	}
	habits := head("from", "written", "means there", "here", "write")
	for _, h := range f.Habits {
		instead := ""
		if h.Instead != "" {
			instead = code(h.Instead)
		}
		habits += row(h.From, code(h.Write), h.There, h.Here, instead)
	}
	list := ""
	for _, d := range differences {
		where := map[bool]string{true: "in", false: "not in"}
		list += fmt.Sprintf("- **%s.** %s For example `%s` is %s `%s` here, and %s it with Masterminds.\n", d.name, d.text, d.version, where[d.ours], d.constraint, where[d.theirs])
	}
	return map[string]string{"tags": tags, "constraints": constraints, "patterns": patterns, "habits": habits, "differences": list}
}
