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
	entry := data.vendor[name].deny[_]
	code := _code(name, entry)
	message := _message(entry)
}

# METADATA
# title: Warnings
# description: What vendor rules tell a customer whose request is allowed, in order of code.
warnings := sort([{"code": code, "message": message} |
	some name, _ in data.pullgate.rules
	entry := data.vendor[name].warn[_]
	code := _code(name, entry)
	message := _message(entry)
])

# METADATA
# title: Headers
# description: Headers that vendor rules add to what is allowed.
headers := sort([entry |
	some name, _ in data.pullgate.rules
	entry := data.vendor[name].header[_]
])

_code(name, entry) := sprintf("vendor.%s.%s", [name, entry.code])

_message(entry) := reason.clip(regex.replace(entry.message, `[^ -~]+`, "?"), 160)
