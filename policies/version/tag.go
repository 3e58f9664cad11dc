package version

import (
	"fmt"
	"strings"
)

// FromTag reads the version that a tag is: strict SemVer with an optional leading v. In a
// chart repository '_' stands for '+', which a tag cannot hold (Helm's rule). ok is false for
// every other tag, a floating one.
//
// When the whole pre-release matches one of the variant patterns, the tag is a variant of its
// base version: base is v without the pre-release, and order, channel and constraints are
// base's; facts about the release are looked up for v first, then for base. Else base is v.
func FromTag(tag string, chart bool, variants []string) (v, base Version, ok bool) {
	if strings.Contains(tag, "+") {
		return Version{}, Version{}, false
	}
	if chart {
		tag = strings.ReplaceAll(tag, "_", "+")
	}
	v, err := Parse(tag)
	if err != nil {
		return Version{}, Version{}, false
	}
	return v, v.WithoutVariant(variants), true
}

// WithoutVariant is the base version of v when its whole pre-release matches one of the
// patterns, else v.
func (v Version) WithoutVariant(variants []string) Version {
	if len(v.pre) == 0 {
		return v
	}
	pre := v.PreRelease()
	for _, p := range variants {
		if MatchTag(p, pre) {
			return v.Base()
		}
	}
	return v
}

// MatchTag reports whether the whole tag matches the pattern, in which '*' stands for any run
// of characters, dots and nothing included. Nothing else is special.
func MatchTag(pattern, tag string) bool {
	star, mark := -1, 0
	p, t := 0, 0
	for t < len(tag) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, t
			p++
		case p < len(pattern) && pattern[p] == tag[t]:
			p++
			t++
		case star >= 0:
			mark++
			p, t = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// ValidTag reports whether t is a tag (OCI distribution-spec: 1 to 128 characters of
// [A-Za-z0-9_.-], the first no dot or hyphen).
func ValidTag(t string) bool {
	if t == "" || len(t) > 128 || t[0] == '.' || t[0] == '-' {
		return false
	}
	return tagCharacters(t, false)
}

// ValidTagPattern explains why p can be no tag pattern, or returns nil.
func ValidTagPattern(p string) error {
	switch {
	case p == "":
		return fmt.Errorf("an empty tag pattern matches nothing")
	case len(p) > 128:
		return fmt.Errorf("a tag has at most 128 characters")
	case p[0] == '.' || p[0] == '-':
		return fmt.Errorf("%q matches no tag: a tag does not begin with %q", p, p[:1])
	case !tagCharacters(p, true):
		return fmt.Errorf("%q matches no tag: a pattern has letters, digits, '_', '.', '-' and '*' for any run of characters", p)
	}
	return nil
}

func tagCharacters(s string, pattern bool) bool {
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= '0' && c <= '9', (c|0x20) >= 'a' && (c|0x20) <= 'z', c == '_', c == '.', c == '-':
		case c == '*' && pattern:
		default:
			return false
		}
	}
	return true
}

// DigestTag reports whether a tag is digest-like: sha256-HEX with 64 lower-case digits, alone
// or followed by .sig, .att or .sbom. Such a tag is judged as the digest it names.
func DigestTag(tag string) (hex string, ok bool) {
	rest, found := strings.CutPrefix(tag, "sha256-")
	if !found || len(rest) < 64 {
		return "", false
	}
	switch rest[64:] {
	case "", ".sig", ".att", ".sbom":
	default:
		return "", false
	}
	for i := range 64 {
		if c := rest[i]; !(c >= '0' && c <= '9' || c >= 'a' && c <= 'f') {
			return "", false
		}
	}
	return rest[:64], true
}
