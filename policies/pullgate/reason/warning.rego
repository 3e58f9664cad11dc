package pullgate.reason

# METADATA
# title: Ends soon
# description: From 14 days before the use end. It is no code and no boundary; the answer stays.
# custom:
#   code: expiring_soon
#   kind: warning
#   message: License {license} ends after {ends}
#   remedy: Renew it in time
text["expiring_soon"] := _text(rego.metadata.rule())

# METADATA
# title: In grace
# description: The term is over; grace covers what the term covered.
# custom:
#   code: grace
#   kind: allow
#   message: License {license} has ended after {ends} and is in grace until {grace}
#   remedy: Renew it now
text["grace"] := _text(rego.metadata.rule())

# METADATA
# title: Kept version
# description: The term is over; versions dated before its end stay usable until termination.
# custom:
#   code: kept_version
#   kind: allow
#   message: License {license} has ended after {ends}; this version may be kept until {terminates}
#   remedy: Renew it for newer ones
text["kept_version"] := _text(rego.metadata.rule())

# METADATA
# title: Not enforced
# description: A refusal that the license's enforcement lets through.
# custom:
#   code: enforcement
#   kind: warning
#   message: License {license} does not allow this ({code}) and is not enforced yet
#   remedy: Talk to your vendor
text["enforcement"] := _text(rego.metadata.rule())

# METADATA
# title: Allowed
# description: A license covers this, or the request is a login.
# custom:
#   code: ok
#   kind: allow
#   message: Allowed
#   remedy: None needed
text["ok"] := _text(rego.metadata.rule())

# METADATA
# title: Public
# description: A Public document opens this to anyone.
# custom:
#   code: public
#   kind: allow
#   message: Open to anyone
#   remedy: None needed
text["public"] := _text(rego.metadata.rule())

# METADATA
# title: Not decided
# description: The question or the data is incomplete; pullgate itself failed.
# custom:
#   code: internal_error
#   kind: deny
#   message: The request could not be decided
#   remedy: Try again later
text["internal_error"] := _text(rego.metadata.rule())
