package engine

import (
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"
	"sync/atomic"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/pullgate/pullgate/authz/plan"
)

// customer is one customer's document. A decision reads a few of its members, and a grant or two of its
// tables, so nothing but the place of each is found out when it is opened.
type customer struct {
	*record
	term                   *ast.Term // that stands for it
	products, repositories *record   // grants by name; nil for none
}

// tables are the members of a customer whose members are found too.
var tables = []string{"licenses", "products", "repositories"}

// openCustomer finds the members of a customer's document, which is canonical JSON.
func openCustomer(text []byte) (*customer, error) {
	r, err := openRecord(text)
	if err != nil {
		return nil, err
	}
	c := &customer{record: r, term: plan.NodeTerm(r)}
	for i := range r.members {
		m := &r.members[i]
		if !slices.Contains(tables, m.name) {
			continue
		}
		table, err := openRecord(m.json)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", m.name, err)
		}
		table.ofRecords = m.name == "licenses" // of one a decision reads two members
		m.term.Store(plan.NodeTerm(table))
		switch m.name {
		case "products":
			c.products = table
		case "repositories":
			c.repositories = table
		}
	}
	return c, nil
}

// until is the instant from which no grant of a table that is not empty names something any more (their
// licenses replaced by others); false when none ever does.
func (c *customer) until(table *record, name string) (until int64, ok bool, err error) {
	grants, err := table.grants(name)
	if err != nil || grants == nil {
		return 0, false, err
	}
	for i := range grants.Len() {
		g, isGrant := grants.Elem(i).Value.(ast.Object)
		if !isGrant {
			return 0, false, fmt.Errorf("%s: not a grant", name)
		}
		if empty, isBool := member(g, "empty").(ast.Boolean); isBool && bool(empty) {
			continue
		}
		clocks, isObject := member(g, "clocks").(ast.Object)
		if !isObject {
			return 0, false, fmt.Errorf("%s: a grant without clocks", name)
		}
		replaced, err := instant(member(clocks, "replaced"))
		if err != nil {
			return 0, false, fmt.Errorf("%s: replaced: %w", name, err)
		}
		if !ok || replaced > until {
			until, ok = replaced, true
		}
	}
	return until, ok, nil
}

// names says whether a grant of a table names something at an instant. One that cannot be read names nothing.
func (c *customer) names(table *record, name string, at int64) bool {
	until, ok, err := c.until(table, name)
	return err == nil && ok && at < until
}

// everNames says whether a grant of a table names something at any time.
func (c *customer) everNames(table *record, name string) bool {
	_, ok, err := c.until(table, name)
	return err == nil && ok
}

// record is an object of canonical JSON whose members are decoded when they are read. It is safe for concurrent use.
type record struct {
	json    []byte
	members []recordMember
	all     atomic.Pointer[ast.Term]
	// ofRecords says that members are records too, where they are objects.
	ofRecords bool
}

// recordMember is one member, and its value once it was read.
type recordMember struct {
	name string
	json []byte
	term atomic.Pointer[ast.Term]
}

// openRecord finds the members of an object.
func openRecord(text []byte) (*record, error) {
	r := &record{json: text}
	if len(text) < 2 || text[0] != '{' {
		return nil, errors.New("not an object")
	}
	if len(text) == 2 && text[1] == '}' {
		return r, nil
	}
	r.members = make([]recordMember, 0, 8)
	for at := 0; ; {
		at++ // the brace, or a comma
		from := at
		if at = skipString(text, at); at < 0 || at >= len(text) || text[at] != ':' {
			return nil, fmt.Errorf("not canonical JSON at byte %d", from)
		}
		name, err := nameOf(text[from:at])
		if err != nil {
			return nil, err
		}
		if n := len(r.members); n > 0 && name <= r.members[n-1].name {
			return nil, fmt.Errorf("not canonical JSON at byte %d", from)
		}
		from = at + 1
		if at = skipValue(text, from); at < 0 || at >= len(text) {
			return nil, fmt.Errorf("not canonical JSON at byte %d", from)
		}
		r.members = append(r.members, recordMember{name: name, json: text[from:at]})
		switch {
		case text[at] == '}' && at == len(text)-1:
			return r, nil
		case text[at] != ',':
			return nil, fmt.Errorf("not canonical JSON at byte %d", at)
		}
	}
}

// nameOf decodes the name of a member. Those that every document has are there already.
func nameOf(quoted []byte) (string, error) {
	if t, ok := keyTerms[string(quoted[1:len(quoted)-1])]; ok {
		return string(t.Value.(ast.String)), nil
	}
	d := decoder{text: string(quoted)}
	return d.string()
}

// skipString is where the string ends that begins at a place, -1 when none does.
func skipString(text []byte, at int) int {
	if at >= len(text) || text[at] != '"' {
		return -1
	}
	for i := at + 1; i < len(text); i++ {
		switch text[i] {
		case '"':
			return i + 1
		case '\\':
			i++
		}
	}
	return -1
}

// skipValue is where the value ends that begins at a place, -1 when it has no end. It only tells values
// apart; whether one is right is found out when it is decoded.
func skipValue(text []byte, at int) int {
	for depth := 0; at < len(text); {
		switch text[at] {
		case '"':
			if at = skipString(text, at); at < 0 {
				return -1
			}
			if depth == 0 {
				return at
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return at + 1
			}
			if depth < 0 {
				return at // the end of what a number or a literal is in
			}
		case ',':
			if depth == 0 {
				return at
			}
		}
		at++
	}
	return -1
}

func (r *record) find(name string) *recordMember {
	if r == nil {
		return nil
	}
	i, ok := sort.Find(len(r.members), func(i int) int { return strings.Compare(name, r.members[i].name) })
	if !ok {
		return nil
	}
	return &r.members[i]
}

// Member implements plan.Node.
func (r *record) Member(name string) (*ast.Term, error) {
	m := r.find(name)
	if m == nil {
		return nil, nil
	}
	if t := m.term.Load(); t != nil {
		return t, nil
	}
	var t *ast.Term
	var err error
	if r.ofRecords && m.json[0] == '{' {
		var inner *record
		inner, err = openRecord(m.json)
		t = plan.NodeTerm(inner)
	} else {
		t, err = decodeJSON(m.json)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	m.term.Store(t)
	return t, nil
}

// Term implements plan.Node.
func (r *record) Term() (*ast.Term, error) {
	if t := r.all.Load(); t != nil {
		return t, nil
	}
	t, err := decodeJSON(r.json)
	if err == nil {
		r.all.Store(t)
	}
	return t, err
}

// grants are those under a name of a table, nil for none.
func (r *record) grants(name string) (*ast.Array, error) {
	t, err := r.Member(name)
	if err != nil || t == nil || name == "" {
		return nil, err
	}
	list, ok := t.Value.(*ast.Array)
	if !ok {
		return nil, fmt.Errorf("%s: not a list of grants", name)
	}
	return list, nil
}
