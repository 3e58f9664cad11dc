package pullgate_test

# Three licenses with the same grant.
b(changes) := object.union(p({"license": "b"}), changes)

d(changes) := object.union(p({"license": "d"}), changes)

ended := {"clocks": {"ends": now, "updates": now, "grace": now}}

in_grace := {"clocks": {"ends": now, "updates": now, "grace": now + 9}}

keeps := object.union({"keep": true}, ended)

cases["the latest end is reported"] := {
	"products": [product_grant, b({"clocks": {"ends": 10000001}}), d({})],
	"want": {"license": "b", "ends": 10000001},
}

cases["never is the latest end"] := {
	"products": [p({"clocks": {"ends": 99000000}}), b({"clocks": {"ends": "never"}}), d({})],
	"want": {"license": "b", "ends": "never"},
}

cases["of equal ends the first license"] := {
	"products": [d({}), b({})],
	"want": {"license": "b"},
}

cases["of one license the first grant"] := {
	"products": [p({"grant": 3}), p({"grant": 2})],
	"want": {"grant": "a/2"},
}

cases["product and repository grants are one order"] := {
	"products": [d({})],
	"repositories": [r({"license": "b"})],
	"want": {"license": "b", "grant": "b/1"},
}

cases["ok comes before grace"] := {
	"products": [p(in_grace), b({})],
	"want": {"code": "ok", "license": "b"},
}

cases["ok comes before a kept version"] := {
	"products": [p(keeps), b({})],
	"want": {"code": "ok", "license": "b"},
}

cases["a kept version comes before grace"] := {
	"products": [p(in_grace), b(keeps)],
	"want": {"code": "kept_version", "license": "b"},
}

cases["rights of two licenses do not combine"] := {
	"products": [p({"channels": ["rc"]}), b({"ranges": []})],
	"want": {"allow": false, "code": "channel_not_granted", "license": "a"},
}

cases["the license that came furthest is reported"] := {
	"products": [p({"clocks": {"suspended": [1, "never"]}}), b({"clocks": {"starts": now + 1}}), d({"clocks": {"revoked": 1}})],
	"want": {"code": "not_started", "license": "b"},
}

cases["of equal misses the first license"] := {
	"products": [d(ended), b(ended)],
	"want": {"code": "expired", "license": "b"},
}

cases["of equal misses the first grant"] := {
	"products": [p({"grant": 3, "ranges": []}), p({"grant": 2, "ranges": []})],
	"want": {"code": "version_not_granted", "grant": "a/2"},
}

cases["of several candidates the one that came furthest"] := {
	"products": [p(ended)],
	"candidates": [candidate_2, c({"channel": "rc"}), candidate],
	"want": {"code": "expired"},
}

cases["a trial is as far as another license"] := {
	"products": [b(ended), p(object.union({"type": "trial"}, ended))],
	"want": {"code": "trial_ended", "license": "a"},
}

cases["withdrawn counts only when everything is"] := {
	"products": [product_grant],
	"candidates": [c({"withdrawn_at": 1}), candidate_2],
	"want": {"code": "version_not_granted"},
}

cases["withdrawn when everything is"] := {
	"products": [product_grant],
	"candidates": [c({"withdrawn_at": 1}), object.union(candidate_2, {"withdrawn_at": 2})],
	"want": {"code": "withdrawn"},
}

cases["withdrawn when everything that exists is"] := {
	"products": [product_grant],
	"candidates": [c({"withdrawn_at": 1}), object.union(candidate_2, {"retires_at": 2})],
	"want": {"code": "withdrawn"},
}

cases["withdrawn, and the other is excepted but not granted"] := {
	"products": [product_grant],
	"candidates": [c({"withdrawn_at": 1}), object.union(candidate_2, {"withdrawn_at": 2, "except": ["acme"]})],
	"want": {"code": "version_not_granted"},
}

cases["a suspended license is told although the version is withdrawn"] := {
	"products": [k({"suspended": [1, "never"]})],
	"candidates": [c({"withdrawn_at": 1}), candidate_2],
	"want": {"code": "suspended"},
}

cases["a revoked digest is the furthest miss"] := {
	"products": [product_grant, b(ended)],
	"candidates": [c({"revoked_at": 1}), c({"tag": "other", "requires": ["audit"]})],
	"want": {"code": "withdrawn", "license": "a"},
}

cases["a revoked digest takes nothing from a good one"] := {
	"products": [product_grant],
	"candidates": [c({"revoked_at": 1}), c({"tag": "other"})],
	"want": {"code": "ok"},
}

cases["a replaced license is not reported"] := {
	"products": [p({"ranges": [], "clocks": {"replaced": now}}), b({"ranges": []})],
	"want": {"code": "version_not_granted", "license": "b"},
}

cases["an ended license beside a running one"] := {
	"products": [p(ended), b({})],
	"want": {"code": "ok", "license": "b"},
}

# The bounds of a miss are those of a right.
cases["a miss in a range that begins with it"] := {
	"products": [product_grant],
	"candidates": [c({"order": [1, 0, 0, {}], "channel": "rc"})],
	"want": {"code": "channel_not_granted"},
}

cases["a miss of what is released now"] := {
	"products": [product_grant],
	"candidates": [c({"released": now, "requires": ["audit"]})],
	"want": {"code": "feature_missing"},
}

cases["a miss of a license that starts now"] := {
	"products": [k({"starts": now, "updates": 1})],
	"want": {"code": "outside_update_window"},
}

cases["a tag released now"] := {
	"repositories": [repository_grant],
	"candidates": [c({"released": now})],
	"want": {"code": "ok"},
}

cases["a tag dated when the updates end"] := {
	"repositories": [r({"clocks": {"updates": 900000}})],
	"want": {"code": "outside_update_window"},
}

cases["withdrawn, released now, and another that is not granted"] := {
	"products": [product_grant],
	"candidates": [c({"released": now, "withdrawn_at": 1}), candidate_2],
	"want": {"code": "version_not_granted"},
}

cases["one is not out yet, another is dated too late"] := {
	"products": [k({"updates": 1})],
	"candidates": [c({"released": now + 1}), c({"tag": "other"})],
	"want": {"code": "outside_update_window"},
}

cases["one is withdrawn, another not out yet"] := {
	"products": [product_grant],
	"candidates": [c({"withdrawn_at": 1}), c({"tag": "other", "released": now + 1})],
	"want": {"code": "not_yet_released"},
}

cases["a revoked digest that the grace of its license does not cover"] := {
	"products": [k({"ends": now - 1, "updates": "never", "grace": now + 9})],
	"candidates": [c({"counts_from": now - 1, "revoked_at": 1})],
	"want": {"code": "expired"},
}
