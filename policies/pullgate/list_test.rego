package pullgate_test

open_entry := {"id": "docs", "tags": {"latest": true}, "patterns": ["1.*"]}

opened(entry) := {"acme/app": [entry]}

cases["a list of a running license"] := {
	"list": listing,
	"products": [product_grant],
	"want": {"allow": true, "code": "ok", "license": "a", "grant": "a/0", "until": 10000000},
}

cases["a list by a repository grant"] := {
	"list": listing,
	"repositories": [repository_grant],
	"want": {"allow": true, "code": "ok", "grant": "a/1"},
}

cases["a list asks nothing of ranges"] := {
	"list": listing,
	"products": [p({"ranges": [[[8, 0, 0, {}], {}]]})],
	"want": {"allow": true, "code": "ok"},
}

cases["an empty grant names nothing"] := {
	"list": listing,
	"products": [p({"ranges": [], "empty": true})],
	"repositories": [r({"tags": {}, "patterns": [], "empty": true})],
	"want": {"allow": false, "code": "not_granted", "license": ""},
}

cases["a list in grace"] := {"list": listing, "products": [p(in_grace)], "want": {"allow": true, "code": "grace"}}

cases["a list of kept versions"] := {"list": listing, "products": [p(keeps)], "want": {"allow": true, "code": "kept_version"}}

cases["a list of an ended license"] := {"list": listing, "products": [p(ended)], "want": {"allow": false, "code": "expired", "license": "a"}}

cases["a list of an ended trial"] := {
	"list": listing,
	"products": [p(object.union({"type": "trial"}, ended))],
	"want": {"allow": false, "code": "trial_ended"},
}

cases["a list of a revoked license"] := {"list": listing, "products": [k({"revoked": 1})], "want": {"allow": false, "code": "revoked"}}

cases["a list of a suspended license"] := {"list": listing, "repositories": [r({"clocks": {"suspended": [1, "never"]}})], "want": {"allow": false, "code": "suspended"}}

cases["a list of a license that has not started"] := {"list": listing, "products": [k({"starts": now + 1})], "want": {"allow": false, "code": "not_started"}}

cases["a list of a terminated license"] := {"list": listing, "products": [k({"terminates": now})], "want": {"allow": false, "code": "terminated"}}

cases["a list of a replaced license"] := {"list": listing, "products": [p(object.union(ended, {"clocks": {"replaced": now}}))], "want": {"allow": false, "code": "not_granted"}}

cases["a list that warn lets through"] := {
	"list": listing,
	"products": [warns(ended)],
	"want": {"allow": true, "code": "expired", "enforcement": "warn"},
}

cases["a list of a banned customer"] := {
	"list": listing,
	"products": [product_grant],
	"customer": {"banned": true},
	"want": {"allow": false, "code": "customer_banned"},
}

cases["a list without a license"] := {"list": listing, "want": {"allow": false, "code": "no_license"}}

cases["referrers are judged as their digest"] := {
	"list": object.union(pull([candidate_2]), {"action": "list"}),
	"products": [product_grant],
	"want": {"allow": false, "code": "version_not_granted"},
}

cases["referrers of a covered digest"] := {
	"list": object.union(pull([candidate]), {"action": "list"}),
	"products": [product_grant],
	"want": {"allow": true, "code": "ok"},
}

cases["referrers of a digest that nothing reaches"] := {
	"list": object.union(pull([]), {"action": "list"}),
	"products": [product_grant],
	"public": opened(open_entry),
	"want": {"allow": false, "code": "tag_not_granted"},
}

cases["a pull without candidates is no list"] := {
	"list": object.union(listing, {"action": "pull"}),
	"products": [product_grant],
	"public": opened(open_entry),
	"want": {"allow": false, "code": "tag_not_granted"},
}

cases["a public tag"] := {
	"public": opened(open_entry),
	"input": {"subject": {"customer": "nobody"}},
	"want": {"allow": true, "code": "public", "license": "", "grant": "", "message": "", "until": "never", "ends": "never", "warnings": [], "features": {}, "headers": [], "enforcement": ""},
}

