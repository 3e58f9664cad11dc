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

// warnLicense tells what the catalog lacks of a license: repositories, tags that its patterns match,
// or anything that it grants.
func (c *compiler) warnLicense(l *license.License) {
	if len(c.in.Catalog) == 0 {
		return
	}
	empty, something := true, false
	for n := range l.Grants {
		g := &l.Grants[n]
		empty = empty && g.Empty()
		something = something || c.grants(g)
		if g.Product != "" {
			continue
		}
		if len(c.expand(g.Repository)) == 0 {
			c.warn(g.Pos, "license %s: the catalog has no repository %s", l.ID, g.Repository)
		}
		c.warnTags(g.Pos, fmt.Sprintf("grants[%d].", n), []string{g.Repository}, g.Tags)
	}
	if !empty && !something {
		c.warnOf(warnNothing, l.Pos, "license %s: nothing in the catalog is granted by it: correct its versions, channels, repositories or tags, unless they are still to come", l.ID)
	}
}

// warnPublic tells which tag patterns of Public documents match nothing.
func (c *compiler) warnPublic() {
	if len(c.in.Catalog) == 0 {
		return
	}
	for i := range c.set.Public {
		p := &c.set.Public[i]
		c.warnTags(p.Pos, "", p.Repositories, p.Tags)
	}
}

// grants reports whether a grant covers a version or a tag that the catalog has. Many grants say the
// same.
func (c *compiler) grants(g *license.Grant) bool {
	key := fmt.Sprintf("%q %q %q %q %q %v", g.Product, g.Channels, g.Versions, g.Repository, g.Tags, g.Current != nil)
	if g.Current != nil {
		key += strconv.FormatInt(*g.Current, 10)
	}
	if _, ok := c.granted[key]; !ok {
		c.granted[key] = c.grantsSomething(g)
	}
	return c.granted[key]
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

// askedTag is a tag pattern of repositories, as they are written.
type askedTag struct{ repositories, tag string }

// warnTags tells which tag patterns match no tag of the repositories that they are about. Of those
// without any repository in the catalog something is said elsewhere.
func (c *compiler) warnTags(pos license.Position, path string, repositories, tags []string) {
	key := strings.Join(repositories, ", ")
	for i, tag := range tags {
		matched, ok := c.matched[askedTag{key, tag}]
		if !ok {
			var names []string
			for _, r := range repositories {
				names = append(names, c.expand(r)...)
			}
			matched = len(names) == 0 || tag == "*" || slices.ContainsFunc(names, func(name string) bool { return c.hasTag(name, tag) })
			c.matched[askedTag{key, tag}] = matched
		}
		if !matched {
			c.warnOf(warnTag, pos, "%stags[%d]: no tag of %s in the catalog matches %q: correct it, unless the tag is still to come", path, i, key, tag)
		}
	}
}
