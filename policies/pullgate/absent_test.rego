package pullgate_test

# A field that is missing never permits. Each of these removes one field that the schema
# requires from a document that is allowed with it.

without(object_, field) := object.remove(object_, [field])

# For each field the code of the refusal.
grant_fields := {
	"ranges": "tag_not_granted",
	"channels": "channel_not_granted",
	"clocks": "not_granted",
}

test_product_grant_without_a_field if {
	every field, code in grant_fields {
		d := decision({"products": [without(product_grant, field)]})
		print(field, d)
		d.allow == false
		d.code == code
	}
}

clock_fields := {
	"starts": "not_started",
	"ends": "internal_error",
	"updates": "outside_update_window",
	"grace": "expired",
	"terminates": "terminated",
	"revoked": "revoked",
	"suspended": "suspended",
	"replaced": "not_granted",
}

test_grant_without_a_clock if {
	every field, code in clock_fields {
		d := decision({"products": [object.union(without(product_grant, "clocks"), {"clocks": without(clocks, field)})]})
		print(field, d)
		d.allow == false
		d.code == code
	}
}

test_grant_without_a_clock_after_the_end if {
	every field in object.keys(clock_fields) - {"grace"} {
		decision({"products": [object.union(without(p(keeps), "clocks"), {"clocks": without(p(keeps).clocks, field)})]}).allow == false
	}
}

candidate_fields := {
	"product": "tag_not_granted",
	"order": "tag_not_granted",
	"channel": "channel_not_granted",
	"released": "not_yet_released",
	"counts_from": "outside_update_window",
	"withdrawn_at": "withdrawn",
	"retires_at": "tag_not_granted",
	"revoked_at": "withdrawn",
}

test_candidate_without_a_field if {
	every field, code in candidate_fields {
		d := decision({"products": [product_grant], "candidates": [without(candidate, field)]})
		print(field, d)
		d.allow == false
		d.code == code
	}
}

tag_fields := {
	"tag": "tag_not_granted",
	"released": "not_yet_released",
	"counts_from": "outside_update_window",
	"withdrawn_at": "withdrawn",
	"retires_at": "tag_not_granted",
	"revoked_at": "withdrawn",
}

test_tag_without_a_field if {
	every field, code in tag_fields {
		d := decision({"repositories": [r({"patterns": ["*"]})], "candidates": [without(candidate, field)]})
		print(field, d)
		d.allow == false
		d.code == code
	}
}

test_repository_grant_without_tags if {
	decision({"repositories": [without(without(repository_grant, "tags"), "patterns")]}).allow == false
}

test_grant_that_holds_nothing if {
	decision({"products": [without(product_grant, "held")], "candidates": [c({"requires": ["sso"]})]}).code == "feature_missing"
	decision({"products": [without(product_grant, "keep")], "input": {"time": 10000000}}).code == "expired"
	decision({"products": [without(p(in_grace), "type")]}).code == "expired"
	decision({"products": [without(warns(ended), "enforcement")]}).allow == false
	decision({"products": [without(product_grant, "empty")], "list": listing}).code == "not_granted"
}

test_customer_without_a_field if {
	world_ := world({"products": [product_grant]})
	every field, code in {"banned": "customer_banned", "products": "not_granted", "licenses": "internal_error"} {
		d := data.pullgate.decision with data.pullgate.customers as {"acme": without(customers(world_).acme, field)}
			with input as pull([candidate])
		print(field, d)
		d.allow == false
		d.code == code
	}
}

test_list_of_a_customer_without_banned if {
	d := data.pullgate.decision with data.pullgate.customers as {"acme": without(customers(world({"products": [product_grant]})).acme, "banned")}
		with input as listing
	d.code == "customer_banned"
}

test_public_tag_without_a_field if {
	every field in ["tag", "retires_at", "revoked_at"] {
		decision({"public": opened(open_entry), "candidates": [without(candidate, field)]}).allow == false
	}
}

test_question_without_a_resource if {
	decision({"products": [product_grant], "list": without(pull([]), "resource")}).code == "not_granted"
	decision({"products": [product_grant], "list": without(pull([]), "action")}).allow == false
}
