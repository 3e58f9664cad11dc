package vendor.exception_test

import data.vendor.exception

until := 1781474400 # 2026-06-14T22:00:00Z

version(text) := {"product": "app", "version": text}

asks(customer, time, candidates) := {
	"time": time,
	"subject": {"customer": customer},
	"action": "pull",
	"resource": {"product": "app", "candidates": candidates},
}

lists(customer, time) := {
	"time": time,
	"subject": {"customer": customer},
	"action": "list",
	"resource": {"product": "app"},
}

promised := {{"code": "promised"}}

warned := {warning.code | some warning in exception.warn}

temporary := {"temporary"}

test_grants_until_its_end if {
	exception.grant == promised with input as asks("globex", until - 1, [version("1.9.0")])
}

test_not_at_its_end if {
	exception.grant == set() with input as asks("globex", until, [version("1.9.0")])
}

test_grants_a_layer_of_several_versions if {
	exception.grant == promised with input as asks("globex", 0, [version("1.8.0"), version("1.9.0")])
}

test_not_to_others_and_not_other_versions if {
	exception.grant == set() with input as asks("initech", 0, [version("1.9.0")])
	exception.grant == set() with input as asks("globex", 0, [version("1.8.0"), {"tag": "latest"}])
	exception.grant == set() with input as asks("globex", 0, [object.union(version("1.9.0"), {"product": "tools"})])
}

test_grants_a_list if {
	exception.grant == promised with input as lists("globex", until - 1)
	exception.grant == set() with input as lists("globex", until)
	exception.grant == set() with input as lists("hooli", 0)
	exception.grant == set() with input as object.union(lists("globex", 0), {"resource": {"product": "tools"}})
}

test_not_without_a_customer if {
	anonymous := {"time": 0, "subject": {"via": "anonymous"}, "action": "pull", "resource": {"candidates": [version("1.9.0")]}}
	exception.grant == set() with input as anonymous
	exception.boundary == set() with input as anonymous
}

test_warns_of_its_end if {
	exception.warn == {{"code": "temporary", "message": "Version 1.9.0 is open to you until 2026-06-15T00:00:00+02:00 only."}} with input as asks("globex", 0, [version("1.9.0")])
	warned == set() with input as asks("globex", 0, [version("1.9.0"), version("1.8.0")])
	warned == set() with input as asks("globex", 0, [object.union(version("1.9.0"), {"product": "tools"})])
	warned == set() with input as asks("globex", 0, [])
	warned == set() with input as asks("globex", until, [version("1.9.0")])
}

test_boundary_is_the_end if {
	exception.boundary == {until} with input as asks("globex", until + 9, [])
}
