package postgres

import (
	"regexp"
	"strings"
)

// A table holds the documents of one kind, a row each.
type table struct {
	name    string // as errors name it: licenses/acme-2026
	kind    string // of its documents
	columns []column
}

// A column is a field of a document, or of an object in it.
type column struct {
	name  string
	field []string // its path: status, suspended, at
	codec codec
}

// codec is how a value of a document stands in a column.
type codec uint8

const (
	asText    codec = iota // text, dates and periods
	asData                 // jsonb: whatever a document holds
	asBool                 // boolean
	asStatus               // of a customer: active is the default and is not written
	asAligned              // calendar-year, or what {fiscal_year_ends: …} says
	asUpdates              // a word, or what {period: …} or {until: …} say
)

// columns makes text columns whose fields are of the same name; "name=path" is another field, and
// what follows a colon is the codec.
func columns(list string) []column {
	codecs := map[string]codec{"": asText, "data": asData, "bool": asBool, "status": asStatus, "aligned": asAligned, "updates": asUpdates}
	var out []column
	for word := range strings.FieldsSeq(list) {
		word, as, _ := strings.Cut(word, ":")
		name, field, other := strings.Cut(word, "=")
		if !other {
			field = name
		}
		out = append(out, column{name, strings.Split(field, "."), codecs[as]})
	}
	return out
}

const terms = `type zone starts ends term aligned:aligned minimum_term
	renews_every=renews.every renews_notice=renews.notice renews_cancelled=renews.cancelled
	grace updates:updates terminates keep_versions:bool enforcement grants:data features:data`

// tables are in an order in which none refers to a later one. Keys are in the documents of their customers.
var tables = []table{
	{"registries", "Registry", columns("id hosts:data upstream history catalog revoked_digests:data")},
	{"products", "Product", columns("id name registry repositories:data variants:data requires:data")},
	{"plans", "Plan", columns("id " + terms)},
	{"customers", "Customer", columns("id name zone status:status labels:data identities:data")},
	{"keys", "", columns("customer id hash expires repositories:data addresses:data")},
	{"licenses", "License", columns("id customer plan " + terms + `
		suspended_at=status.suspended.at suspended_until=status.suspended.until
		suspended_reason=status.suspended.reason suspended_public_reason=status.suspended.public_reason
		revoked_at=status.revoked.at revoked_reason=status.revoked.reason revoked_public_reason=status.revoked.public_reason
		replaces`)},
	{"releases", "Release", columns(`id product version released counts_from channel
		withdrawn_at=withdrawn.at withdrawn_reason=withdrawn.reason withdrawn_except=withdrawn.except:data requires:data`)},
	{"public", "Public", columns("id repositories:data tags:data")},
}

func tableNamed(name string) *table {
	for i := range tables {
		if tables[i].name == name {
			return &tables[i]
		}
	}
	return nil
}

func tableOf(kind string) *table {
	for i := range tables {
		if tables[i].kind == kind && kind != "" {
			return &tables[i]
		}
	}
	return nil
}

// names are the columns' names, as they are written in SQL.
func (t *table) names() []string {
	out := make([]string, len(t.columns))
	for i, c := range t.columns {
		out[i] = c.name
	}
	return out
}

// selected are the columns as a query reads them: as text.
func (t *table) selected() string {
	return "t." + strings.Join(t.names(), "::text, t.") + "::text"
}

var keyItem = regexp.MustCompile(`^keys\[\d+\]\.?`)

// columnAt is the column, and what is inside it, of a path that an error names: the field
// status.suspended.at is in the column suspended_at. What has no column of its own stays.
func (t *table) columnAt(path string) string {
	if t.name == "keys" {
		path = keyItem.ReplaceAllString(path, "")
	}
	for _, c := range t.columns {
		field := strings.Join(c.field, ".")
		rest, ok := strings.CutPrefix(path, field)
		if !ok || rest != "" && rest[0] != '.' && rest[0] != '[' {
			continue
		}
		if c.codec == asAligned || c.codec == asUpdates {
			rest = ""
		}
		return c.name + rest
	}
	return path
}
