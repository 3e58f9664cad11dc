package vendor.hotfix_test

import data.vendor.hotfix

now := 1780315200 # 2026-06-01T12:00:00Z

candidate(version) := {"product": "app", "version": version, "channel": "hotfix"}

asks(customer, candidates) := {
	"time": now,
	"subject": {"customer": customer},
	"resource": {"product": "app", "candidates": candidates},
}

# A customer's document with one grant, that of a license until an instant.
licensed(until) := with_clocks({"grace": until})

with_clocks(fields) := {"products": {"app": [{
	"clocks": object.union(
		{
			"starts": 0,
			"grace": "never",
			"terminates": "never",
			"revoked": "never",
			"suspended": ["never", "never"],
			"replaced": "never",
		},
		fields,
	),
	"boundaries": [0, now + 1],
}]}}

granted := {{"code": "version"}}

test_grants_to_the_chosen if {
	hotfix.grant == granted with input as asks("globex", [candidate("1.4.3-hotfix.1")])
		with data.pullgate.customer as licensed(now + 1)
}

test_grants_a_layer_of_several_versions if {
	hotfix.grant == granted with input as asks("globex", [candidate("1.4.2"), candidate("1.4.3-hotfix.1")])
		with data.pullgate.customer as licensed(now + 1)
}

test_not_to_others if {
	hotfix.grant == set() with input as asks("globex", [candidate("1.4.3-hotfix.2")])
		with data.pullgate.customer as licensed(now + 1)
	hotfix.grant == set() with input as asks("umbrella", [candidate("1.4.3-hotfix.1")])
		with data.pullgate.customer as licensed(now + 1)
}

test_not_another_product if {
	other := object.union(candidate("1.4.3-hotfix.1"), {"product": "tools"})
	hotfix.grant == set() with input as asks("globex", [other])
		with data.pullgate.customer as licensed(now + 1)
}

test_not_after_the_end if {
	hotfix.grant == set() with input as asks("globex", [candidate("1.4.3-hotfix.1")])
		with data.pullgate.customer as licensed(now)
}

test_not_with_a_license_that_is_not_in_force if {
	every clocks in [
		{"starts": now + 1},
		{"terminates": now},
		{"revoked": now},
		{"replaced": now},
		{"suspended": [now, now + 1]},
		{"suspended": [0, "never"]},
	] {
		hotfix.grant == set() with input as asks("globex", [candidate("1.4.3-hotfix.1")])
			with data.pullgate.customer as with_clocks(clocks)
	}
}

test_grants_after_a_suspension if {
	every suspended in [[0, now], [now + 1, "never"]] {
		hotfix.grant == granted with input as asks("globex", [candidate("1.4.3-hotfix.1")])
			with data.pullgate.customer as with_clocks({"starts": now, "suspended": suspended})
	}
}

test_not_without_a_license if {
	hotfix.grant == set() with input as asks("hooli", [candidate("1.4.3-hotfix.1")])
		with data.pullgate.customer as {"products": {}}
}

test_not_for_a_list_or_a_tag_without_a_version if {
	hotfix.grant == set() with input as {"time": now, "subject": {"customer": "globex"}, "resource": {"product": "app"}}
		with data.pullgate.customer as licensed(now + 1)
	hotfix.grant == set() with input as asks("globex", [{"tag": "latest"}])
		with data.pullgate.customer as licensed(now + 1)
}

test_boundaries_are_the_licenses if {
	hotfix.boundary == {0, now + 1} with input as asks("globex", [candidate("1.4.3-hotfix.1")])
		with data.pullgate.customer as licensed(now + 1)
}
