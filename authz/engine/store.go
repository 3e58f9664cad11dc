package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/storage"

	"github.com/pullgate/pullgate/bundle"
)

// Paths of the data documents, below `data`.
const (
	dataFile      = "data.json"
	customersDir  = "pullgate/customers"
	publicDir     = "pullgate/public"
	keysDir       = "pullgate/keys"
	registriesDir = "pullgate/registries"
	identitiesDir = "pullgate/identities"
	rulesDir      = "pullgate/rules"
)

// hotCustomers bounds the customer documents that are kept with what was read of them, in bytes of their JSON;
// what was read takes some ten to twenty times as much.
const hotCustomers = 3 << 20

// store answers the policy's reads of `data` from the verified bytes of a bundle. Customers
// are by far the most of it, and a decision reads one of them: each is kept as the JSON it came
// as and parsed when it is read, with the recent ones at hand. Other documents are parsed at
// the first read. It is read-only, immutable and needs no locks between transactions.
type store struct {
	storage.WritesNotSupported
	storage.PolicyNotSupported
	storage.TriggersNotSupported

	object    *bundle.Object         // that customers are of
	some      func(id string) []byte // in place of the object, or nil
	edited    map[string]blob        // in place of some customers; those are in the object too
	hotEdited *memo[string, *customer]
	hot       *memo[string, *customer]
	docs      map[string]*document // by path, "" never among them
	above     map[string]bool      // paths above a document
}

// blob is one customer's JSON: a member of the bundle's, or a text of its own.
type blob struct {
	place bundle.Place
	text  []byte // in place of place, or nil
	hash  [32]byte
}

// json is the text, which must not be changed. It may be made anew each time.
func (b *blob) json() []byte {
	if b.text != nil || b.place == (bundle.Place{}) {
		return b.text
	}
	return b.place.Value()
}

// document is a data file that is parsed when it is first read.
type document struct {
	object *bundle.Object
	parse  func() (ast.Value, error)
	term   func() (*ast.Term, error) // the same
}

// newStore makes a store of the data files of a bundle, by path. What is the same in last, the store
// of the bundle before, or nil, is not made again, but last is not kept.
func newStore(files map[string]*bundle.Object, last *store, giveWay func()) *store {
	s := &store{
		hot:   newMemo[string, *customer](hotCustomers),
		docs:  map[string]*document{},
		above: map[string]bool{"": true},
	}
	for name, object := range files {
		if path.Base(name) != dataFile {
			continue
		}
		dir := strings.Trim(path.Dir(name), "./")
		for up := path.Dir(dir); up != "."; up = path.Dir(up) {
			s.above[up] = true
		}
		if dir == customersDir {
			s.object = object
			continue
		}
		d := &document{object: object, parse: sync.OnceValues(func() (ast.Value, error) {
			return ast.ValueFromReader(bytes.NewReader(object.Bytes()))
		})}
		d.term = sync.OnceValues(func() (*ast.Term, error) {
			v, err := d.parse()
			return ast.NewTerm(v), err
		})
		s.docs[dir] = d
	}
	s.takeCustomers(last, giveWay)
	return s
}

// takeCustomers makes the customers of the object ready: their hashes, and those of last that were at
// hand and are the same.
func (s *store) takeCustomers(last *store, giveWay func()) {
	for _, section := range s.object.Sections() {
		section.Sums()
		giveWay()
	}
	if last == nil {
		return
	}
	s.hot.takeOver(last.hot, func(id string) bool {
		was, _ := last.object.Find(id)
		now, ok := s.object.Find(id)
		return ok && (was == now || was.Sum() == now.Sum())
	})
}

// blob finds a customer's JSON.
func (s *store) blob(id string) (blob, bool) {
	if b, ok := s.edited[id]; ok {
		return b, true
	}
	if s.some == nil {
		p, ok := s.object.Find(id)
		if !ok {
			return blob{}, false
		}
		return blob{place: p, hash: p.Sum()}, true
	}
	raw := s.some(id)
	return blob{text: raw}, raw != nil
}

// with is the store with other documents in place of some customers'.
func (s *store) with(edited map[string]blob) *store {
	out := *s
	out.edited, out.hotEdited = edited, newMemo[string, *customer](hotCustomers)
	return &out
}

// customer returns a customer's document, nil when there is none of that id.
func (s *store) customer(id string) (*customer, error) {
	b, ok := s.blob(id)
	if !ok {
		return nil, nil
	}
	hot := s.hot
	if _, edited := s.edited[id]; edited {
		hot = s.hotEdited
	}
	if c, ok := hot.get(id); ok {
		return c, nil
	}
	text := b.json()
	c, err := openCustomer(text)
	if err != nil {
		return nil, fmt.Errorf("customer %s: %w", id, err)
	}
	hot.put(id, c, len(text))
	return c, nil
}

