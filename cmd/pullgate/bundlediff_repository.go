package main

import (
	"bytes"
	"cmp"
	"slices"
	"sync"

	"github.com/pullgate/pullgate/authz"
	"github.com/pullgate/pullgate/authz/classify"
	"github.com/pullgate/pullgate/bundle/index"
)

// A repository is one of either bundle's registry.
type repository struct {
	registry, name string
	place          int      // among those that are compared
	sides          [2]*held // nil where it is not there, or nobody can ask for it
	same           bool     // what is known of it is the same on both sides

	once sync.Once
	tags []string // of both sides, ascending
	// differs says which of them may be answered otherwise to a customer whose document is the same,
	// where the policy is.
	differs []bool
	deltas  memoized[[2]*profile, *delta]
}

// held is a repository as one side has it.
type held struct {
	*repository
	side    *side
	host    string
	product string
	public  []byte // what is open of it
	repo    index.Repo

	// Set by load.
	all        []*heldTag // at the places of repository.tags
	instants   []int64    // of the clock and all candidates, ascending
	listing    *authz.Request
	listed     authz.Target
	exceptions map[string]bool

	profiles  memoized[string, *profile]
	reaches   memoized[reach, *reached]
	sameReach memoized[string, uint64]
	interned  memoized[string, *profile]
}

// heldTag is a tag of one side, nil where the side does not have it.
type heldTag struct {
	request  *authz.Request // by nobody
	target   authz.Target
	instants []int64 // of the clock and its candidates, ascending
	// answers by what a portion is (see portion.key). They are those of both sides where these
	// cannot tell the tag apart.
	answers *memoized[string, *placed]
}

// repositoriesOf are those of both sides that are wanted, ascending by registry and name. sameIndex
// says that both sides have the same index.
func repositoriesOf(sides [2]*side, wants func(name string, products ...string) bool, sameIndex bool) []*repository {
	byName := map[[2]string]*repository{}
	for i, s := range sides {
		public := publicOf(s.bundle)
		for id, host := range s.hosts {
			for repo := range s.index.Repositories(id) {
				key := [2]string{id, repo.Name()}
				if byName[key] == nil {
					byName[key] = &repository{registry: id, name: repo.Name()}
				}
				byName[key].sides[i] = &held{repository: byName[key], side: s, host: host, product: repo.Product(), public: memberOf(public, repo.Name()), repo: repo}
			}
		}
	}
	var out []*repository
	for _, r := range byName {
		var products []string
		for _, h := range r.sides {
			if h != nil {
				products = append(products, h.product)
			}
		}
		if !wants(r.name, products...) {
			continue
		}
		out = append(out, r)
		r.same = isSame(r.sides[0], r.sides[1], sameIndex)
		for i, h := range r.sides {
			if h == nil {
				continue
			}
			sides[i].byName[r.name] = append(sides[i].byName[r.name], r)
			if h.product != "" {
				sides[i].byProduct[h.product] = append(sides[i].byProduct[h.product], r)
			}
		}
	}
	slices.SortFunc(out, func(a, b *repository) int {
		return cmp.Or(cmp.Compare(a.registry, b.registry), cmp.Compare(a.name, b.name))
	})
	for i, r := range out {
		r.place = i
	}
	return out
}

// isSame says that decisions about any tag read the same of both: with the same policy and the
// same documents they are the same.
func isSame(a, b *held, sameIndex bool) bool {
	switch {
	case a == nil || b == nil || a.host != b.host || !bytes.Equal(a.public, b.public):
		return false
	case sameIndex:
		return true
	case a.product != b.product || a.repo.Facts() != b.repo.Facts() || a.repo.Chart() != b.repo.Chart():
		return false
	}
	type tag struct {
		name   string
		digest index.Digest
		set    [32]byte
		hidden bool
	}
	list := func(h *held) (out []tag) {
		for e := range h.repo.Tags() {
			out = append(out, tag{e.Name, e.Digest, h.side.index.SetHash(e.Set), e.Hidden})
		}
		return out
	}
	return slices.Equal(list(a), list(b))
}

