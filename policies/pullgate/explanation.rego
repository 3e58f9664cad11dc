package pullgate

import data.pullgate.explain

# METADATA
# title: Explanation
# description: |
#   How the decision about the same question came about: every grant that was considered, with
#   the checks that each candidate passed and failed, which of them is reported and why, and
#   what else could have answered. It is asked by people, never on the way of a request.
# entrypoint: true
explanation := {
	"decision": decision,
	"banned": explain.banned,
	"licenses": explain.licenses,
	"unnamed": explain.unnamed,
	"grants": explain.grants,
	"reported": explain.reported,
	"gone": explain.gone,
	"public": explain.public,
	"vendor": explain.vendor_rules,
}
