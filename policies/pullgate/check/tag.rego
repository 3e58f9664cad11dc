package pullgate.check

# METADATA
# title: Covers a tag (check 3)
# description: The text of the tag is listed, or a pattern matches the whole of it.
covers_tag(grant, candidate) if grant.tags[candidate.tag] == true

covers_tag(grant, candidate) if {
	tag := candidate.tag
	some pattern in grant.patterns
	matches(pattern, tag)
}

# METADATA
# title: Matches a tag pattern
# description: "`*` stands for any run of characters, dots included; nothing else is special."
matches("*", _)

matches(pattern, tag) if {
	expression := replace(replace(pattern, ".", "\\."), "*", ".*")
	regex.match(concat("", ["^", expression, "$"]), tag)
}
