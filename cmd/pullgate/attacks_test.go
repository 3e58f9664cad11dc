package main

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pullgate/pullgate/authz/authztest"
)

// everythingOn is the shipped Envoy with all that rewrites a request before pullgate is asked.
func everythingOn(t *testing.T) *envoyDoor {
	return startEnvoyDoor(t, &envoyDoor{name: "envoy, everything on", changed: true}, func(config string) string { return rewriting(t, config) })
}

// rewriting switches on whatever rewrites a request, as careless or well-meaning operators do.
func rewriting(t *testing.T, config string) string {
	t.Helper()
	for _, change := range [][2]string{
		{"normalize_path: false", "normalize_path: true"},
		{"merge_slashes: false", "merge_slashes: true"},
		{"path_with_escaped_slashes_action: KEEP_UNCHANGED", "path_with_escaped_slashes_action: UNESCAPE_AND_FORWARD\n          strip_any_host_port: true\n          strip_trailing_host_dot: true"},
		{"headers_with_underscores_action: REJECT_REQUEST", "headers_with_underscores_action: ALLOW"},
		{"encode_raw_headers: true", "encode_raw_headers: false"},
	} {
		config = replaceOnce(t, config, change[0], change[1])
	}
	return config
}

// watched is a door that keeps what was sent for each answer. Its envoyDoor sees to what holds
// whatever is judged: nothing refused arrives, and what arrives is what was judged.
type watched struct {
	*envoyDoor
	sent map[*authztest.Answer]*authztest.Exchange
}

func (f *watched) Ask(ctx context.Context, x *authztest.Exchange) (*authztest.Answer, error) {
	a, err := f.envoyDoor.Ask(ctx, x)
	if a != nil {
		f.sent[a] = x
	}
	return a, err
}

// rewritten reports whether what was judged is not what was sent.
func (f *watched) rewritten(a *authztest.Answer) bool {
	if a == nil || a.Record == nil {
		return false
	}
	x, judged := f.sent[a], a.Record.Request
	if len(x.Target) > 2048 && strings.HasPrefix(x.Target, judged.Path) {
		return false // the record keeps the beginning
	}
	return judged.Path != x.Target || judged.Host != x.Host || judged.Method != x.Method
}

// An Envoy that rewrites requests opens nothing: what it made of a request is what is judged, and
// what is judged is what the registry gets. What it did not rewrite has the answer of its line.
func TestAnEnvoyThatRewritesOpensNothing(t *testing.T) {
	scripts := map[string]*authztest.Script{}
	for name, s := range corpusScripts(t) {
		if strings.HasPrefix(name, "registry/") {
			scripts[name] = s
		}
	}
	own, err := authztest.ReadScript("../../testdata/decisions/attacks.txtar")
	if err != nil {
		t.Fatal(err)
	}
	scripts["attacks.txtar"] = own
	f := &watched{envoyDoor: everythingOn(t), sent: map[*authztest.Answer]*authztest.Exchange{}}
	runner := authztest.Runner{Door: f, Catalog: readScriptCatalog}
	asked, allowed, rewritten, opened := 0, 0, 0, 0
	for _, name := range sortedNames(scripts) {
		results, err := runner.Run(t.Context(), scripts[name])
		if err != nil {
			t.Fatal(err)
		}
		same := map[int]bool{} // lines that compare themselves with the one above
		for _, st := range scripts[name].Steps {
			same[st.Line] = st.Want.Same
		}
		var above *authztest.Answer
		for _, r := range results {
			asked++
			changed := f.rewritten(r.Answer)
			excused := r.Answer != nil && (changed || same[r.Line] && f.rewritten(above))
			if len(r.Problems) > 0 && !excused {
				t.Errorf("%s:%d: %s: %s", name, r.Line, r.Text, strings.Join(r.Problems, "; "))
			}
			if r.Answer == nil {
				continue
			}
			if above = r.Answer; above.Record == nil {
				continue
			}
			got := above.Record
			if got.Verdict == "allow" {
				allowed++
			}
			if changed {
				rewritten++
				if got.Verdict == "allow" && len(r.Problems) > 0 {
					opened++
					t.Logf("%s:%d: %s: %s%s was judged, and allowed", name, r.Line, r.Text, got.Request.Host, got.Request.Path)
				}
			}
		}
	}
	t.Logf("%d requests, %d allowed, %d rewritten before they were judged, %d of them with another answer than as they were sent", asked, allowed, rewritten, opened)
	if asked < 300 || allowed < 50 || rewritten < 5 {
		t.Errorf("%d requests, %d allowed, %d rewritten are too few", asked, allowed, rewritten)
	}
}

// The attacks of docs/security.md that are requests, through a real Envoy as it is shipped; the
// Gate and gRPC are asked by TestOwnDecisions.
func TestAttacksThroughEnvoy(t *testing.T) {
	const path = "../../testdata/decisions/attacks.txtar"
	s, err := authztest.ReadScript(path)
	if err != nil {
		t.Fatal(err)
	}
	runner := authztest.Runner{Door: newEnvoyDoor(t), Catalog: readScriptCatalog}
	results, err := runner.Run(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		if len(r.Problems) > 0 {
			t.Errorf("%s:%d: %s: %s", filepath.Base(path), r.Line, r.Text, strings.Join(r.Problems, "; "))
		}
	}
}
