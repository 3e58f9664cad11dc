package engine

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/pullgate/pullgate/authz"
	"github.com/pullgate/pullgate/bundle"
	"github.com/pullgate/pullgate/bundle/index"
)

// span is how far from now things happen in a random world: close enough together that a
// verdict's boundaries, the caps of 60 and 5 seconds and the clock's jumps meet.
const span = 100

// drawer makes random parts of a world.
type drawer struct{ t *rapid.T }

func (d drawer) pick(label string, from ...any) any { return rapid.SampledFrom(from).Draw(d.t, label) }

func (d drawer) near(label string) int64 {
	return now + rapid.Int64Range(-span, span).Draw(d.t, label)
}

// instant is near now, or the default.
func (d drawer) instant(label string, otherwise any) any {
	if d.rarely(label + " set") {
		return d.near(label)
	}
	return otherwise
}

// rarely is true one time in four.
func (d drawer) rarely(label string) bool { return rapid.IntRange(0, 3).Draw(d.t, label) == 3 }

func after(a, b any) bool {
	x, isInt := a.(int64)
	y, isToo := b.(int64)
	return isInt && isToo && x > y || !isInt && isToo
}

// license draws the clocks of a license, with what they imply.
func (d drawer) license(g object) object {
	c := object{"starts": d.instant("starts", start), "terminates": d.instant("terminates", "never")}
	c["ends"] = d.pick("ends", d.near("ends near"), d.near("ends soon")+14*day, end, "never")
	c["grace"], c["updates"] = c["ends"], d.instant("updates", c["ends"])
	if g["type"] = d.pick("type", "subscription", "subscription", "trial"); g["type"] == "subscription" {
		if ends, ok := c["ends"].(int64); ok {
			c["grace"] = ends + rapid.Int64Range(0, span).Draw(d.t, "grace")
		}
	}
	c["revoked"] = d.instant("revoked", "never")
	c["replaced"] = d.instant("replaced", "never")
	from := d.instant("suspended", "never")
	until := any("never")
	if f, ok := from.(int64); ok && rapid.Bool().Draw(d.t, "suspended for a while") {
		until = f + rapid.Int64Range(1, span).Draw(d.t, "suspended for")
	}
	c["suspended"] = []any{from, until}
	g["clocks"], g["keep"] = c, rapid.Bool().Draw(d.t, "keep")
	g["enforcement"] = d.pick("enforcement", "enforce", "enforce", "warn", "observe")
	g["held"] = []any{}
	if rapid.Bool().Draw(d.t, "holds sso") {
		g["held"] = []any{"sso"}
	}

	var bounds []any
	for _, b := range []any{c["starts"], c["ends"], c["grace"], c["updates"], c["terminates"], c["revoked"], from, until} {
		if _, ok := b.(int64); ok && !after(b, c["replaced"]) {
			bounds = append(bounds, b)
		}
	}
	if _, ok := c["replaced"].(int64); ok {
		bounds = append(bounds, c["replaced"])
	}
	g["boundaries"] = append([]any{}, bounds...)
	return g
}

// customer draws a customer with up to three licenses.
func (d drawer) customer(t testing.TB, w *world, id string) {
	var grants []object
	for i := range rapid.SampledFrom([]int{0, 1, 2, 2, 3}).Draw(d.t, "licenses") {
		license := fmt.Sprintf("%s-%d", id, i)
		var g object
		if rapid.Bool().Draw(d.t, "of versions") {
			g = grant(t, license, "app", d.pick("constraint", ">=1.0.0 <2.0.0", ">=2.0.0", ">=0.0.0").(string))
		} else {
			g = tagGrant(license, d.pick("repository", "acme/app", "acme/tools").(string), d.pick("pattern", "*", "1.4", "1.*").(string))
		}
		grants = append(grants, d.license(g))
	}
	doc := w.customer(t, id, grants...)
	doc["banned"] = d.rarely("banned") && d.rarely("really banned")
	doc["labels"] = d.labels()
}

