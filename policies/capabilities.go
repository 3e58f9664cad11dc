package policies

import (
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
)

// impure are builtins that read the clock, the network or the environment although OPA does
// not mark them as nondeterministic.
var impure = []string{
	"crypto.x509.parse_and_verify_certificates",              // against the clock
	"crypto.x509.parse_and_verify_certificates_with_options", // against the clock
	"io.jwt.decode_verify",                                   // against the clock
	"net.cidr_expand",                                        // grows without bound
	"net.lookup_ip_addr",
	"opa.runtime",
	"rand.intn",
	"time.now_ns",
	"trace",
	"uuid.rfc4122",
	"http.send",
}

// Capabilities returns what a policy may use: OPA's builtins without network, clock,
// randomness and environment, and no host to reach. The result is the caller's.
func Capabilities() *ast.Capabilities {
	c := ast.CapabilitiesForThisVersion()
	c.Builtins = slices.DeleteFunc(c.Builtins, func(b *ast.Builtin) bool {
		return b.Nondeterministic || slices.Contains(impure, b.Name)
	})
	c.AllowNet = []string{}
	return c
}
