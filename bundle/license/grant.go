package license

import (
	"strings"

	"github.com/pullgate/pullgate/policies/version"
)

func (v value) grant(d *draft) (g Grant) {
	v.missing = v.n.pos()
	g.Pos = v.n.pos()
	o, ok := v.object()
	if !ok {
		return g
	}
	product, byProduct := o.take("product")
	repository, byRepository := o.take("repository")
	switch {
	case byProduct && byRepository:
		v.fail("has `product` and `repository`: a grant has one of them, write two grants")
		return g
	case byProduct:
		defer o.done()
		g.Product, _ = product.reference("Product")
		if f, ok := o.need("versions", "a constraint like \">=1.0.0 <2.0.0\", a list of exact versions, or `all`"); ok {
			f.versions(&g)
		}
		g.Channels = []string{"stable"}
		if f, ok := o.take("channels"); ok {
			g.Channels, _ = f.texts(validChannel)
		}
		if o.v.n.get("tags") != nil {
			f, _ := o.take("tags")
			f.fail("goes with `repository`; a grant by product has `versions`")
		}
	case byRepository:
		defer o.done()
		if s, ok := repository.text(); ok {
			if err := version.ValidRepositoryPattern(s); err != nil {
				repository.fail("%v", err)
			}
			g.Repository = s
		}
		if f, ok := o.need("tags", "`all`, a list of tag patterns like [\"1.4\", \"1.4.*\"], or {current: {}}; nothing is open by default"); ok {
			f.granted(&g, d)
		}
		for _, name := range []string{"versions", "channels"} {
			if o.v.n.get(name) != nil {
				f, _ := o.take(name)
				f.fail("goes with `product`; a grant by repository has `tags`")
			}
		}
	default:
		v.fail("has neither `product` nor `repository`: a grant names one of them")
	}
	return g
}

func (v value) versions(g *Grant) {
	if v.n.kind == scalarNode && v.n.text == "all" {
		g.Versions, g.Constraint = version.All(), "all"
		return
	}
	if v.n.kind != listNode {
		if v.n.kind == objectNode || v.n.tag == "!!bool" || v.n.tag == "!!null" {
			v.fail("is %s, it must be a constraint like \">=1.0.0 <2.0.0\", a list of exact versions, or `all`", v.what())
			return
		}
		s, ok := v.text()
		if !ok {
			return
		}
		c := v.p.constraint(s)
		if c.err != nil {
			v.fail("%v", c.err)
		}
		g.Versions, g.Constraint, g.PreReleases = c.ranges, s, c.named
		return
	}
	items, _ := v.list()
	exact := make([]version.Version, 0, len(items))
	texts := make([]string, 0, len(items))
	for _, item := range items {
		s, ok := item.text()
		if !ok {
			continue
		}
		parsed, err := version.Parse(s)
		if err != nil {
			item.fail("%v: a list has exact versions like 1.4.0; a constraint stands alone, without [ ]", err)
			continue
		}
		exact, texts = append(exact, parsed), append(texts, s)
		if parsed.PreRelease() != "" {
			g.PreReleases = append(g.PreReleases, parsed)
		}
	}
	g.Versions, g.Constraint = version.Exact(exact), strings.Join(texts, " || ")
}

// granted reads the tags of a repository grant.
func (v value) granted(g *Grant, d *draft) {
	if v.n.kind != objectNode {
		g.Tags = v.tags()
		return
	}
	o, _ := v.object()
	defer o.done()
	f, ok := o.need("current", "`all`, a list of tag patterns, or {current: {}} for the tags there are at the start")
	if !ok {
		return
	}
	inner, ok := f.object()
	if !ok {
		return
	}
	defer inner.done()
	before := Always + 1
	if d.starts != nil {
		before = *d.starts + 1
	}
	if at, ok := inner.take("as_of"); ok {
		if m, ok := at.moment(); ok {
			before = m.ends(d.loc)
			if !m.isDate {
				before++
			}
		}
	}
	g.Current = &before
}
