package main

import (
	"strings"
	"testing"
	"time"

	"github.com/pullgate/pullgate/sync/catalog"
)

// On a terminal one line is written over and over, not more often than people read, and its last
// state stays.
func TestProgressOnATerminal(t *testing.T) {
	var out strings.Builder
	p := newProgress(&out, "main")
	if p.show(catalog.Progress{Total: 2}); p.terminal || out.Len() > 0 {
		t.Fatalf("elsewhere: %q", out.String())
	}
	p.done()
	p.terminal = true
	started := time.Now()
	for i := range 10_000 {
		p.show(catalog.Progress{Repositories: i / 5000, Total: 2, Tags: i})
	}
	most := int(time.Since(started)/progressEvery) + 1
	p.show(catalog.Progress{Repositories: 2, Total: 2, Tags: 10_000, Manifests: 7})
	p.done()
	text := out.String()
	if lines := strings.Count(text, "\r"); lines < 2 || lines > most+2 {
		t.Errorf("%d lines in %s", lines, time.Since(started))
	}
	if !strings.HasSuffix(text, "\r\033[Kmain: 2 of 2 repositories, 10000 tags, 7 manifests fetched\n") {
		t.Errorf("%q", text[max(0, len(text)-120):])
	}
}
