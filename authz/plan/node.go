package plan

import "github.com/open-policy-agent/opa/v1/ast"

// Node is an object of data that is not there as a term: documents are many, and a rule follows a path to one.
// It is safe for concurrent use.
type Node interface {
	// Member returns what the object has under a name: a term, which may stand for another Node, or nil.
	Member(name string) (*ast.Term, error)
	// Term returns the whole object, and an error where that would be too much.
	Term() (*ast.Term, error)
}

// NodeTerm is a term that stands for a node in values that Members return. Nothing else can read it.
func NodeTerm(n Node) *ast.Term { return &ast.Term{Value: place{node: n}} }

// place is a Node among values. Methods of the Value, which is nil, panic, and the run is given up: who reads a
// value either follows a path through it or asks for the whole.
type place struct {
	ast.Value
	node Node
}

// member is what a collection has at a key, nil when that is nothing or when there are no members.
func member(of, key *ast.Term) *ast.Term {
	if of == nil {
		panic(declined{"a member of what is undefined"})
	}
	key = whole(key)
	p, ok := of.Value.(place)
	if !ok {
		readable(of, key)
		return of.Get(key)
	}
	name, ok := key.Value.(ast.String)
	if !ok {
		panic(declined{"a key that is no text"})
	}
	t, err := p.node.Member(string(name))
	if err != nil {
		panic(declined{"data cannot be read"})
	}
	return t
}

// readable gives up where topdown may read data by the text of a key, as a store does, in which 1 is "1".
func readable(of, key *ast.Term) {
	switch key.Value.(type) {
	case ast.String:
		if _, isArray := of.Value.(*ast.Array); isArray {
			panic(declined{"a text as an index"})
		}
	case ast.Number, ast.Boolean, ast.Null:
		switch of.Value.(type) {
		case *ast.Array, ast.Set:
		case ast.Object:
			panic(declined{"a key that is no text"})
		}
	}
}

// whole is the value itself of what may stand for a node.
func whole(t *ast.Term) *ast.Term {
	p, ok := t.Value.(place)
	if !ok {
		return t
	}
	t, err := p.node.Term()
	if err != nil {
		panic(declined{"data cannot be read as a whole"})
	}
	return t
}
