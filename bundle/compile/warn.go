package compile

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/pullgate/pullgate/bundle/license"
	"github.com/pullgate/pullgate/policies/version"
)

// warnRepository tells what is odd in a repository of the catalog.
func (c *compiler) warnRepository(b *builder) {
	if b.other > 0 {
		c.warn(license.Position{}, "repository %s: %d digests are not SHA-256; nobody can pull them", b.Name, b.other)
	}
	for _, tag := range slices.Sorted(maps.Keys(b.Tags)) {
		v, ok := b.versionOf(tag)
		if !ok {
			continue
		}
		digest := b.Tags[tag].Digest
		if says, ok := b.annotated(digest); ok && says.v.Compare(v.v) != 0 && says.base.Compare(v.base) != 0 {
			c.warn(license.Position{}, "repository %s: tag %s is version %s, its image says %s; the tag counts",
				b.Name, tag, v.v, says.v)
		}
	}
}

// warnLicenses tells which licenses have grants, but nothing in the catalog that they grant.
func (c *compiler) warnLicenses() {
	if len(c.in.Catalog) == 0 {
		return
	}
	// Many licenses say the same.
	known := map[string]bool{}
	grants := func(g license.Grant) bool {
		key := fmt.Sprintf("%q %q %q %q %q %v", g.Product, g.Channels, g.Versions, g.Repository, g.Tags, g.Current != nil)
		if g.Current != nil {
			key += strconv.FormatInt(*g.Current, 10)
		}
		if _, ok := known[key]; !ok {
			known[key] = c.grantsSomething(&g)
		}
		return known[key]
	}
	for _, l := range c.licenses {
		empty := true
		for i := range l.Grants {
			empty = empty && l.Grants[i].Empty()
		}
		if empty {
			continue
		}
		if !slices.ContainsFunc(l.Grants, grants) {
			c.warn(l.Pos, "license %s: nothing in the catalog is granted by it", l.ID)
		}
	}
}

// grantsSomething reports whether a grant covers a version or a tag that the catalog has.
func (c *compiler) grantsSomething(g *license.Grant) bool {
	if g.Product != "" {
		return slices.ContainsFunc(c.versions[g.Product], func(k knownVersion) bool {
			return slices.Contains(g.Channels, k.Channel) && g.Versions.Contains(k.base)
		})
	}
	for _, name := range c.expand(g.Repository) {
		if g.Current != nil {
			if len(c.currentTags(name, *g.Current)) > 0 {
				return true
			}
			continue
		}
		for _, r := range c.byName[name] {
			for tag := range r.Tags {
				if _, ok := version.DigestTag(tag); ok {
					continue
				}
				if slices.ContainsFunc(g.Tags, func(p string) bool { return version.MatchTag(p, tag) }) {
					return true
				}
			}
		}
	}
	return false
}
