package pullgate_test

# What is told of the first grant's first outcome: [why, change] of each failed check.
words["a tag that is no version"] := {
	"products": [product_grant],
	"candidates": [object.remove(c({"tag": "edge"}), ["version", "order"])],
	"told": [["tag edge is no version of app", "a grant whose tags cover edge"]],
}

words["a text that is no version"] := {
	"products": [product_grant],
	"candidates": [object.remove(candidate, ["tag", "version", "order"])],
	"told": [["what was asked for is no version of app", "a version such as 1.4.0"]],
}

words["nothing that reaches it"] := {
	"products": [product_grant],
	"candidates": [],
	"told": [["nothing that is known reaches it", "a tag or version that reaches it"]],
}

words["history that is over"] := {
	"repositories": [repository_grant],
	"candidates": [c({"retires_at": now})],
	"told": [["nothing that is known reaches it", "a tag or version that reaches it"]],
}

words["a tag outside a grant"] := {
	"repositories": [repository_grant],
	"candidates": [object.remove(c({"tag": "edge"}), ["version"])],
	"told": [["tag edge is none of: 1.4.0, 2.*, stable", "a grant whose tags cover edge"]],
}

words["a grant of no tags"] := {
	"repositories": [r({"tags": {}, "patterns": []})],
	"candidates": [object.remove(c({"tag": "edge"}), ["version"])],
	"told": [["tag edge is none of: nothing", "a grant whose tags cover edge"]],
}

words["a version out of range"] := {
	"products": [product_grant],
	"candidates": [candidate_2],
	"told": [["version 2.0.0 is outside >=1.0.0 <2.0.0", "a grant whose versions cover 2.0.0"]],
}

words["a long constraint is cut"] := {
	"products": [p({"constraint": long})],
	"candidates": [candidate_2],
	"told": [[
		sprintf("version 2.0.0 is outside %s...", [substring(long, 0, 77)]),
		"a grant whose versions cover 2.0.0",
	]],
}

words["a channel"] := {
	"products": [p({"channels": ["stable", "rc"]})],
	"candidates": [c({"channel": "beta"})],
	"told": [["channel beta is none of: stable, rc", "channel beta in the grant's channels"]],
}

words["range and channel"] := {
	"products": [product_grant],
	"candidates": [object.remove(candidate_2, ["channel"])],
	"told": [
		["version 2.0.0 is outside >=1.0.0 <2.0.0", "a grant whose versions cover 2.0.0"],
		["channel (none) is none of: stable", "channel (none) in the grant's channels"],
	],
}

words["everything of a license at once"] := {
	"products": [k({"revoked": 3600, "suspended": [7200, "never"], "starts": 5184000, "terminates": 86400, "ends": 86400, "grace": 86400, "updates": 86400})],
	"customer": {"licenses": {"a": {"zone": "Europe/Berlin"}}},
	"told": [
		["the license is revoked since 1970-01-01 02:00", "a license that is not revoked"],
		["the license is suspended from 1970-01-01 03:00 until never", "an end of the suspension"],
		["the license starts 1970-03-02 01:00, now is 1970-02-27 21:53", "wait until 1970-03-02 00:00 UTC, or an earlier start"],
		["the license was terminated 1970-01-02 01:00 (last day 1970-01-02, Europe/Berlin), now is 1970-02-27 21:53", "a license that is not terminated"],
		["version 1.4.0 released 1970-01-11 11:00, the update window ended 1970-01-02 01:00 (last day 1970-01-02, Europe/Berlin)", "updates that last beyond 1970-01-11 10:00 UTC"],
		["the license ended 1970-01-02 01:00 (last day 1970-01-02, Europe/Berlin), now is 1970-02-27 21:53", "renew the license"],
	],
}

words["a suspension that ends"] := {
	"products": [k({"suspended": [7200, 5184000]})],
	"told": [[
		"the license is suspended from 1970-01-01 02:00 until 1970-03-02 00:00",
		"wait until 1970-03-02 00:00 UTC, or end the suspension",
	]],
}

words["an embargo"] := {
	"products": [product_grant],
	"candidates": [c({"released": 5184000})],
	"told": [[
		"version 1.4.0 is released 1970-03-02 00:00, now is 1970-02-27 20:53",
		"wait until 1970-03-02 00:00 UTC, or an earlier release date",
	]],
}

words["an embargo without an end that can be told"] := {
	"products": [product_grant],
	"candidates": [c({"released": 9223372036})],
	"told": [[
		"version 1.4.0 is released a distant day, now is 1970-02-27 20:53",
		"wait until a distant day, or an earlier release date",
	]],
}

words["a withdrawal"] := {
	"products": [product_grant],
	"candidates": [c({"withdrawn_at": 86400})],
	"told": [[
		"version 1.4.0 was withdrawn 1970-01-02 00:00",
		"another version, or the customer among the withdrawal's exceptions",
	]],
}

words["a withdrawal but for others"] := {
	"products": [product_grant],
	"candidates": [c({"withdrawn_at": 86400, "except": ["globex", "initech"]})],
	"told": [[
		"version 1.4.0 was withdrawn 1970-01-02 00:00, but for globex, initech",
		"another version, or the customer among the withdrawal's exceptions",
	]],
}

