# METADATA
# title: Warnings
# description: What a customer is told although the request is allowed.
package pullgate.warning

import data.pullgate.customer
import data.pullgate.reason

# METADATA
# title: Warnings of a right
# description: |
#   A license that allows with code: grace, kept_version, or expiring_soon from P14D before
#   its use end, which the compiler counts on the license's calendar.
about("ok", license) := [] if {
	input.time < customer.licenses[license].expiring_from
} else := [_warning("expiring_soon", license, "ok")]

about("grace", license) := [_warning("grace", license, "grace")]

about("kept_version", license) := [_warning("kept_version", license, "kept_version")]

# METADATA
# title: Warnings of a miss that is let through
# description: Under warn the customer is told, under observe nobody is.
of_enforcement("warn", license, code) := [_warning("enforcement", license, code)]

of_enforcement("observe", _, _) := []

_warning(name, license, code) := {
	"code": name,
	"message": reason.message(name, {
		"{license}": license,
		"{code}": code,
		"{ends}": reason.day(clocks.ends, 1),
		"{grace}": reason.day(clocks.grace, 1),
		"{terminates}": reason.day(clocks.terminates, 1),
	}),
} if {
	clocks := customer.licenses[license]
}
