package pullgate_test

fortnight := 1209600

warned(case) := [w.code | some w in decision(case).warnings]

warnings["two weeks and a second before the end"] := {
	"products": [k({"ends": (now + fortnight) + 1})],
	"codes": [],
}

warnings["two weeks before the end"] := {
	"products": [k({"ends": now + fortnight})],
	"codes": ["expiring_soon"],
}

warnings["the last second"] := {"products": [k({"ends": now + 1})], "codes": ["expiring_soon"]}

warnings["grace"] := {"products": [p(in_grace)], "codes": ["grace"]}

warnings["a kept version"] := {"products": [p(keeps)], "codes": ["kept_version"]}

warnings["let through with a warning"] := {"products": [warns(ended)], "codes": ["enforcement"]}

warnings["let through silently"] := {"products": [observes(ended)], "codes": []}

warnings["refused"] := {"products": [p(ended)], "codes": []}

unwarned[name] := got if {
	some name, case in warnings
	got := warned(case)
	got != case.codes
}

test_warnings if {
	print(unwarned)
	unwarned == {}
}

test_warnings_name_the_license if {
	every name, case in warnings {
		every w in decision(case).warnings {
			print(name, w.message)
			contains(w.message, "icense a ")
		}
	}
}

told(changes) := [w.message | some w in decision({"products": [p(changes)], "customer": {"licenses": {"a": {"ends": 86400, "grace": 2 * 86400, "terminates": 3 * 86400}}}}).warnings]

test_warnings_say_until_when if {
	told({"clocks": {"ends": now + 1}}) == ["License a ends after 1970-01-01. Renew it in time."]
	told(in_grace) == ["License a has ended after 1970-01-01 and is in grace until 1970-01-02. Renew it now."]
	told(keeps) == ["License a has ended after 1970-01-01; this version may be kept until 1970-01-03. Renew it for newer ones."]
	told(warns(ended)) == ["License a does not allow this (expired) and is not enforced yet. Talk to your vendor."]
}
