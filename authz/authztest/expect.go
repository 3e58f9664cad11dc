package authztest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pullgate/pullgate/authz"
)

// Expectation is what a line says about its answer. What is not written is not checked.
type Expectation struct {
	Verdict  string // allow, deny, reply; "" for same
	Same     bool   // the HTTP reply of the line above, ids and dates aside
	Code     authz.Code
	Status   int
	Body     *string // of reply
	Until    *int64  // authz.Never for null
	License  *string
	Pinned   *string // digest; "" for none
	Header   []Header
	NoHeader []string
	Warns    []string // texts; "" stands for none
	Without  []string
}

// parseExpectation parses `allow | deny [CODE] [STATUS] | reply STATUS [BODY] | same` and
// the details after it.
func parseExpectation(s string) (Expectation, error) {
	var e Expectation
	word, rest := cutWord(s)
	switch word {
	case "allow":
		e.Verdict = word
	case "deny":
		e.Verdict = word
		if w, r := cutWord(rest); w != "" && !isDetail(w) && !isStatus(w) {
			e.Code, rest = authz.Code(w), r
		}
		if w, r := cutWord(rest); isStatus(w) {
			e.Status, _ = strconv.Atoi(w)
			rest = r
		}
	case "reply":
		e.Verdict = word
		w, r := cutWord(rest)
		if !isStatus(w) {
			return e, fmt.Errorf("reply %s: want a status", w)
		}
		e.Status, _ = strconv.Atoi(w)
		rest = r
		if w, _ := cutWord(rest); w != "" && !isDetail(w) {
			body, r, err := cutBody(rest)
			if err != nil {
				return e, err
			}
			body = expandNames(body)
			e.Body, rest = &body, r
		}
	case "same":
		e.Same = true
	default:
		return e, fmt.Errorf("unknown expectation %q: want allow, deny, reply or same", word)
	}
	return e, e.parseDetails(rest)
}

func (e *Expectation) parseDetails(rest string) error {
	for rest != "" {
		word, r := cutWord(rest)
		if word == "header" {
			name, value, ok := strings.Cut(r, ":")
			if !ok {
				return fmt.Errorf("want `header NAME: VALUE` at the end of the line")
			}
			e.Header = append(e.Header, Header{strings.TrimSpace(name), expandNames(strings.TrimSpace(value))})
			return nil
		}
		arg, r, err := cutText(r)
		if err != nil {
			return fmt.Errorf("%s: %w", word, err)
		}
		if arg == "" {
			return fmt.Errorf("%s: what?", word)
		}
		switch word {
		case "until":
			until := authz.Never
			if arg != "null" {
				t, err := time.Parse(time.RFC3339, arg)
				if err != nil {
					return fmt.Errorf("until %s: want an instant or null", arg)
				}
				until = t.Unix()
			}
			e.Until = &until
		case "code":
			e.Code = authz.Code(arg)
		case "license":
			e.License = &arg
		case "pinned":
			digest := ""
			if arg != "none" {
				digest = expandNames(arg)
			}
			e.Pinned = &digest
		case "no-header":
			e.NoHeader = append(e.NoHeader, arg)
		case "warns":
			if arg == "none" {
				arg = ""
			}
			e.Warns = append(e.Warns, arg)
		case "without":
			e.Without = append(e.Without, expandNames(arg))
		default:
			return fmt.Errorf("unknown detail %q: want until, code, license, pinned, header, no-header, warns or without", word)
		}
		rest = r
	}
	return nil
}

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
}

// check returns what of the expectation does not hold, one sentence each.
func (e *Expectation) check(a, above *Answer) []string {
	var bad []string
	miss := func(format string, args ...any) { bad = append(bad, fmt.Sprintf(format, args...)) }
	if e.Same {
		if d := diffAnswers(above, a); d != "" {
			miss("want the same reply as the line above; %s", d)
		}
		if a.Record == nil {
			return bad
		}
		return append(bad, e.checkDetails(a)...)
	}
	if a.Refused {
		if e.Verdict != "deny" || a.Status < 400 || a.Status > 499 {
			miss("the door did not carry the request: status %d", a.Status)
		}
		return bad
	}
	if a.Record.Detail != "" {
		miss("%s: %s", a.Record.Code, a.Record.Detail)
	}
	switch e.Verdict {
	case "allow", "deny":
		if a.Record.Verdict != e.Verdict {
			miss("want %s, got %s %s", e.Verdict, a.Record.Verdict, a.Record.Code)
		}
	}
	if e.Status != 0 && !a.NoHTTP && a.Status != e.Status {
		miss("want status %d, got %d (%s)", e.Status, a.Status, a.Record.Code)
	}
	if e.Code != "" && a.Record.Code != e.Code {
		miss("want code %s, got %s", e.Code, a.Record.Code)
	}
	if e.Body != nil && !sameBody(*e.Body, a.Body) {
		miss("want body %s, got %s", *e.Body, a.Body)
	}
	return append(bad, e.checkDetails(a)...)
}

