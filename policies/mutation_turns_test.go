package policies_test

import (
	"cmp"
	"slices"
	"sync"

	"github.com/open-policy-agent/opa/v1/ast"
)

// turns is the order in which probes are tried: the likely ones first, of these the one that
// failed last with a mutant of the rule, then by the time that a mutant of the file is expected to take.
type turns struct {
	probes []*probe

	mu     sync.Mutex
	last   map[*ast.TreeNode]*probe
	asked  map[[2]string]int // by the mutant's file and the probe's test
	failed map[[2]string]int
}

func newTurns(all []*probe) *turns {
	return &turns{probes: all, last: map[*ast.TreeNode]*probe{}, asked: map[[2]string]int{}, failed: map[[2]string]int{}}
}

// of are the probes that look up the mutant's rule, which stands at node. The first of them, as
// many as are likely, met what the mutant changes.
func (o *turns) of(node *ast.TreeNode, m *mutant) (list []*probe, likely int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	rank := map[*probe]float64{}
	for _, p := range o.probes {
		if !p.looksUp[node] {
			continue
		}
		list = append(list, p)
		of := [2]string{m.path, p.test}
		rank[p] = p.cost.Seconds() * float64(o.asked[of]+1) / float64(o.failed[of]+1)
		if p == o.last[node] {
			rank[p] = 0
		}
		if p.met[m.noticed] {
			likely++
		} else {
			rank[p] += 1e9
		}
	}
	slices.SortFunc(list, func(a, b *probe) int { return cmp.Compare(rank[a], rank[b]) })
	return list, likely
}

// told says which probes were asked, and that the last of them failed.
func (o *turns) told(node *ast.TreeNode, m *mutant, asked []*probe, failed bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, p := range asked {
		o.asked[[2]string{m.path, p.test}]++
	}
	if failed {
		o.last[node] = asked[len(asked)-1]
		o.failed[[2]string{m.path, o.last[node].test}]++
	}
}
