# METADATA
# title: Maintenance freeze
# description: |
#   In a window that the customer chose nothing new reaches it: versions released since the
#   window began are refused until it ends. What ran before still pulls, for a machine that
#   starts again must not fail.
#
#   Write `released` of a Release document instead to hold one version back from everybody, and
#   `updates` of a license for what a customer has paid for.
#
#   The windows are in the rule and not in labels: an instant that cannot be read is an error,
#   and an error refuses. Here a test finds it before it counts.
package vendor.freeze

# RFC 3339 with an offset. `from` is in the window, `until` is not.
_windows := {
	"year-end-2026": {
		"from": "2026-12-18T00:00:00+01:00",
		"until": "2027-01-07T00:00:00+01:00",
		"except": {"1.5.2"}, # a fix that must not wait
	},
	"stocktaking": {
		"from": "2027-01-05T00:00:00Z",
		"until": "2027-01-12T00:00:00Z",
		"except": set(),
	},
}

# METADATA
# title: Frozen
# description: |
#   Every candidate must be new: a layer that an older version has too is no news. A resource
#   that nothing reaches has no candidates, and `every` would hold for it.
deny contains {
	"code": "frozen",
	"message": "This version was released in your maintenance freeze. Use one from before it, or ask us to end the freeze.",
} if {
	count(input.resource.candidates) > 0
	every candidate in input.resource.candidates {
		_is_held(candidate)
	}
}

_is_held(candidate) if {
	some window in _chosen
	_from(window) <= input.time
	input.time < _until(window)
	_from(window) <= candidate.released
	not _is_excepted(window, candidate)
}

_is_excepted(window, candidate) if candidate.version in window.except

# The windows that the label names: one, or a list.
_chosen contains _windows[data.pullgate.customer.labels.freeze]

_chosen contains _windows[name] if some name in data.pullgate.customer.labels.freeze

_from(window) := _seconds(window.from)

_until(window) := _seconds(window.until)

_seconds(instant) := floor(time.parse_rfc3339_ns(instant) / 1000000000)

boundary contains _from(window) if some window in _chosen

boundary contains _until(window) if some window in _chosen
