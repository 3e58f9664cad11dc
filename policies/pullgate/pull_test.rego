package pullgate_test

# A grant and a candidate with changes.
p(changes) := object.union(product_grant, changes)

r(changes) := object.union(object.remove(repository_grant, {"tags"} & object.keys(changes)), changes)

c(changes) := object.union(candidate, changes)

at(time) := {"time": time}

cases["a version in range is allowed"] := {
	"products": [product_grant],
	"want": {
		"allow": true,
		"code": "ok",
		"license": "a",
		"grant": "a/0",
		"message": "",
		"until": 10000000,
		"ends": 10000000,
		"warnings": [],
		"features": {"sso": true},
		"headers": [],
		"enforcement": "",
	},
}

cases["a version above the range is not"] := {
	"products": [product_grant],
	"candidates": [candidate_2],
	"want": {"allow": false, "code": "version_not_granted", "license": "a", "grant": "a/0", "until": 10000000, "ends": 10000000, "warnings": [], "features": {}, "enforcement": ""},
}

cases["a range begins with its first version"] := {
	"products": [product_grant],
	"candidates": [c({"order": [1, 0, 0, {}]})],
	"want": {"code": "ok"},
}

cases["a version below the range is not"] := {
	"products": [product_grant],
	"candidates": [c({"order": [0, 9, 0, {}]})],
	"want": {"code": "version_not_granted"},
}

cases["a range ends before its last bound"] := {
	"products": [product_grant],
	"candidates": [c({"order": [2, 0, 0, []]})],
	"want": {"code": "version_not_granted"},
}

cases["a pre-release is less than its version"] := {
	"products": [product_grant],
	"candidates": [c({"order": [1, 0, 0, ["rc", 1]]})],
	"want": {"code": "version_not_granted"},
}

cases["a second range"] := {
	"products": [p({"ranges": [[[0, 1, 0, {}], [0, 2, 0, {}]], [[1, 0, 0, {}], {}]]})],
	"want": {"code": "ok"},
}

cases["no range"] := {
	"products": [p({"ranges": [], "empty": true})],
	"want": {"code": "version_not_granted", "license": "a"},
}

cases["another channel"] := {
	"products": [product_grant],
	"candidates": [c({"channel": "rc"})],
	"want": {"allow": false, "code": "channel_not_granted", "license": "a"},
}

cases["a second channel"] := {
	"products": [p({"channels": ["stable", "rc"]})],
	"candidates": [c({"channel": "rc"})],
	"want": {"code": "ok"},
}

cases["no channel"] := {
	"products": [p({"channels": [], "empty": true})],
	"want": {"code": "channel_not_granted"},
}

cases["a version of another product"] := {
	"products": [product_grant],
	"candidates": [c({"product": "agent"})],
	"want": {"allow": false, "code": "tag_not_granted", "license": "a"},
}

cases["a listed tag"] := {
	"repositories": [repository_grant],
	"want": {"allow": true, "code": "ok", "license": "a", "grant": "a/1"},
}

cases["a tag without a version"] := {
	"repositories": [repository_grant],
	"candidates": [object.remove(c({"tag": "stable"}), ["product", "version", "order", "channel"])],
	"want": {"code": "ok", "grant": "a/1"},
}

cases["a tag that a pattern matches"] := {
	"repositories": [repository_grant],
	"candidates": [c({"tag": "2.0-x"})],
	"want": {"code": "ok"},
}

cases["the dot of a pattern is a dot"] := {
	"repositories": [repository_grant],
	"candidates": [c({"tag": "2x0"})],
	"want": {"allow": false, "code": "tag_not_granted", "license": "a", "grant": "a/1"},
}

cases["a pattern matches the whole tag: not its end"] := {
	"repositories": [repository_grant],
	"candidates": [c({"tag": "12.0"})],
	"want": {"code": "tag_not_granted"},
}

cases["a pattern matches the whole tag: not its beginning"] := {
	"repositories": [r({"patterns": ["*.0"]})],
	"candidates": [c({"tag": "2.0.1"})],
	"want": {"code": "tag_not_granted"},
}

cases["every tag"] := {
	"repositories": [r({"tags": {}, "patterns": ["*"]})],
	"candidates": [c({"tag": "nightly"})],
	"want": {"code": "ok"},
}

cases["no tag"] := {
	"repositories": [r({"tags": {}, "patterns": [], "empty": true})],
	"want": {"allow": false, "code": "tag_not_granted", "license": "a"},
}

cases["a tag grant asks nothing of range and channel"] := {
	"repositories": [repository_grant],
	"candidates": [c({"order": [9, 0, 0, {}], "channel": "rc"})],
	"want": {"code": "ok"},
}

cases["a digest that nothing reaches"] := {
	"products": [product_grant],
	"repositories": [repository_grant],
	"candidates": [],
	"want": {"allow": false, "code": "tag_not_granted", "license": "a", "grant": "a/0"},
}

cases["every tag is not every digest"] := {
	"repositories": [r({"patterns": ["*"]})],
	"candidates": [],
	"want": {"code": "tag_not_granted"},
}

cases["any candidate is enough"] := {
	"products": [product_grant],
	"candidates": [candidate_2, candidate],
	"want": {"code": "ok"},
}

cases["a grant of neither"] := {
	"customer": {"licenses": {"b": license}},
	"want": {"allow": false, "code": "not_granted", "license": "", "grant": "", "until": "never"},
}

cases["no license at all"] := {"want": {"allow": false, "code": "no_license", "license": "", "grant": "", "until": "never"}}

cases["a license of another customer"] := {
	"products": [product_grant],
	"input": {"subject": {"customer": "initech"}},
	"want": {"allow": false, "code": "anonymous", "license": "", "until": "never"},
}

cases["nobody"] := {
	"products": [product_grant],
	"list": nobody(pull([candidate])),
	"want": {"allow": false, "code": "anonymous", "license": "", "grant": "", "until": "never", "ends": "never", "warnings": [], "features": {}, "headers": [], "enforcement": ""},
}

cases["a banned customer"] := {
	"products": [product_grant],
	"repositories": [repository_grant],
	"customer": {"banned": true},
	"want": {"allow": false, "code": "customer_banned", "license": "", "until": "never"},
}

cases["ping of a customer"] := {
	"input": {"action": "ping"},
	"want": {"allow": true, "code": "ok", "license": "", "until": "never", "message": ""},
}

cases["ping of a banned customer"] := {
	"input": {"action": "ping"},
	"customer": {"banned": true},
	"want": {"allow": true, "code": "ok"},
}

cases["ping of nobody"] := {
	"list": nobody(object.union(pull([candidate]), {"action": "ping"})),
	"want": {"allow": false, "code": "anonymous"},
}
