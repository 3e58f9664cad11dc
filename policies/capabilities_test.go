package policies_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/pullgate/pullgate/policies"
)

func TestCapabilitiesHaveNoClockNetworkOrEnvironment(t *testing.T) {
	c := policies.Capabilities()
	have := map[string]bool{}
	for _, b := range c.Builtins {
		have[b.Name] = true
		if b.Nondeterministic {
			t.Errorf("%s is nondeterministic", b.Name)
		}
	}
	for _, name := range []string{"http.send", "time.now_ns", "rand.intn", "uuid.rfc4122", "opa.runtime", "net.lookup_ip_addr", "io.jwt.decode_verify", "trace"} {
		if have[name] {
			t.Errorf("%s is allowed", name)
		}
	}
	for _, name := range []string{"regex.match", "time.format", "sprintf", "rego.metadata.rule"} {
		if !have[name] {
			t.Errorf("%s, which the library uses, is not allowed", name)
		}
	}
	if c.AllowNet == nil || len(c.AllowNet) > 0 {
		t.Errorf("allow_net = %v, want an empty list", c.AllowNet)
	}
}

// Whoever takes a newer OPA decides about what it brings: each builtin is allowed, or refused
// with a reason and what to write instead.
func TestEveryBuiltinOfOPAIsAllowedOrRefusedWithAReason(t *testing.T) {
	of := map[string]bool{}
	for _, b := range ast.CapabilitiesForThisVersion().Builtins {
		of[b.Name] = true
		switch why := policies.WhyNot(b.Name); {
		case slices.Contains(policies.Allowed, b.Name) && why != "":
			t.Errorf("%s is allowed, and refused: %s", b.Name, why)
		case !slices.Contains(policies.Allowed, b.Name) && (why == "" || strings.Contains(why, "not known")):
			t.Errorf("%s is neither allowed nor refused with a reason", b.Name)
		}
	}
	for _, name := range policies.Allowed {
		if !of[name] {
			t.Errorf("%s is allowed, and OPA has none", name)
		}
	}
	for name := range policies.Refused {
		if group, ok := strings.CutSuffix(name, "."); ok {
			name = group
			for b := range of {
				if strings.HasPrefix(b, group+".") {
					of[group] = true
				}
			}
		}
		if !of[name] {
			t.Errorf("%s is refused, and OPA has none", name)
		}
	}
	if why := policies.WhyNot("no.such.builtin"); why != "" {
		t.Errorf("a function that is no builtin is refused as one: %s", why)
	}
}

// Keywords and features of a newer OPA count only when they are wanted.
func TestTheLanguageIsKnown(t *testing.T) {
	c := policies.Capabilities()
	if len(c.FutureKeywords) > 0 {
		t.Errorf("keywords %v", c.FutureKeywords)
	}
	if want := []string{ast.FeatureKeywordsInRefs, ast.FeatureRegoV1, ast.FeatureTemplateStrings}; !slices.Equal(slices.Sorted(slices.Values(c.Features)), want) {
		t.Errorf("features %v, want %v", c.Features, want)
	}
}
