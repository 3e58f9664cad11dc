package vendor.majors_behind_test

import data.vendor.majors_behind

version(major) := {"product": "app", "version": sprintf("%d.1.0", [major]), "order": [major, 1, 0, {}]}

asks(candidates) := {"resource": {"candidates": candidates}}

labelled(labels) := {"labels": labels}

too_old := {"too_old"}

last := {"last"}

codes := {denial.code | some denial in majors_behind.deny}

warned := {warning.code | some warning in majors_behind.warn}

said := codes | warned

test_allows_two_behind if {
	codes == set() with input as asks([version(3)])
		with data.pullgate.customer as labelled({})
}

test_denies_three_behind if {
	codes == too_old with input as asks([version(2)])
		with data.pullgate.customer as labelled({})
}

test_allows_further_with_the_label if {
	codes == set() with input as asks([version(2)])
		with data.pullgate.customer as labelled({"majors_behind": 3})
	codes == too_old with input as asks([version(1)])
		with data.pullgate.customer as labelled({"majors_behind": 3})
}

test_denies_with_a_label_that_is_no_number if {
	every value in ["3", true, [3]] {
		codes == too_old with input as asks([version(2)])
			with data.pullgate.customer as labelled({"majors_behind": value})
	}
}

test_allows_a_layer_of_a_newer_version if {
	codes == set() with input as asks([version(1), version(5)])
		with data.pullgate.customer as labelled({})
}

test_allows_what_has_no_version if {
	every candidates in [[], [{"tag": "latest"}], [version(1), {"tag": "latest"}], [object.union(version(1), {"product": "tools"})]] {
		said == set() with input as asks(candidates)
			with data.pullgate.customer as labelled({})
	}
	said == set() with input as {"resource": {}}
		with data.pullgate.customer as labelled({})
}

test_warns_of_the_last_supported if {
	warned == last with input as asks([version(3)])
		with data.pullgate.customer as labelled({})
	warned == set() with input as asks([version(4)])
		with data.pullgate.customer as labelled({})
}
