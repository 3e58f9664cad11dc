package pullgate_test

# Every case that is a pull says what a list shows: the candidates that a decision about the
# candidate alone would allow, and no others.
invisible[name] := {"visible": got, "allowed": want} if {
	some name, case in cases
	not case.rules
	not case.list
	not case.input.action
	got := visible(case)
	want := {i |
		some i, one in world(case).candidates
		decision(object.union(case, {"candidates": [one]})).allow
	}
	got != want
}

test_visible_agrees_with_every_single_decision if {
	print(invisible)
	invisible == {}
}

shown(case) := visible(object.union({"candidates": [candidate, candidate_2, c({"tag": "stable", "order": [3, 0, 0, {}]})]}, case))

test_versions_are_visible if shown({"products": [product_grant]}) == {0}

test_tags_are_visible if shown({"repositories": [repository_grant]}) == {0, 1, 2}

test_public_tags_are_visible if shown({"public": opened(open_entry)}) == {0}

test_everything_together_is_visible if {
	shown({"products": [product_grant], "repositories": [r({"tags": {"stable": true}, "patterns": []})]}) == {0, 2}
}

test_what_warn_lets_through_is_visible if {
	shown({"products": [warns(ended)]}) == {0}
	shown({"repositories": [r(object.union({"enforcement": "observe"}, ended))]}) == {0, 1, 2}
}

test_nothing_is_visible_to_nobody if {
	shown({"products": [product_grant], "input": {"subject": {"customer": "nobody"}}}) == set()
	shown({"products": [warns(ended)], "customer": {"banned": true}}) == set()
	shown({"products": [product_grant], "customer": {"banned": true}}) == set()
	shown({"repositories": [repository_grant], "customer": {"banned": true}}) == set()
}

test_a_banned_customer_sees_what_is_public if {
	shown({"products": [product_grant], "public": opened(open_entry), "customer": {"banned": true}}) == {0}
}
