package version

import (
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestPatternsOfTheTable(t *testing.T) {
	f := fixture(t)
	for _, kind := range []struct {
		match    func(pattern, name string) bool
		patterns []pattern
	}{{MatchTag, f.TagPatterns}, {MatchRepository, f.RepositoryPatterns}} {
		for _, p := range kind.patterns {
			for _, name := range p.Yes {
				if !kind.match(p.Pattern, name) {
					t.Errorf("%q does not match %q", p.Pattern, name)
				}
			}
			for _, name := range p.No {
				if kind.match(p.Pattern, name) {
					t.Errorf("%q matches %q", p.Pattern, name)
				}
			}
		}
	}
	if !MatchTag("*", "") || !MatchTag("", "") || MatchTag("", "a") {
		t.Error("empty texts")
	}
}

// Property: both matchers are the regular expressions their rules describe.
func TestPatternsAreWhatTheirRulesSay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pattern := rapid.StringMatching(`[ab.*]{0,6}`).Draw(t, "tag pattern")
		tag := rapid.StringMatching(`[ab.]{0,8}`).Draw(t, "tag")
		want := regexp.MustCompile(`^` + strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, `.*`) + `$`).MatchString(tag)
		if MatchTag(pattern, tag) != want {
			t.Fatalf("MatchTag(%q, %q) is not %v", pattern, tag, want)
		}

		segments := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "*", "**"}), 1, 5).Draw(t, "repository pattern")
		name := strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b"}), 1, 7).Draw(t, "name"), "/")
		expression := make([]string, len(segments))
		for i, s := range segments {
			switch s {
			case "*":
				expression[i] = `[^/]+`
			case "**":
				expression[i] = `[^/]+(/[^/]+)*`
			default:
				expression[i] = s
			}
		}
		want = regexp.MustCompile(`^` + strings.Join(expression, "/") + `$`).MatchString(name)
		if p := strings.Join(segments, "/"); MatchRepository(p, name) != want {
			t.Fatalf("MatchRepository(%q, %q) is not %v", p, name, want)
		}
	})
}

// The grammar as OCI distribution-spec writes it.
var ociName = regexp.MustCompile(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$`)

func TestRepositoriesFollowTheGrammar(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.StringMatching(`[a0._/A-]{0,9}`).Draw(t, "name")
		if got, want := ValidRepository(s), ociName.MatchString(s); got != want {
			t.Fatalf("ValidRepository(%q) = %v", s, got)
		}
		if err := ValidRepositoryPattern(s); (err == nil) != ociName.MatchString(s) {
			t.Fatalf("ValidRepositoryPattern(%q) = %v", s, err)
		}
	})
	if ValidRepository(strings.Repeat("a", 256)) || !ValidRepository(strings.Repeat("a", 255)) {
		t.Error("a name has at most 255 characters")
	}
	for p, want := range map[string]string{
		"acme/app-*": "one whole segment", "acme/*app": "one whole segment", "acme/***": "one whole segment", "": "empty segment", "acme//app": "empty segment",
		"/acme": "empty segment", "acme/": "empty segment", "Acme": "no part", "acme/a__b": "", "*": "", "**": "", "acme/*/x": "", "a___b": "no part",
	} {
		err := ValidRepositoryPattern(p)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("ValidRepositoryPattern(%q) = %v, want %q", p, err, want)
		}
	}
}

func TestTagsFollowTheGrammar(t *testing.T) {
	grammar := regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$`)
	for _, s := range []string{"", "a", "_", ".a", "-a", "a.b-c_d", "a b", "a+b", "a/b", "é", "*", strings.Repeat("a", 128), strings.Repeat("a", 129)} {
		if got := ValidTag(s); got != grammar.MatchString(s) {
			t.Errorf("ValidTag(%.20q) = %v", s, got)
		}
	}
	for p, valid := range map[string]bool{"1.*": true, "*": true, "*-x": true, "": false, "-*": false, ".x": false, "1.?": false, "a b": false, "a,b": false} {
		if err := ValidTagPattern(p); (err == nil) != valid {
			t.Errorf("ValidTagPattern(%q) = %v", p, err)
		}
	}
}

func TestDigestTags(t *testing.T) {
	hex := strings.Repeat("0a", 32)
	for tag, want := range map[string]bool{
		"sha256-" + hex: true, "sha256-" + hex + ".sig": true, "sha256-" + hex + ".att": true, "sha256-" + hex + ".sbom": true,
		"sha256-" + hex + ".foo": false, "sha256-" + hex + "a": false, "sha256-" + hex[1:]: false, "sha256-" + strings.ToUpper(hex): false, "sha512-" + hex: false, "sha256": false, "": false,
	} {
		got, ok := DigestTag(tag)
		if ok != want || ok && got != hex {
			t.Errorf("DigestTag(%q) = %q, %v", tag, got, ok)
		}
	}
}
