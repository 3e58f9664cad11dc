package pullgate_test

cases["until the earliest boundary of every license that names the product"] := {
	"products": [p({"boundaries": [1, now, now + 9]}), b({"boundaries": [now + 7, now + 8]})],
	"want": {"code": "ok", "until": now + 7},
}

cases["until a boundary of a repository grant"] := {
	"products": [product_grant],
	"repositories": [r({"boundaries": [now, now + 5, now + 6]})],
	"want": {"until": now + 5},
}

cases["until a boundary of any candidate"] := {
	"products": [product_grant],
	"candidates": [candidate, object.union(candidate_2, {"boundaries": [now - 1, now, now + 3]})],
	"want": {"until": now + 3},
}

cases["until never"] := {
	"products": [p({"boundaries": [1, now]})],
	"repositories": [r({"boundaries": [now]})],
	"candidates": [c({"boundaries": [now]})],
	"want": {"until": "never"},
}

cases["until of a refusal"] := {
	"products": [p({"ranges": [], "boundaries": [now + 2]})],
	"want": {"allow": false, "until": now + 2},
}

cases["until of what nobody granted"] := {
	"customer": {"licenses": {"b": license}},
	"candidates": [c({"boundaries": [now + 2]})],
	"want": {"code": "not_granted", "until": now + 2},
}

cases["until of a customer without license"] := {
	"candidates": [c({"boundaries": [now + 2]})],
	"want": {"code": "no_license", "until": now + 2},
}

cases["until of a ban is what could lift it"] := {
	"products": [p({"boundaries": [now + 2]})],
	"customer": {"banned": true},
	"want": {"code": "customer_banned", "until": "never"},
}

cases["until of what is let through"] := {
	"products": [object.union(warns(ended), {"boundaries": [now + 2]})],
	"want": {"allow": true, "code": "expired", "until": now + 2},
}

cases["until of a public tag"] := {
	"public": opened(open_entry),
	"candidates": [c({"boundaries": [now + 2]})],
	"input": {"subject": {"customer": "nobody"}},
	"want": {"code": "public", "until": now + 2},
}

cases["until of a list"] := {
	"list": listing,
	"products": [product_grant],
	"repositories": [r({"boundaries": [now + 4]})],
	"want": {"code": "ok", "until": now + 4},
}
