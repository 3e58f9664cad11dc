package pullgate_test

fields := {"allow", "code", "license", "grant", "message", "until", "ends", "warnings", "features", "headers", "enforcement"}

test_every_decision_has_every_field if {
	every name, case in cases {
		print(name)
		object.keys(decision(case)) == fields
	}
}

test_a_message_is_there_when_and_only_when_refused if {
	every name, case in cases {
		d := decision(case)
		print(name, d.message)
		d.message == "" == d.allow
		regex.match(`^[ -~]{0,160}$`, d.message)
	}
}

# Either a right passes whole, or every pair of a grant and a candidate misses by a check.
undecided[name] := {"passes": passes, "misses": misses} if {
	some name, case in cases
	not case.customer.banned
	question(case).subject.customer == "acme"
	passes := count(rights(case)) > 0
	misses := count(unmissed(case)) == 0
	passes == misses
}

rights(case) := v if {
	v := data.pullgate.right.passing with data.pullgate.customers as customers(world(case))
		with input as question(world(case))
}

# Pairs, and for a list grants, that no check refuses.
unmissed(case) := v if {
	case.list.action == "list"
	not case.list.resource.candidates
	v := {grant |
		some grant in array.concat(world(case).products, world(case).repositories)
		grant.empty == false
		now < grant.clocks.replaced
		not data.pullgate.miss.list(grant, now)
	}
} else := v if {
	v := {[grant, one] |
		some grant in array.concat(world(case).products, world(case).repositories)
		some one in question(world(case)).resource.candidates
		now < grant.clocks.replaced
		now < one.retires_at
		not missed(case, grant, one)
	}
}

missed(case, grant, one) if {
	data.pullgate.miss.pair(grant, one, now) with data.pullgate.customers as customers(world(case))
		with input as question(world(case))
}

test_exactly_one_of_right_and_miss_holds if {
	print(undecided)
	undecided == {}
}

# Nothing at all, or something else altogether, is refused.
test_every_input_is_decided if {
	every value in [{}, [], null, 1, "", {"time": "x"}, {"subject": {"customer": "acme"}}, {"resource": []}] {
		d := data.pullgate.decision with input as value with data.pullgate.customers as customers(world({"products": [product_grant]}))
		print(value, d)
		d.allow == false
		object.keys(d) == fields
	}
}

test_without_input_or_data if {
	data.pullgate.decision.allow == false
	data.pullgate.decision.code == "anonymous"
	data.pullgate.visible == set()
}

test_without_time_nothing_is_decided if {
	d := decision({"products": [product_grant], "list": object.remove(pull([candidate]), ["time"])})
	d.allow == false
	d.code == "internal_error"
	d.until == -62135596800
	d.message == data.pullgate.reason.text.internal_error
}
