# METADATA
# title: Vendor rules
# description: |
#   What the packages vendor.<name> contribute, collected: denials (check 11), rights of their
#   own, warnings and headers; boundaries are collected where they count. data.pullgate.rules
#   has the names, an object that is empty where there are none.
package pullgate.vendor

import data.pullgate.reason

# METADATA
# title: Denial
# description: |
#   [code, message] of the first vendor rule that denies. It is asked of the whole input, so
#   of all candidates together. Undefined when none does.
denial := min(_denials)

_denials contains [code, message] if {
	some name, _ in data.pullgate.rules
	contribution := data.vendor[name].deny[_]
	code := _code(name, contribution)
	message := _message(contribution)
}

# METADATA
# title: Warnings
# description: What vendor rules tell a customer whose request is allowed, in order of code.
warnings := sort([{"code": code, "message": message} |
	some name, _ in data.pullgate.rules
	contribution := data.vendor[name].warn[_]
	code := _code(name, contribution)
	message := _message(contribution)
])

# METADATA
# title: Headers
# description: Headers that vendor rules add to what is allowed.
headers := sort([contribution |
	some name, _ in data.pullgate.rules
	contribution := data.vendor[name].header[_]
])

_code(name, contribution) := sprintf("vendor.%s.%s", [name, contribution.code])

_message(contribution) := reason.clip(regex.replace(contribution.message, `[^ -~]+`, "?"), 160)
