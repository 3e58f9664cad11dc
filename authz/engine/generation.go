package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/topdown"

	"github.com/pullgate/pullgate/authz"
	"github.com/pullgate/pullgate/bundle"
	"github.com/pullgate/pullgate/bundle/index"
)

// generation is one bundle made ready to evaluate, with what tombstones change of it. It is immutable
// but for memos of pure functions, and safe for concurrent use.
type generation struct {
	engine *Engine
	bundle *bundle.Bundle

	hosts    *hosts
	subjects *subjects
	index    *index.Index
	store    *store
	keyer    *keyer
	policy   *policy
	decision rego.PreparedEvalQuery
	visible  rego.PreparedEvalQuery // and, with vendor rules, until when

	sets  *memo[index.SetID, *candidateSet]
	terms *memo[[32]byte, *ast.Term] // by Target.Set
	lists *memo[[2]string, *candidateSet]

	over    *overlay                         // nil: no tombstones
	revoked *memo[revokedSet, *candidateSet] // with an overlay that has digests
}

// newGeneration makes a bundle ready and tries it once; with some, only for customers whose
// documents that returns.
func newGeneration(ctx context.Context, e *Engine, b *bundle.Bundle, some func(id string) []byte) (*generation, error) {
	modules, data := map[string][]byte{}, map[string]*bundle.Object{}
	for _, p := range b.Paths() {
		if strings.HasSuffix(p, ".rego") {
			modules[p] = b.File(p)
		} else if o := b.Object(p); o != nil {
			data[p] = o
		}
	}
	if some != nil {
		data[customersDir+"/"+dataFile], data[keysDir+"/"+dataFile] = nil, nil
	}
	last := e.plainGeneration()
	g := &generation{
		engine: e, bundle: b,
		sets:  newMemo[index.SetID, *candidateSet](hotCandidates),
		terms: newMemo[[32]byte, *ast.Term](hotCandidates),
		lists: newMemo[[2]string, *candidateSet](hotListed),
	}
	var err error
	if g.index, err = openIndex(b, last, e.giveWay); err != nil {
		return nil, fmt.Errorf("open %s: %w", bundle.IndexPath, err)
	}
	g.store = newStore(data, last.store, e.giveWay)
	g.store.some = some
	if g.hosts, err = readRegistries(data[registriesDir+"/"+dataFile]); err != nil {
		return nil, fmt.Errorf("read registries: %w", err)
	}
	if g.subjects, err = readSubjects(data[keysDir+"/"+dataFile], data[identitiesDir+"/"+dataFile], last.subjects, e.giveWay); err != nil {
		return nil, fmt.Errorf("read subjects: %w", err)
	}
	if g.policy, err = newPolicy(modules, last.policy); err != nil {
		return nil, err
	}
	if err := rulesAreListed(data[rulesDir+"/"+dataFile], g.policy.rules); err != nil {
		return nil, err
	}
	g.keyer = newKeyer(g.policy, g.store)
	if g.decision, err = prepare(ctx, g.policy.compiler, g.store, decisionQuery); err != nil {
		return nil, err
	}
	if g.visible, err = prepare(ctx, g.policy.compiler, g.store, g.policy.visibleQuery()); err != nil {
		return nil, err
	}
	if err := g.warm(ctx); err != nil {
		return nil, fmt.Errorf("try the policy: %w", err)
	}
	return g, nil
}

// plainGeneration is the active generation without tombstones, of which the next one shares what is the
// same; an empty one when there is none.
func (e *Engine) plainGeneration() *generation {
	e.tombs.Lock()
	defer e.tombs.Unlock()
	if e.plain == nil {
		return &generation{}
	}
	return e.plain
}

// openIndex opens the index of a bundle, which is that of the last one when it has the same bytes.
func openIndex(b *bundle.Bundle, last *generation, giveWay func()) (*index.Index, error) {
	data := b.File(bundle.IndexPath)
	if last.bundle != nil {
		if before := last.bundle.File(bundle.IndexPath); len(data) > 0 && len(data) == len(before) && &data[0] == &before[0] {
			return last.index, nil
		}
	}
	return index.OpenGivingWay(data, giveWay)
}

