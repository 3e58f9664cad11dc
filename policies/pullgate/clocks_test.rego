package pullgate_test

# A grant whose license has other instants.
k(changes) := p({"clocks": changes})

cases["revoked from its instant on"] := {
	"products": [k({"revoked": now})],
	"want": {"allow": false, "code": "revoked", "license": "a"},
}

cases["not revoked before"] := {"products": [k({"revoked": now + 1})], "want": {"code": "ok"}}

cases["suspended from its instant on"] := {
	"products": [k({"suspended": [now, "never"]})],
	"want": {"allow": false, "code": "suspended"},
}

cases["not suspended before"] := {"products": [k({"suspended": [now + 1, "never"]})], "want": {"code": "ok"}}

cases["suspended to its last second"] := {"products": [k({"suspended": [1, now + 1]})], "want": {"code": "suspended"}}

cases["not suspended after"] := {"products": [k({"suspended": [1, now]})], "want": {"code": "ok"}}

cases["revoked is asked before suspended"] := {
	"products": [k({"suspended": [1, "never"], "revoked": 1})],
	"want": {"code": "revoked"},
}

cases["not started"] := {
	"products": [k({"starts": now + 1})],
	"want": {"allow": false, "code": "not_started"},
}

cases["started at its start"] := {"products": [k({"starts": now})], "want": {"code": "ok"}}

cases["suspended is asked before started"] := {
	"products": [k({"suspended": [1, "never"], "starts": now + 1})],
	"want": {"code": "suspended"},
}

cases["terminated in its term"] := {
	"products": [k({"terminates": now})],
	"want": {"allow": false, "code": "terminated"},
}

cases["not terminated before"] := {"products": [k({"terminates": now + 1})], "want": {"code": "ok"}}

cases["started is asked before terminated"] := {
	"products": [k({"starts": now + 1, "terminates": now})],
	"want": {"code": "not_started"},
}

cases["the end is outside"] := {
	"products": [k({"ends": now, "updates": now, "grace": now})],
	"want": {"allow": false, "code": "expired", "ends": now},
}

cases["the last second is inside"] := {
	"products": [k({"ends": now + 1})],
	"want": {"code": "ok"},
}

cases["it never ends"] := {
	"products": [k({"ends": "never", "updates": "never", "grace": "never", "terminates": "never"})],
	"want": {"code": "ok", "ends": "never", "warnings": []},
}

cases["grace"] := {
	"products": [k({"ends": now, "updates": now, "grace": now + 1})],
	"want": {"allow": true, "code": "grace", "license": "a", "ends": now},
}

cases["grace is over at its end"] := {
	"products": [k({"ends": now - 1, "updates": now - 1, "grace": now})],
	"want": {"code": "expired"},
}

cases["grace covers what the term covered"] := {
	"products": [k({"ends": now, "updates": "never", "grace": now + 1})],
	"candidates": [c({"counts_from": now - 1})],
	"want": {"code": "grace"},
}

cases["grace covers nothing dated after the term"] := {
	"products": [k({"ends": now - 1, "updates": "never", "grace": now + 1})],
	"candidates": [c({"counts_from": now - 1})],
	"want": {"allow": false, "code": "expired"},
}

cases["grace covers nothing dated after the updates"] := {
	"products": [k({"ends": now, "updates": 900000, "grace": now + 1})],
	"want": {"code": "outside_update_window"},
}

cases["no grace while suspended"] := {
	"products": [k({"ends": now, "updates": now, "grace": now + 1, "suspended": [1, "never"]})],
	"want": {"code": "suspended"},
}

cases["no grace once revoked"] := {
	"products": [k({"ends": now, "updates": now, "grace": now + 1, "revoked": 1})],
	"want": {"code": "revoked"},
}

cases["no grace before the start"] := {
	"products": [k({"starts": now + 1, "ends": now, "updates": now, "grace": now + 1})],
	"want": {"code": "not_started"},
}

