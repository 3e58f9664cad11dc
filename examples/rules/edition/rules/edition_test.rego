package vendor.edition_test

import data.vendor.edition

asks(repository) := {"resource": {"repository": repository}}

bought(label) := {"labels": {"edition": label}}

other := {"other_edition"}

codes := {denial.code | some denial in edition.deny}

test_allows_the_edition if {
	every case in [["acme/app-pro", "pro"], ["acme/app-pro", "enterprise"], ["acme/app-enterprise", "enterprise"]] {
		codes == set() with input as asks(case[0]) with data.pullgate.customer as bought(case[1])
	}
}

test_denies_another if {
	every case in [["acme/app-enterprise", "pro"], ["acme/app-pro", "plain"], ["acme/app-pro", ["pro"]], ["acme/app-pro", true]] {
		codes == other with input as asks(case[0]) with data.pullgate.customer as bought(case[1])
	}
}

test_denies_without_a_label if {
	codes == other with input as asks("acme/app-pro") with data.pullgate.customer as {"labels": {}}
}

test_allows_other_repositories if {
	every asked in [asks("acme/app"), {"resource": {}}] {
		codes == set() with input as asked with data.pullgate.customer as {"labels": {}}
	}
}
