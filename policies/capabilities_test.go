package policies_test

import (
	"testing"

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
	for _, name := range []string{"http.send", "time.now_ns", "rand.intn", "uuid.rfc4122", "opa.runtime", "net.lookup_ip_addr", "io.jwt.decode_verify"} {
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
