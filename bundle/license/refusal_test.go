package license

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// base is a set to put one mistake beside.
const base = `kind: Registry
id: main
hosts: [registry.acme.example]
upstream: https://harbor.internal
---
kind: Product
id: app
registry: main
repositories: [acme/app]
---
kind: Plan
id: gold
type: subscription
term: P1Y
grace: P14D
grants: [{product: app, versions: ">=1.0.0 <2.0.0"}]
---
kind: Customer
id: acme
---
kind: Customer
id: globex
`

const (
	hashA = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	hashB = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
)

// license is a document whose lines begin at line 1 of x.yaml; the given lines come after
// these four.
func licenseWith(lines ...string) string {
	return "kind: License\nid: l\ncustomer: acme\ngrants: []\n" + strings.Join(lines, "\n") + "\n"
}

func subscription(lines ...string) string {
	return licenseWith(append([]string{"type: subscription", "starts: 2026-01-01", "ends: 2026-12-31"}, lines...)...)
}

func customerWith(lines ...string) string {
	return "kind: Customer\nid: c\n" + strings.Join(lines, "\n") + "\n"
}

// Every row is one mistake in x.yaml and the only error it gives, from its place on.
func TestMistakesAreRefusedWithTheirPlace(t *testing.T) {
	for _, c := range []struct{ name, yaml, want string }{
		{"no kind", "id: x\n", "1:1: kind: is missing: write `Registry`"},
		{"unknown kind", "kind: Licence\nid: x\n", "1:7: kind: is \"Licence\", it must be `Registry`, `Product`, `Release`, `Plan`, `Customer`, `License` or `Public`, did you mean \"License\"?"},
		{"a catalog", "kind: Catalog\nrepositories: {}\n", "1:7: kind: a catalog is no license file"},
		{"no object", "- a\n", "1:1: a document is an object"},
		{"no id", "kind: Customer\n", "1:1: id: is missing"},
		{"upper-case id", "kind: Customer\nid: Acme\n", `2:5: id: "Acme" is no id: 1 to 63 of a-z 0-9 . _ -, beginning with a letter or a digit, such as "acme"`},
		{"long id", "kind: Customer\nid: " + strings.Repeat("a", 64) + "\n", "2:5: id: "},
		{"number as id", "kind: Customer\nid: 2026\n", `2:5: id: is the number 2026 where text is meant (1.4 and 1.40 are the same number): quote it, "2026"`},
		{"truth as id", "kind: Customer\nid: true\n", `2:5: id: is the truth value true where text is meant: quote it, "true"`},
		{"reserved key", "kind: Customer\nid: key\n", `2:5: id: the id "key" is reserved`},
		{"reserved anonymous", "kind: License\nid: anonymous\ncustomer: acme\nplan: gold\nstarts: 2026-01-01\n", `2:5: id: the id "anonymous" is reserved`},
		{"reserved jwt", "kind: Customer\nid: jwt\n", `2:5: id: the id "jwt"`},
		{"reserved mtls", "kind: Customer\nid: mtls\n", `2:5: id: the id "mtls"`},
		{"id twice", "kind: Customer\nid: acme\n", `2:5: id: there is a Customer "acme" already, at base.yaml:18:1`},
		{"unknown field", customerWith("nmae: X"), `3:1: nmae: unknown field "nmae", did you mean "name"?; known here: kind, id, name, zone, status, labels, keys, identities`},
		{"unknown field inside", customerWith("keys: [{id: ci, hash: \"" + hashA + "\", expire: 2026-01-01}]"), `3:98: keys[0].expire: unknown field "expire", did you mean "expires"?`},
		{"duplicate field", customerWith("name: A", "name: B"), `4:1: duplicate field "name", written already at x.yaml:3:1`},
		{"duplicate label", customerWith("labels: {a: 1, a: 2}"), `3:16: duplicate field "a"`},
		{"anchor", customerWith("name: &a X"), "3:7: anchors are not allowed (&a)"},
		{"alias", customerWith("name: &a X", "labels: {n: *a}"), "3:7: anchors are not allowed (&a)"},
		{"unknown alias", customerWith("name: *a"), "3:7: not YAML: unknown anchor 'a' referenced"},
		{"merge key", customerWith("labels: {<<: {a: 1}}"), "3:10: merge keys are not allowed"},
		{"tag", customerWith("name: !!str 1"), "3:7: tags are not allowed (!!str)"},
		{"key that is a list", customerWith("? [a]", ": 1"), "3:3: a field name is text"},
		{"deep nesting", customerWith("labels: {a: " + strings.Repeat("[", 40) + strings.Repeat("]", 40) + "}"), "3:"},
		{"broken YAML", customerWith("name: [a"), "4:1: not YAML: "},
		{"empty value", customerWith("name:"), "3:1: name: is empty"},
		{"null value", customerWith("name: ~"), "3:7: name: is empty"},
		{"list for text", customerWith("name: [a]"), "3:7: name: is a list, it must be one line of text"},
		{"text for list", customerWith("keys: ci"), `3:7: keys: is "ci", it must be a list`},
		{"text in several lines", customerWith("name: |", "  a", "  b"), "3:7: name: has several lines"},
		{"null label", customerWith("labels: {a: ~}"), "3:13: labels.a: is empty"},
		{"infinite label", customerWith("labels: {a: .inf}"), "3:13: labels.a: is the number .inf"},
		{"list with one item as text", customerWith("identities: x"), "3:13: identities: is \"x\", it must be a list: write [x]"},
		{"object as text", customerWith("labels: eu"), "3:9: labels: is \"eu\", it must be an object with fields: write {region: eu}"},
		{"unknown zone", customerWith("zone: Europe/Berlim"), `3:7: zone: unknown zone "Europe/Berlim": write an IANA name like Europe/Berlin, or UTC`},
		{"zone of the machine", customerWith("zone: Local"), "3:7: zone: unknown zone"},
		{"zone outside the tables", customerWith("zone: ../etc/passwd"), "3:7: zone: unknown zone"},
		{"unknown status", customerWith("status: bannt"), "3:9: status: is \"bannt\", it must be `active` or `banned`, did you mean \"banned\"?"},

		{"key without hash", customerWith("keys:", "  - id: ci"), "4:5: keys[0].hash: is missing"},
		{"key without id", customerWith("keys: [{hash: \"" + hashA + "\"}]"), "3:8: keys[0].id: is missing"},
		{"key id twice", customerWith("keys:", "  - {id: ci, hash: \""+hashA+"\"}", "  - {id: ci, hash: \""+hashB+"\"}"), `5:5: keys[1]: c has a key "ci" already`},
		{"hash twice", customerWith("keys:", "  - {id: a, hash: \""+hashA+"\"}", "  - {id: b, hash: \""+hashA+"\"}"), "5:19: keys[1].hash: the same key is at x.yaml:4:19 already"},
		{"hash in upper case", customerWith("keys: [{id: ci, hash: \"sha256:" + strings.Repeat("A", 64) + "\"}]"), "3:23: keys[0].hash: "},
		{"hash too short", customerWith("keys: [{id: ci, hash: \"sha256:abc\"}]"), `3:23: keys[0].hash: "sha256:abc" is no hash of a key`},
		{"hash without algorithm", customerWith("keys: [{id: ci, hash: \"" + strings.Repeat("a", 64) + "\"}]"), "3:23: keys[0].hash: "},
		{"the key itself", customerWith("keys: [{id: ci, hash: pg_00khpaqrsmj132rg5rhrs0dg0a6yp5ak0ham6c6ztnh3rvyvbrj0_21fe4785}]"), "3:23: keys[0].hash: is a key, not its hash"},
		{"address without mask", customerWith("keys: [{id: ci, hash: \"" + hashA + "\", addresses: [10.0.0.7]}]"), `3:110: keys[0].addresses[0]: "10.0.0.7" is an address, a network is meant: write 10.0.0.7/32`},
		{"address behind the mask", customerWith("keys: [{id: ci, hash: \"" + hashA + "\", addresses: [10.0.0.7/8]}]"), `3:110: keys[0].addresses[0]: "10.0.0.7/8" has address bits behind its mask: write 10.0.0.0/8`},
		{"no address", customerWith("keys: [{id: ci, hash: \"" + hashA + "\", addresses: [office]}]"), `3:110: keys[0].addresses[0]: "office" is no network`},
		{"key for part of a segment", customerWith("keys: [{id: ci, hash: \"" + hashA + "\", repositories: [acme/app-*]}]"), `3:113: keys[0].repositories[0]: "acme/app-*": '*' stands for one whole segment`},
		{"identity of two kinds", customerWith("identities: [{jwt: {issuer: a, subject: b}, mtls: {san: c}}]"), "3:14: identities[0]: must be exactly one"},
		{"identity without subject", customerWith("identities: [{jwt: {issuer: a}}]"), "3:14: identities[0].jwt.subject: is missing"},
		{"identity twice", customerWith("identities: [{mtls: {san: a}}, {mtls: {san: a}}]"), "3:32: identities[1]: the same identity is at x.yaml:3:14 already"},

		{"unknown customer", strings.Replace(subscription(), "acme", "acmee", 1), `3:11: customer: unknown customer "acmee", did you mean "acme"?`},
		{"unknown plan", subscription("plan: golden"), `8:7: plan: unknown plan "golden", did you mean "gold"?`},
		{"unknown product", strings.Replace(subscription(), "[]", "[{product: ap, versions: all}]", 1), `4:20: grants[0].product: unknown product "ap", did you mean "app"?`},
		{"unknown license", subscription("replaces: other"), `8:11: replaces: unknown license "other": known here: l`},
		{"license of somebody else", subscription("replaces: m", "---", "kind: License", "id: m", "customer: globex", "plan: gold", "starts: 2026-01-01"), `8:11: replaces: "m" is a license of globex`},
		{"license replaces itself", subscription("replaces: l"), `8:11: replaces: "l" leads back to "l"`},
		{"no customer", "kind: License\nid: l\nplan: gold\nstarts: 2026-01-01\n", "1:1: customer: is missing"},
		{"no type", licenseWith("ends: 2026-12-31"), "1:1: type: is missing"},
		{"no grants", "# line\nkind: License\nid: l\ncustomer: acme\ntype: trial\nends: 2026-12-31\n", "2:1: grants: is missing"},
		{"unknown type", licenseWith("type: rental", "ends: 2026-12-31"), "5:7: type: is \"rental\""},

		{"no end", licenseWith("type: subscription"), "1:1: ends: is missing: one of `ends`, `term` and `aligned`"},
		{"two ends", subscription("aligned: calendar-year"), "8:1: aligned: `ends` is here already"},
		{"term without start", licenseWith("type: subscription", "term: P1Y"), "6:7: term: needs `starts`"},
		{"aligned without start", licenseWith("type: subscription", "aligned: calendar-year"), "6:10: aligned: needs `starts`"},
		{"plan's term without start", "kind: License\nid: l\ncustomer: acme\nplan: gold\n", "4:7: term: needs `starts`, which it counts from (from the plan \"gold\")"},
		{"updates without start", licenseWith("type: subscription", "ends: 2026-12-31", "updates: {period: P1Y}"), "7:10: updates: a `period` needs `starts`"},
		{"end at the start", licenseWith("type: subscription", "starts: 2026-06-01", "ends: 2026-05-31"), "7:7: ends: is not after `starts`"},
		{"endless subscription", licenseWith("type: subscription", "ends: never"), "6:7: ends: only a perpetual license never ends"},
		{"ending perpetual", licenseWith("type: perpetual", "ends: 2026-12-31", "updates: forever"), "6:7: ends: a perpetual license has `ends: never`"},
		{"perpetual with a term", licenseWith("type: perpetual", "starts: 2026-01-01", "term: P1Y", "updates: forever"), "7:7: term: a perpetual license has `ends: never` instead"},
		{"minimum beside a date", subscription("minimum_term: P3M"), "8:15: minimum_term: only stands beside `aligned`"},
		{"minimum in a plan alone", "kind: Plan\nid: p\nminimum_term: P3M\n", "3:15: minimum_term: only stands beside `aligned`"},
		{"no term at all", licenseWith("type: subscription", "starts: 2026-01-01", "term: P0D"), "7:7: term: P0D lasts nothing"},
		{"no fiscal day", licenseWith("type: subscription", "starts: 2026-01-01", "aligned: {fiscal_year_ends: 06-31}"), `7:29: aligned.fiscal_year_ends: "06-31" is no day of a year`},
		{"unknown alignment", licenseWith("type: subscription", "starts: 2026-01-01", "aligned: fiscal-year"), "7:10: aligned: is \"fiscal-year\", it must be `calendar-year`"},
		{"renews without a period", subscription("renews: {notice: P30D}"), "1:1: renews.every: is missing"},
		{"renews by nothing", subscription("renews: {every: P0D}"), "8:17: renews.every: P0D lasts nothing"},
		{"cancelled on a day", subscription("renews: {every: P1Y, cancelled: 2026-11-20}"), "8:33: renews.cancelled: 2026-11-20 is a date: a cancellation arrives at an instant"},
		{"renewing trial", licenseWith("type: trial", "ends: 2026-12-31", "renews: {every: P1Y}"), "7:9: renews: a trial license does not renew"},
		{"trial with grace", licenseWith("type: trial", "ends: 2026-12-31", "grace: P1D"), "7:8: grace: a trial has no grace"},
		{"trial with a plan's grace", "kind: License\nid: l\ncustomer: acme\nplan: gold\ntype: trial\nstarts: 2026-01-01\n", "4:7: grace: a trial has no grace"},
		{"perpetual without updates", licenseWith("type: perpetual", "ends: never"), "1:1: updates: is missing: a perpetual license says how long"},
		{"perpetual with the term's updates", licenseWith("type: perpetual", "ends: never", "updates: with-term"), "7:10: updates: a perpetual license has no term"},
		{"updates of two kinds", subscription("updates: {until: 2026-12-31, period: P1Y}"), "8:10: updates: must be exactly one"},
		{"updates of no kind", subscription("updates: always"), "8:10: updates: is \"always\""},
		{"terminates before the end", subscription("terminates: 2026-12-30"), "8:13: terminates: is before the use end"},
		{"perpetual terminates", licenseWith("type: perpetual", "ends: never", "updates: forever", "terminates: 2030-12-31"), "8:13: terminates: is before the use end, which never comes"},
		{"kept without an end", subscription("keep_versions: true"), "8:16: keep_versions: needs `terminates`"},
		{"kept maybe", subscription("keep_versions: yes"), "8:16: keep_versions: is \"yes\", it must be true or false"},
		{"unknown enforcement", subscription("enforcement: strict"), "8:14: enforcement: is \"strict\""},
		{"lenient date", licenseWith("type: subscription", "ends: 2026-1-9"), `6:7: ends: "2026-1-9" is no date`},
		{"no such day", licenseWith("type: subscription", "ends: 2026-02-29"), `6:7: ends: "2026-02-29" is no day of the calendar`},
		{"instant without offset", licenseWith("type: subscription", "ends: 2026-12-31T00:00:00"), `6:7: ends: "2026-12-31T00:00:00" needs an offset`},
		{"no period", licenseWith("type: subscription", "starts: 2026-01-01", "term: 1 year"), `7:7: term: "1 year" is no period`},
		{"term beyond the calendar", licenseWith("type: subscription", "starts: 9999-12-31", "term: P1Y"), "7:7: term: leads beyond the year 9999: write a shorter period, or an earlier date"},
		{"aligned beyond the calendar", licenseWith("type: subscription", "starts: 9999-01-01", "aligned: {fiscal_year_ends: 06-30}", "minimum_term: P1Y"), "7:10: aligned: leads beyond the year 9999"},
		{"renewal beyond the calendar", subscription("renews: {every: P9000Y}"), "8:9: renews: leads beyond the year 9999"},
		{"cancelled beyond the calendar", subscription("renews: {every: P1Y, notice: P9000Y, cancelled: 2026-11-20T10:00:00Z}"), "8:9: renews: leads beyond the year 9999"},
		{"grace beyond the calendar", subscription("grace: P9000Y"), "8:8: grace: leads beyond the year 9999"},
		{"updates beyond the calendar", subscription("updates: {period: P9000Y}"), "8:10: updates: leads beyond the year 9999"},
		{"termination beyond the calendar", subscription("terminates: PT80000000H"), "8:13: terminates: leads beyond the year 9999"},
		{"plan's term beyond the calendar", "kind: Plan\nid: p\nterm: P9000Y\n---\nkind: License\nid: l\ncustomer: acme\ntype: subscription\nstarts: 2026-01-01\nplan: p\ngrants: []\n", "10:7: term: leads beyond the year 9999: write a shorter period, or an earlier date (from the plan \"p\")"},
		{"history beyond the calendar", "kind: Registry\nid: r\nhosts: [r.example]\nupstream: https://x.internal\nhistory: P9999Y\n", "5:10: history: P9999Y reaches past the year 9999"},
		{"suspended backwards", subscription("status: {suspended: {at: 2026-06-01, until: 2026-05-31}}"), "8:45: status.suspended.until: is not after `at`"},
		{"suspended without a day", subscription("status: {suspended: {reason: unpaid}}"), "1:1: status.suspended.at: is missing"},
		{"suspended and revoked", subscription("status: {suspended: {at: 2026-06-01}, revoked: {at: 2026-06-01}}"), "8:9: status: must be exactly one"},
		{"unknown state", subscription("status: suspended"), "8:9: status: is \"suspended\", it must be `active`"},
		{"plan names a customer", "kind: Plan\nid: p\ncustomer: acme\n", `3:1: customer: unknown field "customer"`},
		{"plan has a status", "kind: Plan\nid: p\nstatus: active\n", `3:1: status: unknown field "status"`},
		{"plan replaces", "kind: Plan\nid: p\nreplaces: l\n", `3:1: replaces: unknown field "replaces"`},
		{"plan of a plan", "kind: Plan\nid: p\nplan: gold\n", `3:1: plan: unknown field "plan"`},
		{"two ends in a plan", "kind: Plan\nid: p\nterm: P1Y\nends: 2026-12-31\n", "4:1: ends: `term` is here already"},

		{"grant of nothing", strings.Replace(subscription(), "[]", "[{versions: all}]", 1), "4:10: grants[0]: has neither `product` nor `repository`"},
		{"grant of both", strings.Replace(subscription(), "[]", "[{product: app, repository: acme/app, versions: all}]", 1), "4:10: grants[0]: has `product` and `repository`"},
		{"grant without versions", strings.Replace(subscription(), "[]", "\n  - product: app", 1), "5:5: grants[0].versions: is missing"},
		{"grant without tags", strings.Replace(subscription(), "[]", "[{repository: acme/app}]", 1), "4:10: grants[0].tags: is missing"},
		{"tags of a product", strings.Replace(subscription(), "[]", "[{product: app, versions: all, tags: all}]", 1), "4:46: grants[0].tags: goes with `repository`"},
		{"versions of a repository", strings.Replace(subscription(), "[]", "[{repository: acme/app, tags: all, versions: all}]", 1), "4:54: grants[0].versions: goes with `product`"},
		{"bad constraint", strings.Replace(subscription(), "[]", `[{product: app, versions: ">>1.0.0"}]`, 1), "4:35: grants[0].versions: not a constraint"},
		{"constraint in a list", strings.Replace(subscription(), "[]", `[{product: app, versions: [">=1.0.0"]}]`, 1), "4:36: grants[0].versions[0]: not a version"},
		{"short version in a list", strings.Replace(subscription(), "[]", `[{product: app, versions: ["1.4"]}]`, 1), "4:36: grants[0].versions[0]: not a version"},
		{"number in a list", strings.Replace(subscription(), "[]", `[{product: app, versions: [1.4]}]`, 1), "4:36: grants[0].versions[0]: is the number 1.4"},
		{"upper-case channel", strings.Replace(subscription(), "[]", `[{product: app, versions: all, channels: [RC]}]`, 1), "4:51: grants[0].channels[0]: channels are lower case: write \"rc\""},
		{"number as tag", strings.Replace(subscription(), "[]", `[{repository: acme/app, tags: [1.4]}]`, 1), `4:40: grants[0].tags[0]: is the number 1.4 where text is meant (1.4 and 1.40 are the same number): quote it, "1.4"`},
		{"no tag pattern", strings.Replace(subscription(), "[]", `[{repository: acme/app, tags: ["1.4?"]}]`, 1), "4:40: grants[0].tags[0]: \"1.4?\" matches no tag"},
		{"tag twice", strings.Replace(subscription(), "[]", `[{repository: acme/app, tags: [a, a]}]`, 1), "4:43: grants[0].tags[1]: \"a\" is in the list already"},
		{"one tag as text", strings.Replace(subscription(), "[]", `[{repository: acme/app, tags: stable}]`, 1), "4:39: grants[0].tags: is \"stable\", it must be `all` or a list"},
		{"current tomorrow", strings.Replace(subscription(), "[]", `[{repository: acme/app, tags: {current: {as_of: tomorrow}}}]`, 1), "4:57: grants[0].tags.current.as_of: \"tomorrow\" is neither a date"},
		{"part of a segment", strings.Replace(subscription(), "[]", `[{repository: acme/app-*, tags: all}]`, 1), "4:23: grants[0].repository: \"acme/app-*\": '*' stands for one whole segment"},
		{"upper-case repository", strings.Replace(subscription(), "[]", `[{repository: Acme/app, tags: all}]`, 1), "4:23: grants[0].repository: "},

		{"registry without hosts", "kind: Registry\nid: r\nupstream: https://x.internal\n", "1:1: hosts: is missing"},
		{"registry with empty hosts", "kind: Registry\nid: r\nupstream: https://x.internal\nhosts: []\n", "4:8: hosts: is empty"},
		{"registry without upstream", "kind: Registry\nid: r\nhosts: [r.example]\n", "1:1: upstream: is missing"},
		{"host with scheme", "kind: Registry\nid: r\nhosts: [\"https://r.example\"]\nupstream: https://x.internal\n", "3:9: hosts[0]: \"https://r.example\" has more than a host"},
		{"host of another registry", "kind: Registry\nid: r\nhosts: [Registry.Acme.Example]\nupstream: https://x.internal\n", "3:9: hosts[0]: the host registry.acme.example is at base.yaml:3:9 already"},
		{"upstream without scheme", "kind: Registry\nid: r\nhosts: [r.example]\nupstream: x.internal\n", "4:11: upstream: \"x.internal\" is no address of a registry"},
		{"upstream with a password", "kind: Registry\nid: r\nhosts: [r.example]\nupstream: https://a:b@x.internal\n", "4:11: upstream: credentials do not belong in license files"},
		{"unknown catalog", "kind: Registry\nid: r\nhosts: [r.example]\nupstream: https://x.internal\ncatalog: on\n", "5:10: catalog: is \"on\", it must be `off` or `listed`"},
		{"revoked tag", "kind: Registry\nid: r\nhosts: [r.example]\nupstream: https://x.internal\nrevoked_digests: [{repository: a/b, digest: latest, at: 2026-01-01}]\n", "5:45: revoked_digests[0].digest: \"latest\" is no digest"},

		{"unknown registry", "kind: Product\nid: p\nregistry: mian\nrepositories: [a/b]\n", `3:11: registry: unknown registry "mian", did you mean "main"?`},
		{"product of nothing", "kind: Product\nid: p\n", "1:1: repositories: is missing: a product has at least one"},
		{"repository twice", "kind: Product\nid: p\nrepositories: [a/b, {name: a/b, type: chart}]\n", "3:21: repositories[1]: the repository a/b of registry main is at x.yaml:3:16 already"},
		{"repository of another product", "kind: Product\nid: p\nrepositories: [acme/app]\n", "3:16: repositories[0]: the repository acme/app of registry main is at base.yaml:9:16 already"},
		{"repository pattern", "kind: Product\nid: p\nrepositories: [acme/*]\n", "3:16: repositories[0]: \"acme/*\" is a pattern"},
		{"repository with host", "kind: Product\nid: p\nrepositories: [\"r.example:5000/acme/app\"]\n", "3:16: repositories[0]: "},
		{"unknown repository type", "kind: Product\nid: p\nrepositories: [{name: a/b, type: helm}]\n", "3:34: repositories[0].type: is \"helm\""},

		{"release of nothing", "kind: Release\nid: r\nversion: 1.4.1\n", "1:1: product: is missing"},
		{"release without version", "kind: Release\nid: r\nproduct: app\n", "1:1: version: is missing"},
		{"release of a short version", "kind: Release\nid: r\nproduct: app\nversion: \"1.4\"\n", `4:10: version: not a version: "1.4" does not have the three parts`},
		{"release of a number", "kind: Release\nid: r\nproduct: app\nversion: 1.4\n", `4:10: version: is the number 1.4`},
		{"release twice", "kind: Release\nid: r\nproduct: app\nversion: 1.4.1+a\n---\nkind: Release\nid: s\nproduct: app\nversion: v1.4.1\n", "9:10: version: a Release of app 1.4.1 is at x.yaml:4:10 already"},
		{"withdrawn but for whom", "kind: Release\nid: r\nproduct: app\nversion: 1.4.1\nwithdrawn: {at: 2026-06-01, except: [acne]}\n", `5:38: withdrawn.except[0]: unknown customer "acne", did you mean "acme"?`},
		{"public without tags", "kind: Public\nid: p\nrepositories: [a/b]\n", "1:1: tags: is missing"},
		{"public current", "kind: Public\nid: p\nrepositories: [a/b]\ntags: {current: {}}\n", "4:7: tags: is an object, it must be `all` or a list"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Parse(map[string][]byte{"base.yaml": []byte(base), "x.yaml": []byte(c.yaml)})
			var all Errors
			if !errors.As(err, &all) {
				t.Fatalf("not refused: %v", err)
			}
			if !strings.HasPrefix(all[0].Error(), "x.yaml:"+c.want) {
				t.Errorf("got  %v\nwant x.yaml:%s", all[0], c.want)
			}
			for _, e := range all[1:] {
				if !strings.Contains(e.Msg, "aliases are not allowed") && !strings.Contains(e.Msg, "leads back") {
					t.Errorf("one mistake, another error: %v", e)
				}
			}
		})
	}
}

