package version

import (
	"fmt"
	"strings"

	"github.com/Masterminds/semver/v3"
)

// ParseConstraint compiles a constraint to the versions that satisfy it. The package comment
// says which syntax and which rules. A constraint that nothing can satisfy (>2.0.0 <1.0.0) is
// valid and gives empty Ranges.
func ParseConstraint(s string) (Ranges, error) {
	groups, err := parseGroups(s)
	if err != nil {
		return nil, err
	}
	var out []span
	for _, group := range groups {
		spans := []span{{first, last}}
		for _, c := range group {
			spans = intersect(spans, c.spans())
		}
		out = append(out, spans...)
	}
	return encode(union(out)), nil
}

// NamesPreReleases lists the pre-releases that a constraint names, in its order, so that a
// caller can warn when their channels are not granted. The idiom X.Y.Z-0, the lowest
// pre-release, names none. It is empty for a text that is no constraint.
func NamesPreReleases(s string) []Version {
	groups, _ := parseGroups(s)
	var out []Version
	for _, group := range groups {
		for _, c := range group {
			if c.op != "!=" && len(c.v.pre) > 0 && !(len(c.v.pre) == 1 && c.v.pre[0] == "0") {
				out = append(out, c.v)
			}
		}
	}
	return out
}

// comparator is one comparison of a constraint: an operator and a version, of which parts may
// be wild (left out, or x, X, *).
type comparator struct {
	op   string
	v    Version // wild parts are 0
	wild int     // 3: no wild part; 2: the patch; 1: minor and patch; 0: everything
}

// parseGroups returns the comparators of a constraint: alternatives of conjunctions.
func parseGroups(s string) ([][]comparator, error) {
	parsed, err := semver.NewConstraint(s)
	if err != nil {
		if instead := elsewhere(s); instead != "" {
			return nil, fmt.Errorf("not a constraint: %w: %s", err, instead)
		}
		return nil, fmt.Errorf("not a constraint: %w", err)
	}
	// Its text has hyphen ranges rewritten to >= and <=, alternatives joined by " || " and
	// comparisons by one space, with nothing between operator and version.
	var groups [][]comparator
	for alternative := range strings.SplitSeq(parsed.String(), " || ") {
		var group []comparator
		for _, text := range strings.Fields(alternative) {
			c, err := parseComparator(text)
			if err != nil {
				return nil, err
			}
			group = append(group, c)
		}
		groups = append(groups, group)
	}
	return groups, nil
}

func parseComparator(text string) (comparator, error) {
	n := strings.IndexFunc(text, func(r rune) bool { return !strings.ContainsRune("=!<>~^", r) })
	if n < 0 {
		return comparator{}, fmt.Errorf("not a constraint: %q has no version", text)
	}
	c := comparator{op: text[:n], wild: 3}
	core, _, _ := strings.Cut(strings.TrimPrefix(text[n:], "v"), "+")
	core, pre, hasPre := strings.Cut(core, "-")
	parts := strings.Split(core, ".")
	for i := range c.v.core {
		c.v.core[i] = "0"
		if c.wild < 3 {
			continue
		}
		if i >= len(parts) || wildcard(parts[i]) {
			c.wild = i
			continue
		}
		if !digits(parts[i]) {
			return comparator{}, fmt.Errorf("not a constraint: %q is no version", text[n:])
		}
		if n := strings.TrimLeft(parts[i], "0"); n != "" {
			c.v.core[i] = n // leading zeros mean nothing in a constraint, as in Masterminds
		}
	}
	if hasPre {
		c.v.pre = strings.Split(pre, ".")
	}
	return c, nil
}

// spans are the versions that satisfy the comparison, sorted and disjoint. The cases follow
// the constraint functions of Masterminds/semver 3.5 (constraints.go), whose answers for
// wildcards without any number are kept as they are: ^* and <=* hold little, * and ~* hold
// everything from 0.0.0.
func (c comparator) spans() []span {
	zero := c.v.core == [3]string{"0", "0", "0"}
	switch c.op {
	case "", "=":
		if c.wild == 3 {
			return []span{{at(c.v), after(c.v)}}
		}
		return c.tilde(zero)
	case "~", "~>":
		return c.tilde(zero)
	case "!=":
		switch c.wild {
		case 1, 2:
			return union([]span{{first, below(c.v.Base())}, {below(bump(c.v, c.wild-1)), last}})
		default:
			return union([]span{{first, at(c.v)}, {after(c.v), last}})
		}
	case ">":
		switch c.wild {
		case 1, 2:
			return []span{{below(bump(c.v, c.wild-1)), last}}
		default:
			return []span{{after(c.v), last}}
		}
	case ">=", "=>":
		return []span{{at(c.v), last}}
	case "<":
		return union([]span{{first, below(c.v)}})
	case "<=", "=<":
		switch c.wild {
		case 3:
			return []span{{first, after(c.v)}}
		case 1:
			return []span{{first, below(bump(c.v, 0))}}
		default:
			return []span{{first, below(bump(c.v, 1))}}
		}
	default: // "^"
		part := 2
		switch {
		case c.v.core[0] != "0" || c.wild == 1:
			part = 0
		case c.v.core[1] != "0" || c.wild == 2:
			part = 1
		}
		return []span{{at(c.v), below(bump(c.v, part))}}
	}
}

// tilde is ~: the patch may grow, or the minor when it is wild. ~0.0.0 holds everything from
// there, as in Masterminds.
func (c comparator) tilde(zero bool) []span {
	switch {
	case zero && (c.wild == 0 || c.wild == 3):
		return []span{{at(c.v), last}}
	case c.wild == 1:
		return []span{{at(c.v), below(bump(c.v, 0))}}
	default:
		return []span{{at(c.v), below(bump(c.v, 1))}}
	}
}
