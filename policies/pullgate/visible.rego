package pullgate

import data.pullgate.check
import data.pullgate.miss
import data.pullgate.open
import data.pullgate.until

# METADATA
# title: Visible candidates
# description: |
#   Indexes of the candidates that the subject may see: those of the tags that a decision about
#   the tag alone would allow. Where vendor rules have a say, that decision is asked for.
# entrypoint: true
visible := {i | some tag, [true, _] in _answers; some i in _tags[tag]} if {
	_rules_are_asked
} else := (_covered | _public) | _let_through

# METADATA
# title: Until when they are
# description: |
#   The earliest later boundary of a decision about one of the tags that vendor rules are asked
#   about, or "never". Without vendor rules all boundaries are known without asking the policy.
# entrypoint: true
visible_until := min({boundary | some [_, boundary] in _answers} | {"never"})

_rules_are_asked if {
	data.pullgate.rules != {}
	customer.banned == false
}

# [allow, until] of each tag, asked as a request for it would ask. The input is copied for each
# tag, so all candidates are taken out of it before.
_answers[tag] := answer if {
	_rules_are_asked
	some tag, indexes in _tags
	path := sprintf("/v2/%s/manifests/%s", [input.resource.repository, tag])
	answer := _answer_now with input as json.remove(input, ["/resource/candidates"])
		with input.action as "pull"
		with input.resource.kind as "manifest"
		with input.resource.tag as tag
		with input.resource.path as path
		with input.request.path as path
		with input.resource.candidates as [candidate | some i in indexes; candidate := input.resource.candidates[i]]
}

_answer_now := [decision.allow, until.with_rules]

# The indexes of each tag's candidates.
_tags[candidate.tag] contains i if some i, candidate in input.resource.candidates

# check.version_right, written out: a list may have ten thousand candidates, most of which fail at
# the range, and a call costs more than that comparison.
_covered contains i if {
	customer.banned == false
	time := input.time
	product := input.resource.product
	some grant in customer.products[product]
	[_, _, limit] := check.standing(grant, time)
	some [from, to] in grant.ranges
	some i, candidate in input.resource.candidates
	order := candidate.order
	from <= order
	order < to
	candidate.product == product
	candidate.channel == grant.channels[_]
	candidate.released <= time
	candidate.counts_from < limit
	time < candidate.retires_at
	time < candidate.revoked_at
	check.open_to(candidate, grant, time)
}

_covered contains i if {
	customer.banned == false
	time := input.time
	some grant in customer.repositories[input.resource.repository]
	[_, _, limit] := check.standing(grant, time)
	some i, candidate in input.resource.candidates
	check.tag_right(grant, candidate, limit, time)
}

# Not a plain look-up: OPA's rule index would look it up by itself, in the whole of
# data.pullgate, where everybody's licenses are.
_public contains i if {
	is_array(data.pullgate.public[input.resource.repository])
	time := input.time
	some i, candidate in input.resource.candidates
	open.covers(candidate, time)
}

# What enforcement lets through is asked only where a license does not enforce.
_let_through contains i if {
	customer.banned == false
	_lenient
	some indexes in _tags
	count(indexes & _covered) == 0
	[level, _, nearest, _] := miss.nearest([candidate | some i in indexes; candidate := input.resource.candidates[i]])
	miss.lenient(level, nearest)
	some i in indexes
}

_lenient if {
	some grant in miss.live
	miss.lets_through(grant)
}
