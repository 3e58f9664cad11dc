package policies_test

import (
	"slices"
	"testing"

	"github.com/pullgate/pullgate/policies"
)

const regionRule = `package vendor.region

deny contains {"code": "outside", "message": "not from here"} if {
	not _inside
}

_inside if input.request.address == "10.0.0.1"

header contains {"name": "X-Region", "value": "eu", "to": "upstream"} if _inside
`

func TestCheckAcceptsARule(t *testing.T) {
	rules := map[string][]byte{"rules/region.rego": []byte(regionRule)}
	if err := policies.Check(rules); err != nil {
		t.Error(err)
	}
	if got := policies.UpstreamHeaders(rules); !slices.Equal(got, []string{"x-region"}) {
		t.Errorf("upstream headers %v", got)
	}
	if got := policies.VendorCodes(rules); !slices.Equal(got, []string{"vendor.region.outside"}) {
		t.Errorf("codes %v", got)
	}
}

func TestCheckRefusesAnotherPackage(t *testing.T) {
	for _, pkg := range []string{"vendor", "pullgate", "vendor.a.b", "vendor.A", "region"} {
		if policies.Check(map[string][]byte{"a.rego": []byte("package " + pkg + "\n")}) == nil {
			t.Errorf("package %s is accepted", pkg)
		}
	}
}