cases["no grace after termination"] := {
	"products": [k({"ends": now - 1, "updates": now - 1, "grace": now + 1, "terminates": now})],
	"want": {"code": "terminated"},
}

cases["no grace of a replaced license"] := {
	"products": [k({"ends": now, "updates": now, "grace": now + 1, "replaced": now})],
	"want": {"code": "not_granted"},
}

cases["a trial has no grace"] := {
	"products": [p({"type": "trial", "clocks": {"ends": now, "updates": now, "grace": now + 1}})],
	"want": {"allow": false, "code": "trial_ended"},
}

cases["a trial runs"] := {"products": [p({"type": "trial"})], "want": {"code": "ok"}}

cases["a trial keeps no version"] := {
	"products": [p({"type": "trial", "keep": true, "clocks": {"ends": now, "updates": now, "grace": now}})],
	"want": {"code": "trial_ended"},
}

cases["a version is kept"] := {
	"products": [p({"keep": true, "clocks": {"ends": now, "updates": now, "grace": now}})],
	"want": {"allow": true, "code": "kept_version"},
}

cases["grace comes before kept versions"] := {
	"products": [p({"keep": true, "clocks": {"ends": now, "updates": now, "grace": now + 1}})],
	"want": {"code": "grace"},
}

cases["a kept version is dated before the end"] := {
	"products": [p({"keep": true, "clocks": {"ends": now - 1, "updates": "never", "grace": now - 1}})],
	"candidates": [c({"counts_from": now - 1})],
	"want": {"allow": false, "code": "expired"},
}

cases["a kept version is dated before the end of updates"] := {
	"products": [p({"keep": true, "clocks": {"ends": now, "updates": 900000, "grace": now}})],
	"want": {"code": "outside_update_window"},
}

cases["nothing is kept after termination"] := {
	"products": [p({"keep": true, "clocks": {"ends": now - 1, "updates": now - 1, "grace": now - 1, "terminates": now}})],
	"want": {"code": "terminated"},
}

cases["a replaced license does not exist"] := {
	"products": [k({"replaced": now})],
	"want": {"allow": false, "code": "not_granted", "license": ""},
}

cases["it exists before"] := {"products": [k({"replaced": now + 1})], "want": {"code": "ok"}}

cases["not yet released"] := {
	"products": [product_grant],
	"candidates": [c({"released": now + 1})],
	"want": {"allow": false, "code": "not_yet_released"},
}

cases["released now"] := {
	"products": [product_grant],
	"candidates": [c({"released": now})],
	"want": {"code": "ok"},
}

cases["terminated is asked before released"] := {
	"products": [k({"terminates": now})],
	"candidates": [c({"released": now + 1})],
	"want": {"code": "terminated"},
}

cases["withdrawn"] := {
	"products": [product_grant],
	"candidates": [c({"withdrawn_at": now})],
	"want": {"allow": false, "code": "withdrawn", "license": "a"},
}

cases["not yet withdrawn"] := {
	"products": [product_grant],
	"candidates": [c({"withdrawn_at": now + 1})],
	"want": {"code": "ok"},
}

cases["withdrawn, but not for this customer"] := {
	"products": [product_grant],
	"candidates": [c({"withdrawn_at": 1, "except": ["initech", "acme"]})],
	"want": {"code": "ok"},
}

cases["withdrawn, but not for another"] := {
	"products": [product_grant],
	"candidates": [c({"withdrawn_at": 1, "except": ["initech"]})],
	"want": {"code": "withdrawn"},
}

cases["withdrawn for all but one, who lacks a feature"] := {
	"products": [product_grant],
	"candidates": [c({"withdrawn_at": 1, "except": ["acme"], "requires": ["audit"]})],
	"want": {"code": "feature_missing"},
}

cases["dated after the updates"] := {
	"products": [k({"updates": 900000})],
	"want": {"allow": false, "code": "outside_update_window"},
}

