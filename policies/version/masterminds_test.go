package version

import (
	"fmt"
	"math/big"
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

// Property: for random constraints and versions, membership in the compiled ranges is what
// Masterminds answers with IncludePrerelease, comparison by comparison, but for the listed
// differences; and without IncludePrerelease the same for releases.
func TestRangesAgreeWithMasterminds(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	count := tally{}
	for compared := 0; compared < 300_000; {
		text := randomConstraint(r)
		theirs, err := semver.NewConstraint(text)
		ours, err2 := ParseConstraint(text)
		if (err == nil) != (err2 == nil) {
			t.Fatalf("%q: Masterminds says %v, ParseConstraint says %v", text, err, err2)
		}
		if err != nil {
			continue
		}
		each := comparisons(t, theirs.String())
		for range 20 {
			s := randomVersion(r)
			v, w := must(t, s), semver.MustParse(s)
			compared++
			got, want, plain := ours.Contains(v), false, false
			for _, group := range each {
				all, allPlain := true, true
				for _, c := range group {
					held := c.theirs.Check(w)
					allPlain = allPlain && held
					if d := differs(c.ours, v); d != "" && held {
						count[d]++ // both differences exclude more
						held = false
					}
					all = all && held
				}
				want, plain = want || all, plain || allPlain
			}
			theirs.IncludePrerelease = true
			if theirs.Check(w) != plain {
				t.Fatalf("%q and %s: Masterminds' parts do not make its whole", text, s)
			}
			if got != want {
				t.Fatalf("%q and %s: ranges %v say %v, Masterminds %v, and no listed difference explains it", text, s, ours, got, plain)
			}
			if theirs.IncludePrerelease = false; theirs.Check(w) != plain {
				if v.PreRelease() == "" {
					t.Fatalf("%q and %s: IncludePrerelease matters for a release", text, s)
				}
				count[preReleases]++
			}
		}
	}
	count.check(t, "ranges")
}

// comparison is one comparison of a constraint, as both see it.
type comparison struct {
	ours   comparator
	theirs *semver.Constraints // with IncludePrerelease
}

// comparisons takes a constraint apart, as Masterminds writes it.
func comparisons(t *testing.T, text string) (groups [][]comparison) {
	t.Helper()
	for alternative := range strings.SplitSeq(text, " || ") {
		var group []comparison
		for _, part := range strings.Fields(alternative) {
			c, err := parseComparator(part)
			theirs, err2 := semver.NewConstraint(part)
			if err != nil || err2 != nil {
				t.Fatalf("%q: %v, %v", part, err, err2)
			}
			theirs.IncludePrerelease = true
			group = append(group, comparison{c, theirs})
		}
		groups = append(groups, group)
	}
	return groups
}

// Property: Compare, the order in Rego and Masterminds agree on 300,000 pairs, but for numbers
// that Masterminds cannot count; there SemVer's own rule decides (specCompare).
func TestOrderAgreesWithMastermindsAndRego(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	count := tally{}
	for range 300_000 {
		a, b := randomVersion(r), randomVersion(r)
		for _, s := range []*string{&a, &b} {
			if r.IntN(50) == 0 {
				*s = fmt.Sprintf("1.0.0-%s", []string{"18446744073709551616", "99999999999999999999", "100000000000000000000"}[r.IntN(3)])
			}
		}
		v, w := must(t, a), must(t, b)
		want := specCompare(a, b)
		if got := v.Compare(w); got != want {
			t.Fatalf("%s and %s: Compare says %d, SemVer %d", a, b, got, want)
		}
		if got := regoValue(t, v.Order()).Compare(regoValue(t, w.Order())); got != want {
			t.Fatalf("%s and %s: Rego says %d, SemVer %d", v.Order(), w.Order(), got, want)
		}
		if got := semver.MustParse(a).Compare(semver.MustParse(b)); got != want {
			if !beyond64(v) && !beyond64(w) {
				t.Fatalf("%s and %s: Masterminds says %d, SemVer %d", a, b, got, want)
			}
			count[largeIdentifiers]++
		}
	}
	count.check(t, "order")
}

func beyond64(v Version) bool {
	for _, id := range v.pre {
		if n, ok := new(big.Int).SetString(id, 10); ok && !n.IsUint64() {
			return true
		}
	}
	return false
}

// specCompare is SemVer 2.0.0 item 11, written out naively.
func specCompare(a, b string) int {
	core := func(s string) (nums []string, pre []string) {
		s, _, _ = strings.Cut(strings.TrimPrefix(s, "v"), "+")
		s, tail, ok := strings.Cut(s, "-")
		if ok {
			pre = strings.Split(tail, ".")
		}
		return strings.Split(s, "."), pre
	}
	number := func(s string) *big.Int { n, _ := new(big.Int).SetString(s, 10); return n }
	an, ap := core(a)
	bn, bp := core(b)
	for i := range an {
		if c := number(an[i]).Cmp(number(bn[i])); c != 0 {
			return c
		}
	}
	if len(ap) == 0 || len(bp) == 0 {
		return sign(len(bp)) - sign(len(ap))
	}
	for i := range min(len(ap), len(bp)) {
		numeric := func(s string) bool { return strings.Trim(s, "0123456789") == "" }
		c := 0
		switch x, y := numeric(ap[i]), numeric(bp[i]); {
		case x && y:
			c = number(ap[i]).Cmp(number(bp[i]))
		case x:
			c = -1
		case y:
			c = 1
		default:
			c = strings.Compare(ap[i], bp[i])
		}
		if c != 0 {
			return c
		}
	}
	return sign(len(ap) - len(bp))
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