// load looks tags up, once. samePolicy says that both sides have the same policy.
func (r *repository) load(samePolicy bool) {
	r.once.Do(func() {
		var names []string
		for _, h := range r.sides {
			if h != nil {
				for e := range h.repo.Tags() {
					if !e.Hidden {
						names = append(names, e.Name)
					}
				}
			}
		}
		slices.Sort(names)
		r.tags = slices.Compact(names)
		b, a := r.sides[0], r.sides[1]
		same := samePolicy && b != nil && a != nil && b.host == a.host && b.product == a.product && bytes.Equal(b.public, a.public)
		alike := map[string]*memoized[string, *placed]{}
		for _, h := range r.sides {
			if h != nil {
				h.loadTags(alike)
			}
			if !same {
				alike = map[string]*memoized[string, *placed]{}
			}
		}
		r.differs = slices.Repeat([]bool{true}, len(r.tags))
		if !same {
			return
		}
		for i, t := range a.all {
			// The input of a question and all data but the customer's are the same.
			if old := b.all[i]; t != nil && old != nil && t.target.Set == old.target.Set && t.target.Resource == old.target.Resource {
				t.answers, r.differs[i] = old.answers, false
			}
		}
	})
}

// loadTags looks at the tags of a side. Those that are alike get the same answers, by what they are.
func (h *held) loadTags(alike map[string]*memoized[string, *placed]) {
	ask := func(path string) *authz.Request {
		return classify.Classify(&classify.Inbound{Method: "GET", Host: h.host, Target: "/v2/" + h.name + path, Address: loopback, Via: "cli"})
	}
	h.listing = ask("/tags/list")
	h.listed = h.side.gen.Resolve(authz.Registry{ID: h.registry}, h.listing)
	h.all, h.exceptions, h.instants = make([]*heldTag, len(h.tags)), map[string]bool{}, []int64{h.side.at}
	for e := range h.repo.Tags() {
		i, ok := slices.BinarySearch(h.tags, e.Name)
		if e.Hidden || !ok {
			continue
		}
		t := &heldTag{instants: []int64{h.side.at}, answers: &memoized[string, *placed]{}}
		t.request = ask("/manifests/" + e.Name)
		t.target = h.side.gen.Resolve(authz.Registry{ID: h.registry}, t.request)
		for i := range t.target.Candidates {
			c := &t.target.Candidates[i]
			t.instants = append(t.instants, c.Released, c.CountsFrom, c.WithdrawnAt, c.RetiresAt, c.RevokedAt)
			for _, id := range c.Except {
				h.exceptions[id] = true
			}
		}
		slices.Sort(t.instants)
		t.instants = slices.Compact(t.instants)
		if key := h.kind(t); key != "" {
			if alike[key] == nil {
				alike[key] = t.answers
			}
			t.answers = alike[key]
		}
		h.instants = append(h.instants, t.instants...)
		h.all[i] = t
	}
	slices.Sort(h.instants)
	h.instants = slices.Compact(h.instants)
}

// excepts says that a withdrawal of something in the repository spares the customer.
func (r *repository) excepts(id string) bool {
	return slices.ContainsFunc(r.sides[:], func(h *held) bool { return h != nil && h.exceptions[id] })
}

// product is that of the repository after, or before where it is gone.
func (r *repository) product() string {
	if h := r.sides[1]; h != nil {
		return h.product
	}
	return r.sides[0].product
}

// tag is a tag of a side, nil where it is not there.
func (r *repository) tag(side, i int) *heldTag {
	if h := r.sides[side]; h != nil && i < len(h.all) {
		return h.all[i]
	}
	return nil
}

// version is the version of a tag on a side, "" where it has none.
func (r *repository) version(side, i int) string {
	if t := r.tag(side, i); t != nil {
		return t.target.Resource.Version
	}
	return ""
}
