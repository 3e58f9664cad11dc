package vendor.cve_test

import data.vendor.cve

first := 1781481600 # 2026-06-15T00:00:00Z

second := 1782864000 # 2026-07-01T00:00:00Z

version(order) := {"product": "app", "order": order}

old := version([1, 3, 0, {}]) # CVE-2026-2345

both := version([1, 4, 0, {}])

one := version([1, 4, 1, {}]) # CVE-2026-1234

fixed := version([1, 4, 3, {}])

asks(time, candidates) := {"time": time, "resource": {"candidates": candidates}}

acknowledged(names) := {"labels": {"acknowledged": names}}

nobody := {"labels": {}}

known := {"known_fault"}

codes := {denial.code | some denial in cve.deny}

warned := {warning.code | some warning in cve.warn}

said := codes | warned

test_allows_what_is_fixed if {
	said == set() with input as asks(second, [fixed]) with data.pullgate.customer as nobody
}

test_denies_from_the_day if {
	codes == known with input as asks(first, [one]) with data.pullgate.customer as nobody
}

test_warns_before_the_day if {
	codes == set() with input as asks(first - 1, [one]) with data.pullgate.customer as nobody
	warned == known with input as asks(first - 1, [one]) with data.pullgate.customer as nobody
}

test_pre_releases_of_the_fix_are_affected if {
	every order in [[1, 4, 3, ["rc", 1]], [1, 5, 0, {}], [1, 5, 1, ["beta"]]] {
		codes == known with input as asks(first, [version(order)]) with data.pullgate.customer as nobody
	}
	every order in [[1, 4, 0, ["rc", 1]], [1, 5, 0, ["rc", 1]], [1, 5, 1, {}]] {
		codes == set() with input as asks(first, [version(order)]) with data.pullgate.customer as nobody
	}
}

test_allows_what_is_acknowledged if {
	every label in ["CVE-2026-1234", ["CVE-2026-1234"], ["CVE-2026-2345", "CVE-2026-1234"]] {
		codes == set() with input as asks(first, [one]) with data.pullgate.customer as acknowledged(label)
		warned == known with input as asks(first, [one]) with data.pullgate.customer as acknowledged(label)
	}
}

test_every_fault_must_be_acknowledged if {
	codes == set() with input as asks(second - 1, [both]) with data.pullgate.customer as acknowledged("CVE-2026-1234")
	codes == known with input as asks(second, [both]) with data.pullgate.customer as acknowledged("CVE-2026-1234")
	cve.boundary == {second} with input as asks(0, [both]) with data.pullgate.customer as acknowledged("CVE-2026-1234")
}

test_another_acknowledgement_is_none if {
	every label in ["cve-2026-1234", "all", true, [], {}] {
		codes == known with input as asks(first, [one]) with data.pullgate.customer as acknowledged(label)
	}
}

test_names_the_faults if {
	cve.deny == {{
		"code": "known_fault",
		"message": "This version has CVE-2026-1234, CVE-2026-2345. Use a fixed version, or acknowledge the fault with us.",
	}} with input as asks(second, [both]) with data.pullgate.customer as nobody
}

test_allows_a_layer_of_a_fixed_version if {
	said == set() with input as asks(second, [old, fixed]) with data.pullgate.customer as nobody
}

test_allows_what_has_no_version if {
	every candidates in [[], [{"tag": "latest"}], [{"product": "tools", "order": [1, 4, 1, {}]}]] {
		said == set() with input as asks(second, candidates) with data.pullgate.customer as nobody
	}
	said == set() with input as {"time": second, "resource": {}} with data.pullgate.customer as nobody
}
