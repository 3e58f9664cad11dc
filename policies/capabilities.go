package policies

import (
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// allowed are the builtins that a policy may use: pure, and with a cost that follows the size
// of what they are given. A test runs each of them with hostile arguments. What is neither here
// nor in refused is refused too, so that a newer OPA brings nothing in by itself.
var allowed = []string{
	"assign", "eq", "equal", "neq", "lt", "lte", "gt", "gte", "internal.member_2", "internal.member_3",
	"abs", "ceil", "floor", "round", "plus", "minus", "mul", "div", "rem", "format_int",
	"numbers.range", "numbers.range_step", // they ask Cancel before each number
	"bits.and", "bits.negate", "bits.or", "bits.rsh", "bits.xor",
	"count", "max", "min", "product", "sort", "sum",
	"and", "or", "intersection", "union",
	"array.concat", "array.flatten", "array.reverse", "array.slice",
	"json.filter", "json.remove", "object.filter", "object.get", "object.keys", "object.remove", "object.subset", "object.union", "object.union_n",
	"graph.reachable", "walk",
	"is_array", "is_boolean", "is_null", "is_number", "is_object", "is_set", "is_string", "type_name",
	"concat", "contains", "endswith", "indexof", "indexof_n", "lower", "replace", "split", "sprintf", "startswith", "substring",
	"trim", "trim_left", "trim_prefix", "trim_right", "trim_space", "trim_suffix", "upper", "internal.template_string",
	"strings.any_prefix_match", "strings.any_suffix_match", "strings.count", "strings.replace_n", "strings.reverse", "strings.split_n",
	"regex.find_all_string_submatch_n", "regex.find_n", "regex.match", "regex.replace", "regex.split",
	"base64.decode", "base64.encode", "base64.is_valid", "base64url.decode", "base64url.encode", "base64url.encode_no_pad",
	"hex.decode", "hex.encode", "json.is_valid", "json.marshal",
	"urlquery.decode", "urlquery.decode_object", "urlquery.encode", "urlquery.encode_object", "uri.is_valid", "uri.parse", "uuid.parse",
	"crypto.hmac.equal", "crypto.hmac.md5", "crypto.hmac.sha1", "crypto.hmac.sha256", "crypto.hmac.sha512",
	"crypto.md5", "crypto.sha1", "crypto.sha256",
	"net.cidr_contains", "net.cidr_intersects", "net.cidr_is_valid", "net.cidr_merge",
	"semver.compare", "semver.is_valid",
	"time.add_date", "time.clock", "time.date", "time.diff", "time.format", "time.parse_duration_ns", "time.parse_ns", "time.parse_rfc3339_ns", "time.weekday",
	"rego.metadata.chain", "rego.metadata.rule", // answered when compiled
	"print", "internal.print", "internal.test_case", // of tests; print is left out of what is shipped
}

// features are what of the language a policy may use beside OPA's first version. Experimental
// keywords (and, or, not with a body) are left out: they change what `not` means.
var features = []string{ast.FeatureKeywordsInRefs, ast.FeatureRegoV1, ast.FeatureTemplateStrings}

// Capabilities returns what a policy may use: OPA's builtins without network, clock,
// randomness and environment, and without those that take too long or too much for what they
// are given; and no host to reach. The result is the caller's.
func Capabilities() *ast.Capabilities {
	c := ast.CapabilitiesForThisVersion()
	c.Builtins = slices.DeleteFunc(c.Builtins, func(b *ast.Builtin) bool { return !slices.Contains(allowed, b.Name) })
	c.Features = slices.DeleteFunc(c.Features, func(f string) bool { return !slices.Contains(features, f) })
	c.FutureKeywords = []string{}
	c.AllowNet = []string{}
	return c
}

// whyNot is why a builtin of OPA is not allowed and what to write instead, "" when there is no
// such builtin.
func whyNot(name string) string {
	if why, ok := refused[name]; ok {
		return why
	}
	for _, group := range []string{"crypto.x509.", "graphql.", "io.jwt."} {
		if strings.HasPrefix(name, group) {
			return refused[group]
		}
	}
	if _, ok := ast.BuiltinMap[name]; ok && !slices.Contains(allowed, name) {
		return "it is not known to be safe in a rule"
	}
	return ""
}

const (
	reachesOut  = "a rule must not reach the network: put what it would fetch into the license files, as labels of the customer"
	readsClock  = "a rule has no clock of its own, its answer would change unnoticed: read input.time (Unix seconds) and contribute a boundary"
	readsChance = "a rule must give the same answer every time: choose by the customer instead, for example by crypto.sha256(input.subject.customer)"
	readsHost   = "a rule must answer alike on every machine: put the setting into the license files, as a label of the customer"
	growsMuch   = "it can make a huge value of a small one"
	takesLong   = "it cannot be interrupted and can take seconds"
	noYAML      = "nothing in a request is YAML: lists belong into labels of customers, and json.marshal writes a value as text"
	parsesText  = "a text that a client chooses can become a number with which OPA computes for seconds or fails (1e-30000, 0x1p-9): write numbers as numbers, such as in a label without quotes, and compare versions by candidate.order"
)

// refused are the other builtins, each with the reason and what to write instead.
var refused = map[string]string{
	"http.send":                 reachesOut,
	"net.lookup_ip_addr":        reachesOut,
	"json.match_schema":         reachesOut + " (a schema may name another by its address)",
	"json.verify_schema":        reachesOut + " (a schema may name another by its address)",
	"time.now_ns":               readsClock,
	"rand.intn":                 readsChance,
	"uuid.rfc4122":              readsChance,
	"opa.runtime":               readsHost,
	"trace":                     "it writes into traces of OPA that nobody reads: use print in a test",
	"to_number":                 parsesText,
	"json.unmarshal":            parsesText,
	"units.parse":               parsesText,
	"units.parse_bytes":         parsesText,
	"yaml.is_valid":             noYAML,
	"yaml.marshal":              noYAML,
	"yaml.unmarshal":            noYAML,
	"bits.lsh":                  growsMuch + ", bits.lsh(1, 1000000000): write the number",
	"graph.reachable_paths":     growsMuch + ", and cannot be interrupted: write graph.reachable",
	"json.patch":                growsMuch + " (each copy of everything doubles it): write object.union and object.remove",
	"json.marshal_with_options": growsMuch + " (a prefix before each line): write json.marshal",
	"net.cidr_expand":           "it writes out every address: write net.cidr_contains",
	"net.cidr_contains_matches": takesLong + ": write net.cidr_contains for each range",
	"strings.render_template":   growsMuch + ": write sprintf",
	"glob.match":                takesLong + " (*a*a*b* with a long path): write startswith, endswith, or regex.match",
	"glob.quote_meta":           "there is no glob.match: write startswith, endswith, or regex.match",
	"regex.globs_match":         takesLong + ": write regex.match",
	"regex.template_match":      "its expression cannot be checked beforehand: write regex.match",
	"regex.is_valid":            "an expression is written into the rule, and check says whether it is valid",
	"rego.parse_module":         "rules ask nothing about rules",
	"providers.aws.sign_req":    "a rule signs nothing and reaches nobody",
	"crypto.parse_private_keys": "a private key has no place in a rule",
	"crypto.x509.":              "certificates are verified before rules are asked, and verifying one looks at the clock: read input.subject.claims",
	"io.jwt.":                   "tokens are verified before rules are asked: read input.subject.claims",
	"graphql.":                  "nothing in a request is GraphQL",
	"all":                       "it is deprecated: write `every`",
	"any":                       "it is deprecated: write `some … in`",
	"cast_array":                "it is deprecated: write is_array",
	"cast_boolean":              "it is deprecated: write is_boolean",
	"cast_null":                 "it is deprecated: write is_null",
	"cast_object":               "it is deprecated: write is_object",
	"cast_set":                  "it is deprecated: write is_set",
	"cast_string":               "it is deprecated: write is_string",
	"net.cidr_overlap":          "it is deprecated: write net.cidr_contains",
	"re_match":                  "it is deprecated: write regex.match",
	"set_diff":                  "it is deprecated: write a - b",
}
