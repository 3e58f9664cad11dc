package policies_test

import (
	"strings"
	"testing"

	"github.com/pullgate/pullgate/policies"
)

// A customer whose licenses have no end, no window and no warning.
var endless = map[string]any{
	"labels": map[string]any{"ends": 5},
	"licenses": map[string]any{"l": map[string]any{
		"type": "perpetual", "starts": 1, "ends": "never", "updates": "never", "grace": "never", "terminates": "never",
		"revoked": "never", "suspended": []any{"never", "never"}, "replaced": "never", "expiring_from": "never", "features": map[string]any{},
	}},
	"products": map[string]any{"app": []any{map[string]any{
		"license": "l", "type": "perpetual", "clocks": map[string]any{
			"starts": 1, "ends": "never", "updates": "never", "grace": "never", "terminates": "never",
			"revoked": "never", "suspended": []any{"never", "never"}, "replaced": "never",
		},
	}}},
}

// Where a rule computes with "never", nothing is decided. Check refuses what it can tell, and
// nothing that asks before. The last are what it cannot tell.
func TestComputingWithNeverIsRefused(t *testing.T) {
	const fails, fine = true, false
	const license = "some license in data.pullgate.customer.licenses\n"
	for _, tt := range []struct {
		body          string
		want, refused bool
	}{
		{license + `license.starts - 1 < 5`, fine, false},
		{`data.pullgate.customer.labels.ends - 1 < 9`, fine, false},
		{`input.resource.candidates[_].released - 1 < 9`, fine, false},
		{license + `is_number(license.ends); license.ends - 1 < 9`, fine, false},
		{license + `license.ends != "never"; license.ends - 1 < 9`, fine, false},
		{license + `"never" != license.ends; license.ends - 1 < 9`, fine, false},
		{license + `not license.ends == "never"; license.ends - 1 < 9`, fine, false},
		{license + `license.ends < 9; license.ends - 1 < 9`, fine, false},
		{license + `9 >= license.ends; license.ends - 1 < 9`, fine, false},
		{license + `ends := license.ends; not ends > 9; ends - 1 < 9`, fine, false},
		{license + `ends := license.ends; is_number(ends); license.ends - 1 < 9`, fine, false},
		{license + `license.type == "trial"; license.ends - 1 < 9`, fine, false},
		{license + `_finite(license.ends); license.ends - 1 < 9`, fine, false},
		{license + `type_name(license.ends) == "number"; count([1 | license.ends - 1 < 9]) > 0`, fine, false},
		{`some grant in data.pullgate.customer.products.app; grant.type == "trial"; grant.clocks.ends - 1 < 9`, fine, false},

		{license + `license.ends - 1 < 9`, fails, true},
		{license + `license.ends < 9 + license.ends`, fails, true},
		{license + `input.time < license.ends; license.ends - 1 < 9`, fails, true},
		{license + `license.ends > input.time; license.ends - 1 < 9`, fails, true},
		{license + `ends := license.ends; not ends < 9; ends - 1 < 9`, fails, true},
		{license + `is_number(license.starts); license.ends - 1 < 9`, fails, true},
		{license + `license.ends - 1 < 9; is_number(license.ends)`, fails, true},
		{license + `x := license; y := x.expiring_from; y - 1 < 9`, fails, true},
		{license + `[_, until] := license.suspended; until - 1 < 9`, fails, true},
		{license + `license.suspended[0] - 1 < 9`, fails, true},
		{license + `floor(license.ends / 86400) < 9`, fails, true},
		{`data.pullgate.customer.licenses[_].ends * 1000000000 < 9`, fails, true},
		{`some grant in data.pullgate.customer.products.app; grant.clocks.ends - 1 < 9`, fails, true},
		{`some i; data.pullgate.customer.products.app[i].clocks.ends - 1 < 9`, fails, true},
		{`every grant in data.pullgate.customer.products.app { grant.clocks.grace - 1 < 9 }`, fails, true},
		{`some candidate in input.resource.candidates; abs(candidate.withdrawn_at) < 9`, fails, true},
		{`count([1 | some candidate in input.resource.candidates; candidate.retires_at - 1 < 9]) > 1`, fails, true},

		{`some license in data.pullgate.customer.licenses; _early(license)`, fails, false},
		{`some ends in {ends | ends := data.pullgate.customer.licenses[_].ends}; ends - 1 < 9`, fails, false},
		{license + `license.ends == license.grace; license.ends - 1 < 9`, fails, false},
	} {
		source := "package vendor.a\n\ndeny contains {\"code\": \"x\", \"message\": \"No.\"} if {\n" + strings.ReplaceAll(tt.body, "; ", "\n") + "\n}\n" + `
_finite(x) if is_number(x)

_early(license) if license.ends - 1 < 9

boundary contains "never"
`
		source = strings.ReplaceAll(source, "| some candidate in input.resource.candidates\n", "| some candidate in input.resource.candidates; ")
		if _, err := evaluated(t, source, "data.vendor.a.deny", endless); (err != nil) != tt.want {
			t.Errorf("%s: %v", tt.body, err)
		}
		refused := false
		for _, e := range ruleErrors(t, policies.Check(map[string][]byte{"a.rego": []byte(source)})) {
			if strings.Contains(e.Msg, `may be "never"`) {
				refused = true
			} else {
				t.Errorf("%s: %v", tt.body, e)
			}
		}
		if refused != tt.refused {
			t.Errorf("%s: refused %v", tt.body, refused)
		}
	}
}
