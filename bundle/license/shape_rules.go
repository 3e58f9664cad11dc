package license

// The rules of a shape are what its fields say about each other, as JSON Schema. They hold for
// one document alone: where a plan may give what a license lacks, only the parser knows.
//
// A field that has no place is `false` under `properties`, because editors then mark that field.

// single is the rule of an object that has exactly one of its fields.
const single = `{"minProperties": 1, "maxProperties": 1}`

func (statusShape) rules() []string   { return []string{single} }
func (updatesShape) rules() []string  { return []string{single} }
func (identityShape) rules() []string { return []string{single} }

func (grantShape) rules() []string {
	return []string{
		`{"anyOf": [{"required": ["product"]}, {"required": ["repository"]}]}`,
		`{"if": {"required": ["product"]}, "then": {"required": ["versions"]}}`,
		`{"if": {"required": ["repository"]}, "then": {"required": ["tags"]}}`,
		`{"if": {"required": ["product"]}, "then": {"properties": {"repository": false, "tags": false},
			"errorMessage": "a grant by product has versions and channels: write another grant for a repository's tags"}}`,
		`{"if": {"required": ["repository"]}, "then": {"properties": {"product": false, "versions": false, "channels": false},
			"errorMessage": "a grant by repository has tags: write another grant for a product's versions"}}`,
	}
}

// oneEnd are the rules about two ends in one document.
var oneEnd = []string{
	`{"if": {"required": ["ends"]}, "then": {"properties": {"term": false, "aligned": false, "minimum_term": false},
		"errorMessage": "ends says already when use ends: write one of ends, term and aligned"}}`,
	`{"if": {"required": ["term"]}, "then": {"properties": {"ends": false, "aligned": false, "minimum_term": false},
		"errorMessage": "term says already when use ends: write one of ends, term and aligned"}}`,
}

func (planShape) rules() []string {
	return append([]string{
		`{"properties": {"renews": {"required": ["every"]}}}`,
		`{"if": {"required": ["minimum_term"]}, "then": {"required": ["aligned"]}}`,
	}, oneEnd...)
}

func (licenseShape) rules() []string {
	return append([]string{
		`{"if": {"required": ["plan"]}, "else": {"required": ["type", "grants"],
			"anyOf": [{"required": ["ends"]}, {"required": ["term"]}, {"required": ["aligned"]}],
			"properties": {"renews": {"required": ["every"]}}}}`,
		`{"if": {"anyOf": [{"required": ["plan"]}, {"not": {"required": ["minimum_term"]}}]}, "else": {"required": ["aligned"]}}`,
		`{"if": {"anyOf": [{"required": ["plan"]}, {"not": {"required": ["term"]}}]}, "else": {"required": ["starts"]}}`,
		`{"if": {"anyOf": [{"required": ["plan"]}, {"not": {"required": ["aligned"]}}]}, "else": {"required": ["starts"]}}`,
		`{"if": {"properties": {"updates": {"type": "object", "required": ["period"]}}, "required": ["updates"], "not": {"required": ["plan"]}},
			"then": {"required": ["starts"]}}`,
		`{"if": {"properties": {"keep_versions": {"const": true}}, "required": ["keep_versions"], "not": {"required": ["plan"]}},
			"then": {"required": ["terminates"]}}`,
		`{"if": {"properties": {"type": {"const": "perpetual"}}, "required": ["type"], "not": {"required": ["plan"]}},
			"then": {"required": ["updates"]}}`,
		`{"if": {"properties": {"type": {"const": "perpetual"}}, "required": ["type"]}, "then": {"properties": {
			"ends": {"const": "never", "errorMessage": "a perpetual license has ends: never"},
			"updates": {"pattern": "^[^w]", "errorMessage": "a perpetual license has no term: forever, {until: 2026-12-31} or {period: P1Y}"},
			"terminates": {"pattern": "^P", "errorMessage": "a perpetual license has no date at which it terminates"},
			"term": false, "aligned": false, "renews": false},
			"errorMessage": "a perpetual license has ends: never, and does not renew"}}`,
		`{"if": {"properties": {"type": {"not": {"const": "perpetual"}}}, "required": ["type"]}, "then": {"properties": {
			"ends": {"pattern": "^[^n]", "errorMessage": "only a perpetual license never ends"}}}}`,
		`{"if": {"properties": {"type": {"const": "trial"}}, "required": ["type"]}, "then": {"properties": {
			"grace": {"pattern": "^[^1-9]*$", "errorMessage": "a trial has no grace; P0D may override a plan's"},
			"renews": false}, "errorMessage": "a trial does not renew"}}`,
	}, oneEnd...)
}