// warm asks each entry point once, as nobody, so that a policy that cannot answer never
// becomes active and the first customer does not pay for first uses. However many requests wait, it
// waits with them: an overload must not keep a bundle out.
func (g *generation) warm(ctx context.Context) error {
	ctx = context.WithValue(ctx, noHurry{}, true)
	in := &authz.Input{
		Time: g.IssuedAt(), Subject: authz.Subject{Via: "anonymous"}, Action: "ping", Kind: authz.KindPing,
		Target: &authz.Target{}, Request: &authz.Request{Kind: authz.KindPing, Method: http.MethodGet, Path: "/v2/", Via: "cli"},
	}
	if _, err := g.Evaluate(ctx, in); err != nil {
		return err
	}
	_, _, err := g.Visible(ctx, in)
	return err
}

// rulesAreListed makes sure that the library asks every vendor rule there is: it asks those
// that data.pullgate.rules names, an object that is empty where there are none.
func rulesAreListed(listed *bundle.Object, rules []string) error {
	if listed == nil {
		return fmt.Errorf("%s is not there", rulesDir)
	}
	var byName map[string]bool
	if err := json.Unmarshal(listed.Bytes(), &byName); err != nil {
		return fmt.Errorf("read %s: %w", rulesDir, err)
	}
	names := slices.Sorted(maps.Keys(byName))
	if !slices.Equal(names, rules) {
		return fmt.Errorf("data.pullgate.rules names %q, the bundle has rules of %q", names, rules)
	}
	return nil
}

func (g *generation) Revision() string { return g.bundle.Revision() }

func (g *generation) IssuedAt() int64 { return g.bundle.IssuedAt() }

func (g *generation) NotAfter() int64 { return g.bundle.NotAfter() }

func (g *generation) Registry(authority string) (authz.Registry, bool) {
	return g.hosts.registry(authority)
}

func (g *generation) Authenticate(hash [32]byte) (authz.Key, bool) {
	k, ok := g.subjects.key(hash)
	if ok && g.over.denies(&k, hash) {
		return authz.Key{}, false
	}
	return k, ok
}

func (g *generation) Identify(id authz.Identity) (authz.Subject, bool) {
	return g.subjects.identify(id)
}

func (g *generation) Key(in *authz.Input) ([32]byte, bool) { return g.keyer.key(in) }

// Named reports whether a license of the customer names the target. A document that cannot be
// read names nothing; the evaluation that read it before has failed already.
func (g *generation) Named(id string, t *authz.Target, at int64) bool {
	c, err := g.store.customer(id)
	if err != nil || c == nil {
		return false
	}
	res := &t.Resource
	return c.names(c.products, res.Product, at) || c.names(c.repositories, res.Repository, at)
}

// Repositories returns the repositories of the index that a license of the customer or a Public
// document names, whatever the time, and all where a vendor rule may grant: the policy decides
// about each.
func (g *generation) Repositories(reg authz.Registry, id string) []string {
	c, err := g.store.customer(id)
	all := g.policy.grants && c != nil
	if err != nil || c == nil {
		c = &customer{}
	}
	public, _ := g.store.read([]string{"pullgate", "public"})
	open, _ := public.(ast.Object)

	var list []string
	for repo := range g.index.Repositories(reg.ID) {
		name := repo.Name()
		if all || c.everNames(c.products, repo.Product()) || c.everNames(c.repositories, name) || open != nil && member(open, name) != nil {
			list = append(list, name)
		}
	}
	return list
}

// Evaluate asks for the decision.
func (g *generation) Evaluate(ctx context.Context, in *authz.Input) (authz.Verdict, error) {
	var candidates *ast.Term
	switch in.Kind {
	case authz.KindTags, authz.KindCatalog, authz.KindPing:
	default:
		var err error
		if candidates, err = g.candidates(in.Target); err != nil {
			return authz.Verdict{}, err
		}
	}
	steps, t := g.engine.limits.decision(len(in.Target.Candidates) * (g.grants(in) + len(g.policy.rules)))
	v, err := g.ask(ctx, g.engine.decisions, decisionQuery, &g.decision, in, candidates, newBudget(ctx, steps, t))
	if err != nil {
		return authz.Verdict{}, err
	}
	verdict, err := verdictOf(v)
	if err != nil {
		return authz.Verdict{}, err
	}
	verdict.Headers = removing(verdict.Headers, g.policy.headers)
	return verdict, nil
}

