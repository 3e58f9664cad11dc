package version

import (
	"slices"
	"strings"
)

// elsewhere says what a text that is no constraint would be here, when it looks like a
// constraint of another ecosystem (docs/versions.md), else "".
func elsewhere(s string) string {
	for _, o := range [...]struct{ sign, instead string }{
		{"~=", "~= is not read here: Python's ~=1.4.2 is ~1.4.2, and its ~=1.4 is ^1.4"},
		{"==", "== is not read here: write =1.4.0, or 1.4.x for Python's ==1.4.*"},
		{"[", "intervals are not read here: [1.0,2.0) is >=1.0.0 <2.0.0"},
		{"(", "intervals are not read here: (1.0,2.0] is >1.0.0 <=2.0.0"},
		{"&", "comparisons that must all hold are joined by a space or a comma"},
		{" and ", "comparisons that must all hold are joined by a space or a comma"},
		{" or ", "alternatives are joined by ||"},
	} {
		if strings.Contains(s, o.sign) {
			return o.instead
		}
	}
	if strings.Contains(strings.ReplaceAll(s, "||", ""), "|") {
		return "alternatives are joined by ||"
	}
	for operand := range strings.FieldsFuncSeq(s, func(r rune) bool { return strings.ContainsRune("=!<>~^|, ", r) }) {
		core, _, _ := strings.Cut(strings.TrimPrefix(operand, "v"), "-")
		core, _, _ = strings.Cut(core, "+")
		parts := strings.Split(core, ".")
		switch {
		case slices.Contains([]string{"latest", "stable", "next", "edge", "nightly", "lts", "main"}, core):
			return "constraints are about versions: a grant with `repository` and `tags` reaches a tag"
		case len(parts) > 3 && !slices.ContainsFunc(parts, func(p string) bool { return !digits(p) }):
			return "a version has at most three parts"
		case digits(core[:min(1, len(core))]) && slices.ContainsFunc(parts, func(p string) bool { return !digits(p) && !wildcard(p) }):
			return "a version has numbers and dots up to a hyphen: 1.4.0-rc1, not 1.4.0rc1"
		}
	}
	return ""
}

func wildcard(s string) bool { return s == "x" || s == "X" || s == "*" }
