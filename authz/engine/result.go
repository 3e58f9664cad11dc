package engine

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/pullgate/pullgate/authz"
)

var errNoInstant = errors.New(`neither an integer nor "never"`)

// instant reads Unix seconds or "never".
func instant(v ast.Value) (int64, error) {
	switch v := v.(type) {
	case ast.Number:
		if n, ok := v.Int64(); ok {
			return n, nil
		}
		if f, ok := v.Float64(); ok && f == math.Trunc(f) && math.Abs(f) < 1<<53 { // 1e10
			return int64(f), nil
		}
	case ast.String:
		if v == "never" {
			return authz.Never, nil
		}
	}
	return 0, errNoInstant
}

// verdictOf reads the value of data.pullgate.decision. It is strict: a field of another type
// than the contract's (design §8) is an error, so that a changed library cannot allow by
// accident. Absent fields but allow, code and until are empty.
func verdictOf(v ast.Value) (authz.Verdict, error) {
	o, ok := v.(ast.Object)
	if !ok {
		return authz.Verdict{}, errors.New("the decision is no object")
	}
	r := reader{o: o}
	out := authz.Verdict{
		Allow:       r.boolean("allow"),
		Code:        authz.Code(r.text("code")),
		License:     r.text("license"),
		Grant:       r.text("grant"),
		Message:     r.text("message"),
		Until:       r.instant("until"),
		Ends:        authz.Never,
		Enforcement: r.text("enforcement"),

		ExpiringFrom: authz.Never,
	}
	if member(o, "ends") != nil {
		out.Ends = r.instant("ends")
	}
	if member(o, "expiring_from") != nil {
		out.ExpiringFrom = r.instant("expiring_from")
	}
	r.each("warnings", func(w *reader) {
		out.Warnings = append(out.Warnings, authz.Warning{Code: w.text("code"), Message: w.text("message")})
	})
	r.each("headers", func(h *reader) {
		out.Headers = append(out.Headers, authz.Header{Name: h.text("name"), Value: h.text("value"), To: h.text("to")})
	})
	if fault := r.text("fault"); r.err == nil && fault != "" {
		r.err = fmt.Errorf("%s contributes something of another shape", fault)
	}
	if r.err == nil && (out.Code == "" || out.Code == authz.CodeInternalError) {
		r.err = errors.New("the policy came to no decision")
	}
	if r.err != nil {
		return authz.Verdict{}, r.err
	}
	return out, nil
}

// reader reads fields of one object and keeps the first error.
type reader struct {
	o   ast.Object
	err error
}

func (r *reader) fail(field, want string) {
	if r.err == nil {
		r.err = fmt.Errorf("the decision's %s is no %s", field, want)
	}
}

func (r *reader) boolean(field string) bool {
	b, ok := member(r.o, field).(ast.Boolean)
	if !ok {
		r.fail(field, "boolean")
	}
	return bool(b)
}

// text reads a string; absent it is "".
func (r *reader) text(field string) string {
	v := member(r.o, field)
	if v == nil {
		return ""
	}
	s, ok := v.(ast.String)
	if !ok {
		r.fail(field, "string")
	}
	return string(s)
}

func (r *reader) instant(field string) int64 {
	t, err := instant(member(r.o, field))
	if err != nil {
		r.fail(field, "instant")
	}
	return t
}

// each reads a list (or set) of objects; absent it is empty.
func (r *reader) each(field string, do func(*reader)) {
	one := func(t *ast.Term) {
		o, ok := t.Value.(ast.Object)
		if !ok {
			r.fail(field, "list of objects")
			return
		}
		item := reader{o: o, err: r.err}
		do(&item)
		r.err = item.err
	}
	switch list := member(r.o, field).(type) {
	case nil:
	case *ast.Array:
		list.Foreach(one)
	case ast.Set:
		list.Foreach(one)
	default:
		r.fail(field, "list")
	}
}

// visibleOf reads the value of data.pullgate.visible: a set or list of indexes below n.
func visibleOf(v ast.Value, n int) ([]int, error) {
	var out []int
	var err error
	seen := make([]bool, n)
	one := func(t *ast.Term) {
		num, ok := t.Value.(ast.Number)
		i, isInt := num.Int()
		if !ok || !isInt || i < 0 || i >= n {
			err = fmt.Errorf("visible has %v, which is no index of a candidate", t)
			return
		}
		seen[i] = true
	}
	switch list := v.(type) {
	case *ast.Array:
		list.Foreach(one)
	case ast.Set:
		list.Foreach(one)
	default:
		err = errors.New("visible is no set")
	}
	if err != nil {
		return nil, err
	}
	for i, yes := range seen {
		if yes {
			out = append(out, i)
		}
	}
	return out, nil
}

// removing adds a header without a value for each name that vendor rules may set upstream and
// did not set this time: the client's own must not pass for it.
func removing(set []authz.Header, names []string) []authz.Header {
	for _, name := range names {
		if !slices.ContainsFunc(set, func(h authz.Header) bool { return h.To == "upstream" && strings.EqualFold(h.Name, name) }) {
			set = append(set, authz.Header{Name: name, To: "upstream"})
		}
	}
	return set
}
