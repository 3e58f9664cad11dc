package authztest

import (
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// decisions parses the statements and questions of the decisions section, whose marker is at
// line start.
func (p *parser) decisions(data []byte, start int) {
	cur := Step{As: Speaker{Anonymous: true}, From: netip.MustParseAddr("127.0.0.1")}
	var headers []Header
	headerLine, asked, clockless := 0, false, false
	for i, text := range splitLines(data) {
		line := start + i + 1
		text = strings.TrimSpace(stripComment(text))
		if text == "" {
			continue
		}
		word, rest, _ := strings.Cut(text, " ")
		rest = strings.TrimSpace(rest)
		switch word {
		case "at":
			t, err := time.Parse(time.RFC3339, rest)
			if err != nil {
				p.wrong(line, "at %s: want an instant such as 2026-03-01T00:00:00Z", rest)
				t = time.Unix(1, 0) // so that the questions below are not wrong for the lack of it
			}
			cur.At = t
		case "as":
			sp, err := parseSpeaker(rest)
			if err != nil {
				p.wrong(line, "%v", err)
			}
			if who := sp.Customer + sp.Key; who != "" && p.Keys[who] == 0 {
				p.Keys[who] = line
			}
			cur.As = sp
		case "from":
			a, err := netip.ParseAddr(rest)
			if err != nil {
				p.wrong(line, "from %s: want an IP address such as 203.0.113.9", rest)
				continue
			}
			cur.From = a
		case "header":
			name, value, ok := strings.Cut(rest, ":")
			if !ok || name == "" {
				p.wrong(line, "%s: want `header NAME: VALUE`", text)
				continue
			}
			headers, headerLine = append(headers, Header{name, strings.TrimSpace(value)}), line
		default:
			step := cur
			step.Line, step.Text, step.Header = line, text, headers
			headers = nil
			if step.At.IsZero() && !clockless {
				clockless = true
				p.wrong(line, "a question before the first `at`: scripts have no clock of their own; write `at 2026-03-01T00:00:00Z` above it")
			}
			err := step.parseQuestion(word, rest)
			if err == nil && step.Want.Same && !asked {
				err = fmt.Errorf("`same` without a line above whose reply it could be")
			}
			if err != nil {
				p.wrong(line, "%v", err)
			}
			asked = asked || step.Product == ""
			p.Steps = append(p.Steps, step)
		}
	}
	if headers != nil {
		p.wrong(headerLine, "a `header` without a request after it")
	}
}

func (st *Step) parseQuestion(word, rest string) error {
	subject, want, _ := strings.Cut(rest, " ")
	if word == "ask" {
		product, version, ok := strings.Cut(subject, "@")
		if !ok || product == "" || version == "" {
			return fmt.Errorf("ask %s: want `ask PRODUCT@VERSION EXPECTATION`", subject)
		}
		st.Product, st.Version = product, version
	} else {
		st.Method = word
		target, err := unescape(expandNames(subject))
		if err != nil {
			return err
		}
		st.Target = target
		for _, scheme := range []string{"https://", "http://"} {
			if after, ok := strings.CutPrefix(target, scheme); ok {
				host, _, _ := strings.Cut(after, "/")
				st.Host, st.Target = host, strings.TrimPrefix(after, host)
			}
		}
		if subject == "" {
			return fmt.Errorf("%s: want a path and an expectation, or a statement: at, as, from, header", word)
		}
	}
	if strings.ContainsRune(subject, '\t') {
		return fmt.Errorf("a tab after %q: the path ends at the first space", word)
	}
	e, err := parseExpectation(strings.TrimSpace(want))
	if err != nil {
		return fmt.Errorf("%w%s", err, meantStatement(word))
	}
	if e.Same && word == "ask" {
		return fmt.Errorf("`same` compares HTTP replies; ask has none: write `allow` or `deny`")
	}
	st.Want = e
	return nil
}

// meantStatement is a hint for a line that makes no question: any first word that is no
// statement is taken for a method.
func meantStatement(word string) string {
	statements := []string{"at", "as", "from", "header", "ask"}
	for _, s := range statements {
		if word != s && strings.EqualFold(strings.TrimSuffix(word, ":"), s) {
			return fmt.Sprintf("; did you mean `%s`?", s)
		}
	}
	if strings.ToUpper(word) != word {
		return fmt.Sprintf("; %q is taken for a method, statements are %s", word, strings.Join(statements, ", "))
	}
	return ""
}

func parseSpeaker(s string) (Speaker, error) {
	word, rest, _ := strings.Cut(s, " ")
	rest = strings.TrimSpace(rest)
	switch {
	case word == "anonymous" && rest == "":
		return Speaker{Anonymous: true}, nil
	case word == "key":
		if c, k, ok := strings.Cut(rest, "/"); ok && c != "" && k != "" && !strings.Contains(rest, " ") {
			return Speaker{Key: rest}, nil
		}
		return Speaker{}, fmt.Errorf("as key %s: want `as key CUSTOMER/KEY`", rest)
	case word == "jwt":
		if f := strings.Fields(rest); len(f) == 2 {
			return Speaker{Issuer: f[0], Subject: f[1]}, nil
		}
		return Speaker{}, fmt.Errorf("as jwt %s: want `as jwt ISSUER SUBJECT`", rest)
	case word == "raw" && rest != "":
		return Speaker{Raw: rest}, nil
	case word != "" && word != "raw" && rest == "":
		return Speaker{Customer: word}, nil
	}
	return Speaker{}, fmt.Errorf("as %s: want CUSTOMER, key CUSTOMER/KEY, anonymous, jwt ISSUER SUBJECT or raw VALUE", s)
}
