package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// written is an output that a test reads while it is written.
type written struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (w *written) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.buf.Write(p)
}

func (w *written) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.buf.String()
}

// await waits until the output matches from an offset on, and returns its length.
func (w *written) await(t *testing.T, from int, expression string) int {
	t.Helper()
	re := regexp.MustCompile(expression)
	for end := time.Now().Add(60 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if text := w.String(); re.MatchString(text[from:]) {
			return len(text)
		}
	}
	t.Fatalf("no %q in\n%s", expression, w.String()[from:])
	return 0
}

func TestWatchRunsAgainAfterEveryChange(t *testing.T) {
	dir := t.TempDir()
	put := func(name, text string) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		part := filepath.Join(dir, ".part") // which nobody sees half written
		if err := errors.Join(os.WriteFile(part, []byte(text), 0o644), os.Rename(part, path)); err != nil {
			t.Fatal(err)
		}
	}
	const vendor = "kind: Registry\nid: main\nhosts: [r.example]\nupstream: https://r.internal\n---\nkind: Customer\nid: acme\n"
	const script = "files ../licenses\n-- decisions --\nat 2026-06-01T12:00:00Z\nas acme\nGET /v2/ reply 200 {}\n"
	deeper := strings.Replace(script, "files ..", "files ../..", 1)
	put("licenses/vendor.yaml", vendor) // not below what is watched, but named by the script
	put("tests/a.txtar", script)

	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var out, errs written
	done := make(chan int)
	go func() {
		done <- run(ctx, []string{"test", "--watch", filepath.Join(dir, "tests")}, nil, &out, &errs)
	}()

	at := out.await(t, 0, `^=== \d\d:\d\d:\d\d first run\n1 passed, 0 failed\n`)
	put("more/b.txtar", strings.Replace(deeper, "reply 200 {}", "deny", 1))
	put("more/c.txtar", deeper)
	if err := os.Rename(filepath.Join(dir, "more"), filepath.Join(dir, "tests/more")); err != nil { // both at once
		t.Fatal(err)
	}
	at = out.await(t, at, `^=== \d\d:\d\d:\d\d \S+b.txtar, \S+c.txtar\n\S+b.txtar:5: GET /v2/ deny\n(    .*\n)+2 passed, 1 failed\n`)
	// A broken script is said on standard error, and does not end it.
	put("tests/more/b.txtar", "-- decisions --\nperhaps\n")
	at = out.await(t, at, `^=== \d\d:\d\d:\d\d \S+b.txtar\n2 passed, 0 failed\n`)
	errs.await(t, 0, `^pullgate: \S+b.txtar:2: `)
	if err := os.Remove(filepath.Join(dir, "tests/more/b.txtar")); err != nil {
		t.Fatal(err)
	}
	at = out.await(t, at, `^=== \d\d:\d\d:\d\d \S+b.txtar\n2 passed, 0 failed\n`)
	put("licenses/vendor.yaml", strings.Replace(vendor, "acme", "other", 1))
	at = out.await(t, at, `^=== \d\d:\d\d:\d\d \S+licenses/vendor.yaml\n`)
	errs.await(t, 0, `speaks as "acme"`)
	put("licenses/vendor.yaml", vendor)
	at = out.await(t, at, `^=== \d\d:\d\d:\d\d \S+licenses/vendor.yaml\n2 passed, 0 failed\n`)
	put("tests/notes.txt", "what does not count")
	put("tests/more/c.txtar", strings.Replace(deeper, "reply 200 {}", "deny", 1))
	out.await(t, at, `^=== \d\d:\d\d:\d\d \S+c.txtar\n\S+c.txtar:5: GET /v2/ deny\n(    .*\n)+1 passed, 1 failed\n`)

	stop()
	if code := <-done; code != exitNo { // that of the last run
		t.Errorf("exit code %d\n%s", code, errs.String())
	}
}

func TestWatchEndsWithTheExitCodeOfTheLastRun(t *testing.T) {
	dir := t.TempDir()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var out, errs written
	done := make(chan int)
	go func() { done <- run(ctx, []string{"test", "--watch", dir}, nil, &out, &errs) }()
	errs.await(t, 0, `^pullgate: no \*.txtar and no \*_test.rego below `)
	stop()
	if code := <-done; code != exitUnknown || !strings.HasSuffix(errs.String(), "pullgate: in the last run not everything could be run, as said above\n") {
		t.Errorf("exit code %d\n%s", code, errs.String())
	}
}
