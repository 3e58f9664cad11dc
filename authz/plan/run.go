package plan

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// Question is one evaluation.
type Question struct {
	Entrypoints []string
	Input       *ast.Term
	Data        Node
	// Cancel is asked once for each call and each member of a collection that is looked at.
	Cancel topdown.Cancel
}

// ErrDeclined is wrapped by all errors of Eval: topdown has to be asked.
var ErrDeclined = errors.New("not answered by the plan")

// declined is why a run is given up.
type declined struct{ why string }

// Eval returns the values of the entry points, which are not to be changed. Every error, one of data too,
// means that topdown has to be asked; so does an entry point that is undefined.
func (p *Program) Eval(ctx context.Context, q *Question) (out []*ast.Term, err error) {
	r := p.runs.get(p)
	r.ctx, r.cancel = ctx, q.Cancel
	defer func() {
		if cause := recover(); cause != nil { // r may be in any state, and is left to the collector
			out = nil
			if d, ok := cause.(declined); ok {
				err = fmt.Errorf("%w: %s", ErrDeclined, d.why)
			} else {
				err = fmt.Errorf("%w: panic: %v", ErrDeclined, cause)
			}
		}
	}()
	data := NodeTerm(q.Data)
	out = make([]*ast.Term, len(q.Entrypoints))
	for i, name := range q.Entrypoints {
		fn := p.entries[name]
		if fn == nil {
			return nil, fmt.Errorf("%w: %s is no entry point", ErrDeclined, name)
		}
		t := r.call(fn, q.Input, data, nil, nil)
		if t == nil {
			return nil, fmt.Errorf("%w: %s is undefined", ErrDeclined, name)
		}
		out[i] = whole(t)
	}
	p.runs.put(r)
	return out, nil
}

// run is the state of one evaluation, on one goroutine.
type run struct {
	program *Program
	ctx     context.Context
	cancel  topdown.Cancel
	stack   []*ast.Term
	top     int
	most    int // of top
	memo    []kept
	arrays  [][]*ast.Term // those that grow, innermost last

	operands []*ast.Term // of a builtin
	output   *ast.Term   // what it has given,
	outputs  int         // and how often
	take     func(*ast.Term) error
	context  topdown.BuiltinContext
}

// kept is the value of a function; known without a term is undefined.
type kept struct {
	term  *ast.Term
	known bool
}

// runs are used again: a stack that has grown is worth keeping.
type runs struct{ pool sync.Pool }

func (p *runs) get(of *Program) *run {
	if r, ok := p.pool.Get().(*run); ok {
		return r
	}
	r := &run{program: of, stack: make([]*ast.Term, 256), memo: make([]kept, of.memoized+1)}
	r.take = func(t *ast.Term) error {
		r.output = t
		r.outputs++
		return nil
	}
	return r
}

func (p *runs) put(r *run) {
	clear(r.stack[:min(r.most, len(r.stack))])
	clear(r.memo)
	clear(r.operands[:cap(r.operands)])
	clear(r.arrays[:cap(r.arrays)])
	r.ctx, r.cancel, r.output, r.top, r.most, r.arrays = nil, nil, nil, 0, 0, r.arrays[:0]
	r.context = topdown.BuiltinContext{}
	p.pool.Put(r)
}

// What executing blocks comes to, beside how many blocks to leave.
const (
	done     = -1 // the end was reached
	returned = -2 // the function has its result
)

// step counts, and ends what takes too long.
func (r *run) step() {
	if r.cancel != nil && r.cancel.Cancelled() {
		panic(declined{"cancelled"})
	}
}

// call returns the value of a function, nil when it is undefined. What it is given is input, data and then
// args, as they stand in the frame of the caller.
func (r *run) call(fn *function, input, data *ast.Term, args []operand, caller []*ast.Term) *ast.Term {
	if fn.memo > 0 {
		if k := &r.memo[fn.memo]; k.known {
			return k.term
		}
	}
	r.step()
	base := r.top
	if r.top += fn.locals; r.top > len(r.stack) {
		// Frames below stay where they are.
		r.stack = append(make([]*ast.Term, 0, 2*r.top), r.stack...)[:2*r.top]
	}
	r.most = max(r.most, r.top)
	frame := r.stack[base:r.top:r.top]
	clear(frame)
	frame[fn.params[0]], frame[fn.params[1]] = input, data
	for i := range args {
		frame[fn.params[i+2]] = value(&args[i], caller)
	}
	memo := r.memo
	for i := range fn.blocks {
		if r.exec(fn, frame, fn.blocks[i]) == returned {
			break
		}
	}
	out := frame[fn.result]
	r.top = base
	if fn.memo > 0 {
		memo[fn.memo] = kept{out, true}
	}
	return out
}

