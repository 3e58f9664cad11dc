package engine

import (
	"testing"

	"github.com/pullgate/pullgate/authz"
)

// A question reads the document of the customer who asks and of nobody else: what it costs does
// not grow with the customers there are. A document that cannot be read shows who reads it.
func TestNoQuestionReadsOtherCustomers(t *testing.T) {
	for name, rule := range map[string]string{
		"without rules": "",
		"with a rule": `package vendor.region

deny contains {"code": "abroad", "message": "Not here."} if data.pullgate.customer.labels.region == "x"

warn contains {"code": "old", "message": "Old."} if {
	some candidate in input.resource.candidates
	candidate.version == "1.4.0"
}

grant contains {"code": "early"} if data.pullgate.customer.labels[input.resource.repository] == true

boundary contains 1790000000
`,
	} {
		t.Run(name, func(t *testing.T) {
			w := shop(t)
			w.customers["broken"] = 5
			if rule != "" {
				w.rule("region", rule)
			}
			a := w.asks(t, nil)
			for _, customer := range []string{"", "bakery", "mill", "walkin"} {
				for _, r := range []*authz.Request{
					request(customer, authz.KindPing, "", ""),
					request(customer, authz.KindCatalog, "", ""),
					request(customer, authz.KindTags, "acme/app", ""),
					request(customer, authz.KindTags, "acme/tools", ""),
					request(customer, authz.KindTags, "acme/docs", ""),
					request(customer, authz.KindManifest, "acme/app", "1.4.0"),
					request(customer, authz.KindManifest, "acme/app", "latest"),
					request(customer, authz.KindManifest, "acme/docs", "guide"),
					request(customer, authz.KindReferrers, "acme/app", digestOfName("image140")),
					request(customer, authz.KindBlob, "acme/app", digestOfName("base")),
				} {
					a.ask(r)
					if _, _, err := a.gate.Explain(t.Context(), r); err != nil {
						t.Errorf("explain %s of %s as %q: %v", r.Kind, r.Repository, customer, err)
					}
				}
			}
		})
	}
}
