package vendor.freeze_test

import data.vendor.freeze

from := 1797548400 # 2026-12-17T23:00:00Z

until := 1799276400 # 2027-01-06T23:00:00Z

version(text, released) := {"product": "app", "version": text, "released": released}

asks(time, candidates) := {"time": time, "resource": {"candidates": candidates}}

chose(freeze_label) := {"labels": {"freeze": freeze_label}}

frozen := {"frozen"}

codes := {denial.code | some denial in freeze.deny}

test_denies_what_is_new_in_the_window if {
	every time in [from, until - 1] {
		codes == frozen with input as asks(time, [version("1.6.0", from)])
			with data.pullgate.customer as chose("year-end-2026")
	}
}

test_allows_outside_the_window if {
	every time in [from - 1, until] {
		codes == set() with input as asks(time, [version("1.6.0", from)])
			with data.pullgate.customer as chose("year-end-2026")
	}
}

test_allows_what_is_older if {
	codes == set() with input as asks(from, [version("1.5.0", from - 1)])
		with data.pullgate.customer as chose("year-end-2026")
}

test_allows_a_layer_of_something_older if {
	codes == set() with input as asks(from, [version("1.6.0", from), version("1.5.0", from - 1)])
		with data.pullgate.customer as chose("year-end-2026")
}

test_allows_an_exception if {
	codes == set() with input as asks(from + 9, [version("1.5.2", from + 5)])
		with data.pullgate.customer as chose("year-end-2026")
}

test_denies_a_new_tag_without_a_version if {
	codes == frozen with input as asks(from + 9, [{"tag": "edge", "released": from + 5}])
		with data.pullgate.customer as chose("year-end-2026")
}

test_several_windows if {
	codes == frozen with input as asks(until + 9, [version("1.6.0", until + 8)])
		with data.pullgate.customer as chose(["year-end-2026", "stocktaking"])
}

test_allows_without_a_label if {
	every customer in [{"labels": {}}, chose("christmas"), chose(true), chose([])] {
		codes == set() with input as asks(from, [version("1.6.0", from)])
			with data.pullgate.customer as customer
		freeze.boundary == set() with input as asks(from, [version("1.6.0", from)])
			with data.pullgate.customer as customer
	}
}

test_allows_what_has_no_candidates if {
	codes == set() with input as asks(from, [])
		with data.pullgate.customer as chose("year-end-2026")
	codes == set() with input as {"time": from, "resource": {}}
		with data.pullgate.customer as chose("year-end-2026")
}

test_boundaries_are_both_ends if {
	freeze.boundary == {from, until} with input as asks(from, [])
		with data.pullgate.customer as chose("year-end-2026")
}