// value is that of an operand, which must have one.
func value(o *operand, frame []*ast.Term) *ast.Term {
	if o.constant != nil {
		return o.constant
	}
	t := frame[o.local]
	if t == nil {
		panic(declined{"undefined operand"})
	}
	return t
}

// scan executes a block for each member of a collection. Nothing but a result ends it: a member for which
// the block is undefined is passed over.
func (r *run) scan(fn *function, frame []*ast.Term, s *stmt) int {
	body := s.blocks[0]
	switch v := whole(value(&s.a, frame)).Value.(type) {
	case *ast.Array:
		for i := range v.Len() {
			r.step()
			frame[s.key], frame[s.target] = ast.InternedTerm(i), v.Elem(i)
			if r.exec(fn, frame, body) == returned {
				return returned
			}
		}
	case ast.Object:
		keys := v.KeysIterator()
		for k, more := keys.Next(); more; k, more = keys.Next() {
			r.step()
			frame[s.key], frame[s.target] = k, v.Get(k)
			if r.exec(fn, frame, body) == returned {
				return returned
			}
		}
	case ast.Set:
		for _, member := range v.Slice() {
			r.step()
			frame[s.key], frame[s.target] = member, member
			if r.exec(fn, frame, body) == returned {
				return returned
			}
		}
	}
	return done
}

// replace executes a block with another input. Results that depend on the input are not those from before.
func (r *run) replace(fn *function, frame []*ast.Term, s *stmt) int {
	was, memo := frame[s.target], r.memo
	frame[s.target] = upsert(was, s.path, value(&s.b, frame))
	r.memo = make([]kept, len(memo))
	result := r.exec(fn, frame, s.blocks[0])
	frame[s.target], r.memo = was, memo
	return result
}

// upsert is a value with another at a path.
func upsert(in *ast.Term, path []*ast.Term, v *ast.Term) *ast.Term {
	if len(path) == 0 {
		return v
	}
	if in == nil {
		panic(declined{"a replacement in what is undefined"})
	}
	o, ok := in.Value.(ast.Object)
	if !ok {
		panic(declined{"a replacement in what is no object"})
	}
	members := make([][2]*ast.Term, 0, o.Len()+1)
	there := false
	o.Foreach(func(k, old *ast.Term) {
		if k.Equal(path[0]) {
			there = true
			old = upsert(old, path[1:], v)
		}
		members = append(members, [2]*ast.Term{k, old})
	})
	if !there {
		if len(path) > 1 {
			panic(declined{"a replacement below what is not there"})
		}
		members = append(members, [2]*ast.Term{path[0], v})
	}
	return ast.ObjectTerm(members...)
}

// dispatch finds the function at a path that is known only now.
func (r *run) dispatch(frame []*ast.Term, s *stmt) *function {
	m := r.program.mapping
	for i := range s.args {
		name, ok := value(&s.args[i], frame).Value.(ast.String)
		if !ok {
			return nil
		}
		if m = m.next[string(name)]; m == nil {
			return nil
		}
	}
	if m.fn != nil && len(m.fn.params) != 2 {
		panic(declined{"a dispatch to a function with arguments"})
	}
	return m.fn
}

// builtin returns what a builtin gives, nil when that is nothing.
func (r *run) builtin(s *stmt, frame []*ast.Term) *ast.Term {
	r.operands = r.operands[:0]
	for i := range s.args {
		r.operands = append(r.operands, whole(value(&s.args[i], frame)))
	}
	if r.context.Cancel == nil {
		r.context = r.program.builtinContext(r.ctx, r.cancel)
	}
	r.output, r.outputs = nil, 0
	if err := s.call.fn(r.context, r.operands, r.take); err != nil {
		panic(declined{s.call.name + " fails"})
	}
	if r.outputs > 1 {
		panic(declined{s.call.name + " gives several results"})
	}
	return r.output
}
