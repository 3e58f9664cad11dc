package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/pullgate/pullgate/authz"
)

func (a *asks) explain(r *authz.Request) (*authz.Decision, *authz.Explanation) {
	a.t.Helper()
	d, x, err := a.gate.Explain(context.Background(), r)
	if err != nil {
		a.t.Fatal(err)
	}
	return d, x
}

func TestExplainSaysWhatWasConsidered(t *testing.T) {
	w := shop(t)
	late := grant(t, "bakery-next", "app", ">=2.0.0 <3.0.0")
	late["clocks"].(object)["starts"] = end
	w.customer(t, "bakery", grant(t, "bakery-app", "app", ">=1.0.0 <2.0.0"), late, tagGrant("bakery-tools", "acme/tools", "1.4"))
	a := w.asks(t, nil)
	d, x := a.explain(request("bakery", authz.KindBlob, "acme/app", digestOfName("base")))
	if got := line(d); got != "allow 200 ok" || d.ID != "" {
		t.Errorf("%s, id %q", got, d.ID)
	}
	if len(x.Asked) != 1 || !x.Repository || !x.Reference || !x.Named || x.Caller.Customer != "bakery" || x.OutOfScope != "" {
		t.Fatalf("explanation %+v", x)
	}
	re := &x.Asked[0]
	if len(re.Candidates) != 2 || len(re.Grants) != 2 || !slices.Equal(re.Unnamed, []string{"bakery-tools"}) || re.Licenses != 3 {
		t.Fatalf("reasoning %+v", re)
	}
	if r := re.Reported; r == nil || r.License != "bakery-app" || re.Candidates[r.Candidate].Version != "1.4.0" {
		t.Errorf("reported %+v", re.Reported)
	}
	passes, misses := &re.Grants[0], &re.Grants[1]
	if passes.Passes != authz.CodeOK || passes.Clocks.Ends != end || passes.Clocks.Terminates != authz.Never || passes.Zone != "UTC" {
		t.Errorf("first grant %+v", passes)
	}
	if misses.License != "bakery-next" || misses.Misses == nil || *misses.Misses != (authz.Miss{Check: 6, Code: authz.CodeNotStarted}) {
		t.Errorf("second grant %+v", misses)
	}
	if o := passes.Outcomes; len(o) != 2 || o[0].Passes != authz.CodeOK || o[1].Failed[0].Why != "version 2.0.0 is outside >=1.0.0 <2.0.0" {
		t.Errorf("outcomes %+v", o)
	}
}

func TestExplainSaysWhoIsAsked(t *testing.T) {
	w := shop(t)
	hash := w.key("bakery", "narrow", object{"repositories": []string{"acme/tools"}, "addresses": []string{"10.0.0.0/8"}, "expires": end})
	a := w.asks(t, nil)
	ask := func(repository, address string) *authz.Explanation {
		r := request("", authz.KindManifest, repository, "1.4")
		r.Credential = authz.Credential{Kind: authz.CredentialKey, Hash: hash}
		if err := r.Address.UnmarshalText([]byte(address)); err != nil {
			t.Fatal(err)
		}
		_, x := a.explain(r)
		return x
	}
	for _, tt := range []struct{ repository, address, want string }{
		{"acme/tools", "10.0.0.7", ""}, {"acme/app", "10.0.0.7", "repository"}, {"acme/tools", "192.0.2.1", "address"},
	} {
		x := ask(tt.repository, tt.address)
		if x.OutOfScope != tt.want || x.KeyExpires != end || x.Caller.Key != "narrow" {
			t.Errorf("%s from %s: %+v", tt.repository, tt.address, x)
		}
		if customer := x.Asked[0].Subject.Customer; (customer == "") != (tt.want != "") {
			t.Errorf("%s from %s: the policy is asked as %q", tt.repository, tt.address, customer)
		}
	}
	if _, x := a.explain(request("", authz.KindManifest, "acme/app", "1.4.0")); x.Refusal != authz.CodeAnonymous || x.Named || len(x.Asked) != 1 {
		t.Errorf("anonymous: %+v", x)
	}
	if _, x := a.explain(&authz.Request{}); len(x.Asked) != 0 || x.Refusal != "" {
		t.Errorf("malformed: %+v", x)
	}
	if d, x := a.explain(request("bakery", authz.KindCatalog, "", "")); len(d.Names) != 3 || len(x.Asked) != 3 || x.Asked[0].Grants != nil {
		t.Errorf("catalog: %v, %+v", d.Names, x)
	}
	if d, x := a.explain(request("bakery", authz.KindTags, "acme/app", "")); len(d.Names) != 2 || x.Tags != 4 || len(x.Asked[0].Candidates) != 0 {
		t.Errorf("tags: %v, %+v", d.Names, x)
	}
}

// A library that does not explain, or explains something else, is an error and no explanation.
func TestExplainOfAPolicyThatDoesNot(t *testing.T) {
	for name, change := range map[string]func(map[string][]byte){
		"without": func(m map[string][]byte) {
			for path := range m {
				if path == "pullgate/explanation.rego" {
					delete(m, path)
				}
			}
		},
		"another": func(m map[string][]byte) {
			m["pullgate/explanation.rego"] = []byte("package pullgate\n\nexplanation := {\"decision\": object.union(decision, {\"grant\": \"other/1\"})}\n")
		},
	} {
		w := shop(t)
		change(w.modules)
		a := w.asks(t, nil)
		d, x, err := a.gate.Explain(t.Context(), request("bakery", authz.KindManifest, "acme/app", "1.4.0"))
		if err == nil || line(d) != "allow 200 ok" || len(x.Asked) != 0 {
			t.Errorf("%s: %v, %s, %+v", name, err, line(d), x)
		}
		if name == "another" && !errors.Is(err, authz.ErrNotExplained) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Nothing that requests use waits for explanations, or knows what they read.
func TestExplanationIsNoPartOfCacheKeys(t *testing.T) {
	w := shop(t)
	a := w.asks(t, nil)
	for _, r := range []*authz.Request{request("bakery", authz.KindManifest, "acme/app", "1.4.0"), request("mill", authz.KindTags, "acme/app", "")} {
		before := fmt.Sprint(a.ask(r).Verdict)
		a.explain(r)
		if after := fmt.Sprint(a.ask(r).Verdict); after != before {
			t.Errorf("%s, then %s", before, after)
		}
	}
	w.modules["pullgate/explanation.rego"] = []byte("package pullgate\n\nexplanation := [input.request.address, input.subject.via]\n")
	plain, reads := a.engine.active.Load().keyer, w.start(t, Config{}).active.Load().keyer
	if !maps.Equal(plain.fields, reads.fields) || len(plain.parts) != len(reads.parts) {
		t.Errorf("what an explanation reads is part of cache keys: %v", reads.fields)
	}
}

func BenchmarkExplain(b *testing.B) {
	a := shop(b).asks(b, nil)
	r := request("bakery", authz.KindManifest, "acme/app", "1.4.0")
	for b.Loop() {
		if _, _, err := a.gate.Explain(b.Context(), r); err != nil {
			b.Fatal(err)
		}
	}
}
