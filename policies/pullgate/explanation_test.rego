package pullgate_test

explanation(case) := v if {
	v := data.pullgate.explanation with data.pullgate.customers as customers(world(case))
		with data.pullgate.public as world(case).public
		with data.pullgate.rules as {name: true | some name in [n | n := "fixture"; case.rules]}
		with data.fixture as object.get(case, "rules", {})
		with input as question(world(case))
}

contradictions_of(case) := v if {
	v := contradictions with data.pullgate.customers as customers(world(case))
		with data.pullgate.public as world(case).public
		with data.pullgate.rules as {name: true | some name in [n | n := "fixture"; case.rules]}
		with data.fixture as object.get(case, "rules", {})
		with input as question(world(case))
}

# Each pair passes or fails, not both.
contradictions contains ["pair", grant.license, grant.grant, i, codes, failed] if {
	some grant in data.pullgate.explain.considered
	not data.pullgate.explain.inert(grant)
	some i, candidate in data.pullgate.explain.present
	codes := {code | code := data.pullgate.explain.passing[[grant.license, grant.grant]][i]}
	failed := data.pullgate.explain.failed(grant, candidate, input.time)
	count(codes) + min([1, count(failed)]) != 1
}

# What a pair fails first is its nearest miss.
contradictions contains ["first", grant.license, grant.grant, i, failed[0], miss] if {
	not data.pullgate.right.is_list
	some grant in data.pullgate.explain.considered
	not data.pullgate.explain.inert(grant)
	some i, candidate in data.pullgate.explain.present
	failed := data.pullgate.explain.failed(grant, candidate, input.time)
	count(failed) > 0
	[level, code, _] := data.pullgate.miss.furthest(grant, [candidate], input.time)
	miss := [level, code]
	failed[0] != miss
}

contradictions contains ["list", grant.license, grant.grant, failed[0], miss] if {
	data.pullgate.right.is_list
	some grant in data.pullgate.explain.considered
	not data.pullgate.explain.inert(grant)
	failed := data.pullgate.explain.failed(grant, {}, input.time)
	count(failed) > 0
	miss := data.pullgate.miss.list(grant, input.time)
	failed[0] != miss
}

# What passes is what the decision knows as a right.
contradictions contains ["right", rights, passing] if {
	data.pullgate.customer.banned == false
	not data.pullgate.vendor.denial
	rights := {[code, license, number] | some [code, _, license, number] in data.pullgate.right.passing}
	passing := {[g.passes, g.license, g.grant] | some g in data.pullgate.explain.grants; g.passes}
	rights != passing
}

# What the decision reports is the first in the order of reporting, under the same code.
contradictions contains ["reported", decision.grant, decision.code, first] if {
	decision := data.pullgate.decision
	decision.license != ""
	grant := data.pullgate.explain.grants[0]
	code := object.get(grant, "passes", object.get(grant, ["misses", "code"], ""))
	first := [sprintf("%s/%d", [grant.license, grant.grant]), code]
	first != [decision.grant, decision.code]
}

contradictions contains ["reported at all", decision.grant, reported] if {
	decision := data.pullgate.decision
	reported := data.pullgate.explain.reported
	grants := {sprintf("%s/%d", [reported.license, reported.grant])}
	{g | g := decision.grant; decision.license != ""} != grants
}

# Every considered grant is explained, every license is named once.
contradictions contains ["whole", licenses, explained] if {
	licenses := {id | data.pullgate.customer.licenses[id]}
	explained := {g.license | some g in data.pullgate.explain.grants} | {id | some id in data.pullgate.explain.unnamed}
	licenses != explained
}

contradictions contains ["no explanation"] if not data.pullgate.explanation

contradictions contains ["decision", explained, data.pullgate.decision] if {
	explained := data.pullgate.explanation.decision
	explained != data.pullgate.decision
}

# In parts, because a test has five seconds.
contradicted(from, to) := {name: found |
	some name, case in cases
	from <= name
	name < to
	found := contradictions_of(case)
	found != set()
}

test_every_case_is_explained_up_to_a_g if {
	print(contradicted("", "a g"))
	contradicted("", "a g") == {}
}

test_every_case_is_explained_up_to_b if {
	print(contradicted("a g", "b"))
	contradicted("a g", "b") == {}
}

test_every_case_is_explained_up_to_o if {
	print(contradicted("b", "o"))
	contradicted("b", "o") == {}
}

test_every_case_is_explained_up_to_t if {
	print(contradicted("o", "t"))
	contradicted("o", "t") == {}
}

test_every_case_is_explained_to_the_end if {
	print(contradicted("t", "~"))
	contradicted("t", "~") == {}
}

# Documents in which a field is missing are explained as they are decided.
lacking[sprintf("grant %s", [field])] := {"products": [without(product_grant, field)]} if {
	some field in ["ranges", "channels", "clocks", "held", "keep", "type", "enforcement"]
}

lacking[sprintf("clock %s", [field])] := {"products": [object.union(without(product_grant, "clocks"), {"clocks": without(clocks, field)})]} if {
	some field in (object.keys(clock_fields) - {"ends"})
}

lacking[sprintf("candidate %s", [field])] := {"products": [product_grant], "candidates": [without(candidate, field)]} if {
	some field, _ in candidate_fields
}

lacking[sprintf("tag %s", [field])] := {"repositories": [r({"patterns": ["*"]})], "candidates": [without(candidate, field)]} if {
	some field, _ in tag_fields
}

lacking["list empty"] := {"products": [without(product_grant, "empty")], "list": listing}

test_what_is_absent_is_told_alike if {
	found := {[name, v] |
		some name, case in lacking
		v := contradictions_of(case)
		v != set()
	}
	print(found)
	found == set()
}