func TestTheSameKeyOfTwoCustomersNamesBothPlaces(t *testing.T) {
	_, err := Parse(map[string][]byte{
		"a.yaml": []byte("kind: Customer\nid: a\nkeys: [{id: ci, hash: \"" + hashA + "\"}]\n"),
		"b.yaml": []byte("kind: Customer\nid: b\nkeys: [{id: ci, hash: \"" + hashA + "\"}]\n"),
	})
	if err == nil || !strings.Contains(err.Error(), "b.yaml:3:23: ") || !strings.Contains(err.Error(), "a.yaml:3:23") {
		t.Fatalf("got %v", err)
	}
}

func TestEverythingWrongIsReportedAtOnceInOrder(t *testing.T) {
	_, err := Parse(map[string][]byte{
		"b.yaml": []byte("kind: License\nid: l\ncustomer: nobody\ntype: rental\nends: 2026-1-1\nfoo: 1\n"),
		"a.yaml": []byte("kind: Customer\nid: UPPER\n---\nkind: Nothing\n---\nkind: Customer\nid: c\nzone: Mars\n"),
		"c.yaml": []byte("a: [\n"),
	})
	var all Errors
	if !errors.As(err, &all) {
		t.Fatal(err)
	}
	var places []string
	for _, e := range all {
		places = append(places, fmt.Sprintf("%s:%d", e.Pos.File, e.Pos.Line))
	}
	want := []string{"a.yaml:2", "a.yaml:4", "a.yaml:8", "b.yaml:1", "b.yaml:3", "b.yaml:4", "b.yaml:5", "b.yaml:6", "c.yaml:2"}
	if !slices.Equal(places, want) {
		t.Errorf("errors at %v, want %v:\n%v", places, want, err)
	}
	var one *FieldError
	if !errors.As(err, &one) || one != all[0] {
		t.Error("errors.As does not find a FieldError")
	}
}

