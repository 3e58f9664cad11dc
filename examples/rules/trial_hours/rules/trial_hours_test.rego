package vendor.trial_hours_test

import data.vendor.trial_hours

monday := 1780272000 # 2026-06-01T00:00:00Z

hours(n) := floor(n * 3600)

asks(time) := {"time": time, "resource": {"product": "app", "repository": "acme/app"}}

grant(type, clocks) := {
	"license": "a",
	"type": type,
	"clocks": object.union({"starts": 0, "grace": "never", "revoked": "never", "replaced": "never"}, clocks),
}

has(grants, zone) := {"licenses": {"a": {"zone": zone}}, "products": {"app": grants}}

trial := grant("trial", {})

berlin := has([trial], "Europe/Berlin")

closed := {"closed"}

codes := {denial.code | some denial in trial_hours.deny}

test_allows_in_business_hours if {
	every time in [monday + hours(6), (monday + hours(16)) - 1, monday + hours((4 * 24) + 12)] {
		codes == set() with input as asks(time) with data.pullgate.customer as berlin
	}
}

test_denies_outside if {
	every time in [(monday + hours(6)) - 1, monday + hours(16), monday + hours((5 * 24) + 12), monday + hours((6 * 24) + 12)] {
		codes == closed with input as asks(time) with data.pullgate.customer as berlin
	}
}

test_knows_quarters_of_an_hour if {
	kathmandu := has([trial], "Asia/Kathmandu")
	eight := monday + hours(2.25)
	codes == set() with input as asks(eight) with data.pullgate.customer as kathmandu
	codes == closed with input as asks(eight - 1) with data.pullgate.customer as kathmandu
}

test_denies_a_trial_of_a_repository if {
	codes == closed with input as asks(monday)
		with data.pullgate.customer as {"licenses": {}, "repositories": {"acme/app": [trial]}}
}

test_allows_customers_who_pay if {
	every type in ["perpetual", "subscription"] {
		customer := has([trial, grant(type, {})], "UTC")
		codes == set() with input as asks(monday) with data.pullgate.customer as customer
	}
}

test_who_paid_once_is_trying_again if {
	every clocks in [{"grace": monday}, {"revoked": monday}, {"replaced": monday}, {"starts": monday + 1}] {
		customer := has([trial, grant("subscription", clocks)], "UTC")
		codes == closed with input as asks(monday) with data.pullgate.customer as customer
	}
	customer := has([trial, grant("subscription", {"starts": monday})], "UTC")
	codes == set() with input as asks(monday) with data.pullgate.customer as customer
}

test_leaves_the_reason_to_a_trial_that_does_not_run if {
	every clocks in [{"grace": monday}, {"revoked": monday}, {"replaced": monday}, {"starts": monday + 1}] {
		customer := has([grant("trial", clocks)], "UTC")
		codes == set() with input as asks(monday) with data.pullgate.customer as customer
	}
}

test_denies_a_trial_without_a_zone if {
	codes == closed with input as asks(monday + hours(12))
		with data.pullgate.customer as {"licenses": {}, "products": {"app": [trial]}}
}

test_allows_who_tries_nothing if {
	every customer in [{}, has([grant("subscription", {})], "UTC")] {
		codes == set() with input as asks(monday) with data.pullgate.customer as customer
		trial_hours.boundary == set() with input as asks(monday) with data.pullgate.customer as customer
	}
	codes == set() with input as {"time": monday, "resource": {}} with data.pullgate.customer as berlin
}

test_boundary_is_the_next_quarter if {
	every time in [monday, monday + 1, monday + 899] {
		trial_hours.boundary == {monday + 900} with input as asks(time) with data.pullgate.customer as berlin
	}
}
