package pullgate.reason

# METADATA
# title: License not started
# description: The license begins later.
# custom:
#   code: not_started
#   kind: deny
#   message: "{asked}: license {license} starts on {what}"
#   remedy: Try again then
#   vendor: Set an earlier `starts`
text["not_started"] := _text(rego.metadata.rule())

# METADATA
# title: License terminated
# description: The hard stop of the license is past; nothing of it is left.
# custom:
#   code: terminated
#   kind: deny
#   message: "{asked}: license {license} was terminated after {what}"
#   remedy: Ask your vendor for a new license
#   vendor: Write a new license, or set a later `terminates`
text["terminated"] := _text(rego.metadata.rule())

# METADATA
# title: Not yet released
# description: The version is under embargo.
# custom:
#   code: not_yet_released
#   kind: deny
#   message: "{asked} is released on {what}"
#   remedy: Try again then
#   vendor: Set an earlier `released` in the Release document
text["not_yet_released"] := _text(rego.metadata.rule())

# METADATA
# title: Withdrawn
# description: The release was taken back, or the digest must not be delivered any more.
# custom:
#   code: withdrawn
#   kind: deny
#   message: "{asked} was withdrawn by the vendor"
#   remedy: Use another version, or ask your vendor which
#   vendor: List the customer in `withdrawn.except`, or offer another version; an entry of `revoked_digests` has no exceptions
text["withdrawn"] := _text(rego.metadata.rule())

# METADATA
# title: Outside the update window
# description: The version is dated after the end of the updates that the license includes.
# custom:
#   code: outside_update_window
#   kind: deny
#   message: "{asked}: license {license} includes updates dated up to {what}"
#   remedy: Use an earlier version, or extend the updates
#   vendor: Extend the license's `updates`, or backdate the version with `counts_from`
text["outside_update_window"] := _text(rego.metadata.rule())

# METADATA
# title: Feature missing
# description: The product or the release requires a feature that the license does not hold.
# custom:
#   code: feature_missing
#   kind: deny
#   message: "{asked} requires {what}, which license {license} does not all hold"
#   remedy: Ask your vendor to add them
#   vendor: Add the feature to the license's `features`, or take it out of `requires`
text["feature_missing"] := _text(rego.metadata.rule())

# METADATA
# title: License expired
# description: The use end is past, and neither grace nor kept versions cover this.
# custom:
#   code: expired
#   kind: deny
#   message: "{asked}: license {license} ended after {what}"
#   remedy: Renew the license
#   vendor: Set a later end, or `renews`; `grace` and `keep_versions` soften an end
text["expired"] := _text(rego.metadata.rule())

# METADATA
# title: Trial ended
# description: The trial is over; a trial has no grace.
# custom:
#   code: trial_ended
#   kind: deny
#   message: "{asked}: trial {license} ended after {what}"
#   remedy: Ask your vendor for a license
#   vendor: Set a later end, or write a license of another type
text["trial_ended"] := _text(rego.metadata.rule())