// grants counts those of the customer's grants that are about the resource.
func (g *generation) grants(in *authz.Input) int {
	c, err := g.store.customer(in.Subject.Customer)
	if err != nil || c == nil {
		return 0
	}
	byProduct, _ := c.products.grants(in.Target.Resource.Product)
	byName, _ := c.repositories.grants(in.Target.Resource.Repository)
	return length(byProduct) + length(byName)
}

func length(list *ast.Array) int {
	if list == nil {
		return 0
	}
	return list.Len()
}

// Visible asks which candidates may be seen.
func (g *generation) Visible(ctx context.Context, in *authz.Input) (indexes []int, until int64, err error) {
	candidates, err := g.candidates(in.Target)
	if err != nil {
		return nil, 0, err
	}
	n, limits := len(in.Target.Candidates), &g.engine.limits
	b := newBudget(ctx, limits.visible(n, g.grants(in), len(g.policy.rules)), limits.VisibleTime)
	v, err := g.ask(ctx, g.engine.lists, visibleQuery, &g.visible, in, candidates, b)
	if err != nil {
		return nil, 0, err
	}
	until = authz.Never
	if both, ok := v.(*ast.Array); ok && len(g.policy.rules) > 0 {
		v = both.Elem(0).Value
		if until, err = instant(both.Elem(1).Value); err != nil {
			return nil, 0, fmt.Errorf("%s is %w", visibleUntilQuery, err)
		}
	}
	indexes, err = visibleOf(v, n)
	return indexes, until, err
}

// ask evaluates one query on a worker. A panic there is an error here.
func (g *generation) ask(ctx context.Context, w *workers, name string, query *rego.PreparedEvalQuery,
	in *authz.Input, candidates *ast.Term, b *budget,
) (ast.Value, error) {
	var v ast.Value
	var err error
	waited := w.do(ctx, func() {
		defer func() {
			if p := recover(); p != nil {
				g.engine.log.Error("panic in the policy", "query", name, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
				err = errors.New("panic in the policy")
			}
		}()
		input := ast.NewTerm(inputOf(in, candidates, g.keyer.inputs(name)))
		v, err = g.planned(ctx, name, input, b, func() (ast.Value, error) { return g.evaluate(ctx, name, query, input, b) })
	})
	if waited != nil { // the worker may still write v and err
		g.engine.metrics.evaluated(name, waited, 0)
		return nil, fmt.Errorf("evaluate %s: %w", name, waited)
	}
	g.engine.metrics.evaluated(name, err, b.steps)
	if err != nil {
		return nil, fmt.Errorf("evaluate %s: %w", name, err)
	}
	return v, nil
}

// ruleError is the failure of a rule. Its cause is for explanations alone: its message may hold
// values, and what is recorded names rules only.
type ruleError struct {
	rule  string // data.<package>.<name>
	text  string
	cause *topdown.Error
}

func (e *ruleError) Error() string { return e.text }

// blame says which rule an evaluation failed in, and how.
func (g *generation) blame(err error) error {
	var failed *topdown.Error
	if !errors.As(err, &failed) || failed.Location == nil {
		return err
	}
	at, rule, in := failed.Location, "", ""
	if m := g.policy.compiler.Modules[at.File]; m != nil {
		for _, r := range m.Rules {
			if r.Location != nil && r.Location.Row <= at.Row {
				rule = r.Ref().String()
				in = " in " + rule
			}
		}
	}
	return &ruleError{rule: rule, text: fmt.Sprintf("%s at %s:%d%s", failed.Code, at.File, at.Row, in), cause: failed}
}

// candidates are a target's candidates as the policy reads them, made once for all targets
// that have the same.
func (g *generation) candidates(t *authz.Target) (*ast.Term, error) {
	if term, ok := g.terms.get(t.Set); ok && len(t.Candidates) > 0 {
		return term, nil
	}
	term, err := candidatesTerm(t.Candidates)
	if err == nil && len(t.Candidates) > 0 {
		g.terms.put(t.Set, term, len(t.Candidates))
	}
	return term, err
}
