package version

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
)

// ErrNotVersion is wrapped by every error of Parse.
var ErrNotVersion = errors.New("not a version")

// MaxLength bounds the text of a version in bytes. Longer ones are not versions.
const MaxLength = 256

// Version is a semantic version. Two versions are equal when Compare returns 0 or, the same,
// when their Order is equal; do not compare with ==. The zero Version is not a version.
type Version struct {
	core  [3]string // decimal digits without leading zeros
	pre   []string  // pre-release identifiers; none: a release
	build string    // kept for nothing but Build
}

// Parse reads a version as SemVer 2.0.0 writes it, with an optional leading "v". Leading zeros
// (01.4.0), missing parts (1.4) and anything longer than MaxLength are refused. Errors wrap
// ErrNotVersion and say what is wrong.
func Parse(s string) (Version, error) {
	if len(s) > MaxLength {
		return Version{}, fmt.Errorf("%w: longer than %d bytes", ErrNotVersion, MaxLength)
	}
	refuse := func(why string) (Version, error) {
		return Version{}, fmt.Errorf("%w: %q %s", ErrNotVersion, s, why)
	}
	var v Version
	rest := strings.TrimPrefix(s, "v")
	rest, build, hasBuild := strings.Cut(rest, "+")
	core, pre, hasPre := strings.Cut(rest, "-")
	for i := range v.core {
		part, tail, more := strings.Cut(core, ".")
		if more != (i < 2) {
			return refuse("does not have the three parts MAJOR.MINOR.PATCH")
		}
		switch {
		case !digits(part):
			return refuse("has a part that is no number")
		case len(part) > 1 && part[0] == '0':
			return refuse("has a part with a leading zero")
		}
		v.core[i], core = part, tail
	}
	if hasPre {
		v.pre = strings.Split(pre, ".")
		for _, id := range v.pre {
			switch {
			case !identifier(id):
				return refuse("has a pre-release identifier that is empty or has other characters than 0-9 A-Z a-z and -")
			case len(id) > 1 && id[0] == '0' && digits(id):
				return refuse("has a pre-release number with a leading zero")
			}
		}
	}
	if hasBuild {
		for id := range strings.SplitSeq(build, ".") {
			if !identifier(id) {
				return refuse("has a build identifier that is empty or has other characters than 0-9 A-Z a-z and -")
			}
		}
		v.build = build
	}
	return v, nil
}

// String is the normalised text: without a leading v, with the pre-release, without build
// metadata. It identifies the version: equal text, equal Order.
func (v Version) String() string {
	s := v.core[0] + "." + v.core[1] + "." + v.core[2]
	if len(v.pre) > 0 {
		s += "-" + v.PreRelease()
	}
	return s
}

// PreRelease is the text after the hyphen, "" for a release.
func (v Version) PreRelease() string { return strings.Join(v.pre, ".") }

// Build is the build metadata, without its plus sign. It neither orders nor distinguishes.
func (v Version) Build() string { return v.build }

// Base is the version without pre-release and build metadata.
func (v Version) Base() Version { return Version{core: v.core} }

// Order is canonical JSON whose place in Rego's value order is the version's precedence:
// [1,4,0,{}] for a release, [1,4,0,["rc",1]] for a pre-release, with numeric identifiers as
// numbers of any size. Build metadata is not in it.
func (v Version) Order() string {
	var b strings.Builder
	b.Grow(24)
	b.WriteByte('[')
	for _, n := range v.core {
		b.WriteString(n)
		b.WriteByte(',')
	}
	if len(v.pre) == 0 {
		b.WriteString("{}]")
		return b.String()
	}
	b.WriteByte('[')
	for i, id := range v.pre {
		if i > 0 {
			b.WriteByte(',')
		}
		if digits(id) {
			b.WriteString(id)
		} else {
			b.WriteString(`"` + id + `"`)
		}
	}
	b.WriteString("]]")
	return b.String()
}

// Compare returns -1, 0 or 1 by SemVer precedence (SemVer 2.0.0 item 11). Build metadata does
// not count.
func (v Version) Compare(w Version) int {
	for i := range v.core {
		if c := compareNumbers(v.core[i], w.core[i]); c != 0 {
			return c
		}
	}
	switch {
	case len(v.pre) == 0 || len(w.pre) == 0:
		return cmp.Compare(len(w.pre), len(v.pre)) // a release is above its pre-releases
	default:
		return comparePre(v.pre, w.pre)
	}
}

func comparePre(a, b []string) int {
	for i := range min(len(a), len(b)) {
		x, y := digits(a[i]), digits(b[i])
		var c int
		switch {
		case x && y:
			c = compareNumbers(a[i], b[i])
		case x:
			c = -1
		case y:
			c = 1
		default:
			c = strings.Compare(a[i], b[i])
		}
		if c != 0 {
			return c
		}
	}
	return cmp.Compare(len(a), len(b))
}

// Channel is "stable" for a release. For a pre-release it is the letters with which its first
// identifier starts, in lower case (rc1 and rc.1 are rc), or "pre" when it starts with none.
func (v Version) Channel() string {
	if len(v.pre) == 0 {
		return "stable"
	}
	id := v.pre[0]
	n := 0
	for n < len(id) && (id[n]|0x20) >= 'a' && (id[n]|0x20) <= 'z' {
		n++
	}
	if n == 0 {
		return "pre"
	}
	return strings.ToLower(id[:n])
}

// compareNumbers compares decimal digits without leading zeros, of any length.
func compareNumbers(a, b string) int {
	if c := cmp.Compare(len(a), len(b)); c != 0 {
		return c
	}
	return strings.Compare(a, b)
}

// increment adds one to decimal digits.
func increment(n string) string {
	b := []byte(n)
	for i := len(b) - 1; i >= 0; i-- {
		if b[i] != '9' {
			b[i]++
			return string(b)
		}
		b[i] = '0'
	}
	return "1" + string(b)
}

func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

func identifier(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !(c >= '0' && c <= '9' || (c|0x20) >= 'a' && (c|0x20) <= 'z' || c == '-') {
			return false
		}
	}
	return s != ""
}