words["the updates of a backdated version"] := {
	"products": [k({"updates": 86400})],
	"candidates": [c({"counts_from": 172800})],
	"told": [[
		"version 1.4.0 counts from 1970-01-03 00:00, the update window ended 1970-01-02 00:00 (last day 1970-01-01, UTC)",
		"updates that last beyond 1970-01-03 00:00 UTC",
	]],
}

words["a date that was always"] := {
	"products": [k({"updates": -62135596800})],
	"candidates": [c({"released": -62135596800, "counts_from": -62135596800})],
	"told": [[
		"version 1.4.0 released always, the update window ended always (last day a distant day, UTC)",
		"updates that last beyond always",
	]],
}

words["features"] := {
	"products": [product_grant],
	"candidates": [c({"requires": ["audit", "gold", "sso"]})],
	"told": [[
		"version 1.4.0 requires audit, gold, sso, the license lacks audit, gold",
		"audit, gold in the license's features",
	]],
}

words["a vendor rule"] := {
	"products": [product_grant],
	"rules": {"closed": true},
	"told": [["closed", "the vendor rule that says vendor.fixture.closed"]],
}

words["an end and a grace that ended"] := {
	"products": [k({"ends": 86400, "grace": 172800, "updates": now})],
	"told": [[
		"the license ended 1970-01-02 00:00 (last day 1970-01-01, UTC), now is 1970-02-27 20:53; grace ended 1970-01-03 00:00",
		"renew the license",
	]],
}

words["a grace that ends now"] := {
	"products": [k({"ends": 86400, "grace": now, "updates": now})],
	"told": [[
		"the license ended 1970-01-02 00:00 (last day 1970-01-01, UTC), now is 1970-02-27 20:53; grace ended 1970-02-27 20:53",
		"renew the license",
	]],
}

words["a grace that does not cover it"] := {
	"products": [k({"ends": 86400, "grace": 5184000, "updates": now})],
	"told": [[
		concat("", [
			"the license ended 1970-01-02 00:00 (last day 1970-01-01, UTC), now is 1970-02-27 20:53; grace runs until 1970-03-02 00:00",
			"; that covers what is dated before the end, this released 1970-01-11 10:00",
		]),
		"renew the license",
	]],
}

words["kept versions that do not cover it"] := {
	"products": [p({"keep": true, "clocks": {"ends": 86400, "grace": 86400, "updates": now}})],
	"told": [[
		concat("", [
			"the license ended 1970-01-02 00:00 (last day 1970-01-01, UTC), now is 1970-02-27 20:53",
			"; that covers what is dated before the end, this released 1970-01-11 10:00",
		]),
		"renew the license",
	]],
}

words["a trial"] := {
	"products": [p({"type": "trial", "clocks": {"ends": 86400, "updates": now}})],
	"told": [[
		"the license ended 1970-01-02 00:00 (last day 1970-01-01, UTC), now is 1970-02-27 20:53; a trial has no grace",
		"a license that is no trial",
	]],
}

words["a trial that is suspended"] := {
	"products": [p({"type": "trial", "clocks": {"suspended": [7200, "never"]}})],
	"told": [["the license is suspended from 1970-01-01 02:00 until never", "an end of the suspension"]],
}

words["a suspended trial that ends now"] := {
	"products": [p({"type": "trial", "clocks": {"suspended": [7200, "never"], "ends": now}})],
	"told": [
		["the license is suspended from 1970-01-01 02:00 until never", "an end of the suspension"],
		[
			"the license ended 1970-02-27 20:53 (last day 1970-02-27, UTC), now is 1970-02-27 20:53; a trial has no grace",
			"a license that is no trial",
		],
	],
}

words["what is dated at the end, which is now"] := {
	"products": [p({"keep": true, "clocks": {"ends": now, "grace": now}})],
	"candidates": [c({"counts_from": now})],
	"told": [[
		concat("", [
			"the license ended 1970-02-27 20:53 (last day 1970-02-27, UTC), now is 1970-02-27 20:53",
			"; that covers what is dated before the end, this counts from 1970-02-27 20:53",
		]),
		"renew the license",
	]],
}

words["a list of an ended license"] := {
	"list": listing,
	"products": [k({"ends": 86400, "grace": 86400})],
	"told": [[
		"the license ended 1970-01-02 00:00 (last day 1970-01-01, UTC), now is 1970-02-27 20:53",
		"renew the license",
	]],
}

words["a list of a license that starts later"] := {
	"list": listing,
	"products": [k({"starts": 5184000, "updates": 1})],
	"told": [[
		"the license starts 1970-03-02 00:00, now is 1970-02-27 20:53",
		"wait until 1970-03-02 00:00 UTC, or an earlier start",
	]],
}

words["a revoked digest"] := {
	"products": [product_grant],
	"candidates": [c({"revoked_at": 86400})],
	"told": [["the digest is revoked since 1970-01-02 00:00", "another digest; a revoked one is refused whatever a license says"]],
}

words["what passes"] := {"products": [product_grant], "told": []}

told_of(case) := [[failed.why, failed.change] | some failed in explanation(case).grants[0].outcomes[0].failed]

mistold_words[name] := got if {
	some name, case in words
	got := told_of(case)
	got != case.told
}

test_words_are_told if {
	print(mistold_words)
	mistold_words == {}
}