// candidate draws what is known of a version or tag.
func (d drawer) candidate(c index.Candidate) index.Candidate {
	instant := func(label string) int64 {
		if t, ok := d.instant(label, nil).(int64); ok {
			return t
		}
		return index.Never
	}
	c.WithdrawnAt, c.RetiresAt, c.RevokedAt = instant("withdrawn"), instant("retires"), instant("revoked digest")
	if d.rarely("released near") {
		c.Released, c.CountsFrom = d.near("released"), d.near("counts from")
	}
	if d.rarely("excepted") {
		c.Except = []string{"bakery"}
	}
	if d.rarely("requires sso") {
		c.Requires = []string{"sso"}
	}
	return c
}

// repository adds a repository with a tag for each candidate, an image for each tag with something attached,
// a child that only the tag reaches, and two layers that all share.
func (d drawer) repository(w *world, name, product string, candidates ...index.Candidate) {
	r := index.Repository{Registry: "main", Name: name, Product: product, Facts: digest(name), Referrers: map[index.Digest][]index.Descriptor{}}
	for i := range candidates {
		c := d.candidate(candidates[i])
		candidates[i] = c
		image := digest(name + c.Tag)
		current := c
		current.RetiresAt = index.Never
		r.Tags = append(r.Tags, index.Tag{Name: c.Tag, Digest: image, Candidates: []index.Candidate{current}})
		attached, child := digest(name+c.Tag+"/attached"), digest(name+c.Tag+"/child")
		r.Nodes = append(r.Nodes,
			index.Node{Digest: image, Kind: index.Manifest, Candidates: []index.Candidate{c, current}},
			index.Node{Digest: attached, Kind: index.Manifest, Candidates: []index.Candidate{c, current}},
			index.Node{Digest: child, Kind: index.Manifest, Candidates: []index.Candidate{current}})
		r.Referrers[image] = []index.Descriptor{{MediaType: "application/vnd.oci.image.manifest.v1+json", Digest: attached, Size: 10, ArtifactType: "application/vnd.example.sbom"}}
	}
	for _, layer := range []string{"base", "base/more"} {
		r.Nodes = append(r.Nodes, index.Node{Digest: digest(layer), Kind: index.Blob, Candidates: candidates})
	}
	w.index.AddRepository(r)
}

func (d drawer) world(t testing.TB) *world {
	w := newWorld()
	w.index.AddProduct(index.Product{ID: "app"})
	if d.rarely("ends") {
		w.notAfter = d.instant("not after", bundle.Never).(int64)
	}
	floating := versioned(t, "app", "1.4.0", "1.4")
	d.repository(w, "acme/app", "app", versioned(t, "app", "1.4.0", "1.4.0"), floating, versioned(t, "app", "2.0.0", "2.0.0"))
	d.repository(w, "acme/tools", "", tagged("1.4"), tagged("stable"))
	d.repository(w, "acme/docs", "", tagged("guide"))
	w.public["acme/docs"] = []any{object{"id": "docs", "tags": object{}, "patterns": []string{"*"}}}
	for _, id := range []string{"bakery", "mill"} {
		d.customer(t, w, id)
		more := object{"expires": d.instant("key expires", "never")}
		if d.rarely("key has limits") {
			more["repositories"] = []string{"acme/app"}
		}
		w.key(id, "ci", more)
	}
	return w
}

// requests are what customers of a random world ask.
func requests() []*authz.Request {
	var list []*authz.Request
	for _, who := range []string{"bakery", "mill", "bakery", ""} {
		for _, repo := range []struct {
			name string
			tags []string
		}{
			{"acme/app", []string{"1.4.0", "1.4", "2.0.0", "1.9.0", "1.9.0-rc.1", "nosuch"}},
			{"acme/tools", []string{"1.4", "stable"}},
			{"acme/docs", []string{"guide"}},
			{"acme/nosuch", []string{"1.0.0"}},
		} {
			for _, tag := range repo.tags {
				list = append(list, request(who, authz.KindManifest, repo.name, tag),
					request(who, authz.KindManifest, repo.name, digestOfName(repo.name+tag)),
					request(who, authz.KindReferrers, repo.name, digestOfName(repo.name+tag)))
			}
			list = append(list, request(who, authz.KindTags, repo.name, ""), request(who, authz.KindBlob, repo.name, digestOfName("base")))
		}
		list = append(list, request(who, authz.KindCatalog, "", ""), request(who, authz.KindPing, "", ""))
	}
	return list
}
