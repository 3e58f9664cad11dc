package pullgate_test

cases["a rule that denies nothing"] := {
	"products": [product_grant],
	"rules": {"x": 1},
	"want": {"allow": true, "code": "ok", "license": "a", "grant": "a/0", "warnings": [], "headers": [], "until": 10000000, "features": {"sso": true}},
}

cases["a rule denies"] := {
	"products": [product_grant],
	"rules": {"closed": true},
	"want": {"allow": false, "code": "vendor.fixture.closed", "license": "a", "grant": "a/0", "message": "closed", "until": 10000000, "enforcement": ""},
}

cases["the first code of several denials"] := {
	"products": [product_grant],
	"rules": {"closed": true, "old": ["1.4.0"]},
	"want": {"allow": false, "code": "vendor.fixture.closed"},
}

cases["a denial's message is one ASCII line"] := {
	"products": [product_grant],
	"rules": {"old": ["1.4.0"]},
	"want": {"allow": false, "code": "vendor.fixture.old", "message": "older than we support?ask us"},
}

cases["a denial's message is cut"] := {
	"products": [product_grant],
	"rules": {"deny": [{"code": "long", "message": sprintf("%0200d", [1])}]},
	"want": {"allow": false, "code": "vendor.fixture.long", "message": sprintf("%0157d...", [0])},
}

cases["a denial is asked of all candidates together"] := {
	"products": [product_grant],
	"candidates": [candidate, c({"version": "1.5.0", "tag": "1.5.0"})],
	"rules": {"old": ["1.4.0"]},
	"want": {"allow": true, "code": "ok"},
}

cases["a denial comes after the features"] := {
	"products": [product_grant],
	"candidates": [c({"requires": ["gold"]})],
	"rules": {"closed": true},
	"want": {"allow": false, "code": "feature_missing"},
}

cases["a denial comes before the term"] := {
	"products": [p(ended)],
	"rules": {"closed": true},
	"want": {"allow": false, "code": "vendor.fixture.closed", "license": "a"},
}

cases["a denial changes nothing for what was never granted"] := {
	"products": [product_grant],
	"candidates": [candidate_2],
	"rules": {"closed": true},
	"want": {"allow": false, "code": "version_not_granted"},
}

cases["a denial comes before a digest that was revoked"] := {
	"products": [product_grant],
	"candidates": [c({"revoked_at": 1})],
	"rules": {"closed": true},
	"want": {"allow": false, "code": "vendor.fixture.closed"},
}

cases["a denial comes before what came too late"] := {
	"products": [p({"keep": true, "clocks": {"ends": now, "grace": now, "updates": now + 9}})],
	"candidates": [c({"counts_from": now + 1})],
	"rules": {"closed": true},
	"want": {"allow": false, "code": "vendor.fixture.closed"},
}

cases["warn lets a denial through"] := {
	"products": [warns({})],
	"rules": {"closed": true, "soon": true, "header": [{"name": "x-a", "value": "1", "to": "client"}]},
	"want": {
		"allow": true, "code": "vendor.fixture.closed", "license": "a", "enforcement": "warn", "message": "",
		"headers": [{"name": "x-a", "value": "1", "to": "client"}],
	},
}

cases["observe lets a denial through and rules still warn"] := {
	"products": [observes({})],
	"rules": {"closed": true, "soon": true},
	"want": {"allow": true, "code": "vendor.fixture.closed", "warnings": [{"code": "vendor.fixture.soon", "message": "soon?over"}]},
}

cases["a revoked digest is enforced where warn lets a denial through"] := {
	"products": [warns({})],
	"candidates": [c({"revoked_at": 1})],
	"rules": {"closed": true},
	"want": {"allow": false, "code": "withdrawn"},
}

cases["a denial of a list"] := {
	"list": listing,
	"products": [product_grant],
	"rules": {"closed": true},
	"want": {"allow": false, "code": "vendor.fixture.closed", "license": "a"},
}

cases["a denial of a list of an ended license"] := {
	"list": listing,
	"products": [p(ended)],
	"rules": {"closed": true},
	"want": {"allow": false, "code": "vendor.fixture.closed"},
}

cases["a denial of a list of a suspended license"] := {
	"list": listing,
	"products": [k({"suspended": [1, "never"]})],
	"rules": {"closed": true},
	"want": {"allow": false, "code": "suspended"},
}

cases["a denial does not stop a login"] := {
	"list": object.union(pull([]), {"action": "ping"}),
	"rules": {"closed": true, "boundary": ["no instant"]},
	"want": {"allow": true, "code": "ok", "until": "never"},
}

