package pullgate_test

messages["anonymous"] := {
	"list": nobody(pull([candidate])),
	"text": "acme/app needs a key. Log in with a key of your vendor.",
}

messages["a banned customer"] := {
	"customer": {"banned": true},
	"text": "Access of this customer is blocked. Talk to your vendor.",
}

messages["no license"] := {"text": "acme/app needs a license and you have none. Ask your vendor for one."}

messages["not granted"] := {
	"customer": {"licenses": {"b": license}},
	"text": "None of your licenses names acme/app. Ask your vendor for one that does.",
}

messages["a product without a repository"] := {
	"list": object.union(object.remove(pull([]), ["resource"]), {"resource": {"kind": "version", "product": "app", "candidates": []}}),
	"text": "app needs a license and you have none. Ask your vendor for one.",
}

messages["nothing in particular"] := {
	"list": object.remove(pull([]), ["resource"]),
	"text": "this needs a license and you have none. Ask your vendor for one.",
}

messages["a version"] := {
	"products": [product_grant],
	"candidates": [candidate_2],
	"text": "app 2.0.0: license a covers >=1.0.0 <2.0.0. Ask for a version in that range, or for a wider license.",
}

messages["a tag"] := {
	"repositories": [repository_grant],
	"candidates": [object.remove(c({"tag": "edge"}), ["version"])],
	"text": "acme/app:edge: license a covers 1.4.0, 2.*, stable, not this name. Ask for a name that it covers, or for a wider license.",
}

messages["a tag without a version"] := {
	"products": [product_grant],
	"candidates": [object.remove(c({"tag": "edge"}), ["version", "order"])],
	"text": "acme/app:edge: license a covers >=1.0.0 <2.0.0, not this name. Ask for a name that it covers, or for a wider license.",
}

messages["a digest that nothing reaches"] := {
	"repositories": [repository_grant],
	"candidates": [],
	"text": "acme/app: license a covers 1.4.0, 2.*, stable, not this name. Ask for a name that it covers, or for a wider license.",
}

messages["a channel"] := {
	"products": [p({"channels": ["stable", "rc"]})],
	"candidates": [c({"channel": "beta"})],
	"text": "app 1.4.0: license a covers channel stable, rc. Ask for a release of that channel, or for a wider license.",
}

messages["a revoked license says why"] := {
	"products": [k({"revoked": 1})],
	"text": "app 1.4.0: license a is revoked (invoice 7). Talk to your vendor.",
}

messages["a suspended license says why"] := {
	"products": [k({"suspended": [1, "never"]})],
	"text": "app 1.4.0: license a is suspended (invoice 7). Talk to your vendor.",
}

messages["a suspended license without a public reason"] := {
	"products": [k({"suspended": [1, "never"]})],
	"customer": {"licenses": {"a": {"public_reason": ""}}},
	"text": "app 1.4.0: license a is suspended. Talk to your vendor.",
}

messages["not started"] := {
	"products": [k({"starts": 86400 * 100})],
	"text": "app 1.4.0: license a starts on 1970-04-11. Try again then.",
}

messages["terminated"] := {
	"products": [k({"terminates": 86400})],
	"text": "app 1.4.0: license a was terminated after 1970-01-01. Ask your vendor for a new license.",
}

messages["not yet released"] := {
	"products": [product_grant],
	"candidates": [c({"released": 86400 * 100})],
	"text": "app 1.4.0 is released on 1970-04-11. Try again then.",
}

messages["withdrawn"] := {
	"products": [product_grant],
	"candidates": [c({"withdrawn_at": 1})],
	"text": "app 1.4.0 was withdrawn by the vendor. Use another version, or ask your vendor which.",
}

messages["outside the update window"] := {
	"products": [k({"updates": 86400 * 2})],
	"text": "app 1.4.0: license a includes updates dated up to 1970-01-02. Use an earlier version, or extend the updates.",
}

messages["a feature"] := {
	"products": [product_grant],
	"candidates": [c({"requires": ["audit", "sso"]})],
	"text": "app 1.4.0 requires audit, sso, which license a does not all hold. Ask your vendor to add them.",
}

messages["ended with its last day"] := {
	"products": [k({"ends": 86400, "grace": 86400, "updates": now})],
	"text": "app 1.4.0: license a ended after 1970-01-01. Renew the license.",
}

