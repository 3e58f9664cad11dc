package authztest

import (
	"encoding/json"
	"fmt"
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
			return e, fmt.Errorf("reply %s: want a status such as 200", w)
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
		if word == "" {
			return e, fmt.Errorf("no expectation: want allow, deny, reply or same after the path")
		}
		return e, fmt.Errorf("unknown expectation %q: want allow, deny, reply or same", word)
	}
	return e, e.parseDetails(rest)
}

func (e *Expectation) parseDetails(rest string) error {
	seen := map[string]bool{}
	for rest != "" {
		word, r := cutWord(rest)
		if once := word == "until" || word == "code" || word == "license" || word == "pinned"; once && seen[word] {
			return fmt.Errorf("%s comes twice; an answer has one", word)
		}
		seen[word] = true
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
		if !isDetail(word) {
			return fmt.Errorf("unknown detail %q: want until, code, license, pinned, header, no-header, warns or without", word)
		}
		if arg == "" {
			return fmt.Errorf("%s: what? want %s", word, details[word])
		}
		switch word {
		case "until":
			until := authz.Never
			if arg != "null" {
				t, err := time.Parse(time.RFC3339, arg)
				if err != nil {
					return fmt.Errorf("until %s: want an instant such as 2027-01-01T00:00:00Z, or null", arg)
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
		}
		rest = r
	}
	return nil
}

func isStatus(w string) bool {
	n, err := strconv.Atoi(w)
	return err == nil && n >= 100 && n <= 599 && len(w) == 3
}

// details are the words after a verdict, with how each is used.
var details = map[string]string{
	"until": "`until INSTANT` or `until null`", "code": "`code CODE`", "license": "`license ID`",
	"pinned": "`pinned @NAME` or `pinned none`", "header": "`header NAME: VALUE` at the end of the line",
	"no-header": "`no-header NAME`", "warns": "`warns TEXT` or `warns none`", "without": "`without TEXT`",
}

func isDetail(w string) bool { return details[w] != "" }

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
