package vendor.region_test

import data.vendor.region

asked_from(address) := {"request": {"address": address}}

labelled(region) := {"labels": {"region": region}}

outside := {"outside"}

codes := {denial.code | some denial in region.deny}

test_allows_the_region if {
	every address in ["192.0.2.0", "192.0.2.255", "2001:db8:e::7"] {
		codes == set() with input as asked_from(address)
			with data.pullgate.customer as labelled("eu")
	}
}

test_allows_one_of_several_regions if {
	codes == set() with input as asked_from("198.51.100.7")
		with data.pullgate.customer as labelled(["eu", "us"])
}

test_allows_worldwide if {
	codes == set() with input as asked_from("203.0.113.9")
		with data.pullgate.customer as labelled("worldwide")
}

test_denies_another_region if {
	every address in ["192.0.1.255", "192.0.3.0", "198.51.100.7", "2001:db8:a::7"] {
		codes == outside with input as asked_from(address)
			with data.pullgate.customer as labelled("eu")
	}
}

test_denies_without_a_label if {
	codes == outside with input as asked_from("192.0.2.7")
		with data.pullgate.customer as {"labels": {}}
}

test_denies_a_region_without_networks if {
	every region in ["EU", "mars", [], {}, 1, true] {
		codes == outside with input as asked_from("192.0.2.7")
			with data.pullgate.customer as labelled(region)
	}
}

test_denies_without_an_address if {
	codes == outside with input as {"request": {}}
		with data.pullgate.customer as labelled("eu")
}