type transaction struct{}

func (transaction) ID() uint64 { return 0 }

// NewTransaction returns a transaction that needs no end.
func (s *store) NewTransaction(_ context.Context, params ...storage.TransactionParams) (storage.Transaction, error) {
	for _, p := range params {
		if p.Write {
			return nil, &storage.Error{Code: storage.WritesNotSupportedErr, Message: "a bundle's data is read-only"}
		}
	}
	return transaction{}, nil
}

// Commit does nothing: nothing was written.
func (s *store) Commit(context.Context, storage.Transaction) error { return nil }

// Abort does nothing.
func (s *store) Abort(context.Context, storage.Transaction) {}

// Truncate is not supported.
func (s *store) Truncate(context.Context, storage.Transaction, storage.TransactionParams, storage.Iterator) error {
	return &storage.Error{Code: storage.WritesNotSupportedErr, Message: "a bundle's data is read-only"}
}

// Read returns the document at a path as an ast.Value, or a not-found error.
func (s *store) Read(_ context.Context, _ storage.Transaction, p storage.Path) (any, error) {
	v, err := s.read(p)
	if err != nil {
		return nil, err
	}
	if v == nil {
		return nil, errNotFound
	}
	return v, nil
}

// errNotFound names no path: a policy looks for what need not be there with every decision.
var errNotFound = &storage.Error{Code: storage.NotFoundErr, Message: "not in the bundle"}

// read returns nil when there is no such document.
func (s *store) read(p storage.Path) (ast.Value, error) {
	if len(p) > 2 && p[0] == "pullgate" && p[1] == "customers" {
		c, err := s.customer(p[2])
		if err != nil || c == nil {
			return nil, err
		}
		doc, err := c.Term()
		if err != nil {
			return nil, fmt.Errorf("customer %s: %w", p[2], err)
		}
		return walk(doc.Value, p[3:]), nil
	}
	dir := strings.Join(p, "/")
	for n, at := len(p), dir; n > 0; n-- {
		if d, ok := s.docs[at]; ok {
			v, err := d.parse()
			if err != nil {
				return nil, err
			}
			return walk(v, p[n:]), nil
		}
		at = strings.TrimSuffix(at[:len(at)-len(p[n-1])], "/")
	}
	if dir != customersDir && !s.above[dir] {
		return nil, nil
	}
	return s.assemble(dir)
}

// errSome is why not everything can be read: not everything is there.
var errSome = errors.New("the policy reads all customers, of whom some are at hand")

// assemble makes the document at a path above the files: everything below it. Rules that
// reach for so much pay for it.
func (s *store) assemble(dir string) (ast.Value, error) {
	if s.some != nil {
		return nil, errSome
	}
	if dir == customersDir {
		all := ast.NewObject()
		for _, section := range s.object.Sections() {
			for id := range section.Names() {
				c, err := s.customer(id)
				if err != nil {
					return nil, err
				}
				doc, err := c.Term()
				if err != nil {
					return nil, fmt.Errorf("customer %s: %w", id, err)
				}
				all.Insert(ast.StringTerm(id), doc)
			}
		}
		return all, nil
	}
	children := map[string]bool{}
	for _, name := range append(slices.Collect(maps.Keys(s.docs)), customersDir) {
		rest, ok := strings.CutPrefix(name, dir)
		if rest = strings.TrimPrefix(rest, "/"); ok && rest != "" && (dir == "" || name[len(dir)] == '/') {
			first, _, _ := strings.Cut(rest, "/")
			children[first] = true
		}
	}
	if len(children) == 0 {
		return nil, nil
	}
	out := ast.NewObject()
	for _, child := range slices.Sorted(maps.Keys(children)) {
		p, _ := storage.ParsePath("/" + strings.TrimPrefix(dir+"/"+child, "/"))
		v, err := s.read(p)
		if err != nil {
			return nil, err
		}
		if v != nil {
			out.Insert(ast.StringTerm(child), ast.NewTerm(v))
		}
	}
	return out, nil
}

// walk follows a path into a value; nil when it leads nowhere.
func walk(v ast.Value, p []string) ast.Value {
	for _, key := range p {
		switch at := v.(type) {
		case ast.Object:
			v = member(at, key)
		case *ast.Array:
			i, err := strconv.Atoi(key)
			if err != nil || i < 0 || i >= at.Len() {
				return nil
			}
			v = at.Elem(i).Value
		default:
			return nil
		}
	}
	return v
}

// member returns a field of an object, nil when it is absent.
func member(o ast.Object, key string) ast.Value {
	if t := o.Get(keyTerm(key)); t != nil {
		return t.Value
	}
	return nil
}
