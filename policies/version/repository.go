package version

import (
	"fmt"
	"strings"
)

// MaxRepository is the longest repository name in bytes.
const MaxRepository = 255

// ValidRepository reports whether name is a repository (OCI distribution-spec): components of
// [a-z0-9]+ joined inside by one '.', one or two '_' or any number of '-', separated by '/'.
func ValidRepository(name string) bool {
	if len(name) > MaxRepository {
		return false
	}
	for segment := range strings.SplitSeq(name, "/") {
		if !component(segment) {
			return false
		}
	}
	return true
}

// ValidRepositoryPattern explains why p can be no repository pattern, or returns nil.
func ValidRepositoryPattern(p string) error {
	if len(p) > MaxRepository {
		return fmt.Errorf("a repository name has at most %d characters", MaxRepository)
	}
	for segment := range strings.SplitSeq(p, "/") {
		switch {
		case segment == "*" || segment == "**" || component(segment):
		case segment == "":
			return fmt.Errorf("%q has an empty segment", p)
		case strings.Contains(segment, "*"):
			return fmt.Errorf("%q: '*' stands for one whole segment and '**' for one or more, never for a part of a segment like %q", p, segment)
		default:
			return fmt.Errorf("%q: %q is no part of a repository name, which has lower-case letters and digits, joined by '.', '_', '__' or '-'", p, segment)
		}
	}
	return nil
}

// MatchRepository reports whether the whole name matches the pattern, in which the segment '*'
// stands for exactly one segment and '**' for one or more.
func MatchRepository(pattern, name string) bool {
	if !strings.Contains(pattern, "*") {
		return pattern == name
	}
	ps, ns := strings.Split(pattern, "/"), strings.Split(name, "/")
	// As in MatchTag, only the last '**' ever needs to take more.
	star, mark := -1, 0
	p, n := 0, 0
	for n < len(ns) {
		switch {
		case p < len(ps) && ps[p] == "**":
			star, mark = p, n+1
			p, n = p+1, n+1
		case p < len(ps) && (ps[p] == "*" || ps[p] == ns[n]):
			p, n = p+1, n+1
		case star >= 0:
			mark++
			p, n = star+1, mark
		default:
			return false
		}
	}
	return p == len(ps)
}

func component(s string) bool {
	if s == "" || !alphanumeric(s[0]) || !alphanumeric(s[len(s)-1]) {
		return false
	}
	for i := 1; i < len(s); {
		if alphanumeric(s[i]) {
			i++
			continue
		}
		n := i
		for n < len(s) && !alphanumeric(s[n]) {
			n++
		}
		switch separator := s[i:n]; {
		case separator == ".", separator == "_", separator == "__", strings.Trim(separator, "-") == "":
			i = n
		default:
			return false
		}
	}
	return true
}

func alphanumeric(c byte) bool { return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' }
