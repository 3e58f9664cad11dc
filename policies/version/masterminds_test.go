package version

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/Masterminds/semver/v3"
	"github.com/open-policy-agent/opa/v1/ast"
)

// randomVersion makes versions that collide often: small numbers, few identifiers.
func randomVersion(r *rand.Rand) string {
	s := fmt.Sprintf("%d.%d.%d", r.IntN(4), r.IntN(4), r.IntN(4))
	if r.IntN(2) == 0 {
		ids := []string{"0", "1", "2", "10", "99", "a", "A", "alpha", "beta", "rc", "rc1", "x-y", "-", "--", "0a", "-1", "18446744073709551615"}
		n := 1 + r.IntN(3)
		pre := make([]string, n)
		for i := range pre {
			pre[i] = ids[r.IntN(len(ids))]
		}
		s += "-" + strings.Join(pre, ".")
	}
	if r.IntN(8) == 0 {
		s += "+b" + fmt.Sprint(r.IntN(3))
	}
	return s
}

func randomConstraint(r *rand.Rand) string {
	operand := func() string {
		switch r.IntN(8) {
		case 0:
			return fmt.Sprint(r.IntN(4))
		case 1:
			return fmt.Sprintf("%d.%d", r.IntN(4), r.IntN(4))
		case 2:
			return fmt.Sprintf("%d.%d.x", r.IntN(4), r.IntN(4))
		case 3:
			return fmt.Sprintf("v%d.X", r.IntN(4))
		case 4:
			if r.IntN(4) == 0 {
				return "*"
			}
			return fmt.Sprintf("%d.%d-%s", r.IntN(4), r.IntN(4), []string{"0", "rc", "rc.1"}[r.IntN(3)])
		default:
			return randomVersion(r)
		}
	}
	ops := []string{"", "=", "!=", ">", "<", ">=", "=>", "<=", "=<", "~", "~>", "^"}
	var alternatives []string
	for range 1 + r.IntN(3) {
		if r.IntN(8) == 0 {
			alternatives = append(alternatives, operand()+" - "+operand())
			continue
		}
		var all []string
		for range 1 + r.IntN(3) {
			all = append(all, ops[r.IntN(len(ops))]+strings.Repeat(" ", r.IntN(2))+operand())
		}
		alternatives = append(alternatives, strings.Join(all, []string{" ", ", ", ","}[r.IntN(3)]))
	}
	return strings.Join(alternatives, []string{"||", " || "}[r.IntN(2)])
}

// differsOnPurpose reports whether the package comment lists a difference that may concern v
// under one of the comparisons.
func differsOnPurpose(t *testing.T, constraint string, v Version) bool {
	t.Helper()
	groups, err := parseGroups(constraint)
	if err != nil {
		t.Fatal(err)
	}
	for _, group := range groups {
		for _, c := range group {
			switch {
			case c.op == "<" && len(c.v.pre) == 0 && c.v.core == v.core && len(v.pre) > 0:
				return true // <X.Y.Z and a pre-release of X.Y.Z
			case c.op == "!=" && c.wild == 2 && [2]string(c.v.core[:2]) == [2]string(v.core[:2]) && len(v.pre)+len(c.v.pre) > 0:
				return true // !=X.Y.x and a pre-release that begins with X.Y
			}
		}
	}
	return false
}

// Property: for random constraints and versions, membership in the compiled ranges is what
// Masterminds answers with IncludePrerelease, but for the differences of the package comment.
func TestRangesAgreeWithMasterminds(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	compared, excused := 0, 0
	for compared < 300_000 {
		text := randomConstraint(r)
		theirs, err := semver.NewConstraint(text)
		ours, err2 := ParseConstraint(text)
		if (err == nil) != (err2 == nil) {
			t.Fatalf("%q: Masterminds says %v, ParseConstraint says %v", text, err, err2)
		}
		if err != nil {
			continue
		}
		theirs.IncludePrerelease = true
		for range 20 {
			s := randomVersion(r)
			v := must(t, s)
			want := theirs.Check(semver.MustParse(s))
			got := ours.Contains(v)
			compared++
			if got == want {
				continue
			}
			if !differsOnPurpose(t, text, v) {
				t.Fatalf("%q and %s: ranges %v say %v, Masterminds %v", text, s, ours, got, want)
			}
			excused++
		}
	}
	if excused > compared/20 {
		t.Fatalf("%d of %d pairs excused: the differences are meant to be rare", excused, compared)
	}
}

// Property: Compare, the text order of Order in Rego and Masterminds agree on 300,000 pairs,
// also for bounds of ranges.
func TestOrderAgreesWithMastermindsAndRego(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 300_000 {
		a, b := randomVersion(r), randomVersion(r)
		v, w := must(t, a), must(t, b)
		want := semver.MustParse(a).Compare(semver.MustParse(b))
		if got := v.Compare(w); got != want {
			t.Fatalf("%s and %s: Compare says %d, Masterminds %d", a, b, got, want)
		}
		if got := regoValue(t, v.Order()).Compare(regoValue(t, w.Order())); got != want {
			t.Fatalf("%s and %s: Rego says %d, Masterminds %d", v.Order(), w.Order(), got, want)
		}
	}
}

// Numbers beyond 64 bits, which Masterminds compares as text or refuses, still compare as
// numbers, in Go and in Rego.
func TestHugeNumbersCompareAsNumbers(t *testing.T) {
	ascending := []string{
		"1.0.0-9007199254740992", "1.0.0-9007199254740993", "1.0.0-18446744073709551615",
		"1.0.0-18446744073709551616", "1.0.0-18446744073709551617", "1.0.0-99999999999999999999",
		"1.0.0-100000000000000000000", "1.0.0-100000000000000000001", "1.0.0-a", "1.0.0",
		"9007199254740993.0.0", "18446744073709551616.0.0", "18446744073709551617.0.0",
	}
	for i, a := range ascending {
		for j, b := range ascending {
			v, w := must(t, a), must(t, b)
			want := sign(i - j)
			if got := v.Compare(w); got != want {
				t.Errorf("%s and %s: Compare says %d, want %d", a, b, got, want)
			}
			if got := regoValue(t, v.Order()).Compare(regoValue(t, w.Order())); got != want {
				t.Errorf("%s and %s: Rego says %d, want %d", a, b, got, want)
			}
		}
	}
}

// regoValue is what a policy sees when it reads the order from a bundle's data.
func regoValue(t testing.TB, order string) ast.Value {
	t.Helper()
	v, err := ast.ValueFromReader(strings.NewReader(order))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func sign(n int) int {
	switch {
	case n < 0:
		return -1
	case n > 0:
		return 1
	}
	return 0
}

func must(t testing.TB, s string) Version {
	t.Helper()
	v, err := Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}
