package main

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pullgate/pullgate/authz/authztest"
)

// everythingOn is the shipped Envoy with all that rewrites a request before pullgate is asked,
// as careless or well-meaning operators have it.
func everythingOn(t *testing.T) *envoyDoor {
	return startEnvoyDoor(t, &envoyDoor{name: "envoy, everything on", changed: true}, func(config string) string {
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
	})
}

// watched is a door that is asked for what holds whatever is judged: nothing refused arrives, and
// what arrives is what was judged. envoyDoor.Ask sees to it.
type watched struct {
	*envoyDoor
	t                         *testing.T
	script                    string
	asked, allowed, rewritten int
}

func (f *watched) Ask(ctx context.Context, x *authztest.Exchange) (*authztest.Answer, error) {
	a, err := f.envoyDoor.Ask(ctx, x)
	f.asked++
	switch {
	case err != nil:
		f.t.Errorf("%s: %s %q: %v", f.script, x.Method, x.Target, err)
	case a.Record != nil && a.Record.Verdict == "allow":
		f.allowed++
		if a.Record.Request.Path != x.Target {
			f.rewritten++
		}
	}
	return a, err
}

// An Envoy that rewrites requests opens nothing: what it made of a request is what is judged, and
// what is judged is what the registry gets.
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
	f := &watched{envoyDoor: everythingOn(t), t: t}
	runner := authztest.Runner{Door: f, Catalog: readScriptCatalog}
	for _, f.script = range sortedNames(scripts) {
		if _, err := runner.Run(t.Context(), scripts[f.script]); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d requests, %d allowed, %d of them rewritten before they were judged", f.asked, f.allowed, f.rewritten)
	if f.asked < 300 || f.allowed < 50 || f.rewritten < 5 {
		t.Errorf("%d requests, %d allowed, %d rewritten are too few", f.asked, f.allowed, f.rewritten)
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