func TestAMistakeInAPlanIsReportedOnce(t *testing.T) {
	files := map[string][]byte{"base.yaml": []byte(base), "p.yaml": []byte("kind: Plan\nid: p\ntype: subscription\nterm: P1\ngrants: [{product: nothing, versions: all}]\n")}
	for i := range 5 {
		files[fmt.Sprintf("l%d.yaml", i)] = fmt.Appendf(nil, "kind: License\nid: l%d\ncustomer: acme\nplan: p\nstarts: 2026-01-01\n", i)
	}
	_, err := Parse(files)
	var all Errors
	if !errors.As(err, &all) || len(all) != 2 || all[0].Pos.Line != 4 || all[1].Pos.Line != 5 {
		t.Errorf("got %v", err)
	}
}

func TestFilesThatCannotBeLicensesAreRefused(t *testing.T) {
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"too large":      {bytes.Repeat([]byte("# comment\n"), 1<<20), "x.yaml: larger than 8 MiB"},
		"not UTF-8":      {[]byte("kind: Customer\nid: \xff\n"), "x.yaml:2:5: byte 0xff is not UTF-8"},
		"Latin 1":        {[]byte("kind: Customer\nid: a\nname: M\xfcller\n"), "x.yaml:3:8: byte 0xfc is not UTF-8"},
		"UTF-16":         {[]byte("\xff\xfek\x00i\x00n\x00d\x00"), "x.yaml:1:1: byte 0xff is not UTF-8"},
		"NUL":            {[]byte("kind: Customer\nid: a\x00\n"), "x.yaml:2:6: control character U+0000"},
		"a bundle":       {[]byte("\x1f\x8b\x08\x00"), "x.yaml:1:1: control character U+001F"},
		"endless lists":  {bytes.Repeat([]byte("["), 200_000), "x.yaml:1:10001: not YAML"},
		"endless depth":  {bytes.Repeat([]byte("- "), 5_000), "nested more than 32 deep"},
		"billion laughs": {[]byte("a: &a [x,x]\nb: &b [*a,*a]\nc: &c [*b,*b]\nd: [*c,*c]\n"), "x.yaml:1:4: anchors are not allowed (&a)"},
	} {
		_, err := Parse(map[string][]byte{"x.yaml": c.data})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %.200v, want %s", name, err, c.want)
		}
	}
}
