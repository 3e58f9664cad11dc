package pullgate_test

# Parts of explanations.
told_cases["the only grant"] := {
	"products": [product_grant],
	"want": {
		"banned": false,
		"licenses": 1,
		"unnamed": [],
		"gone": [],
		"public": [],
		"reported": {"license": "a", "grant": 0, "candidate": 0, "because": "no other grant passes"},
		"vendor": {"rules": [], "deny": [], "grant": [], "warn": [], "header": [], "boundary": [], "fault": []},
		"grants": [{
			"license": "a", "grant": 0, "type": "subscription", "zone": "UTC", "covers": ">=1.0.0 <2.0.0",
			"channels": ["stable"], "held": ["sso"], "keep": false, "enforcement": "enforce", "clocks": clocks,
			"passes": "ok", "outcomes": [{"candidates": [0], "passes": "ok", "failed": []}],
		}],
	},
}

told_cases["a tag grant"] := {
	"repositories": [repository_grant],
	"want": {"grants": [object.union(object.remove(repository_grant, ["tags", "patterns", "empty", "boundaries"]), {
		"zone": "UTC", "covers": "1.4.0, 2.*, stable", "passes": "ok",
		"outcomes": [{"candidates": [0], "passes": "ok", "failed": []}],
	})]},
}

told_cases["ok before grace"] := {
	"products": [p(in_grace), b({})],
	"want": {
		"reported": {"license": "b", "grant": 0, "candidate": 0, "because": "ok is reported before kept_version, and that before grace"},
		"licenses": 2,
	},
}

told_cases["the latest end"] := {
	"products": [p({"grant": 7}), b({"clocks": {"ends": "never"}}), d({"clocks": {"ends": 10000001}})],
	"want": {"reported": {"license": "b", "grant": 0, "candidate": 0, "because": "of those that pass alike its license ends last"}},
}

told_cases["the first license"] := {
	"products": [d({}), b({"grant": 7})],
	"want": {"reported": {"license": "b", "grant": 7, "candidate": 0, "because": "of those that pass alike its license's id is the first"}},
}

told_cases["the first grant"] := {
	"products": [p({"grant": 3}), p({"grant": 2}), b(ended)],
	"want": {"reported": {"license": "a", "grant": 2, "candidate": 0, "because": "of the grants of the license that pass it is the first"}},
}

told_cases["the only miss"] := {
	"products": [p(ended), b({"clocks": {"replaced": 1}})],
	"want": {"reported": {"license": "a", "grant": 0, "candidate": 0, "because": "no other grant was considered"}},
}

told_cases["the furthest miss"] := {
	"products": [p({"grant": 7, "ranges": []}), b(ended)],
	"want": {"reported": {"license": "b", "grant": 0, "candidate": 0, "because": "it came furthest through the checks"}},
}

told_cases["the first license of equal misses"] := {
	"products": [d(ended), b(object.union(ended, {"grant": 7}))],
	"want": {"reported": {"license": "b", "grant": 7, "candidate": 0, "because": "of those that came as far its license's id is the first"}},
}

told_cases["the first grant of equal misses"] := {
	"products": [p(object.union(ended, {"grant": 3})), p(object.union(ended, {"grant": 2}))],
	"want": {"reported": {"license": "a", "grant": 2, "candidate": 0, "because": "of the grants of the license that came as far it is the first"}},
}

told_cases["the candidate that passes"] := {
	"products": [product_grant],
	"candidates": [candidate_2, c({"version": "1.5.0"}), candidate],
	"want": {"reported": {"license": "a", "grant": 0, "candidate": 1, "because": "no other grant passes"}},
}

told_cases["the candidate that came furthest"] := {
	"products": [p(ended)],
	"candidates": [candidate_2, c({"channel": "rc"}), candidate],
	"want": {
		"reported": {"license": "a", "grant": 0, "candidate": 2, "because": "no other grant was considered"},
		"grants": [object.union(object.remove(p(ended), ["ranges", "constraint", "empty", "boundaries"]), {
			"zone": "UTC", "covers": ">=1.0.0 <2.0.0", "misses": {"check": 12, "code": "expired"},
			"outcomes": told_outcomes,
		})],
	},
}

ended_told := {
	"check": 12, "code": "expired", "change": "renew the license",
	"why": "the license ended 1970-02-27 20:53 (last day 1970-02-27, UTC), now is 1970-02-27 20:53",
}

told_outcomes := [
	{"candidates": [2], "failed": [ended_told]},
	{"candidates": [1], "failed": [
		{"check": 3, "code": "channel_not_granted", "why": "channel rc is none of: stable", "change": "channel rc in the grant's channels"},
		ended_told,
	]},
	{"candidates": [0], "failed": [
		{"check": 3, "code": "version_not_granted", "why": "version 2.0.0 is outside >=1.0.0 <2.0.0", "change": "a grant whose versions cover 2.0.0"},
		ended_told,
	]},
]

