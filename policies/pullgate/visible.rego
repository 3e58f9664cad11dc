package pullgate

import data.pullgate.check
import data.pullgate.miss
import data.pullgate.open
import data.pullgate.vendor

# METADATA
# title: Visible candidates
# description: |
#   Indexes of the candidates that the subject may see: those of the tags that a decision about
#   the tag alone would allow.
# entrypoint: true
visible := (_undenied | _public) | (_granted | _let_through)

# METADATA
# title: Until when they are
# description: |
#   The earliest later boundary that vendor rules contribute when they are asked about one of
#   the tags, or "never". All others are known without asking the policy.
# entrypoint: true
visible_until := min(_boundaries | {"never"})

_boundaries contains boundary if {
	some name, _ in data.pullgate.rules
	data.vendor[name].boundary
	some tag, indexes in _tags
	boundary := data.vendor[name].boundary[_] with input.action as "pull"
		with input.resource.kind as "manifest"
		with input.resource.tag as tag
		with input.resource.path as _path(tag)
		with input.request.path as _path(tag)
		with input.resource.candidates as _candidates(indexes)
	is_number(boundary)
	input.time < boundary
}

_undenied := _covered if {
	data.pullgate.rules == {}
} else := _covered - _denied

_covered contains i if {
	customer.banned == false
	time := input.time
	some grant in customer.products[input.resource.product]
	[_, _, limit] := check.standing(grant, time)
	some i, candidate in input.resource.candidates
	check.version_right(grant, candidate, limit, time)
}

_covered contains i if {
	customer.banned == false
	time := input.time
	some grant in customer.repositories[input.resource.repository]
	[_, _, limit] := check.standing(grant, time)
	some i, candidate in input.resource.candidates
	check.tag_right(grant, candidate, limit, time)
}

_public contains i if {
	data.pullgate.public[input.resource.repository]
	time := input.time
	some i, candidate in input.resource.candidates
	open.covers(candidate, time)
}

# The indexes of each tag's candidates: rules are asked about a tag as a request for it would
# ask them.
_tags[tag] := indexes if {
	some candidate in input.resource.candidates
	tag := candidate.tag
	indexes := {i | input.resource.candidates[i].tag == tag}
}

_candidates(indexes) := [candidate | some i in indexes; candidate := input.resource.candidates[i]]

_path(tag) := sprintf("/v2/%s/manifests/%s", [input.resource.repository, tag])

_refused if vendor.fault

_refused if vendor.denial

_denied contains i if {
	some tag, indexes in _tags
	_refused with input.action as "pull"
		with input.resource.kind as "manifest"
		with input.resource.tag as tag
		with input.resource.path as _path(tag)
		with input.request.path as _path(tag)
		with input.resource.candidates as _candidates(indexes)
	some i in indexes
}

_granted contains i if {
	data.pullgate.rules != {}
	some tag, indexes in _tags
	count(indexes & _denied) == 0
	vendor.grant with input.action as "pull"
		with input.resource.kind as "manifest"
		with input.resource.tag as tag
		with input.resource.path as _path(tag)
		with input.request.path as _path(tag)
		with input.resource.candidates as _candidates(indexes)
	some i in indexes
}

# What enforcement lets through is asked only where a license does not enforce.
_let_through contains i if {
	customer.banned == false
	_lenient
	some tag, indexes in _tags
	count(indexes & _undenied) == 0
	_lets_through(tag, _candidates(indexes))
	some i in indexes
}

_lets_through(_, candidates) if {
	data.pullgate.rules == {}
	[level, _, nearest, _] := miss.nearest(candidates)
	miss.lenient(level, nearest)
}

_lets_through(tag, candidates) if {
	data.pullgate.rules != {}
	_let with input.action as "pull"
		with input.resource.kind as "manifest"
		with input.resource.tag as tag
		with input.resource.path as _path(tag)
		with input.request.path as _path(tag)
		with input.resource.candidates as candidates
}

_let if {
	not vendor.fault
	miss.refusal.allow
}

_lenient if {
	some grant in miss.live
	miss.lets_through(grant)
}
