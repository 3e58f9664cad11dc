package license

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/pullgate/pullgate/policies/version"
)

// constraint is a compiled constraint; the same text is compiled once for a whole set.
type constraint struct {
	ranges version.Ranges
	named  []version.Version
	err    error
}

func (p *parser) constraint(s string) constraint {
	c, ok := p.constraints[s]
	if !ok {
		c.ranges, c.err = version.ParseConstraint(s)
		c.named = version.NamesPreReleases(s)
		if c.err != nil {
			c.err = constraintInstead(s, c.err)
		}
		p.constraints[s] = c
	}
	return c
}

// Parts of constraints as other tools write them.
var (
	quotesAround   = regexp.MustCompile("^[\"'`](.*)[\"'`]$")
	wordAnd        = regexp.MustCompile(`\s*(&&?|;|\s(?i:and)\s)\s*`)
	wordOr         = regexp.MustCompile(`\s*(\|\|?|\s(?i:or)\s)\s*`)
	wordTo         = regexp.MustCompile(`(\S)\s+(?i:to)\s+(\S)`)
	dots           = regexp.MustCompile(`^([\w.+-]+?)\s*(\.\.[.<=]?)\s*(\w[\w.+-]*)$`)
	interval       = regexp.MustCompile(`^([\[(])\s*([\w.+*-]*)\s*(,?)\s*([\w.+*-]*)\s*([\])])$`)
	afterInterval  = regexp.MustCompile(`([\])])\s*,\s*([\[(])`)
	compatible     = regexp.MustCompile(`~=\s*v?(\d+)\.(\d+)(\.\d+)?`)
	exactly        = regexp.MustCompile(`={2,3}\s*v?(\d+(?:\.\d+)*)(\.\*)?`)
	dynamic        = regexp.MustCompile(`^(\d+(?:\.\d+)?)\.\+$`)
	not            = regexp.MustCompile(`(?:<>|!)\s*(\d)`)
	capitalV       = regexp.MustCompile(`\bV(\d)`)
	gluedRelease   = regexp.MustCompile(`(\d+\.\d+\.\d+)\.?((?:a|b|c|rc|alpha|beta|dev|pre)\d*)\b`)
	everyVersion   = regexp.MustCompile(`^(?i:all|any|every|everything|\*\*)$`)
	noOperand      = regexp.MustCompile(`([=!<>~^]+)\s*(?:$|[|,])`)
	operandSyntax  = regexp.MustCompile(`^v?[0-9xX*]+(?:\.[0-9xX*]+){0,2}(?:-[\w.-]+)?(?:\+[\w.-]+)?$`)
	danglingJoints = regexp.MustCompile(`^[\s,|]+|[\s,|]+$`)
)

// constraintInstead says what is wrong with a text that is no constraint and what would be right:
// what other tools mean by it, where that can be said here, else an example.
func constraintInstead(s string, err error) error {
	const like = "write one like \">=1.0.0 <2.0.0\", a list of exact versions, or `all`"
	if len(s) > 512 { // the most that is read; what is longer is not looked through so often
		return fmt.Errorf("%w: %s", err, like)
	}
	t := strings.TrimSpace(strings.NewReplacer("≥", ">=", "≤", "<=", "≠", "!=", "\u00a0", " ").Replace(s))
	if m := quotesAround.FindStringSubmatch(t); m != nil {
		t = m[1]
	}
	if everyVersion.MatchString(t) {
		return fmt.Errorf("%q is no constraint here: write `all` for every version", s)
	}
	var alternatives []string
	for alternative := range strings.SplitSeq(afterInterval.ReplaceAllString(t, "$1||$2"), "||") {
		if m := interval.FindStringSubmatch(strings.TrimSpace(alternative)); m != nil {
			alternative = comparisons(m)
		}
		alternatives = append(alternatives, alternative)
	}
	t = strings.Join(alternatives, "||")
	if m := dots.FindStringSubmatch(t); m != nil {
		upper := "<="
		if strings.HasSuffix(m[2], "<") {
			upper = "<"
		}
		t = fmt.Sprintf(">=%s %s%s", m[1], upper, m[3])
	}
	t = compatible.ReplaceAllStringFunc(t, compatibleHere)
	t = exactly.ReplaceAllStringFunc(t, exactlyHere)
	t = dynamic.ReplaceAllString(t, "$1.x")
	t = wordTo.ReplaceAllString(t, "$1 - $2")
	t = wordAnd.ReplaceAllString(t, " ")
	t = wordOr.ReplaceAllString(t, " || ")
	t = not.ReplaceAllString(t, "!=$1")
	t = capitalV.ReplaceAllString(t, "v$1")
	t = gluedRelease.ReplaceAllString(t, "$1-$2")
	t = danglingJoints.ReplaceAllString(t, "")
	if _, err := version.ParseConstraint(t); err == nil && t != "" && len(t) < 100 {
		return fmt.Errorf("%q is no constraint here: write %q", s, t)
	}
	if m := noOperand.FindStringSubmatch(s); m != nil {
		return fmt.Errorf("%q is no constraint: no version stands behind %q: %s", s, m[1], like)
	}
	for operand := range strings.FieldsFuncSeq(s, func(r rune) bool { return strings.ContainsRune("=!<>~^|&, ", r) }) {
		if !operandSyntax.MatchString(operand) && operand != "-" && len(operand) < 100 {
			return fmt.Errorf("%w: %q is no version: %s", err, operand, like)
		}
	}
	return fmt.Errorf("%w: %s", err, like)
}

// comparisons writes an interval as Maven and NuGet have it, [1.0,2.0), as comparisons.
func comparisons(m []string) string {
	open, from, comma, to, end := m[1], m[2], m[3], m[4], m[5]
	var out []string
	if comma == "" {
		return "=" + threeParts(from+to)
	}
	if from != "" {
		out = append(out, map[string]string{"[": ">=", "(": ">"}[open]+threeParts(from))
	}
	if to != "" {
		out = append(out, map[string]string{"]": "<=", ")": "<"}[end]+threeParts(to))
	}
	if len(out) == 0 {
		return "*"
	}
	return strings.Join(out, " ")
}

// compatibleHere is Python's ~=: the last part may grow.
func compatibleHere(s string) string {
	m := compatible.FindStringSubmatch(s)
	if m[3] != "" {
		return "~" + m[1] + "." + m[2] + m[3]
	}
	major, _ := strconv.Atoi(m[1])
	return fmt.Sprintf(">=%s.%s.0 <%d.0.0", m[1], m[2], major+1)
}

// exactlyHere is ==, which means one version, and with a wildcard those that begin so.
func exactlyHere(s string) string {
	m := exactly.FindStringSubmatch(s)
	if m[2] != "" {
		return m[1] + ".x"
	}
	return "=" + threeParts(m[1])
}

// threeParts completes 1.4 to 1.4.0, because =1.4 is every 1.4.x here.
func threeParts(v string) string {
	for strings.Count(v, ".") < 2 && !strings.ContainsAny(v, "-+*x") {
		v += ".0"
	}
	return v
}
