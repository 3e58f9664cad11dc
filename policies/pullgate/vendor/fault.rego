package pullgate.vendor

# METADATA
# title: Fault
# description: |
#   The first vendor rule that contributes something of another shape than its kind has. What
#   it meant cannot be known, so nothing is decided. Undefined when all are well formed. Grants
#   have no part that is not literal.
fault := min(_faults)

_faults contains sprintf("vendor.%s.%s", [name, kind]) if {
	some name, _ in data.pullgate.rules
	some kind in ["boundary", "deny", "header", "warn"]
	contribution := data.vendor[name][kind][_]
	not _well_formed(kind, contribution)
}

_faults contains sprintf("vendor.%s.header", [name]) if {
	some name, _ in data.pullgate.rules
	one := data.vendor[name].header[_]
	some another, _ in data.pullgate.rules
	other := data.vendor[another].header[_]
	one != other
	_names_same(one, other)
}

_well_formed("deny", {"code": code, "message": message}) if {
	is_string(code)
	is_string(message)
	message != ""
}

_well_formed("warn", {"code": code, "message": message}) if {
	is_string(code)
	is_string(message)
	message != ""
}

# Seconds of the years 1 to 9999: nanoseconds are beyond.
_well_formed("boundary", boundary) if {
	is_number(boundary)
	floor(boundary) == boundary
	boundary >= -62135596800
	boundary <= 253402300799
}

_well_formed("boundary", "never")

_well_formed("header", {"name": name, "value": value, "to": to}) if {
	is_string(name)
	is_string(to)
	is_string(value)
	count(value) <= 256
	regex.match(`^[ -~]+$`, value)
}

_names_same(one, other) if {
	lower(one.name) == lower(other.name)
	one.to == other.to
}