cases["a denial does not close what is public"] := {
	"public": opened(open_entry),
	"rules": {"closed": true},
	"want": {"allow": true, "code": "public"},
}

cases["a rule grants"] := {
	"products": [product_grant],
	"candidates": [candidate_2],
	"rules": {"hotfix": ["2.0.0"], "soon": true, "header": [{"name": "x-a", "value": "1", "to": "upstream"}]},
	"want": {
		"allow": true, "code": "vendor.fixture.hotfix", "license": "", "grant": "vendor.fixture.hotfix", "message": "", "until": 10000000, "ends": "never",
		"warnings": [{"code": "vendor.fixture.soon", "message": "soon?over"}],
		"headers": [{"name": "x-a", "value": "1", "to": "upstream"}], "features": {}, "enforcement": "",
	},
}

cases["a rule grants to a customer without a license"] := {
	"rules": {"hotfix": ["1.4.0"], "edition": true},
	"want": {"allow": true, "code": "vendor.fixture.edition", "license": ""},
}

cases["a license is reported before a rule that grants too"] := {
	"products": [product_grant],
	"rules": {"edition": true},
	"want": {"allow": true, "code": "ok", "license": "a"},
}

cases["public is reported before a rule that grants"] := {
	"public": opened(open_entry),
	"rules": {"edition": true, "boundary": [now + 4]},
	"want": {"allow": true, "code": "public", "until": now + 4},
}

cases["what is public for nobody known has no boundary of rules"] := {
	"public": opened(open_entry),
	"input": {"subject": {"customer": "nobody"}},
	"rules": {"boundary": [now + 4]},
	"want": {"allow": true, "code": "public", "until": "never"},
}

cases["a banned customer meets no rule at fault"] := {
	"products": [product_grant],
	"customer": {"banned": true},
	"rules": {"boundary": ["x"]},
	"want": {"allow": false, "code": "customer_banned"},
}

cases["a rule grants nothing to a banned customer"] := {
	"customer": {"banned": true},
	"rules": {"edition": true},
	"want": {"allow": false, "code": "customer_banned"},
}

cases["a rule grants nothing to nobody"] := {
	"input": {"subject": {"customer": "nobody"}},
	"rules": {"edition": true},
	"want": {"allow": false, "code": "anonymous"},
}

cases["no rule brings a revoked digest back"] := {
	"candidates": [c({"revoked_at": now})],
	"rules": {"edition": true, "hotfix": ["1.4.0"]},
	"want": {"allow": false, "code": "no_license"},
}

cases["no rule brings a withdrawn version back"] := {
	"candidates": [c({"withdrawn_at": now}), candidate_2],
	"rules": {"hotfix": ["1.4.0"]},
	"want": {"allow": false, "code": "no_license"},
}

cases["a rule grants what is withdrawn for others"] := {
	"candidates": [c({"withdrawn_at": now, "except": ["acme"]})],
	"rules": {"hotfix": ["1.4.0"]},
	"want": {"allow": true, "code": "vendor.fixture.hotfix"},
}

cases["no rule brings back what a tag left long ago"] := {
	"candidates": [c({"retires_at": now})],
	"rules": {"edition": true, "hotfix": ["1.4.0"]},
	"want": {"allow": false, "code": "no_license"},
}

cases["no rule grants what nothing reaches"] := {
	"candidates": [],
	"rules": {"edition": true},
	"want": {"allow": false, "code": "no_license"},
}

cases["a rule grants a list"] := {
	"list": listing,
	"rules": {"edition": true},
	"want": {"allow": true, "code": "vendor.fixture.edition"},
}

cases["a rule that grants versions grants no list"] := {
	"list": listing,
	"rules": {"hotfix": ["1.4.0"]},
	"want": {"allow": false, "code": "no_license"},
}

cases["one rule grants, another denies"] := {
	"rules": {"edition": true, "closed": true},
	"want": {"allow": false, "code": "vendor.fixture.closed", "license": "", "message": "closed"},
}

cases["a denied grant of a rule came further than a range"] := {
	"products": [product_grant],
	"candidates": [candidate_2],
	"rules": {"edition": true, "closed": true, "boundary": [now + 5]},
	"want": {"allow": false, "code": "vendor.fixture.closed", "license": "", "until": now + 5},
}

cases["a license is reported before a denied grant of a rule"] := {
	"products": [product_grant],
	"rules": {"edition": true, "closed": true},
	"want": {"allow": false, "code": "vendor.fixture.closed", "license": "a"},
}

