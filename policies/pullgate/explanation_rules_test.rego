package pullgate_test

contributed(kind, case) := v if {
	v := data.pullgate.explain.contributed("fixture", kind) with data.pullgate.customers as customers(world(case))
		with data.pullgate.rules as {"fixture": true}
		with data.fixture as case.rules
		with input as question(world(case))
}

# What each kind's shape leaves out is told, beside what has it.
sound := {
	"boundary": ["never", -62135596800, 253402300799],
	"deny": [{"code": "x", "message": "y"}],
	"warn": [{"code": "x", "message": "y"}],
	"header": [{"name": "x-a", "value": "1", "to": "client"}],
}

shape := {
	"boundary": ` is no whole number of seconds (of the years 1 to 9999), nor "never"`,
	"deny": ` is no object of two texts, "code" and "message", the message not empty`,
	"warn": ` is no object of two texts, "code" and "message", the message not empty`,
	"header": ` is no object of three texts, "name", "value" (1 to 256 printable ASCII characters) and "to"`,
}

unsound[[kind, entry]] := got if {
	some kind, entries in faults
	some entry in entries
	got := contributed(kind, {"rules": {kind: array.concat(sound[kind], [entry])}})
	want := {
		"values": {value | some value in sound[kind]},
		"faults": [concat("", [data.pullgate.reason.clip(json.marshal(entry), 80), shape[kind]])],
	}
	got != want
}

test_what_is_at_fault_is_told if {
	print(unsound)
	unsound == {}
	contributed("boundary", {"rules": {"boundary": ["x"]}}).faults == [`"x" is no whole number of seconds (of the years 1 to 9999), nor "never"`]
}

# A rule that fails keeps no other kind from being told.
test_contributions_are_told_apart if {
	contributed("warn", {"rules": {"fails": true, "warn": sound.warn}}) == {"values": {{"code": "x", "message": "y"}}, "faults": []}
}

test_the_grant_that_counts_is_told if {
	contributed("grant", {"rules": {"edition": true, "hotfix": ["1.4.0"]}}) == {"values": {{"code": "edition"}}, "faults": []}
	contributed("grant", {"rules": {"hotfix": ["1.4.0"]}}) == {"values": {{"code": "hotfix"}}, "faults": []}
	contributed("grant", {"rules": {"hotfix": ["2.0.0"]}}) == {"values": set(), "faults": []}
	contributed("grant", {"rules": {"edition": true}, "customer": {"banned": true}}) == {"values": set(), "faults": []}
	contributed("grant", {"rules": {"edition": true}, "candidates": [c({"withdrawn_at": 1})]}) == {"values": set(), "faults": []}
}

# Another package's contributions are its own.
test_only_the_named_package_is_asked if {
	contributed("deny", {"rules": {"closed": true}}).values == {{"code": "closed", "message": "closed"}}
	v := data.pullgate.explain.contributed("other", "grant") with data.pullgate.customers as customers(world({}))
		with data.pullgate.rules as {"fixture": true, "other": true}
		with data.fixture as {"edition": true}
		with input as pull([candidate])
	v == {"values": set(), "faults": []}
}

unasked["login"] := {"list": object.union(pull([]), {"action": "ping"})}

unasked["somebody unknown"] := {"input": {"subject": {"customer": "nobody"}}}

unasked["somebody banned"] := {"customer": {"banned": true}}

test_rules_without_a_say_are_not_asked if {
	every name, case in unasked {
		v := explanation(object.union({"products": [product_grant], "rules": {"closed": true, "edition": true, "fails": true, "boundary": ["x"]}, "public": opened(open_entry)}, case)).vendor
		print(name, v)
		v == {"rules": [], "deny": [], "grant": [], "warn": [], "header": [], "boundary": [], "fault": []}
	}
}
