package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/pullgate/pullgate/authz"
	"github.com/pullgate/pullgate/authz/reply"
	"github.com/pullgate/pullgate/policies"
)

// A header that Check accepts arrives, under the name by which it is removed from the client's
// requests: one that the reply drops in silence would be a rule that does nothing. What only
// Check refuses (set-cookie, range, docker-content-digest …) is refused before it is asked.
func TestHeadersThatCheckAcceptsArrive(t *testing.T) {
	names := strings.Fields(`
		authorization proxy-authorization cookie set-cookie www-authenticate proxy-authenticate host connection keep-alive te trailer
		transfer-encoding upgrade proxy-connection expect content-length content-type content-encoding content-range content-md5
		cache-control warning link retry-after location docker-distribution-api-version docker-content-digest oci-filters-applied
		oci-subject etag last-modified accept accept-encoding range if-none-match x-envoy-original-path x-pullgate-customer
		x_pullgate_customer X_Envoy_Original_Path X-PULLGATE-License x-pullgate- x-envoy- :path :authority x_a a.b a!b x-a X-Region x-b-1 1 -
		via date server age vary pragma origin forwarded x-forwarded-for x-request-id user-agent linker hostname accepted x-pullgated
		` + strings.Repeat("a", 128) + " " + strings.Repeat("a", 129))
	accepted := 0
	for _, name := range append(names, "", "a b", "a\r\nb", "ä") {
		for _, to := range []string{"upstream", "client"} {
			rule := fmt.Sprintf("package vendor.a\n\nheader contains {\"name\": %q, \"value\": \"eu\", \"to\": %q}\n", name, to)
			rules := map[string][]byte{"rules/a.rego": []byte(rule)}
			if policies.Check(rules) != nil {
				continue
			}
			accepted++
			p := reply.For(&authz.Request{Method: "GET", Kind: authz.KindManifest, Repository: "acme/app", Tag: "1.0.0"}, &authz.Decision{
				ID: "1", Outcome: authz.OutcomeAllow, Status: 200, Code: "ok",
				Verdict: authz.Verdict{Allow: true, Code: "ok", Headers: []authz.Header{{Name: name, Value: "eu", To: to}}},
			})
			want := reply.Header{Name: strings.ToLower(name), Value: "eu"}
			if set := map[string][]reply.Header{"upstream": p.UpstreamSet, "client": p.ResponseAdd}[to]; !slices.Contains(set, want) {
				t.Errorf("%q to %s is accepted and dropped: %v", name, to, set)
			}
			if removed := policies.UpstreamHeaders(rules); to == "upstream" && !slices.Equal(removed, []string{want.Name}) {
				t.Errorf("%q is set upstream, and the client's %v are removed", name, removed)
			}
		}
	}
	if accepted < 20 {
		t.Errorf("only %d headers are accepted", accepted)
	}
}