cases["dated before the updates end"] := {"products": [k({"updates": 900001})], "want": {"code": "ok"}}

cases["backdated into the updates"] := {
	"products": [k({"updates": 1000})],
	"candidates": [c({"counts_from": 999})],
	"want": {"code": "ok"},
}

cases["released is asked before the date"] := {
	"products": [k({"updates": 1})],
	"candidates": [c({"released": now + 1})],
	"want": {"code": "not_yet_released"},
}

cases["withdrawn is asked before the date"] := {
	"products": [k({"updates": 1})],
	"candidates": [c({"withdrawn_at": 1})],
	"want": {"code": "withdrawn"},
}

cases["a required feature is held"] := {
	"products": [product_grant],
	"candidates": [c({"requires": ["sso"]})],
	"want": {"code": "ok"},
}

cases["one of two required features is missing"] := {
	"products": [product_grant],
	"candidates": [c({"requires": ["audit", "sso"]})],
	"want": {"allow": false, "code": "feature_missing"},
}

cases["the date is asked before features"] := {
	"products": [k({"updates": 1})],
	"candidates": [c({"requires": ["audit"]})],
	"want": {"code": "outside_update_window"},
}

cases["features are asked before the term"] := {
	"products": [k({"ends": now, "updates": now, "grace": now})],
	"candidates": [c({"requires": ["audit"]})],
	"want": {"code": "feature_missing"},
}

cases["a retired candidate does not exist"] := {
	"products": [product_grant],
	"candidates": [c({"retires_at": now})],
	"want": {"allow": false, "code": "tag_not_granted"},
}

cases["it exists while its history lasts"] := {
	"products": [product_grant],
	"candidates": [c({"retires_at": now + 1})],
	"want": {"code": "ok"},
}

cases["a revoked digest"] := {
	"products": [product_grant],
	"candidates": [c({"revoked_at": now})],
	"want": {"allow": false, "code": "withdrawn", "license": "a", "enforcement": ""},
}

cases["a digest before it is revoked"] := {
	"products": [product_grant],
	"candidates": [c({"revoked_at": now + 1})],
	"want": {"code": "ok"},
}

cases["a revoked digest says nothing to whom it was not granted"] := {
	"products": [product_grant],
	"candidates": [c({"revoked_at": 1, "order": [2, 0, 0, {}]})],
	"want": {"code": "version_not_granted"},
}

cases["a revoked digest says nothing when the license has ended"] := {
	"products": [k({"ends": now, "updates": now, "grace": now})],
	"candidates": [c({"revoked_at": 1})],
	"want": {"code": "expired"},
}

cases["a tag grant asks for the date too"] := {
	"repositories": [r({"clocks": {"updates": 1}})],
	"want": {"code": "outside_update_window"},
}

cases["a tag grant asks for the release too"] := {
	"repositories": [repository_grant],
	"candidates": [c({"released": now + 1})],
	"want": {"code": "not_yet_released"},
}

cases["a tag grant asks for withdrawals too"] := {
	"repositories": [repository_grant],
	"candidates": [c({"withdrawn_at": now})],
	"want": {"code": "withdrawn"},
}

cases["a tag grant asks for features too"] := {
	"repositories": [repository_grant],
	"candidates": [c({"requires": ["audit"]})],
	"want": {"code": "feature_missing"},
}

cases["a tag grant does not reach a retired candidate"] := {
	"repositories": [repository_grant],
	"candidates": [c({"retires_at": now})],
	"want": {"code": "tag_not_granted"},
}

cases["a tag grant does not reach a revoked digest"] := {
	"repositories": [repository_grant],
	"candidates": [c({"revoked_at": now})],
	"want": {"code": "withdrawn"},
}

cases["a tag grant in its license's clocks"] := {
	"repositories": [r({"clocks": {"revoked": 1}})],
	"want": {"code": "revoked"},
}