cases["a public tag by name"] := {
	"public": opened(open_entry),
	"candidates": [c({"tag": "latest"})],
	"want": {"allow": true, "code": "public"},
}

cases["another tag of a public repository"] := {
	"public": opened(open_entry),
	"candidates": [candidate_2],
	"list": nobody(pull([candidate_2])),
	"want": {"allow": false, "code": "anonymous"},
}

cases["a tag of another repository"] := {
	"public": {"acme/docs": [open_entry]},
	"want": {"allow": false, "code": "no_license"},
}

cases["a public tag, retired"] := {
	"public": opened(open_entry),
	"candidates": [c({"retires_at": now})],
	"want": {"allow": false, "code": "no_license"},
}

cases["a public tag, revoked"] := {
	"public": opened(open_entry),
	"candidates": [c({"revoked_at": now, "boundaries": [now, now + 9]})],
	"want": {"allow": false, "code": "withdrawn", "license": "", "until": now + 9},
}

cases["a public tag, not revoked yet"] := {
	"public": opened(open_entry),
	"candidates": [c({"revoked_at": now + 1})],
	"want": {"allow": true, "code": "public"},
}

cases["a public tag, revoked and retired"] := {
	"public": opened(open_entry),
	"candidates": [c({"revoked_at": now, "retires_at": now})],
	"want": {"allow": false, "code": "no_license"},
}

cases["another tag than the public one, revoked"] := {
	"public": opened(open_entry),
	"candidates": [c({"tag": "9.9.9", "revoked_at": now})],
	"want": {"allow": false, "code": "no_license"},
}

cases["a public tag, revoked, and nobody known"] := {
	"public": opened(open_entry),
	"candidates": [c({"revoked_at": now})],
	"subject": {"via": "anonymous"},
	"want": {"allow": false, "code": "withdrawn"},
}

cases["a public tag, revoked, and a license that ended"] := {
	"public": opened(open_entry),
	"products": [p(ended)],
	"candidates": [c({"revoked_at": now})],
	"want": {"allow": false, "code": "withdrawn"},
}

cases["a revoked public tag takes nothing from what is let through"] := {
	"public": opened(open_entry),
	"products": [warns(ended)],
	"candidates": [c({"order": [2, 0, 0, {}], "version": "2.0.0", "revoked_at": now}), c({"tag": "9.9.9"})],
	"want": {"allow": true, "code": "expired", "enforcement": "warn"},
}

cases["a ban lets nothing through either"] := {
	"public": opened(open_entry),
	"customer": {"banned": true},
	"products": [warns(ended)],
	"candidates": [c({"order": [2, 0, 0, {}], "version": "2.0.0", "revoked_at": now}), c({"tag": "9.9.9"})],
	"want": {"allow": false, "code": "withdrawn"},
}

cases["a license is reported before public"] := {
	"public": opened(open_entry),
	"products": [product_grant],
	"want": {"code": "ok", "license": "a"},
}

cases["public comes before what enforcement lets through"] := {
	"public": opened(open_entry),
	"products": [warns(ended)],
	"want": {"code": "public", "license": ""},
}

cases["a public tag of a banned customer"] := {
	"public": opened(open_entry),
	"products": [product_grant],
	"customer": {"banned": true},
	"want": {"allow": true, "code": "public"},
}

cases["a public list by names"] := {
	"list": nobody(listing),
	"public": opened({"id": "docs", "tags": {"latest": true}, "patterns": []}),
	"want": {"allow": true, "code": "public"},
}

cases["a public list by patterns"] := {
	"list": nobody(listing),
	"public": opened({"id": "docs", "tags": {}, "patterns": ["*"]}),
	"want": {"allow": true, "code": "public"},
}

cases["a public list of nothing"] := {
	"list": nobody(listing),
	"public": opened({"id": "docs", "tags": {}, "patterns": []}),
	"want": {"allow": false, "code": "anonymous"},
}

cases["a public list of another repository"] := {
	"list": nobody(listing),
	"public": {"acme/docs": [open_entry]},
	"want": {"allow": false, "code": "anonymous"},
}
