package pullgate.reason

# METADATA
# title: Ends soon
# description: From 14 days before the use end. It is no code and no boundary; the answer stays.
# custom:
#   code: expiring_soon
#   kind: warning
#   message: License {license} ends after {ends}
#   remedy: Renew it in time
#   vendor: Nothing needs to be done; `renews` moves the end, and with it the warning
text["expiring_soon"] := _text(rego.metadata.rule())

# METADATA
# title: In grace
# description: The term is over; grace covers what the term covered.
# custom:
#   code: grace
#   kind: allow
#   message: License {license} has ended after {ends} and is in grace until {grace}
#   remedy: Renew it now
#   vendor: Set a later end when the customer has renewed
text["grace"] := _text(rego.metadata.rule())

# METADATA
# title: Kept version
# description: The term is over; versions dated before its end stay usable until termination.
# custom:
#   code: kept_version
#   kind: allow
#   message: License {license} has ended after {ends}; this version may be kept until {terminates}
#   remedy: Renew it for newer ones
#   vendor: Set a later end when the customer has renewed
text["kept_version"] := _text(rego.metadata.rule())

# METADATA
# title: Not enforced
# description: A refusal that the license's enforcement lets through.
# custom:
#   code: enforcement
#   kind: warning
#   message: License {license} does not allow this ({code}) and is not enforced yet
#   remedy: Talk to your vendor
#   vendor: Take `enforcement` out of the license when refusals shall count
text["enforcement"] := _text(rego.metadata.rule())

# METADATA
# title: Allowed
# description: A license covers this, or the request is a login.
# custom:
#   code: ok
#   kind: allow
#   message: Allowed
#   remedy: None needed
#   vendor: Nothing needs to be done
text["ok"] := _text(rego.metadata.rule())

# METADATA
# title: Public
# description: A Public document opens this to anyone.
# custom:
#   code: public
#   kind: allow
#   message: Open to anyone
#   remedy: None needed
#   vendor: Nothing needs to be done; the Public document says what is open
text["public"] := _text(rego.metadata.rule())

# METADATA
# title: Not decided
# description: The question or the data is incomplete; pullgate itself failed.
# custom:
#   code: internal_error
#   kind: deny
#   message: The request could not be decided
#   remedy: Try again later
#   vendor: "Look up the decision: its record names the rule that failed"
text["internal_error"] := _text(rego.metadata.rule())
