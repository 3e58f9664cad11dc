# Not shipped. `pullgate test` runs it, with `--coverage` it says which lines nothing reaches.
package vendor.%NAME%_test

ends := 1798761600

version(text) := {"product": "app", "version": text}

asks(time, candidates) := {"time": time, "resource": {"candidates": candidates}}

# A customer with the label and a license, whose clocks may be others.
customer(clocks) := {
	"labels": {"%NAME%_versions": ["app@2.0.0"]},
	"products": {"app": [{"clocks": object.union(
		{
			"starts": 0,
			"grace": "never",
			"terminates": "never",
			"revoked": "never",
			"suspended": ["never", "never"],
			"replaced": "never",
		},
		clocks,
	)}]},
}

named := {{"code": "named"}}

granted := data.vendor.%NAME%.grant

test_grants_what_is_named if {
	granted == named with input as asks(ends - 1, [version("2.0.0")]) with data.pullgate.customer as customer({})
}

test_grants_a_layer_of_several_versions if {
	granted == named with input as asks(ends - 1, [version("1.9.0"), version("2.0.0")])
		with data.pullgate.customer as customer({})
}

test_not_when_it_is_over if {
	granted == set() with input as asks(ends, [version("2.0.0")]) with data.pullgate.customer as customer({})
}

test_not_what_is_not_named if {
	every candidates in [[version("2.0.1")], [{"product": "tools", "version": "2.0.0"}], [{"tag": "latest"}], []] {
		granted == set() with input as asks(ends - 1, candidates) with data.pullgate.customer as customer({})
	}
}

test_not_without_the_label if {
	unlabelled := object.union(object.remove(customer({}), ["labels"]), {"labels": {}})
	granted == set() with input as asks(ends - 1, [version("2.0.0")]) with data.pullgate.customer as unlabelled
}

test_not_without_a_license_in_force if {
	now := ends - 1
	every clocks in [
		{"starts": now + 1},
		{"grace": now},
		{"terminates": now},
		{"revoked": now},
		{"replaced": now},
		{"suspended": [now, now + 1]},
	] {
		granted == set() with input as asks(now, [version("2.0.0")]) with data.pullgate.customer as customer(clocks)
	}
	every clocks in [{"starts": now, "suspended": [0, now]}, {"suspended": [now + 1, "never"]}] {
		granted == named with input as asks(now, [version("2.0.0")]) with data.pullgate.customer as customer(clocks)
	}
}

test_boundary_is_the_end if {
	data.vendor.%NAME%.boundary == {ends}
}
