# Not shipped. `pullgate test` runs it, with `--coverage` it says which lines nothing reaches.
package vendor.%NAME%_test

begins := 1767225600

version(major) := {"product": "sample-app", "order": [major, 0, 0, {}]}

asks(time, candidates) := {"time": time, "resource": {"candidates": candidates}}

warned := {warning.code | some warning in data.vendor.%NAME%.warn}

old := {"old"}

test_warns_of_an_old_version if {
	warned == old with input as asks(begins, [version(1)])
}

test_pre_releases_of_the_first_are_old if {
	warned == old with input as asks(begins, [{"product": "sample-app", "order": [2, 0, 0, ["rc", 1]]}])
}

test_not_of_a_newer_one if {
	warned == set() with input as asks(begins, [version(2)])
}

test_not_before_it_begins if {
	warned == set() with input as asks(begins - 1, [version(1)])
}

test_not_of_a_layer_of_a_newer_version if {
	warned == set() with input as asks(begins, [version(1), version(2)])
}

test_not_without_a_version if {
	every candidates in [[], [{"tag": "latest"}], [{"product": "tools", "order": [1, 0, 0, {}]}]] {
		warned == set() with input as asks(begins, candidates)
	}
	warned == set() with input as {"time": begins, "resource": {}}
}

test_boundary_is_the_beginning if {
	data.vendor.%NAME%.boundary == {begins}
}
