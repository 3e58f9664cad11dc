package main

import (
	"path/filepath"
	"strings"
	"testing"
)

// A rule's own Rego test may ask for the whole decision: the rules of the directory are in
// effect, whatever of them the test replaces, and those of other directories are not.
func TestRegoTestsSeeDecisionsWithTheirRules(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "rules", "office.rego"), `package vendor.office

deny contains {"code": "outside", "message": "Use the office network."} if not _is_inside

_is_inside if net.cidr_contains("10.0.0.0/8", input.request.address)
`)
	write(t, filepath.Join(dir, "rules", "early.rego"), `package vendor.early

grant contains {"code": "access"} if {
	some candidate in input.resource.candidates
	candidate.version == "2.0.0"
}
`)
	test := `package vendor.office_test

clocks := {
	"starts": 0, "ends": 900, "updates": 900, "grace": 900, "terminates": "never",
	"revoked": "never", "suspended": ["never", "never"], "replaced": "never",
}

grant := {
	"license": "a", "grant": 0, "type": "subscription", "empty": false, "ranges": [[[1, 0, 0, {}], [2, 0, 0, []]]],
	"channels": ["stable"], "constraint": "1.x", "clocks": clocks, "keep": false, "enforcement": "enforce", "held": [], "boundaries": [900],
}

license := object.union(clocks, {"type": "subscription", "enforcement": "enforce", "expiring_from": 800, "features": {}, "zone": "UTC"})

acme := {
	"hash": "", "id": "acme", "name": "Acme", "banned": false, "labels": {}, "licenses": {"a": license},
	"products": {"app": [grant]}, "repositories": {},
}

candidate(version, order) := {
	"product": "app", "version": version, "order": order, "tag": version, "channel": "stable", "released": 1, "counts_from": 1,
	"withdrawn_at": "never", "retires_at": "never", "revoked_at": "never", "boundaries": [1],
}

asked(address, candidates) := {
	"time": 100, "subject": {"customer": "acme", "key": "ci", "via": "key"}, "action": "pull",
	"resource": {"kind": "manifest", "repository": "acme/app", "product": "app", "candidates": candidates},
	"request": {"method": "GET", "address": address},
}

one := candidate("1.0.0", [1, 0, 0, {}])

two := candidate("2.0.0", [2, 0, 0, {}])

decided(address, candidates) := decision if {
	decision := data.pullgate.decision with data.pullgate.customers as {"acme": acme}
		with input as asked(address, candidates)
}

test_inside if decided("10.0.0.7", [one]).code == "ok"

test_outside if {
	decision := decided("192.0.2.7", [one])
	decision.allow == false
	decision.code == "vendor.office.outside"
	decision.message == "Use the office network."
}

test_granted if {
	decision := decided("10.0.0.7", [two])
	decision.allow
	decision.code == "vendor.early.access"
}

test_granted_and_denied if decided("192.0.2.7", [two]).code == "vendor.office.outside"

test_names if data.pullgate.rules == {"early": true, "office": true}

test_without_rules if {
	decision := data.pullgate.decision with data.pullgate.customers as {"acme": acme}
		with data.pullgate.rules as {}
		with input as asked("192.0.2.7", [one])
	decision.code == "ok"
}
`
	write(t, filepath.Join(dir, "rules", "office_test.rego"), test)
	code, out, errs := once(t, "test", dir)
	if tests := strings.Count(test, "\ntest_"); code != exitYes || tests != 6 || out != "6 passed, 0 failed\n" {
		t.Errorf("exit code %d\n%s%s", code, out, errs)
	}
}
