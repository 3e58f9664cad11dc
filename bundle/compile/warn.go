package compile

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

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

// Kinds of warnings, as they are counted.
const (
	warnNothing = "licenses that grant nothing in the catalog"
	warnTag     = "tag patterns that no tag matches"
)

func (c *compiler) warnOf(kind string, pos license.Position, format string, args ...any) {
	c.warnings = append(c.warnings, Warning{pos, kind, fmt.Sprintf(format, args...)})
}

// warnLicenses tells which licenses have grants, but nothing in the catalog that they grant, and
// which tag patterns match nothing.
func (c *compiler) warnLicenses() {
	if len(c.in.Catalog) == 0 {
		return
	}
	c.warnTags()
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
			c.warnOf(warnNothing, l.Pos, "license %s: nothing in the catalog is granted by it: correct its versions, channels, repositories or tags, unless they are still to come", l.ID)
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
		if slices.ContainsFunc(g.Tags, func(p string) bool { return c.hasTag(name, p) }) {
			return true
		}
	}
	return false
}

// hasTag reports whether a repository has a tag that the pattern matches.
func (c *compiler) hasTag(name, pattern string) bool {
	for _, r := range c.byName[name] {
		for tag := range r.Tags {
			if _, ok := version.DigestTag(tag); !ok && version.MatchTag(pattern, tag) {
				return true
			}
		}
	}
	return false
}

// warnTags tells which tag patterns match no tag of the repositories that they are about. Of those
// without any repository in the catalog something is said elsewhere.
func (c *compiler) warnTags() {
	type about struct{ repositories, tag string }
	known := map[about]bool{}
	ask := func(pos license.Position, path string, repositories, tags []string) {
		key := strings.Join(repositories, ", ")
		for i, tag := range tags {
			matched, ok := known[about{key, tag}]
			if !ok {
				var names []string
				for _, r := range repositories {
					names = append(names, c.expand(r)...)
				}
				matched = len(names) == 0 || tag == "*" || slices.ContainsFunc(names, func(name string) bool { return c.hasTag(name, tag) })
				known[about{key, tag}] = matched
			}
			if !matched {
				c.warnOf(warnTag, pos, "%stags[%d]: no tag of %s in the catalog matches %q: correct it, unless the tag is still to come", path, i, key, tag)
			}
		}
	}
	for _, l := range c.licenses {
		for n := range l.Grants {
			if g := &l.Grants[n]; g.Product == "" {
				ask(g.Pos, fmt.Sprintf("grants[%d].", n), []string{g.Repository}, g.Tags)
			}
		}
	}
	for i := range c.set.Public {
		p := &c.set.Public[i]
		ask(p.Pos, "", p.Repositories, p.Tags)
	}
}
