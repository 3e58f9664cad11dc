# METADATA
# title: Fixtures
# description: |
#   Small documents that a case changes where it differs. Instants are small numbers around
#   now.
package pullgate_test

now := 5000000

# A license that runs, with a grace of a million seconds after it, and its product grant 1.x.
product_grant := {
	"license": "a",
	"grant": 0,
	"type": "subscription",
	"empty": false,
	"ranges": [[[1, 0, 0, {}], [2, 0, 0, []]]],
	"channels": ["stable"],
	"constraint": ">=1.0.0 <2.0.0",
	"clocks": clocks,
	"keep": false,
	"enforcement": "enforce",
	"held": ["sso"],
	"boundaries": [1000000, 10000000, 20000000],
}

clocks := {
	"starts": 1000000,
	"ends": 10000000,
	"updates": 10000000,
	"grace": 10000000,
	"terminates": 20000000,
	"revoked": "never",
	"suspended": ["never", "never"],
	"replaced": "never",
}

# The same license's repository grant: two tags and a pattern.
repository_grant := object.union(
	object.remove(product_grant, ["ranges", "channels", "constraint"]),
	{"grant": 1, "tags": {"1.4.0": true, "stable": true}, "patterns": ["2.*"]},
)

candidate := {
	"product": "app",
	"version": "1.4.0",
	"order": [1, 4, 0, {}],
	"tag": "1.4.0",
	"channel": "stable",
	"released": 900000,
	"counts_from": 900000,
	"withdrawn_at": "never",
	"retires_at": "never",
	"revoked_at": "never",
	"boundaries": [900000],
}

# Another version, outside the range.
candidate_2 := object.union(candidate, {"version": "2.0.0", "order": [2, 0, 0, {}], "tag": "2.0.0"})

# A customer whose licenses are those that the grants name.
customer(products, repositories) := {
	"hash": "",
	"id": "acme",
	"name": "ACME",
	"banned": false,
	"labels": {},
	"licenses": {id: object.union(license, {"expiring_from": fortnight_before(ends)}) |
		some grant in array.concat(products, repositories)
		id := grant.license
		ends := max({0} | {g.clocks.ends | some g in array.concat(products, repositories); g.license == id})
	},
	"products": {"app": products},
	"repositories": {"acme/app": repositories},
}

fortnight_before(ends) := ends - 1209600 if {
	is_number(ends)
} else := "never"

license := {
	"type": "subscription",
	"starts": 1000000,
	"ends": 10000000,
	"updates": 10000000,
	"grace": 10000000,
	"terminates": 20000000,
	"revoked": "never",
	"suspended": ["never", "never"],
	"replaced": "never",
	"enforcement": "enforce",
	"expiring_from": "never",
	"features": {"sso": true},
	"public_reason": "invoice 7",
	"zone": "UTC",
}

# A pull of what the candidates reach.
pull(candidates) := {
	"time": now,
	"subject": {"customer": "acme", "key": "ci", "via": "key"},
	"action": "pull",
	"resource": {"kind": "manifest", "repository": "acme/app", "product": "app", "candidates": candidates},
	"request": {"method": "GET"},
}

# The same question of somebody who is no known customer.
nobody(asked) := object.union(object.remove(asked, ["subject"]), {"subject": {"via": "anonymous"}})

# The list of the repository's tags.
listing := object.union(object.remove(pull([]), ["resource"]), {
	"action": "list",
	"resource": {"kind": "tags", "repository": "acme/app", "product": "app"},
})

# A document in which a case's own fields stand for the usual ones.
world(case) := object.union(
	{
		"products": [],
		"repositories": [],
		"candidates": [candidate],
		"customer": {},
		"public": {},
		"input": {},
	},
	case,
)

customers(case) := {"acme": object.union(customer(case.products, case.repositories), case.customer)}

question(case) := object.union(case.list, case.input) if {
	case.list
} else := object.union(pull(case.candidates), case.input)

decision(case) := d if {
	not case.rules
	d := data.pullgate.decision with data.pullgate.customers as customers(world(case))
		with data.pullgate.rules as {}
		with data.pullgate.public as world(case).public
		with input as question(world(case))
}

decision(case) := d if {
	d := data.pullgate.decision with data.pullgate.customers as customers(world(case))
		with data.pullgate.public as world(case).public
		with data.pullgate.rules as {"fixture": true}
		with data.fixture as case.rules
		with input as question(world(case))
}

visible(case) := v if {
	not case.rules
	v := data.pullgate.visible with data.pullgate.customers as customers(world(case))
		with data.pullgate.rules as {}
		with data.pullgate.public as world(case).public
		with input as question(world(case))
}

visible(case) := v if {
	v := data.pullgate.visible with data.pullgate.customers as customers(world(case))
		with data.pullgate.public as world(case).public
		with data.pullgate.rules as {"fixture": true}
		with data.fixture as case.rules
		with input as question(world(case))
}

# A case holds when the decision has the fields it wants.
holds(case) if object.subset(decision(case), case.want)
