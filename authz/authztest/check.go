package authztest

import (
	"bytes"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pullgate/pullgate/authz"
)

// Answer is what a door said.
type Answer struct {
	// Refused says that the door itself could not carry the request and answered with a 4xx
	// of its own; Status is that. Such an answer satisfies deny.
	Refused bool
	Status  int
	Header  http.Header
	Body    []byte
	Record  *authz.Record // of the decision; nil when Refused
	Pinned  string        // digest that the registry would be asked for instead of the tag
	// Warnings are names; nil when the door shows only the warning header.
	Warnings []string
	NoHTTP   bool // ask: there is no status, header or body to check
	// Decision is the whole of it, of doors that lie beside the Gate; nil of others.
	Decision *authz.Decision
}

// Mismatch is a part of an answer that is not as expected.
type Mismatch struct {
	Field string // verdict, status, code, license, until, pinned, warns, header NAME, body, body.PATH …
	Want  string // "" when nothing was expected of the field by itself
	Got   string
}

// comparison is what of an answer is not as expected, field by field and in sentences.
type comparison struct {
	mismatches []Mismatch
	problems   []string
}

// miss notes a field that is not as wanted; format says it in a sentence.
func (c *comparison) miss(field, want, got, format string, args ...any) {
	c.mismatches = append(c.mismatches, Mismatch{field, want, got})
	c.problems = append(c.problems, fmt.Sprintf(format, args...))
}

// check compares an answer with what the line expects of it; above is the reply of the line
// above, or nil.
func (e *Expectation) check(a, above *Answer) comparison {
	var c comparison
	if e.Same {
		c.same(above, a)
		if a.Record != nil {
			c.details(e, a)
		}
		return c
	}
	if a.Refused {
		if e.Verdict != "deny" || a.Status < 400 || a.Status > 499 {
			c.miss("door", e.Verdict, fmt.Sprintf("status %d of its own", a.Status), "the door did not carry the request: status %d", a.Status)
		}
		return c
	}
	r := a.Record
	if r.Detail != "" && !e.expectsFailure() { // a rule that fails is nothing a script may overlook
		c.miss("error", "", string(r.Code)+": "+r.Detail, "%s: %s", r.Code, r.Detail)
	}
	if (e.Verdict == "allow" || e.Verdict == "deny") && r.Verdict != e.Verdict {
		c.miss("verdict", e.Verdict, r.Verdict+" "+string(r.Code), "want %s, got %s %s", e.Verdict, r.Verdict, r.Code)
	}
	if e.Status != 0 && !a.NoHTTP && a.Status != e.Status {
		c.miss("status", strconv.Itoa(e.Status), strconv.Itoa(a.Status), "want status %d, got %d (%s)", e.Status, a.Status, r.Code)
	}
	if e.Code != "" && r.Code != e.Code {
		c.miss("code", string(e.Code), string(r.Code), "want code %s, got %s", e.Code, r.Code)
	}
	if e.Body != nil {
		if diff := diffBody(*e.Body, a.Body); diff != nil {
			c.mismatches = append(c.mismatches, diff...)
			c.problems = append(c.problems, fmt.Sprintf("want body %s, got %s", *e.Body, a.Body))
		}
	}
	c.details(e, a)
	return c
}

