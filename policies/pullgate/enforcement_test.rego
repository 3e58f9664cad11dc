package pullgate_test

warns(changes) := object.union(p({"enforcement": "warn"}), changes)

observes(changes) := object.union(p({"enforcement": "observe"}), changes)

cases["warn lets an ended license through"] := {
	"products": [warns(ended)],
	"want": {"allow": true, "code": "expired", "license": "a", "grant": "a/0", "enforcement": "warn", "message": "", "ends": now, "features": {"sso": true}},
}

cases["observe lets it through too"] := {
	"products": [observes(ended)],
	"want": {"allow": true, "code": "expired", "license": "a", "enforcement": "observe", "warnings": []},
}

cases["check 6 is let through"] := {
	"products": [warns({"clocks": {"starts": now + 1}})],
	"want": {"allow": true, "code": "not_started"},
}

cases["check 7 is let through"] := {
	"products": [observes({"clocks": {"terminates": now}})],
	"want": {"allow": true, "code": "terminated"},
}

cases["a withdrawal is let through"] := {
	"products": [warns({})],
	"candidates": [c({"withdrawn_at": 1})],
	"want": {"allow": true, "code": "withdrawn"},
}

cases["a trial is let through"] := {
	"products": [warns(object.union({"type": "trial"}, ended))],
	"want": {"allow": true, "code": "trial_ended"},
}

cases["a suspension is enforced"] := {
	"products": [warns({"clocks": {"suspended": [1, "never"]}})],
	"want": {"allow": false, "code": "suspended", "enforcement": ""},
}

cases["a revocation is enforced"] := {
	"products": [observes({"clocks": {"revoked": 1}})],
	"want": {"allow": false, "code": "revoked", "enforcement": ""},
}

cases["what was never granted is enforced"] := {
	"products": [warns({})],
	"candidates": [candidate_2],
	"want": {"allow": false, "code": "version_not_granted", "enforcement": ""},
}

cases["a ban is enforced"] := {
	"products": [warns({})],
	"customer": {"banned": true},
	"want": {"allow": false, "code": "customer_banned"},
}

cases["a revoked digest is enforced"] := {
	"products": [warns({})],
	"candidates": [c({"revoked_at": 1})],
	"want": {"allow": false, "code": "withdrawn", "enforcement": ""},
}

cases["a revoked digest is enforced where an ended license would be let through"] := {
	"products": [warns(ended)],
	"candidates": [c({"revoked_at": 1})],
	"want": {"allow": false, "code": "withdrawn", "enforcement": ""},
}

cases["a digest that is revoked on one way is let through on another"] := {
	"products": [warns(ended)],
	"candidates": [c({"revoked_at": 1}), c({"version": "1.5.0", "tag": "1.5.0"})],
	"want": {"allow": true, "code": "expired", "enforcement": "warn"},
}

cases["a digest that is revoked on the way that a license covers is enforced"] := {
	"products": [p({"keep": true, "clocks": {"ends": now, "grace": now, "updates": now + 9}})],
	"candidates": [c({"revoked_at": 1}), c({"version": "1.5.0", "tag": "1.5.0", "counts_from": now + 1})],
	"want": {"allow": false, "code": "withdrawn"},
}

cases["on the way that is left a version that is not released is let through"] := {
	"products": [warns({})],
	"candidates": [c({"revoked_at": 1}), c({"version": "1.5.0", "tag": "1.5.0", "released": now + 1})],
	"want": {"allow": true, "code": "not_yet_released", "enforcement": "warn"},
}

cases["on the way that is left a version that is withdrawn is let through"] := {
	"products": [warns(ended)],
	"candidates": [c({"revoked_at": 1}), c({"version": "1.5.0", "tag": "1.5.0", "withdrawn_at": 1})],
	"want": {"allow": true, "code": "withdrawn", "enforcement": "warn"},
}

cases["on the way that is left withdrawn counts only when everything is"] := {
	"products": [warns(ended)],
	"candidates": [c({"revoked_at": 1}), c({"version": "1.5.0", "tag": "1.5.0", "withdrawn_at": 1}), candidate_2],
	"want": {"allow": false, "code": "version_not_granted", "enforcement": ""},
}

cases["a revoked digest that is not covered is no way, but not withdrawn either"] := {
	"products": [warns(ended)],
	"candidates": [c({"withdrawn_at": 1}), object.union(candidate_2, {"revoked_at": 1})],
	"want": {"allow": false, "code": "version_not_granted", "enforcement": ""},
}

cases["a revoked digest keeps the code of what is enforced anyway"] := {
	"products": [warns({"clocks": {"suspended": [1, "never"]}})],
	"candidates": [c({"revoked_at": 1})],
	"want": {"allow": false, "code": "suspended"},
}

cases["the enforcement of the reported license counts"] := {
	"products": [p(ended), object.union(warns({"license": "b"}), {"clocks": {"starts": now + 1}})],
	"want": {"allow": false, "code": "expired", "license": "a"},
}

cases["nothing to let through"] := {
	"products": [warns({})],
	"want": {"allow": true, "code": "ok", "enforcement": "", "warnings": []},
}

cases["a revoked digest keeps the code of a revoked license"] := {
	"products": [warns({"clocks": {"revoked": 1}})],
	"candidates": [c({"revoked_at": 1})],
	"want": {"allow": false, "code": "revoked"},
}
