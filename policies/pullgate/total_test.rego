package pullgate_test

fields := {"allow", "code", "license", "grant", "message", "until", "ends", "expiring_from", "warnings", "features", "headers", "enforcement"}

test_every_decision_has_every_field if {
	every name, case in cases {
		print(name)
		object.keys(decision(case)) - {"fault"} == fields
	}
}

test_a_message_is_there_when_and_only_when_refused if {
	every name, case in cases {
		d := decision(case)
		print(name, d.message)
		d.message == "" == silent(d)
		regex.match(`^[ -~]{0,160}$`, d.message)
	}
}

# An answer that allows has no message; one of a rule at fault names the rule instead.
silent(d) if {
	d.fault
} else := d.allow

# Either a right passes whole, or every pair of a grant and a candidate misses by a check.
undecided[name] := {"passes": passes, "misses": misses} if {
	some name, case in cases
	not case.rules
	not case.customer.banned
	question(world(case)).subject.customer == "acme"
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
	data.pullgate.miss.furthest(grant, [one], now) with data.pullgate.customers as customers(world(case))
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

# The nearest miss, asked together, is the one that every pair by itself gives.
astray[name] := {"nearest": got, "pairs": want} if {
	some name, case in cases
	not case.rules
	not case.list
	[level, code, grant, _] := data.pullgate.miss.nearest(world(case).candidates) with data.pullgate.customers as customers(world(case))
		with input as question(world(case))
	got := [level, grant.license, grant.grant, code]
	count(rights(case)) == 0
	want := furthest(misses_of(case))
	got != want
}

misses_of(case) := {[level, grant.license, grant.grant, code] |
	some grant in array.concat(world(case).products, world(case).repositories)
	now < grant.clocks.replaced
	present := [one | some one in world(case).candidates; now < one.retires_at]
	some one in array.concat(present, [{} | count(present) == 0])
	[level, code, _] := data.pullgate.miss.furthest(grant, [one], now) with data.pullgate.customers as customers(world(case))
		with input as question(world(case))
	withdrawn_counts(level, present)
	revoked_counts(level, grant, present)
}

# Under warn and observe a digest that is revoked counts when there is no other way.
revoked_counts(level, _, _) if level != 14

revoked_counts(14, grant, _) if grant.enforcement == "enforce"

revoked_counts(14, _, present) if {
	every one in present {
		one.revoked_at <= now
	}
}

withdrawn_counts(level, _) if level != 9

withdrawn_counts(9, present) if {
	every one in present {
		one.withdrawn_at <= now
		not "acme" in object.get(one, "except", [])
	}
}

furthest(misses) := first if {
	level := max({l | misses[[l, _, _, _]]})
	[license, number, code] := min({[id, n, word] | misses[[level, id, n, word]]})
	first := [level, license, number, code]
}

test_nearest_is_the_furthest_pair if {
	print(astray)
	astray == {}
}

test_a_grant_that_reaches_a_candidate_misses_none if {
	asked := pull([candidate_2, candidate])
	not data.pullgate.miss.furthest(product_grant, [candidate_2, candidate], now) with input as asked
}
