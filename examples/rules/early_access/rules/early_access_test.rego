package vendor.early_access_test

import data.vendor.early_access

now := 1781697600 # 2026-06-17T12:00:00Z

days(n) := n * 86400

# A version that is released at an instant.
version(released) := {
	"product": "app",
	"version": "1.6.0",
	"order": [1, 6, 0, {}],
	"channel": "stable",
	"released": released,
	"counts_from": released,
}

asks(candidates) := {"time": now, "resource": {"product": "app", "candidates": candidates}}

customer(labels, clocks) := {
	"labels": labels,
	"products": {"app": [{
		"ranges": [[[1, 0, 0, []], [2, 0, 0, []]]],
		"channels": ["stable"],
		"held": ["sso"],
		"clocks": object.union(
			{
				"starts": 0,
				"ends": "never",
				"updates": "never",
				"revoked": "never",
				"suspended": ["never", "never"],
				"replaced": "never",
			},
			clocks,
		),
	}]},
}

fortnight := {"early_access": 14}

early := customer(fortnight, {})

granted := {{"code": "early"}}

unreleased := {"unreleased"}

warned := {warning.code | some warning in early_access.warn}

test_grants_from_the_day if {
	early_access.grant == granted with input as asks([version(now + days(14))])
		with data.pullgate.customer as early
}

test_not_a_second_earlier if {
	early_access.grant == set() with input as asks([version((now + days(14)) + 1)])
		with data.pullgate.customer as early
}

test_one_candidate_is_enough if {
	early_access.grant == granted with input as asks([version(now + days(90)), version(now + days(1))])
		with data.pullgate.customer as early
}

test_not_without_a_label if {
	early_access.grant == set() with input as asks([version(now + 1)])
		with data.pullgate.customer as customer({}, {})
	early_access.boundary == set() with input as asks([version(now + 1)])
		with data.pullgate.customer as customer({}, {})
}

test_not_with_a_label_that_is_no_number if {
	every label in ["14", "P14D", true, [14]] {
		early_access.grant == set() with input as asks([version(now + 1)])
			with data.pullgate.customer as customer({"early_access": label}, {})
	}
}

test_not_beyond_the_update_window if {
	early_access.grant == set() with input as asks([version(now + days(1))])
		with data.pullgate.customer as customer(fortnight, {"updates": now + days(1)})
}

test_not_with_a_license_that_is_not_in_force if {
	every clocks in [
		{"starts": now + 1},
		{"ends": now},
		{"revoked": now},
		{"replaced": now},
		{"suspended": [now, now + 1]},
	] {
		early_access.grant == set() with input as asks([version(now + 1)])
			with data.pullgate.customer as customer(fortnight, clocks)
	}
	every clocks in [{"starts": now, "suspended": [0, now]}, {"suspended": [now + 1, "never"]}] {
		early_access.grant == granted with input as asks([version(now + 1)])
			with data.pullgate.customer as customer(fortnight, clocks)
	}
}

test_not_what_the_license_will_not_cover if {
	every fields in [
		{"product": "tools"},
		{"order": [2, 0, 0, {}]},
		{"order": [0, 9, 0, {}]},
		{"channel": "rc"},
		{"requires": ["sso", "nodes"]},
	] {
		wanted := object.union(version(now + 1), fields)
		early_access.grant == set() with input as asks([wanted])
			with data.pullgate.customer as early
	}
}

test_grants_with_the_features_required if {
	early_access.grant == granted with input as asks([object.union(version(now + 1), {"requires": ["sso"]})])
		with data.pullgate.customer as early
}

test_not_for_a_tag_without_a_version if {
	tag := {"tag": "latest", "released": now + days(1)}
	early_access.grant == set() with input as asks([tag])
		with data.pullgate.customer as early
}

test_warns_of_what_is_unreleased_in_every_way if {
	warned == unreleased with input as asks([version(now + 1)])
		with data.pullgate.customer as early
	warned == set() with input as asks([version(now + 1), version(now)])
		with data.pullgate.customer as early
	warned == set() with input as asks([])
		with data.pullgate.customer as early
	warned == set() with input as {"time": now, "resource": {"product": "app"}}
		with data.pullgate.customer as early
}

test_boundary_is_the_early_day if {
	early_access.boundary == {now + days(1)} with input as asks([version(now + days(15))])
		with data.pullgate.customer as early
}