cases["a license that warns is let through before a denied grant of a rule"] := {
	"products": [warns({})],
	"rules": {"edition": true, "closed": true},
	"want": {"allow": true, "code": "vendor.fixture.closed", "license": "a", "enforcement": "warn"},
}

cases["a rule warns"] := {
	"products": [product_grant],
	"rules": {"warn": [{"code": "b", "message": "later"}, {"code": "a", "message": "first"}]},
	"want": {"allow": true, "code": "ok", "warnings": [{"code": "vendor.fixture.a", "message": "first"}, {"code": "vendor.fixture.b", "message": "later"}]},
}

cases["a rule warns beside a grace"] := {
	"products": [p(in_grace)],
	"rules": {"soon": true},
	"want": {"allow": true, "code": "grace"},
}

cases["a boundary of a rule"] := {
	"products": [product_grant],
	"rules": {"boundary": [now - 1, now, now + 7, now + 9]},
	"want": {"allow": true, "until": now + 7},
}

cases["the first and the last boundary there can be"] := {
	"products": [product_grant],
	"rules": {"boundary": [-62135596800, 253402300799]},
	"want": {"allow": true, "until": 10000000},
}

cases["a boundary that never comes"] := {
	"products": [product_grant],
	"rules": {"boundary": ["never"]},
	"want": {"allow": true, "until": 10000000},
}

cases["headers of rules"] := {
	"products": [product_grant],
	"rules": {"header": [{"name": "x-b", "value": "2", "to": "upstream"}, {"name": "x-b", "value": "3", "to": "client"}, {"name": "x-a", "value": "1", "to": "upstream"}]},
	"want": {"allow": true},
}

test_headers_are_sorted if {
	[h.value | some h in decision(cases["headers of rules"]).headers] == ["1", "3", "2"]
}

# Contributions of another shape.
faults := {
	"deny": [{"code": "x"}, {"code": "x", "message": 1}, {"code": 1, "message": "x"}, "x", {"code": "x", "message": "x", "more": 1}, {"code": "x", "message": ""}],
	"warn": [{"code": "x"}, {"code": "x", "message": 1}, {"code": 1, "message": "x"}, {}, {"code": "x", "message": ""}],
	"boundary": ["2026-01-01T00:00:00Z", null, 1.5, true, {}, 253402300800, -62135596801],
	"header": [
		{"name": "x-a", "value": "", "to": "client"},
		{"name": "x-a", "value": 1, "to": "client"},
		{"name": 1, "value": "x", "to": "client"},
		{"name": "x-a", "value": "x", "to": 1},
		{"name": "x-a", "value": "a\nb", "to": "client"},
		{"name": "x-a", "value": sprintf("%0257d", [1]), "to": "client"},
		{"name": "x-a", "value": "x"},
	],
}

test_a_rule_at_fault_decides_nothing if {
	every kind, entries in faults {
		every entry in entries {
			d := decision({"products": [product_grant], "rules": {kind: [entry]}})
			print(kind, entry, d)
			d.allow == false
			d.code == "internal_error"
			d.until == "never"
			d.fault == sprintf("vendor.fixture.%s", [kind])
		}
	}
}

test_nobody_meets_a_rule_at_fault if {
	decision({"rules": {"boundary": ["x"]}, "input": {"subject": {"customer": "nobody"}}}).code == "anonymous"
}

test_two_values_for_a_header_decide_nothing if {
	d := decision({"products": [product_grant], "rules": {"header": [{"name": "x-a", "value": "1", "to": "client"}, {"name": "X-A", "value": "2", "to": "client"}]}})
	d.code == "internal_error"
	d.fault == "vendor.fixture.header"
}

test_a_long_header_is_fine if {
	decision({"products": [product_grant], "rules": {"header": [{"name": "x-a", "value": sprintf("%0256d", [1]), "to": "client"}]}}).allow
}

test_a_rule_at_fault_does_not_close_what_is_public if {
	d := decision({"public": opened(open_entry), "rules": {"boundary": ["a"]}})
	d.code == "public"
	d.until == "never"
}

test_rules_that_are_not_listed_are_not_asked if {
	d := data.pullgate.decision with data.pullgate.customers as customers(world({"products": [product_grant]}))
		with data.pullgate.rules as {"other": true}
		with data.fixture as {"closed": true}
		with input as pull([candidate])
	d.allow
}

# A list shows a tag when, and only when, a pull of the tag would be allowed.
tags := [
	candidate,
	c({"version": "1.5.0", "order": [1, 5, 0, {}], "tag": "1.5.0"}),
	c({"version": "1.5.0", "order": [1, 5, 0, {}], "tag": "edge"}),
	c({"version": "2.0.0", "order": [2, 0, 0, {}], "tag": "edge"}),
	candidate_2,
	c({"tag": "gone", "withdrawn_at": 1}),
]

