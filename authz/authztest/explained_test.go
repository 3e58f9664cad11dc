package authztest

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/pullgate/pullgate/authz"
	"github.com/pullgate/pullgate/authz/engine"
)

const twoLicenses = `-- a.yaml --
kind: Registry
id: main
hosts: [registry.acme.example]
upstream: https://harbor.internal
---
kind: Product
id: app
repositories: [acme/app]
---
kind: Customer
id: acme
keys:
  - {id: ci, hash: "sha256:b7bd55c11b781b0ccc43aa6e57f9dadf0660e9d1d4e27e0979ee43a407d454ae", addresses: [10.0.0.0/8]}
---
kind: License
id: acme-2024
customer: acme
type: subscription
starts: 2024-01-01
ends: 2024-12-31
grants: [{product: app, versions: ">=1.0.0 <3.0.0"}]
---
kind: License
id: acme-2027
customer: acme
type: subscription
starts: 2027-01-01
ends: 2027-12-31
grants: [{product: app, versions: ">=1.0.0 <3.0.0"}]
---
kind: Customer
id: nothing
-- rules/office.rego --
package vendor.office

deny contains {"code": "outside", "message": "not from the office"} if not _inside

_inside if startswith(input.request.address, "10.")

boundary contains time.parse_rfc3339_ns(input.resource.product) if {
	input.subject.customer == "nothing"
	input.action == "pull"
}
-- decisions --
`