messages["a list of an ended license"] := {
	"list": listing,
	"products": [k({"ends": 86400, "grace": 86400})],
	"text": "acme/app: license a ended after 1970-01-01. Renew the license.",
}

messages["a trial"] := {
	"products": [p({"type": "trial", "clocks": {"ends": 86400, "updates": now}})],
	"text": "app 1.4.0: trial a ended after 1970-01-01. Ask your vendor for a license.",
}

# Ends at local midnight: 1970-01-06 began at 05:00 UTC in New York and on the evening before
# in Berlin. The last usable day is the local one.
messages["the last day of an end west of Greenwich"] := {
	"products": [k({"ends": (86400 * 5) + 18000, "grace": 0, "updates": now})],
	"customer": {"licenses": {"a": {"zone": "America/New_York"}}},
	"text": "app 1.4.0: license a ended after 1970-01-05. Renew the license.",
}

messages["the last day of an end east of Greenwich"] := {
	"products": [k({"ends": (86400 * 5) - 3600, "grace": 0, "updates": now})],
	"customer": {"licenses": {"a": {"zone": "Europe/Berlin"}}},
	"text": "app 1.4.0: license a ended after 1970-01-05. Renew the license.",
}

messages["the local day of a start"] := {
	"products": [k({"starts": (86400 * 100) - 3600})],
	"customer": {"licenses": {"a": {"zone": "Europe/Berlin"}}},
	"text": "app 1.4.0: license a starts on 1970-04-11. Try again then.",
}

messages["the local last day before termination"] := {
	"products": [k({"terminates": 86400 + 18000})],
	"customer": {"licenses": {"a": {"zone": "America/New_York"}}},
	"text": "app 1.4.0: license a was terminated after 1970-01-01. Ask your vendor for a new license.",
}

messages["the local last day of the update window"] := {
	"products": [k({"updates": (86400 * 2) + 18000})],
	"customer": {"licenses": {"a": {"zone": "America/New_York"}}},
	"text": "app 1.4.0: license a includes updates dated up to 1970-01-02. Use an earlier version, or extend the updates.",
}

messages["a day beyond counting"] := {
	"products": [k({"starts": 9223372036})],
	"text": "app 1.4.0: license a starts on a distant day. Try again then.",
}

messages["the last day that can be counted"] := {
	"products": [k({"starts": 9223372035})],
	"text": "app 1.4.0: license a starts on 2262-04-11. Try again then.",
}

messages["a day that never comes"] := {
	"products": [k({"starts": "never"})],
	"text": "app 1.4.0: license a starts on a distant day. Try again then.",
}

mistold[name] := got if {
	some name, case in messages
	got := decision(case).message
	got != case.text
}

test_messages if {
	print(mistold)
	mistold == {}
}

test_messages_of_a_license_without_a_zone if {
	data_ := customers(world({"products": [k({"starts": 86400 * 100})]})).acme
	told := data.pullgate.decision.message with data.pullgate.rules as {}
		with data.pullgate.customers as {"acme": object.union(without(data_, "licenses"), {"licenses": {"a": without(data_.licenses.a, "zone")}})}
		with input as pull([candidate])
	print(told)
	told == "app 1.4.0: license a starts on 1970-04-11. Try again then."
}

long := concat("", [x | some i in numbers.range(1, 300); x := "y"])

test_long_names_are_cut if {
	message := decision({
		"products": [p({"license": substring(long, 0, 63), "constraint": long})],
		"candidates": [object.union(candidate_2, {"version": long})],
	}).message
	print(message)
	count(message) <= 160
	startswith(message, "app yyyy")
	contains(message, "...: license yyyy")
}

test_a_text_of_just_the_length_is_not_cut if {
	data.pullgate.reason.clip("abcde", 5) == "abcde"
	data.pullgate.reason.clip("abcdef", 5) == "ab..."
}

test_a_message_is_one_ascii_line if {
	message := decision({
		"products": [k({"revoked": 1})],
		"customer": {"licenses": {"a": {"public_reason": "überfällig\r\nX-Evil: 1"}}},
	}).message
	message == "app 1.4.0: license a is revoked (?berf?llig?X-Evil: 1). Talk to your vendor."
}