// details compares what is written after the verdict.
func (c *comparison) details(e *Expectation, a *Answer) {
	if e.Until != nil {
		got := authz.Never
		if a.Record.Until != nil {
			got = a.Record.Until.Unix()
		}
		if got != *e.Until {
			c.miss("until", untilText(*e.Until), untilText(got), "want until %s, got %s", untilText(*e.Until), untilText(got))
		}
	}
	if e.License != nil && a.Record.License != *e.License {
		c.miss("license", *e.License, orNone(a.Record.License), "want license %s, got %q", *e.License, a.Record.License)
	}
	if e.Pinned != nil && a.Pinned != *e.Pinned {
		c.miss("pinned", orNone(*e.Pinned), orNone(a.Pinned), "want pinned %q, got %q", *e.Pinned, a.Pinned)
	}
	for _, h := range e.Header {
		if got := a.Header.Values(h.Name); !slices.Contains(got, h.Value) {
			c.miss("header "+h.Name, h.Value, orNone(strings.Join(got, "\n")), "want header %s: %s, got %q", h.Name, h.Value, got)
		}
	}
	for _, name := range e.NoHeader {
		if got := a.Header.Values(name); len(got) > 0 {
			c.miss("header "+name, "none", strings.Join(got, "\n"), "want no header %s, got %q", name, got)
		}
	}
	for _, w := range e.Warns {
		if !a.warns(w) {
			got := a.Warnings
			if got == nil {
				got = a.Header.Values("Warning")
			}
			c.miss("warns", orNone(w), orNone(strings.Join(got, ", ")), "want warning %q, got %q %q", w, a.Warnings, a.Header.Values("Warning"))
		}
	}
	for _, text := range e.Without {
		for _, place := range []struct{ name, text string }{{"body", string(a.Body)}, {"headers", headerText(a.Header)}} {
			if strings.Contains(place.text, text) {
				c.miss(place.name, "without "+text, strings.TrimSpace(place.text), "want nothing that contains %q; it is in the %s", text, place.name)
			}
		}
	}
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

// warns reports whether a warning contains text; "" asks that there is none. A door that
// shows no names can only show that there is one.
func (a *Answer) warns(text string) bool {
	if a.Warnings == nil && !a.NoHTTP {
		return (len(a.Header.Values("Warning")) > 0) == (text != "")
	}
	if text == "" {
		return len(a.Warnings) == 0
	}
	return slices.ContainsFunc(a.Warnings, func(w string) bool { return strings.Contains(w, text) })
}

var decisionID = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}`)

// same compares status, headers and body, ids and dates aside.
func (c *comparison) same(want, got *Answer) {
	const prefix = "want the same reply as the line above; "
	if want == nil {
		c.miss("above", "a reply", "none", prefix+"there is no line above")
		return
	}
	if want.Status != got.Status {
		c.miss("status", strconv.Itoa(want.Status), strconv.Itoa(got.Status), prefix+"status %d instead of %d", got.Status, want.Status)
		return
	}
	w, g := comparableHeaders(want.Header), comparableHeaders(got.Header)
	if wt, gt := maskID(headerText(w)), maskID(headerText(g)); wt != gt {
		for _, name := range differing(w, g) {
			c.mismatches = append(c.mismatches, Mismatch{"header " + name, orNone(strings.Join(w.Values(name), "\n")), orNone(strings.Join(g.Values(name), "\n"))})
		}
		c.problems = append(c.problems, fmt.Sprintf(prefix+"headers %q instead of %q", gt, wt))
		return
	}
	if w, g := maskID(string(want.Body)), maskID(string(got.Body)); w != g {
		c.mismatches = append(c.mismatches, diffBytes(w, g)...)
		c.problems = append(c.problems, fmt.Sprintf(prefix+"body %q instead of %q", g, w))
	}
}

func maskID(s string) string { return decisionID.ReplaceAllString(s, "ID") }

// comparableHeaders are those that two equal replies share.
func comparableHeaders(h http.Header) http.Header {
	h = h.Clone()
	for _, name := range []string{"Date", "X-Envoy-Upstream-Service-Time"} {
		h.Del(name)
	}
	return h
}

// differing returns the names of headers that two replies do not share, sorted.
func differing(a, b http.Header) []string {
	var names []string
	for _, h := range []http.Header{a, b} {
		for name := range h {
			if maskID(strings.Join(a.Values(name), "\n")) != maskID(strings.Join(b.Values(name), "\n")) {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func headerText(h http.Header) string {
	var b bytes.Buffer
	_ = h.Write(&b)
	return b.String()
}

func untilText(t int64) string {
	if t == authz.Never {
		return "null"
	}
	return time.Unix(t, 0).UTC().Format(time.RFC3339)
}

// expectsFailure: the line says that the answer is pullgate's own failure, or a status it hides behind.
func (e *Expectation) expectsFailure() bool {
	return e.Verdict == "deny" && (e.Code == authz.CodeInternalError || e.Code == authz.CodeUnknownRepository)
}
