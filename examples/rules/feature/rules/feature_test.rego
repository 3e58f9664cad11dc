package vendor.feature_test

import data.vendor.feature

now := 1780315200 # 2026-06-01T12:00:00Z

version(major) := {"product": "app", "order": [major, 0, 0, {}]}

asks(candidates) := {"time": now, "resource": {"product": "app", "repository": "acme/app", "candidates": candidates}}

grant(license, fields) := object.union(
	{
		"license": license,
		"keep": false,
		"clocks": {"starts": 0, "grace": "never", "terminates": "never", "revoked": "never", "replaced": "never"},
		"boundaries": [now + 5],
	},
	fields,
)

licensed(features) := {"licenses": {"a": {"features": features}}, "products": {"app": [grant("a", {})]}}

missing := {"missing"}

codes := {denial.code | some denial in feature.deny}

test_allows_with_the_feature if {
	codes == set() with input as asks([version(2)]) with data.pullgate.customer as licensed({"sso": true})
}

test_denies_without_the_feature if {
	every features in [{}, {"sso": false}, {"sso": "true"}, {"sso": 1}] {
		codes == missing with input as asks([version(2)]) with data.pullgate.customer as licensed(features)
	}
}

test_denies_with_too_little if {
	every nodes in [9, "10", true] {
		codes == missing with input as asks([version(3)])
			with data.pullgate.customer as licensed({"sso": true, "nodes": nodes})
	}
	codes == set() with input as asks([version(3)])
		with data.pullgate.customer as licensed({"sso": true, "nodes": 10})
}

test_allows_older_versions if {
	every candidates in [[version(1)], [version(3), version(1)], [{"product": "app", "order": [2, 0, 0, ["rc", 1]]}]] {
		codes == set() with input as asks(candidates) with data.pullgate.customer as licensed({})
	}
}

test_allows_what_has_no_version if {
	every candidates in [[], [{"tag": "latest"}], [{"product": "tools", "order": [3, 0, 0, {}]}]] {
		codes == set() with input as asks(candidates) with data.pullgate.customer as licensed({})
	}
	codes == set() with input as {"time": now, "resource": {"product": "app"}} with data.pullgate.customer as licensed({})
}

test_features_of_two_licenses_do_not_add_up if {
	customer := {
		"licenses": {"a": {"features": {"sso": true}}, "b": {"features": {"nodes": 10}}},
		"products": {"app": [grant("a", {})]},
		"repositories": {"acme/app": [grant("b", {})]},
	}
	codes == missing with input as asks([version(3)]) with data.pullgate.customer as customer
	codes == set() with input as asks([version(2)]) with data.pullgate.customer as customer
}

test_leaves_the_reason_to_licenses_that_are_not_in_force if {
	every clocks in [{"starts": now + 1}, {"grace": now}, {"revoked": now}, {"replaced": now}] {
		customer := object.union(licensed({}), {"products": {"app": [grant("a", {"clocks": clocks})]}})
		codes == set() with input as asks([version(3)]) with data.pullgate.customer as customer
	}
	codes == set() with input as asks([version(3)]) with data.pullgate.customer as {"licenses": {}}
}

test_denies_kept_versions_too if {
	kept := object.union(licensed({}), {"products": {"app": [grant("a", {"keep": true, "clocks": {"starts": now, "grace": now}})]}})
	codes == missing with input as asks([version(3)]) with data.pullgate.customer as kept
}

test_a_license_of_the_repository_counts if {
	customer := {"licenses": {"a": {"features": {"sso": true}}}, "repositories": {"acme/app": [grant("a", {})]}}
	codes == set() with input as asks([version(2)]) with data.pullgate.customer as customer
	codes == missing with input as asks([version(3)]) with data.pullgate.customer as customer
}

test_a_license_that_is_not_in_force_does_not_count if {
	ended := grant("b", {"clocks": {"starts": 0, "grace": now}})
	customer := {
		"licenses": {"a": {"features": {}}, "b": {"features": {"sso": true}}},
		"products": {"app": [grant("a", {}), ended]},
	}
	codes == missing with input as asks([version(2)]) with data.pullgate.customer as customer
}

test_boundaries_are_the_licenses if {
	feature.boundary == {now + 5} with input as asks([version(2)]) with data.pullgate.customer as licensed({})
}
