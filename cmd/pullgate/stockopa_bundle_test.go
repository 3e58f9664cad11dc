package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/pullgate/pullgate/bundle"
	"github.com/pullgate/pullgate/policies"
)

// The commands of docs/bundle.md, with its input and the key beside the bundle.
func TestStockOPARunsAsDocumented(t *testing.T) {
	doc, err := os.ReadFile("../../docs/bundle.md")
	if err != nil {
		t.Fatal(err)
	}
	input := regexp.MustCompile("(?s)With this `input.json`.*?```json\n(.*?)```").FindSubmatch(doc)
	flags := regexp.MustCompile(`(?m)^opa run --server --bundle (.*)$`).FindSubmatch(doc)
	if input == nil || flags == nil {
		t.Fatal("docs/bundle.md shows no opa run and no input")
	}
	l := firstLicense(t)
	words := strings.Fields(strings.NewReplacer("bundle.tar.gz", l.file, "release.pub", l.public, "KID", l.keyID).Replace(string(flags[1])))
	o := startOPA(t, append([]string{"--bundle"}, words...)...)
	if err := o.ready(t.Context()); err != nil {
		t.Fatalf("%v\n%s", err, o.Output())
	}
	got, err := o.value(t.Context(), policies.Entrypoint, input[1])
	if d, ok := got.(map[string]any); err != nil || !ok || d["code"] != "ok" || d["allow"] != true {
		t.Errorf("%v, %v", got, err)
	}
	got, err = o.value(t.Context(), policies.VisibleEntrypoint, input[1])
	if diff := cmp.Diff([]any{json.Number("0")}, got); err != nil || diff != "" {
		t.Errorf("visible: %v\n%s", err, diff)
	}
	nobody := json.RawMessage(`{"time":1780300000,"subject":{"via":"anonymous"},"action":"ping","resource":{},"request":{}}`)
	got, err = o.value(t.Context(), policies.Entrypoint, nobody)
	if d, ok := got.(map[string]any); err != nil || !ok || d["code"] != "anonymous" || d["allow"] != false {
		t.Errorf("anonymous: %v, %v", got, err)
	}
}

// TestStockOPARefusesAChangedBundle: one byte of one file, which parses as well as before.
func TestStockOPARefusesAChangedBundle(t *testing.T) {
	l := firstLicense(t)
	shipped, err := os.ReadFile(l.file)
	if err != nil {
		t.Fatal(err)
	}
	swap := func(old, by string) func([]byte) []byte {
		return func(b []byte) []byte { return bytes.Replace(b, []byte(old), []byte(by), 1) }
	}
	tests := []struct {
		name   string
		data   []byte
		scope  string
		reason string
	}{
		{"as it is, with another scope", shipped, "acme", "scope mismatch"},
		{"license data", changed(t, shipped, "pullgate/customers/data.json", swap(`"id":"globex"`, `"id":"globey"`)), bundle.DefaultName, "pullgate/customers/data.json: digest mismatch"},
		{"policy", changed(t, shipped, "pullgate/decision.rego", swap(`-62135596800`, `-62135596801`)), bundle.DefaultName, "pullgate/decision.rego: digest mismatch"},
		{"index", changed(t, shipped, bundle.IndexPath, func(b []byte) []byte { b[len(b)-1] ^= 1; return b }), bundle.DefaultName, "index.bin: digest mismatch"},
		{"manifest", changed(t, shipped, bundle.ManifestPath, swap(`"format":1`, `"format":2`)), bundle.DefaultName, ".manifest: digest mismatch"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "bundle.tar.gz")
			if err := os.WriteFile(file, tt.data, 0o600); err != nil {
				t.Fatal(err)
			}
			o := startOPA(t, "--bundle", file, "--verification-key", l.public, "--verification-key-id", l.keyID, "--signing-alg", "ES256", "--scope", tt.scope)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			if err := o.ready(ctx); err == nil {
				t.Fatal("opa serves it")
			}
			if !strings.Contains(o.Output(), tt.reason) {
				t.Errorf("opa says\n%s\nwant %q", o.Output(), tt.reason)
			}
		})
	}
}

// A running OPA refuses a changed bundle that it downloads and goes on with the last good one.
func TestStockOPAKeepsTheLastGoodBundle(t *testing.T) {
	o := newFedOPA(t)
	good, _, err := rewritten(firstLicense(t).bundle, o.signer, nil)
	if err != nil {
		t.Fatal(err)
	}
	ping := json.RawMessage(`{"time":1780300000,"subject":{"customer":"globex","key":"ci","via":"key","claims":{}},"action":"ping","resource":{"kind":"ping"},"request":{}}`)
	other := changed(t, good, "pullgate/customers/data.json", func(b []byte) []byte {
		return bytes.Replace(b, []byte(`"id":"globex"`), []byte(`"id":"globey"`), 1)
	})
	for i, tt := range []struct {
		data   []byte
		active bool
	}{{good, true}, {other, false}, {good, true}} {
		active, err := o.offer(t.Context(), tt.data)
		if err != nil || active != tt.active {
			t.Errorf("bundle %d: active %v, %v", i, active, err)
		}
		got, err := o.value(t.Context(), policies.Entrypoint, ping)
		if d, ok := got.(map[string]any); err != nil || !ok || d["allow"] != true {
			t.Errorf("after bundle %d: %v, %v", i, got, err)
		}
	}
}

type built struct {
	file, public, keyID string
	bundle              *bundle.Bundle
}

// firstLicense builds the bundle of examples/first-license with the commands of docs/bundle.md.
func firstLicense(t *testing.T) built {
	t.Helper()
	dir := t.TempDir()
	l := built{file: filepath.Join(dir, "bundle.tar.gz"), public: filepath.Join(dir, "release.pub")}
	const example = "../../examples/first-license/"
	for _, args := range [][]string{
		{"bundle", "keygen", "--out", filepath.Join(dir, "release")},
		{
			"bundle", "build", "--licenses", example + "licenses", "--catalog", example + "catalog.yaml",
			"--signing-key", filepath.Join(dir, "release.key"), "--issued-at", "2026-06-01T00:00:00Z", "--out", l.file,
		},
	} {
		var out bytes.Buffer
		if code := run(t.Context(), args, strings.NewReader(""), &out, &out); code != exitYes {
			t.Fatalf("pullgate %s: exit %d\n%s", strings.Join(args, " "), code, &out)
		}
	}
	pem, err := os.ReadFile(l.public)
	if err != nil {
		t.Fatal(err)
	}
	ring, err := bundle.ParseKeyRing(pem)
	if err != nil {
		t.Fatal(err)
	}
	l.keyID = ring.KeyIDs()[0]
	f, err := os.Open(l.file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if l.bundle, err = bundle.Read(f, ring, bundle.ReadOptions{Name: bundle.DefaultName}); err != nil {
		t.Fatal(err)
	}
	return l
}
