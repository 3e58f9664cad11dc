package index

import (
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// alike says whether two indexes of the same repositories have the same candidates in one of them.
func (r Repo) alike(o Repo) bool {
	for t := range r.Tags() {
		if k, _ := o.Tag(t.Name); !reflect.DeepEqual(r.x.Set(t.Set), o.x.Set(k.Set)) {
			return false
		}
	}
	for n := range r.Nodes() {
		if k, _ := o.Node(n.Digest); !reflect.DeepEqual(r.x.Set(n.Set), o.x.Set(k.Set)) {
			return false
		}
	}
	return true
}

// TestBehindIsWhatRevokeTakesOver: a repository is behind another index exactly if Revoke takes something over
// from that, and no more after it. Nothing is given back by it.
func TestBehindIsWhatRevokeTakesOver(t *testing.T) {
	behind := 0
	rapid.Check(t, func(rt *rapid.T) {
		c, other := contents().Draw(rt, "content"), &content{}
		revoked := rapid.SampledFrom([]int64{Never, Always, 0, 1, 2})
		again := func(cs []Candidate) []Candidate {
			cs = slices.Clone(cs)
			for i := range cs {
				if rapid.Bool().Draw(rt, "otherwise") {
					cs[i].RevokedAt = revoked.Draw(rt, "revoked")
				}
				if rapid.Bool().Draw(rt, "another way") {
					cs[i].Tag += "2"
				}
			}
			return cs
		}
		for _, r := range c.repos {
			r.Tags, r.Nodes = slices.Clone(r.Tags), slices.Clone(r.Nodes)
			for i := range r.Tags {
				r.Tags[i].Candidates = again(r.Tags[i].Candidates)
			}
			for i := range r.Nodes {
				r.Nodes[i].Candidates = again(r.Nodes[i].Candidates)
			}
			r.Tags, r.Nodes = r.Tags[len(r.Tags)/3:], r.Nodes[len(r.Nodes)/3:]
			other.repos = append(other.repos, r)
		}
		x, known := c.open(t), other.open(t)
		var all []Revocation
		for _, r := range c.repos { // of what is not there, so that only known counts
			all = append(all, Revocation{Registry: r.Registry, Repository: r.Name, Digest: digest("none"), At: Always})
		}
		text, err := x.Revoke(all, known)
		if err != nil {
			rt.Fatal(err)
		}
		y, err := Open(text)
		if err != nil {
			rt.Fatal(err)
		}
		for _, r := range c.repos {
			was, is, knows := first(x.Repository(r.Registry, r.Name)), first(y.Repository(r.Registry, r.Name)), first(known.Repository(r.Registry, r.Name))
			if was.Behind(knows) == was.alike(is) {
				rt.Fatalf("%s %s: behind: %t", r.Registry, r.Name, was.Behind(knows))
			}
			if is.Behind(knows) || is.Behind(was) {
				rt.Fatalf("%s %s: still behind", r.Registry, r.Name)
			}
			if was.Behind(knows) {
				behind++
			}
		}
	})
	if behind < 10 {
		t.Errorf("the indexes were too poor: %d repositories are behind", behind)
	}
	if (Repo{}).Behind(Repo{}) {
		t.Error("no repository is behind")
	}
}
