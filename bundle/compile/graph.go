package compile

import (
	"maps"
	"slices"

	"github.com/pullgate/pullgate/bundle/index"
)

// Bounds of a walk.
const (
	maxLevel     = 4 // index levels, the tagged manifest counted
	maxReferrers = 3 // referrers below a covered manifest
	leaf         = maxLevel + 1
)

// graph is one repository's digests and what leads from one to another. Nodes are numbers.
type graph struct {
	ids   map[index.Digest]int32
	nodes []node

	// scratch of walk: the states in which each node was seen, and the nodes that were.
	seen    []uint32
	touched []int32
	queue   []state
}

type node struct {
	digest   index.Digest
	manifest bool // else a config or layer
	revoked  int64

	children  []int32 // of an index
	blobs     []int32 // config and layers
	referrers []int32 // manifests whose subject this is
	// signed are the manifests of the digest-like tags that name this node, now or earlier.
	signed []signature
	// listed are the referrers that a walk reached through this node.
	listed map[int32]bool
}

// signature is where a digest-like tag leads, until it retires.
type signature struct {
	to      int32
	retires int64
}

// state is a node on a path, with what bounds the path's continuation.
type state struct {
	node      int32
	level     int8 // 1 is a tagged manifest, a referrer's manifest or a signature's; leaf a blob
	referrers int8 // referrers on the path so far
}

func (s state) bit() uint32 { return 1 << (uint(s.level-1)*(maxReferrers+1) + uint(s.referrers)) }

// limit is what a path leaves of a candidate: the earliest revocation of a digest on it, and
// the earliest end of a history on it. Never and never: all.
type limit struct{ revoked, retires int64 }

var unlimited = []limit{{index.Never, index.Never}}

func newGraph() *graph { return &graph{ids: map[index.Digest]int32{}} }

// id returns the number of a digest, a new one when the graph has not seen it.
func (g *graph) id(d index.Digest) int32 {
	n, ok := g.ids[d]
	if !ok {
		n = int32(len(g.nodes))
		g.ids[d] = n
		g.nodes = append(g.nodes, node{digest: d, revoked: index.Never})
	}
	return n
}

// manifestID is id for a digest that is a manifest.
func (g *graph) manifestID(d index.Digest) int32 {
	n := g.id(d)
	g.nodes[n].manifest = true
	return n
}

// walk goes every way from root on which no digest is revoked before l.revoked and no
// history ends before l.retires, and returns the nodes it reaches. The result is good until
// the next walk. A way goes
//   - from a manifest to its config and layers, where it ends but for signatures,
//   - from an index to its children, a level down and to maxLevel,
//   - from a manifest to its referrers, maxReferrers times in all; a referrer is at level 1,
//   - from a node to what digest-like tags name it for, which is judged as the node is: it
//     is at level 1 again and has referrers of its own.
func (g *graph) walk(root int32, l limit) []int32 {
	for len(g.seen) < len(g.nodes) {
		g.seen = append(g.seen, 0)
	}
	for _, n := range g.touched {
		g.seen[n] = 0
	}
	g.touched, g.queue = g.touched[:0], g.queue[:0]

	push := func(s state) bool {
		switch {
		case g.nodes[s.node].revoked < l.revoked:
			return false
		case g.seen[s.node] == 0:
			g.touched = append(g.touched, s.node)
		case g.seen[s.node]&s.bit() != 0:
			return true
		}
		g.seen[s.node] |= s.bit()
		g.queue = append(g.queue, s)
		return true
	}
	push(state{root, 1, 0})
	for i := 0; i < len(g.queue); i++ {
		s := g.queue[i]
		n := &g.nodes[s.node]
		for _, sig := range n.signed {
			if sig.retires >= l.retires {
				push(state{sig.to, 1, 0})
			}
		}
		if s.level == leaf {
			continue
		}
		for _, b := range n.blobs {
			push(state{b, leaf, s.referrers})
		}
		if s.level < maxLevel {
			for _, c := range n.children {
				push(state{c, s.level + 1, s.referrers})
			}
		}
		if s.referrers < maxReferrers {
			for _, r := range n.referrers {
				if push(state{r, 1, s.referrers + 1}) {
					if n.listed == nil {
						n.listed = map[int32]bool{}
					}
					n.listed[r] = true
				}
			}
		}
	}
	return g.touched
}

// reached is a node with the limits of the ways to it, none of them within another.
type reached struct {
	node   int32
	limits []limit
}

// reach returns what a root reaches, and what the ways there leave of the root's candidates.
// So a node is revoked for a candidate at the instant at which its last clean way is.
func (g *graph) reach(root int32) []reached {
	// Nothing is before Always, so this reaches all there is.
	all := slices.Clone(g.walk(root, limit{index.Always, index.Always}))
	revoked, retires := map[int64]bool{index.Never: true}, map[int64]bool{index.Never: true}
	for _, n := range all {
		revoked[g.nodes[n].revoked] = true
		for _, s := range g.nodes[n].signed {
			retires[s.retires] = true
		}
	}
	out := make([]reached, len(all))
	if len(revoked) == 1 && len(retires) == 1 {
		for i, n := range all {
			out[i] = reached{n, unlimited}
		}
		return out
	}
	limits := map[int32][]limit{}
	for _, t := range descending(retires) {
		for _, v := range descending(revoked) {
			l := limit{v, t}
			for _, n := range g.walk(root, l) {
				if !slices.ContainsFunc(limits[n], func(k limit) bool { return k.revoked >= v && k.retires >= t }) {
					limits[n] = append(limits[n], l)
				}
			}
		}
	}
	for i, n := range all {
		out[i] = reached{n, limits[n]}
	}
	return out
}

func descending(instants map[int64]bool) []int64 {
	out := slices.Sorted(maps.Keys(instants))
	slices.Reverse(out)
	return out
}