// A line that fails says of each license which checks fail, with the values that were compared.
func TestWhyALineFails(t *testing.T) {
	for _, tc := range []struct{ name, text, want string }{
		{"the term", "at 2026-06-01T12:00:00Z\nas acme\nfrom 10.0.0.7\nask app@1.4.0 allow\n", `
asked as acme from 10.0.0.7 at 2026-06-01T12:00:00Z
deny expired, status 403
license acme-2024, grant acme-2024/0, until 2027-01-01T00:00:00Z
message: MESSAGE
candidate app@1.4.0 (channel stable)
grant acme-2024/0 (>=1.0.0 <3.0.0) fails
  check 12, expired: WHY; to pass: CHANGE
grant acme-2027/0 (>=1.0.0 <3.0.0) fails
  check 6, not_started: WHY; to pass: CHANGE`},
		{"it passes", "at 2024-06-01T12:00:00Z\nas acme\nfrom 10.0.0.7\nask app@1.4.0 deny\n", `
asked as acme from 10.0.0.7 at 2024-06-01T12:00:00Z
allow ok, status 200
license acme-2024, grant acme-2024/0, until 2025-01-01T00:00:00Z
candidate app@1.4.0 (channel stable)
grant acme-2024/0 (>=1.0.0 <3.0.0) passes: ok
grant acme-2027/0 (>=1.0.0 <3.0.0) fails
  check 6, not_started: WHY; to pass: CHANGE`},
		{"a vendor rule", "at 2024-06-01T12:00:00Z\nas acme\nask app@1.4.0 allow\n", `
asked as acme from 127.0.0.1 at 2024-06-01T12:00:00Z
deny vendor.office.outside, status 403
license acme-2024, grant acme-2024/0, until 2025-01-01T00:00:00Z
message: MESSAGE
candidate app@1.4.0 (channel stable)
grant acme-2024/0 (>=1.0.0 <3.0.0) fails
  check 11, vendor.office.outside: WHY; to pass: CHANGE
grant acme-2027/0 (>=1.0.0 <3.0.0) fails
  check 6, not_started: WHY; to pass: CHANGE
  check 11, vendor.office.outside: WHY; to pass: CHANGE`},
		{"no license names it", "at 2026-06-01T12:00:00Z\nas nothing\nfrom 10.0.0.7\nGET /v2/acme/app/tags/list allow\n", `
asked as nothing from 10.0.0.7 at 2026-06-01T12:00:00Z
deny unknown_repository, status 404; the policy says no_license
message: MESSAGE
no license of customer nothing names acme/app`},
		{"the key's limits", "at 2024-06-01T12:00:00Z\nas key acme/ci\nask app@1.4.0 allow\n", `
asked as key acme/ci from 127.0.0.1 at 2024-06-01T12:00:00Z
deny key_scope, status 403; the policy says anonymous
message: MESSAGE
candidate app@1.4.0 (channel stable)
the key's limits leave this out by its address`},
		{"a vendor rule at fault", "at 2026-06-01T12:00:00Z\nas nothing\nfrom 10.0.0.7\nask app@1.4.0 allow\n", `
asked as nothing from 10.0.0.7 at 2026-06-01T12:00:00Z
deny internal_error, status 503
cause: evaluate data.pullgate.decision: eval_builtin_error at vendor/office.rego:7 in data.vendor.office.boundary
no license of customer nothing names app
a vendor rule is at fault: vendor.office.boundary: rules/office.rego:7: time.parse_rfc3339_ns: parsing time "app" as "2006-01-02T15:04:05Z07:00": cannot parse "app" as "2006"`},
		{"before the policy", "at 2024-06-01T12:00:00Z\nPUT /v2/acme/app/manifests/1 allow\n", `
asked as anonymous from 127.0.0.1 at 2024-06-01T12:00:00Z
deny unsupported, status 405`},
		{"no verdict was wanted", "at 2024-06-01T12:00:00Z\nGET /v2/ reply 200\n", `
asked as anonymous from 127.0.0.1 at 2024-06-01T12:00:00Z
deny anonymous, status 401
message: MESSAGE`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			door := NewGateDoor()
			defer door.Close()
			results, err := (&Runner{Door: door, Catalog: noCatalog}).Run(t.Context(), parse(t, twoLicenses+tc.text))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, line := range results[0].Why { // texts of the library are its own tests' to check
				if text, ok := strings.CutPrefix(line, "message: "); ok && text != "" {
					line = "message: MESSAGE"
				}
				if head, change, ok := strings.Cut(line, "; to pass: "); ok && change != "" {
					if head, why, ok := strings.Cut(head, ": "); ok && why != "" && !strings.HasPrefix(why, "vendor.") {
						line = head + ": WHY; to pass: CHANGE"
					}
				}
				got = append(got, line)
			}
			if diff := cmp.Diff(strings.Split(strings.TrimSpace(tc.want), "\n"), got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestOfSeveralCandidatesTheFurthestAreShown(t *testing.T) {
	failed := func(check int, code authz.Code) []authz.FailedCheck {
		return []authz.FailedCheck{{Miss: authz.Miss{Check: check, Code: code}, Why: "it is"}}
	}
	lines, vendor := whyGrant(&authz.ConsideredGrant{
		License: "l", Grant: 1, Covers: "all", Misses: &authz.Miss{Check: 9, Code: "outside_update_window"},
		Outcomes: []authz.GrantOutcome{{Candidates: []int{1}, Failed: failed(9, "outside_update_window")}, {Candidates: []int{0}, Failed: failed(3, "version_not_granted")}},
	})
	if diff := cmp.Diff([]string{"grant l/1 (all) fails", "  check 9, outside_update_window: it is"}, lines); diff != "" || vendor {
		t.Error(diff)
	}
}

// What explains a line counts as no evaluation of the rules.
func TestExplanationsAreNotTraced(t *testing.T) {
	count := func(expectation string) (n int) {
		door := NewGateDoor()
		defer door.Close()
		door.Trace(func(w *World) engine.QueryTracer {
			if w == nil {
				t.Error("no world")
			}
			n++
			return nil
		})
		if _, err := (&Runner{Door: door, Catalog: noCatalog}).Run(t.Context(), parse(t, twoLicenses+"at 2026-06-01T12:00:00Z\nas acme\nask app@1.4.0 "+expectation+"\n")); err != nil {
			t.Fatal(err)
		}
		return n
	}
	if holds, fails := count("deny"), count("allow"); holds == 0 || fails != holds {
		t.Errorf("%d evaluations traced where the line holds, %d where it fails", holds, fails)
	}
}
