package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write docs/clients.md")

// pageIsTrue compares the client's section of docs/clients.md with what happened.
func pageIsTrue(t *testing.T, name string, all []*played) {
	t.Helper()
	file := filepath.Join("..", "..", "docs", "clients.md")
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	want := name + "\n\n| what | decision | exit | the person reads |\n|---|---|---|---|\n"
	for _, r := range rows(all) {
		if r.client != name {
			continue
		}
		if r.registries != "all" {
			r.what += " (" + r.registries + ")"
		}
		want += fmt.Sprintf("| %s | %s | %s | `%s` |\n", cell(r.what), r.decision, r.exit, cell(r.reads))
	}
	sections := strings.Split(string(data), "\n## ")
	at := slices.IndexFunc(sections, func(s string) bool { return strings.HasPrefix(s, name+"\n") })
	if at < 0 {
		at = len(sections)
		sections = append(sections, "")
	}
	if sections[at] == want {
		return
	}
	if !*update || strings.Contains(want, "WRONG") {
		t.Errorf("docs/clients.md differs (-page +now); go test ./examples/clients -update writes it:\n%s", cmp.Diff(sections[at], want))
		return
	}
	sections[at] = want
	if err := os.WriteFile(file, []byte(strings.Join(sections, "\n## ")), 0o644); err != nil {
		t.Fatal(err)
	}
}

func cell(text string) string {
	return strings.NewReplacer("|", `\|`, "`", "'").Replace(text)
}
