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
// from that, and no more after it. Nothing is given back by it, and nothing taken by a tag that is at what the
// other does not know by that tag.
func TestBehindIsWhatRevokeTakesOver(t *testing.T) {
	behind, unseen := 0, 0
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
			for _, n := range r.Nodes {
				had, has := first(was.Node(n.Digest)), first(is.Node(n.Digest))
				for i, c := range y.Set(has.Set) {
					at, tagged := was.Tag(c.Tag)
					if !tagged || knownBy(knows, at.Digest, c.Tag) {
						continue
					}
					unseen++
					if c.RevokedAt != x.Set(had.Set)[i].RevokedAt {
						rt.Fatalf("%s %s: revoked by the tag %q, which is at what the other does not know", r.Registry, r.Name, c.Tag)
					}
				}
			}
		}
	})
	if behind < 10 || unseen < 10 {
		t.Errorf("the indexes were too poor: %d repositories are behind, %d ways are by tags at what is not known", behind, unseen)
	}
	if (Repo{}).Behind(Repo{}) {
		t.Error("no repository is behind")
	}
}

// knownBy says whether a repository has a digest by a tag.
func knownBy(r Repo, d Digest, tag string) bool {
	n, ok := r.Node(d)
	return ok && slices.ContainsFunc(r.x.Set(n.Set), func(c Candidate) bool { return c.Tag == tag })
}

// TestRevokeTakesNothingOverByATagThatHasMoved: of two images with one base an older index knows the first, which
// is revoked there, and the tag is at the second: the base stays, unless the index knows the second by that tag.
func TestRevokeTakesNothingOverByATagThatHasMoved(t *testing.T) {
	way := func(tag string, at int64) []Candidate {
		c := candidate("1.4.0")
		c.Tag, c.RevokedAt = tag, at
		return []Candidate{c}
	}
	repo := func(tagged string, nodes ...Node) *content {
		tags := []Tag{{Name: "1.4", Digest: digest(tagged)}}
		return &content{repos: []Repository{{Registry: "main", Name: "acme/app", Tags: tags, Nodes: nodes}}}
	}
	node := func(name string, ways []Candidate) Node {
		return Node{Digest: digest(name), Kind: Manifest, Candidates: ways}
	}
	published := repo("second", node("first", way("1.4", Never)), node("second", way("1.4", Never)), node("base", way("1.4", Never)))
	for name, c := range map[string]struct {
		known *content
		base  int64
	}{
		"older":                        {repo("first", node("first", way("1.4", 5)), node("base", way("1.4", 5))), Never},
		"it has it by another tag":     {repo("first", node("first", way("1.4", 5)), node("second", way("1.4.0", Never)), node("base", append(way("1.4", 5), way("1.4.0", Never)...))), Never},
		"it has both, both revoked":    {repo("second", node("first", way("1.4", 5)), node("second", way("1.4", 6)), node("base", append(way("1.4", 5), way("1.4", 6)...))), 6},
		"it has both, one not revoked": {repo("second", node("first", way("1.4", 5)), node("second", way("1.4", Never)), node("base", append(way("1.4", 5), way("1.4", Never)...))), Never},
	} {
		x, known := published.open(t), c.known.open(t)
		text, err := x.Revoke([]Revocation{{Registry: "main", Repository: "acme/app", Digest: digest("first"), At: 5}}, known)
		if err != nil {
			t.Fatal(err)
		}
		y, err := Open(text)
		if err != nil {
			t.Fatal(err)
		}
		r := first(y.Repository("main", "acme/app"))
		for of, want := range map[string]int64{"first": 5, "base": c.base} {
			if got := y.Set(first(r.Node(digest(of))).Set)[0].RevokedAt; got != want {
				t.Errorf("%s: %s is revoked at %d, want %d", name, of, got, want)
			}
		}
		if behind := first(x.Repository("main", "acme/app")).Behind(first(known.Repository("main", "acme/app"))); name == "older" && behind {
			t.Errorf("%s: behind", name)
		}
	}
}