listed_rules["nothing"] := {"x": 1}

listed_rules["old"] := {"old": ["1.4.0"]}

listed_rules["old and new"] := {"old": ["1.4.0", "1.5.0"]}

listed_rules["all old"] := {"old": ["1.4.0", "1.5.0", "2.0.0"]}

listed_rules["no pulls"] := {"no_pulls": ["1.5.0"]}

listed_rules["hotfix"] := {"hotfix": ["2.0.0"]}

listed_rules["hotfix that is old"] := {"hotfix": ["2.0.0"], "old": ["2.0.0"]}

listed_rules["hotfix that is withdrawn"] := {"hotfix": ["1.4.0"]}

listed_rules["edition"] := {"edition": true}

listed_rules["pulls"] := {"pulls": ["2.0.0"]}

listed_rules["closed"] := {"closed": true}

listed_rules["at fault"] := {"boundary": ["x"]}

listed_worlds["a license"] := {"products": [product_grant]}

listed_worlds["tags of a license"] := {"repositories": [repository_grant]}

listed_worlds["a license that warns"] := {"products": [warns({})]}

listed_worlds["two licenses"] := {"products": [p(ended), object.union(observes({"ranges": [[[1, 5, 0, {}], [3, 0, 0, []]]]}), {"license": "b"})]}

listed_worlds["no license"] := {}

listed_worlds["a public tag"] := {"public": opened(open_entry)}

listed_worlds["banned"] := {"products": [product_grant], "customer": {"banned": true}}

disagreements[[name, which]] := {"listed": listed, "pulled": pulled} if {
	some name, rules in listed_rules
	some which, base in listed_worlds
	case := object.union(base, {"rules": rules})
	shows := visible(object.union(case, {"list": object.union(listing, {"resource": {"path": "/v2/acme/app/tags/list", "candidates": tags}})}))
	listed := {tags[i].tag | some i in shows}
	pulled := {tag |
		some tag in {t.tag | some t in tags}
		path := sprintf("/v2/acme/app/manifests/%s", [tag])
		asked := object.union(pull([t | some t in tags; t.tag == tag]), {"resource": {"tag": tag, "path": path}, "request": {"path": path}})
		decision(object.union(case, {"list": asked})).allow
	}
	listed != pulled
}

test_a_list_agrees_with_every_pull if {
	print(disagreements)
	count(listed_rules) * count(listed_worlds) == 84
	disagreements == {}
}

visible_until(rules) := v if {
	v := data.pullgate.visible_until with data.pullgate.customers as customers(world({"products": [p({"boundaries": [1000000]})]}))
		with data.pullgate.rules as {"fixture": true}
		with data.fixture as rules
		with input as object.union(listing, {"resource": {"candidates": array.concat([c({"tag": "late", "released": now})], tags)}})
}

test_until_when_a_list_stands if {
	visible_until({"x": 1}) == "never"
	visible_until({"boundary": [now - 1, now, now + 3]}) == now + 3
	visible_until({"pull_boundary": true}) == now + 1000000
	visible_until({"boundary": ["a", now + 3]}) == now + 3
	visible_until({"boundary": ["a"]}) == "never"
}

test_without_rules_a_list_stands_as_long_as_its_candidates if {
	data.pullgate.visible_until == "never" with data.pullgate.customers as customers(world({"products": [product_grant]}))
		with data.pullgate.rules as {}
		with input as object.union(listing, {"resource": {"candidates": tags}})
}

# Nobody known and nobody banned has a rule asked: one that fails would refuse the whole.
strangers["unknown"] := {"subject": {"customer": "nobody", "via": "key"}}

strangers["anonymous"] := {"subject": {"via": "anonymous"}}

strangers["banned"] := {"subject": {"customer": "acme", "via": "key"}}

test_a_rule_that_fails_does_not_close_what_is_public if {
	every who in strangers {
		world := {"public": opened(open_entry), "rules": {"fails": true}, "products": [product_grant], "customer": {"banned": true}}
		asks := {"pull": object.remove(pull([candidate]), ["subject"]), "list": object.remove(listing, ["subject"])}
		decision(object.union(world, {"list": object.union(asks.pull, who)})).code == "public"
		shows := visible(object.union(world, {"list": object.union(object.union(asks.list, who), {"resource": {"candidates": tags}})}))
		shows == {0, 1}
	}
}