told_cases["candidates that fare alike"] := {
	"products": [p({"ranges": []})],
	"candidates": [c({"version": "1.6.0"}), candidate_2, candidate],
	"want": {
		"reported": {"license": "a", "grant": 0, "candidate": 0, "because": "no other grant was considered"},
		"grants": [object.union(object.remove(product_grant, ["ranges", "constraint", "empty", "boundaries"]), {
			"zone": "UTC", "covers": ">=1.0.0 <2.0.0", "misses": {"check": 3, "code": "version_not_granted"},
			"outcomes": [{"candidates": [0, 1, 2], "failed": [{
				"check": 3, "code": "version_not_granted",
				"why": "version 1.6.0 is outside >=1.0.0 <2.0.0", "change": "a grant whose versions cover 1.6.0",
			}]}],
		})],
	},
}

told_cases["nothing that is there"] := {
	"products": [product_grant],
	"candidates": [c({"retires_at": now}), c({"retires_at": 1})],
	"want": {"gone": [0, 1], "reported": {"license": "a", "grant": 0, "because": "no other grant was considered"}, "grants": [object.union(object.remove(product_grant, ["ranges", "constraint", "empty", "boundaries"]), {
		"zone": "UTC", "covers": ">=1.0.0 <2.0.0", "misses": {"check": 3, "code": "tag_not_granted"},
		"outcomes": [{"candidates": [], "failed": [{
			"check": 3, "code": "tag_not_granted", "why": "nothing that is known reaches it", "change": "a tag or version that reaches it",
		}]}],
	})]},
}

told_cases["one that is gone"] := {
	"products": [product_grant],
	"candidates": [c({"retires_at": now}), c({"retires_at": now + 1})],
	"want": {
		"gone": [0],
		"reported": {"license": "a", "grant": 0, "candidate": 1, "because": "no other grant passes"},
	},
}

told_cases["a replaced license"] := {
	"products": [k({"replaced": now})],
	"want": {"reported": {}, "grants": [object.union(object.remove(k({"replaced": now}), ["ranges", "constraint", "empty", "boundaries"]), {
		"zone": "UTC", "covers": ">=1.0.0 <2.0.0", "inert": "replaced", "outcomes": [],
	})]},
}

told_cases["a list"] := {
	"list": listing,
	"products": [product_grant, b({"empty": true}), d(ended)],
	"want": {
		"reported": {"license": "a", "grant": 0, "because": "no other grant passes"},
		"licenses": 3,
	},
}

told_cases["an empty grant of a list"] := {
	"list": listing,
	"products": [p({"empty": true, "ranges": []})],
	"want": {"reported": {}, "grants": [object.union(object.remove(product_grant, ["ranges", "constraint", "empty", "boundaries"]), {
		"zone": "UTC", "covers": ">=1.0.0 <2.0.0", "inert": "empty", "outcomes": [],
	})]},
}

told_cases["a banned customer"] := {
	"products": [product_grant],
	"customer": {"banned": true},
	"want": {"banned": true, "reported": {}},
}

told_cases["nobody"] := {
	"list": nobody(pull([candidate])),
	"products": [product_grant],
	"want": {"banned": false, "licenses": 0, "unnamed": [], "grants": [], "reported": {}},
}

told_cases["licenses that name something else"] := {
	"products": [product_grant],
	"customer": {"licenses": {"z": license, "c": license}},
	"want": {"licenses": 3, "unnamed": ["c", "z"]},
}

told_cases["public tags"] := {
	"public": {"acme/app": [open_entry, object.union(open_entry, {"id": "more", "tags": {}, "patterns": ["s*"]})]},
	"candidates": [candidate, c({"tag": "stable"}), c({"tag": "soon", "retires_at": now}), c({"tag": "sure", "revoked_at": now})],
	"want": {"public": [{"id": "docs", "candidates": [0]}, {"id": "more", "candidates": [1]}], "reported": {}},
}

told_cases["vendor rules"] := {
	"products": [product_grant],
	"rules": {"closed": true, "old": ["1.4.0"], "soon": true, "edition": true, "boundary": ["never", 9], "header": [{"name": "x-a", "value": "1", "to": "client"}]},
	"want": {"vendor": {
		"rules": ["fixture"],
		"deny": [
			{"code": "vendor.fixture.closed", "message": "closed"},
			{"code": "vendor.fixture.old", "message": "older than we support\nask us"},
		],
		"grant": ["vendor.fixture.edition"],
		"warn": [{"code": "vendor.fixture.soon", "message": "soon?over"}],
		"header": [{"name": "x-a", "value": "1", "to": "client"}],
		"boundary": [9, "never"],
		"fault": [],
	}},
}

told_cases["a vendor rule at fault"] := {
	"products": [product_grant],
	"rules": {"boundary": ["2026-01-01"]},
	"want": {"vendor": {"rules": ["fixture"], "deny": [], "grant": [], "warn": [], "header": [], "boundary": ["2026-01-01"], "fault": ["vendor.fixture.boundary"]}},
}

untold[name] := got if {
	some name, case in told_cases
	got := explanation(case)
	object.filter(got, object.keys(case.want)) != case.want
}

test_parts_are_told if {
	print(untold)
	untold == {}
}
