# Not shipped. `pullgate test` runs it, with `--coverage` it says which lines nothing reaches.
package vendor.%NAME%_test

begins := 1767225600

asks(time, address) := {"time": time, "request": {"address": address}}

labelled(networks) := {"labels": {"%NAME%_networks": networks}}

office := labelled(["10.0.0.0/8", "2001:db8::/32"])

outside := {"outside"}

denied := {denial.code | some denial in data.vendor.%NAME%.deny}

warned := {warning.code | some warning in data.vendor.%NAME%.warn}

said := denied | warned

test_allows_inside if {
	every address in ["10.0.0.7", "2001:db8::7"] {
		denied == set() with input as asks(begins, address) with data.pullgate.customer as office
		warned == set() with input as asks(begins - 1, address) with data.pullgate.customer as office
	}
}

test_denies_outside if {
	denied == outside with input as asks(begins, "192.0.2.7") with data.pullgate.customer as office
	warned == set() with input as asks(begins, "192.0.2.7") with data.pullgate.customer as office
}

test_warns_before_it_begins if {
	denied == set() with input as asks(begins - 1, "192.0.2.7") with data.pullgate.customer as office
	warned == outside with input as asks(begins - 1, "192.0.2.7") with data.pullgate.customer as office
}

test_denies_when_no_network_counts if {
	every networks in [[], "10.0.0.0/8", ["10.0.0.7"], [10]] {
		denied == outside with input as asks(begins, "10.0.0.7")
			with data.pullgate.customer as labelled(networks)
	}
}

test_denies_without_an_address if {
	denied == outside with input as {"time": begins, "request": {}} with data.pullgate.customer as office
}

test_allows_without_the_label if {
	said == set() with input as asks(begins, "192.0.2.7") with data.pullgate.customer as {"labels": {}}
}

test_boundary_is_the_beginning if {
	data.vendor.%NAME%.boundary == {begins}
}
