package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Scripts run at the same time; what is printed is in the order of their paths, with nothing
// twice and nothing left out.
func TestScriptsAreReportedInTheOrderOfTheirPaths(t *testing.T) {
	dir := t.TempDir()
	const head = "-- a.yaml --\nkind: Registry\nid: main\nhosts: [r.example]\nupstream: https://r.internal\n-- decisions --\n"
	var want []string
	for i := range 12 {
		text := head
		for hour := range 1 + (11-i)*2 { // the first ones take longest
			text += fmt.Sprintf("at 2026-06-01T%02d:00:00Z\nGET /v2/ deny\n", hour)
		}
		path := filepath.Join(dir, fmt.Sprintf("%02d.txtar", i))
		if err := os.WriteFile(path, []byte(text+"GET /v2/ allow\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		want = append(want, path)
	}
	code, out, errs := once(t, "test", dir)
	if code != exitNo || errs != "" {
		t.Fatalf("exit code %d\n%s%s", code, out, errs)
	}
	var got []string
	for line := range strings.Lines(out) {
		if path, _, ok := strings.Cut(line, ".txtar:"); ok && !strings.HasPrefix(line, " ") {
			got = append(got, path+".txtar")
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if !strings.HasSuffix(out, "\n144 passed, 12 failed\n") {
		t.Errorf("%s", out[len(out)-60:])
	}
}

func TestPrintableEscapesControlCharacters(t *testing.T) {
	if got, want := printable("a\tb\x1b[2J\x07\u009b\xffé"), "a\tb\\x1b[2J\\x07\\x9b\uFFFDé"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