func (e *Expectation) checkDetails(a *Answer) []string {
	var bad []string
	miss := func(format string, args ...any) { bad = append(bad, fmt.Sprintf(format, args...)) }
	if e.Until != nil {
		got := authz.Never
		if a.Record.Until != nil {
			got = a.Record.Until.Unix()
		}
		if got != *e.Until {
			miss("want until %s, got %s", untilText(*e.Until), untilText(got))
		}
	}
	if e.License != nil && a.Record.License != *e.License {
		miss("want license %s, got %q", *e.License, a.Record.License)
	}
	if e.Pinned != nil && a.Pinned != *e.Pinned {
		miss("want pinned %q, got %q", *e.Pinned, a.Pinned)
	}
	for _, h := range e.Header {
		if got := a.Header.Values(h.Name); !slices.Contains(got, h.Value) {
			miss("want header %s: %s, got %q", h.Name, h.Value, got)
		}
	}
	for _, name := range e.NoHeader {
		if got := a.Header.Values(name); len(got) > 0 {
			miss("want no header %s, got %q", name, got)
		}
	}
	for _, w := range e.Warns {
		if !a.warns(w) {
			miss("want warning %q, got %q %q", w, a.Warnings, a.Header.Values("Warning"))
		}
	}
	for _, text := range e.Without {
		if bytes.Contains(a.Body, []byte(text)) || strings.Contains(headerText(a.Header), text) {
			miss("want nothing that contains %q; it is there", text)
		}
	}
	return bad
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

// diffAnswers compares status, headers and body, ids and dates aside.
func diffAnswers(want, got *Answer) string {
	if want == nil {
		return "there is no line above"
	}
	if want.Status != got.Status {
		return fmt.Sprintf("status %d instead of %d", got.Status, want.Status)
	}
	mask := func(s string) string { return decisionID.ReplaceAllString(s, "ID") }
	headers := func(h http.Header) string {
		h = h.Clone()
		for _, name := range []string{"Date", "X-Envoy-Upstream-Service-Time"} {
			h.Del(name)
		}
		return mask(headerText(h))
	}
	if w, g := headers(want.Header), headers(got.Header); w != g {
		return fmt.Sprintf("headers %q instead of %q", g, w)
	}
	if w, g := mask(string(want.Body)), mask(string(got.Body)); w != g {
		return fmt.Sprintf("body %q instead of %q", g, w)
	}
	return ""
}

func headerText(h http.Header) string {
	var b strings.Builder
	_ = h.Write(&b)
	return b.String()
}

func sameBody(want string, got []byte) bool {
	var w, g any
	if json.Unmarshal([]byte(want), &w) == nil && json.Unmarshal(got, &g) == nil {
		return reflect.DeepEqual(w, g)
	}
	return want == string(got)
}

func untilText(t int64) string {
	if t == authz.Never {
		return "null"
	}
	return time.Unix(t, 0).UTC().Format(time.RFC3339)
}

func isStatus(w string) bool {
	n, err := strconv.Atoi(w)
	return err == nil && n >= 100 && n <= 599 && len(w) == 3
}

func isDetail(w string) bool {
	switch w {
	case "until", "code", "license", "pinned", "header", "no-header", "warns", "without":
		return true
	}
	return false
}

func cutWord(s string) (word, rest string) {
	word, rest, _ = strings.Cut(strings.TrimSpace(s), " ")
	return word, strings.TrimSpace(rest)
}

// cutText cuts one word, or one quoted string, off s.
func cutText(s string) (text, rest string, err error) {
	if !strings.HasPrefix(s, `"`) {
		text, rest = cutWord(s)
		return text, rest, nil
	}
	quoted, err := strconv.QuotedPrefix(s)
	if err != nil {
		return "", "", fmt.Errorf("a quoted string that does not end")
	}
	text, err = strconv.Unquote(quoted)
	return text, strings.TrimSpace(s[len(quoted):]), err
}

// cutBody cuts a JSON value, a quoted string or a word off s.
func cutBody(s string) (body, rest string, err error) {
	if s[0] != '{' && s[0] != '[' {
		return cutText(s)
	}
	dec := json.NewDecoder(strings.NewReader(s))
	var raw json.RawMessage
	if err := dec.Decode(&raw); err != nil {
		return "", "", fmt.Errorf("body: %w", err)
	}
	return string(raw), strings.TrimSpace(s[dec.InputOffset():]), nil
}
