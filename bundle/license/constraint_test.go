package license

import (
	"strings"
	"testing"

	"github.com/pullgate/pullgate/policies/version"
)

// What other tools write, and what is to be written here.
var otherConstraints = []struct{ text, want string }{
	{"~=1.4", `"~=1.4" is no constraint here: write ">=1.4.0 <2.0.0"`},
	{"~=0.4", `write ">=0.4.0 <1.0.0"`},
	{"~=1.4.2", `write "~1.4.2"`},
	{"~= 1.4, != 1.4.3", `write ">=1.4.0 <2.0.0, != 1.4.3"`},
	{"==1.4", `write "=1.4.0"`},
	{"== 1", `write "=1.0.0"`},
	{"===1.4.2", `write "=1.4.2"`},
	{"==1.4.*", `write "1.4.x"`},
	{"1.4.+", `write "1.4.x"`},
	{"1.+", `write "1.x"`},
	{"[1.0,2.0)", `write ">=1.0.0 <2.0.0"`},
	{"(1.0,2.0]", `write ">1.0.0 <=2.0.0"`},
	{"(,1.0]", `write "<=1.0.0"`},
	{"[1.4.0]", `write "=1.4.0"`},
	{"(1.0,)", `write ">1.0.0"`},
	{"[1.0.0, 2.0.0), [3.0.0,)", `write ">=1.0.0 <2.0.0 || >=3.0.0"`},
	{">=1.0 && <2", `write ">=1.0 <2"`},
	{">=1.0.0 & <2.0.0", `write ">=1.0.0 <2.0.0"`},
	{">=1.0.0;<2.0.0", `write ">=1.0.0 <2.0.0"`},
	{">=1.0 and <2", `write ">=1.0 <2"`},
	{"1.x or 2.x", `write "1.x || 2.x"`},
	{"1.x | 2.x", `write "1.x || 2.x"`},
	{"1.x || ", `write "1.x"`},
	{"|| 1.x", `write "1.x"`},
	{">=1.4,", `write ">=1.4"`},
	{"1.0.0..2.0.0", `write ">=1.0.0 <=2.0.0"`},
	{"1.0.0..<2.0.0", `write ">=1.0.0 <2.0.0"`},
	{"1.0.0 to 2.0.0", `write "1.0.0 - 2.0.0"`},
	{"≥1.0", `write ">=1.0"`},
	{"!1.4.0", `write "!=1.4.0"`},
	{"<>1.4.0", `write "!=1.4.0"`},
	{"V1.4.0", `write "v1.4.0"`},
	{"1.4.0rc1", `write "1.4.0-rc1"`},
	{"'>=1.0'", `write ">=1.0"`},
	{"All", "write `all` for every version"},
	{"any", "write `all` for every version"},

	{"^abc", `"abc" is no version: write one like ">=1.0.0 <2.0.0", a list of exact versions, or ` + "`all`"},
	{"~>", `no version stands behind "~>": write one like`},
	{">1.0.0 <", `no version stands behind "<": write one like`},
	{">1 || <", `no version stands behind "<": write one like`},
	{"1.4.0.0", `"1.4.0.0" is no version: write one like`},
	{"latest", `"latest" is no version: write one like`},
	{"1.4.0 - ", "write one like"},
	{"^^1", "write one like"},
	{" ", "write one like"},
	{">=18446744073709551616.0.0", "write one like"},
	{strings.Repeat("1.0.0 || ", 100) + "2.0.0", "write one like"},
}

func TestConstraintsOfOtherToolsSayWhatToWrite(t *testing.T) {
	for _, c := range otherConstraints {
		err := newParser().constraint(c.text).err
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %s", c.text, err, c.want)
			continue
		}
		// Nobody is told to write what is refused again.
		if _, advice, ok := strings.Cut(c.want, `write "`); ok {
			if _, err := version.ParseConstraint(strings.TrimSuffix(advice, `"`)); err != nil {
				t.Errorf("%q: the advice %q is refused: %v", c.text, advice, err)
			}
		}
	}
}

// Invariant: every text is a constraint, or an error that says what to write; and what it says
// in quotes to write is a constraint.
func FuzzConstraint(f *testing.F) {
	for _, c := range otherConstraints {
		f.Add(c.text)
	}
	f.Add(">=1.0.0 <2.0.0-0 || ~1.4.x")
	f.Fuzz(func(t *testing.T, s string) {
		c := newParser().constraint(s)
		if c.err == nil {
			if again := newParser().constraint(s); len(again.ranges) != len(c.ranges) {
				t.Errorf("%q is %v, then %v", s, c.ranges, again.ranges)
			}
			return
		}
		if !strings.Contains(c.err.Error(), "write ") || c.ranges != nil || len(c.err.Error()) > 4*len(s)+600 {
			t.Errorf("%q: %v, ranges %v", s, c.err, c.ranges)
		}
		if i := strings.LastIndex(c.err.Error(), ` is no constraint here: write "`); i >= 0 {
			advice := strings.TrimSuffix(c.err.Error()[i+len(` is no constraint here: write "`):], `"`)
			if _, err := version.ParseConstraint(advice); err != nil {
				t.Errorf("%q: the advice %q is refused: %v", s, advice, err)
			}
		}
	})
}
