package engine

import (
	"fmt"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/pullgate/pullgate/authz"
	"github.com/pullgate/pullgate/bundle/index"
)

// keyTerms are the words of input, decision and license data, made once.
var keyTerms = func(words ...string) map[string]*ast.Term {
	m := make(map[string]*ast.Term, len(words))
	for _, w := range words {
		m[w] = ast.StringTerm(w)
	}
	return m
}(
	"time", "subject", "action", "resource", "request",
	"customer", "key", "via", "claims",
	"kind", "host", "registry", "repository", "product", "tag", "digest", "path", "candidates",
	"method", "address",
	"version", "order", "channel", "released", "counts_from", "withdrawn_at", "except", "requires", "retires_at", "revoked_at", "boundaries",
	"allow", "code", "license", "grant", "message", "until", "ends", "expiring_from", "warnings", "headers", "enforcement", "name", "value", "to",
	"banned", "hash", "id", "labels", "licenses", "products", "repositories",
	"features", "grace", "public_reason", "replaced", "revoked", "starts", "suspended", "terminates", "type", "updates", "zone",
	"channels", "clocks", "constraint", "empty", "held", "keep", "patterns", "ranges",
	// values that most inputs have
	"manifest", "blob", "tags", "referrers", "catalog", "ping", "pull", "list",
	"jwt", "mtls", "anonymous", "ext_authz", "http", "cli", "GET", "HEAD", "stable",
	// and most license data
	"never", "enforce", "warn", "observe", "subscription", "perpetual", "trial", "UTC",
)

func keyTerm(word string) *ast.Term {
	if t, ok := keyTerms[word]; ok {
		return t
	}
	return ast.StringTerm(word)
}

var (
	never       = ast.StringTerm("never") // how an instant that does not come is written (design §4)
	emptyObject = ast.ObjectTerm()
	emptyArray  = ast.ArrayTerm()
)

func instantTerm(t int64) *ast.Term {
	if t == authz.Never {
		return never
	}
	return ast.IntNumberTerm(int(t))
}

// members collects the members of an object; absent ones are left out.
type members [][2]*ast.Term

func (m *members) text(key, value string) {
	if value != "" {
		m.term(key, keyTerm(value))
	}
}

func (m *members) texts(key string, values []string) {
	if len(values) > 0 {
		terms := make([]*ast.Term, len(values))
		for i, v := range values {
			terms[i] = ast.StringTerm(v)
		}
		m.term(key, ast.ArrayTerm(terms...))
	}
}

// term adds a member, unless value is the empty string.
func (m *members) term(key string, value *ast.Term) {
	if value.Value == ast.String("") {
		return
	}
	*m = append(*m, [2]*ast.Term{keyTerm(key), value})
}

func (m members) object() *ast.Term { return ast.NewTerm(ast.NewObject(m...)) }

// inputOf is the policy's input document (policies/schemas/input.json). candidates are those
// the policy is shown: nil for a list, which has none, and empty for what nothing reaches.
// Fields that the policy does not read are left out; nil reads them all.
func inputOf(in *authz.Input, candidates *ast.Term, reads map[string]bool) ast.Value {
	r, res := in.Request, &in.Target.Resource
	put := func(to *members, object, field, value string) {
		if reads == nil || reads[object+field] {
			to.text(field, value)
		}
	}

	subject := make(members, 0, 4)
	subject.text("customer", in.Subject.Customer)
	put(&subject, "subject.", "key", in.Subject.Key)
	put(&subject, "subject.", "via", in.Subject.Via)
	subject.term("claims", emptyObject)

	resource := make(members, 0, 9)
	put(&resource, "resource.", "kind", in.Kind.String())
	put(&resource, "resource.", "host", r.Host)
	put(&resource, "resource.", "registry", res.Registry)
	put(&resource, "resource.", "repository", res.Repository)
	put(&resource, "resource.", "product", res.Product)
	put(&resource, "resource.", "tag", res.Tag)
	put(&resource, "resource.", "digest", res.Digest)
	put(&resource, "resource.", "path", r.Path)
	if candidates != nil {
		resource.term("candidates", candidates)
	}

	request := make(members, 0, 5)
	put(&request, "request.", "method", r.Method)
	put(&request, "request.", "host", r.Host)
	put(&request, "request.", "path", r.Path)
	put(&request, "request.", "via", r.Via)
	if r.Address.IsValid() && (reads == nil || reads["request.address"]) {
		request.text("address", r.Address.String())
	}

	input := make(members, 0, 5)
	input.term("time", ast.IntNumberTerm(int(in.Time)))
	input.term("subject", subject.object())
	input.text("action", in.Action)
	input.term("resource", resource.object())
	input.term("request", request.object())
	return input.object().Value
}

// candidatesTerm says candidates as the policy reads them.
func candidatesTerm(list []authz.Candidate) (*ast.Term, error) {
	if len(list) == 0 {
		return emptyArray, nil
	}
	terms := make([]*ast.Term, len(list))
	for i := range list {
		c := &list[i]
		m := make(members, 0, 13)
		m.text("product", c.Product)
		m.text("version", c.Version)
		if c.Order != "" {
			order, err := ast.ValueFromReader(strings.NewReader(c.Order))
			if err != nil {
				return nil, fmt.Errorf("order of version %s: %w", c.Version, err)
			}
			m.term("order", ast.NewTerm(order))
		}
		m.text("tag", c.Tag)
		m.text("channel", c.Channel)
		m.term("released", instantTerm(c.Released))
		m.term("counts_from", instantTerm(c.CountsFrom))
		m.term("withdrawn_at", instantTerm(c.WithdrawnAt))
		m.texts("except", c.Except)
		m.texts("requires", c.Requires)
		m.term("retires_at", instantTerm(c.RetiresAt))
		m.term("revoked_at", instantTerm(c.RevokedAt))
		m.term("boundaries", boundaries(c.Released, c.WithdrawnAt, c.RetiresAt, c.RevokedAt))
		terms[i] = m.object()
	}
	return ast.ArrayTerm(terms...), nil
}

// boundaries are the instants at which what holds for a candidate changes, ascending.
func boundaries(instants ...int64) *ast.Term {
	slices.Sort(instants)
	terms := make([]*ast.Term, 0, len(instants))
	for _, t := range slices.Compact(instants) {
		if t != authz.Always && t != authz.Never {
			terms = append(terms, instantTerm(t))
		}
	}
	return ast.ArrayTerm(terms...)
}

// candidatesOf takes candidates over from the index, whose type has the same fields.
func candidatesOf(list []index.Candidate) []authz.Candidate {
	if len(list) == 0 {
		return nil
	}
	out := make([]authz.Candidate, len(list))
	for i, c := range list {
		out[i] = authz.Candidate(c)
	}
	return out
}
