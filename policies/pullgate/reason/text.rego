package pullgate.reason

# METADATA
# title: No key
# description: Nobody known asks.
# custom:
#   code: anonymous
#   kind: deny
#   message: "{asked} needs a key"
#   remedy: Log in with a key of your vendor
#   vendor: Hand out a key, or open the repository with a Public document
text["anonymous"] := _text(rego.metadata.rule())

# METADATA
# title: Customer banned
# description: The vendor has banned the customer; every license stops.
# custom:
#   code: customer_banned
#   kind: deny
#   message: Access of this customer is blocked
#   remedy: Talk to your vendor
#   vendor: "Take `status: banned` out of the customer's document"
text["customer_banned"] := _text(rego.metadata.rule())

# METADATA
# title: No license
# description: The customer has no license at all.
# custom:
#   code: no_license
#   kind: deny
#   message: "{asked} needs a license and you have none"
#   remedy: Ask your vendor for one
#   vendor: Write a License for the customer
text["no_license"] := _text(rego.metadata.rule())

# METADATA
# title: Not granted
# description: No license names the product or the repository.
# custom:
#   code: not_granted
#   kind: deny
#   message: None of your licenses names {asked}
#   remedy: Ask your vendor for one that does
#   vendor: Add a grant of the product or the repository to a license of the customer
text["not_granted"] := _text(rego.metadata.rule())

# METADATA
# title: Tag not granted
# description: The license names the resource, but not this tag, or no version stands behind it.
# custom:
#   code: tag_not_granted
#   kind: deny
#   message: "{asked}: license {license} covers {what}, not this name"
#   remedy: Ask for a name that it covers, or for a wider license
#   vendor: Widen the grant's `tags`; a floating tag also passes when a version that is granted has the same manifest
text["tag_not_granted"] := _text(rego.metadata.rule())

# METADATA
# title: Version not granted
# description: The license names the product, but its range leaves this version out.
# custom:
#   code: version_not_granted
#   kind: deny
#   message: "{asked}: license {license} covers {what}"
#   remedy: Ask for a version in that range, or for a wider license
#   vendor: Widen the grant's `versions`
text["version_not_granted"] := _text(rego.metadata.rule())

# METADATA
# title: Channel not granted
# description: The version is in range, but the license does not sell its channel.
# custom:
#   code: channel_not_granted
#   kind: deny
#   message: "{asked}: license {license} covers channel {what}"
#   remedy: Ask for a release of that channel, or for a wider license
#   vendor: Add the channel to the grant's `channels`, or set another `channel` in the Release document
text["channel_not_granted"] := _text(rego.metadata.rule())

# METADATA
# title: License revoked
# description: The vendor has ended the license at once.
# custom:
#   code: revoked
#   kind: deny
#   message: "{asked}: license {license} is revoked{reason}"
#   remedy: Talk to your vendor
#   vendor: Take the license's `status` back, or write a new license
text["revoked"] := _text(rego.metadata.rule())

# METADATA
# title: License suspended
# description: The vendor has paused the license; its dates do not move.
# custom:
#   code: suspended
#   kind: deny
#   message: "{asked}: license {license} is suspended{reason}"
#   remedy: Talk to your vendor
#   vendor: Take the license's `status` back, or wait for its `until`
text["suspended"] := _text(rego.metadata.rule())

_text(metadata) := sprintf("%s. %s.", [metadata.custom.message, metadata.custom.remedy])
