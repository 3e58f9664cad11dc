// Package authztest has the suites an implementation must pass and the runner of decision
// scripts (docs/decision-scripts.md): one corpus, asked through every door.
package authztest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/txtar"
)

// Script is a parsed decision script. It is immutable.
type Script struct {
	Path     string            // as given, for messages
	Licenses map[string][]byte // license files by name, digests' names replaced
	Rules    map[string][]byte // rules/*.rego by name
	Catalog  []byte            // the kind: Catalog document, or nil
	Steps    []Step            // one per expectation line
	Refusals []Refusal         // one per fails: line; a script has Steps or Refusals
	Keys     map[string]int    // every CUSTOMER and CUSTOMER/KEY that a step speaks as, with the line of its first `as`
}

// Step is one question with the answer it must have.
type Step struct {
	Line   int    // in the script
	Text   string // as written, without its comment
	At     time.Time
	As     Speaker
	From   netip.Addr
	Header []Header
	Method string
	Host   string // "" for the registry's first host
	Target string // path with query, bytes as they go on the wire; "" for ask
	// Product and Version are those of ask.
	Product, Version string
	Want             Expectation
}

// Header is one header line of a request.
type Header struct{ Name, Value string }

// Speaker is who asks: exactly one field is set.
type Speaker struct {
	Customer  string // a key of this customer without limits
	Key       string // CUSTOMER/KEY, with that key's limits
	Anonymous bool
	Issuer    string // jwt ISSUER SUBJECT
	Subject   string
	Raw       string // an Authorization value
}

// Refusal is a text that the errors of a refused set must contain.
type Refusal struct {
	Line int
	Want string
}

// ParseError is a script that cannot be read: its author's mistake, not a failed case.
type ParseError struct {
	Path string
	Line int
	Msg  string
}

func (e *ParseError) Error() string { return fmt.Sprintf("%s:%d: %s", e.Path, e.Line, e.Msg) }

// ReadScript reads the decision script at path.
func ReadScript(path string) (*Script, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return ParseScript(path, data, os.DirFS(filepath.Dir(path)))
}

// ParseScript parses a script. dir resolves the paths of `files` lines and may be nil.
func ParseScript(path string, data []byte, dir fs.FS) (*Script, error) {
	s := &Script{Path: path, Licenses: map[string][]byte{}, Rules: map[string][]byte{}, Keys: map[string]int{}}
	ar := txtar.Parse(data)
	line := 0
	for _, text := range splitLines(ar.Comment) {
		line++
		if rest, ok := strings.CutPrefix(text, "files "); ok {
			if err := s.addFiles(dir, strings.TrimSpace(rest)); err != nil {
				return nil, &ParseError{path, line, err.Error()}
			}
		}
	}
	sections := map[string]bool{}
	for _, f := range ar.Files {
		line++ // its marker
		start := line
		line += len(splitLines(f.Data))
		if sections[f.Name] {
			return nil, &ParseError{path, start, fmt.Sprintf("section %q comes twice", f.Name)}
		}
		sections[f.Name] = true
		var err error
		switch {
		case f.Name == "decisions":
			err = s.parseDecisions(f.Data, start)
		case f.Name == "refusals":
			err = s.parseRefusals(f.Data, start)
		case strings.HasPrefix(f.Name, "rules/") && strings.HasSuffix(f.Name, ".rego"):
			s.Rules[strings.TrimPrefix(f.Name, "rules/")] = f.Data
		case isYAML(f.Name) && isCatalog(f.Data):
			if s.Catalog != nil {
				return nil, &ParseError{path, start, "a second catalog; a script has one"}
			}
			s.Catalog = f.Data
		case isYAML(f.Name) && s.Licenses[f.Name] != nil:
			err = &ParseError{path, start, fmt.Sprintf("section %q has the name of a file that a `files` line added", f.Name)}
		case isYAML(f.Name):
			s.Licenses[f.Name] = nameDigests(f.Data)
		default:
			err = &ParseError{path, start, fmt.Sprintf("unknown section %q: want *.yaml, rules/*.rego, decisions or refusals", f.Name)}
		}
		if err != nil {
			return nil, err
		}
	}
	switch {
	case sections["decisions"] && sections["refusals"]:
		return nil, &ParseError{path, 1, "both decisions and refusals; a refused set decides nothing"}
	case !sections["decisions"] && !sections["refusals"]:
		return nil, &ParseError{path, 1, "neither decisions nor refusals: nothing to check"}
	case len(s.Steps) == 0 && len(s.Refusals) == 0:
		return nil, &ParseError{path, 1, "no expectation: a script that cannot fail"}
	}
	return s, nil
}

func (s *Script) addFiles(dir fs.FS, path string) error {
	if dir == nil {
		return fmt.Errorf("files %s: this script has no directory", path)
	}
	// Relative to the script, also upwards, which fs.FS does not allow: resolve by hand.
	root := filepath.Join(filepath.Dir(s.Path), filepath.FromSlash(path))
	found := false
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, p)
		rel = filepath.ToSlash(rel)
		if d.IsDir() {
			if strings.HasPrefix(d.Name(), ".") && p != root {
				return fs.SkipDir
			}
			return nil
		}
		data, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		switch {
		case strings.HasPrefix(rel, "rules/") && strings.HasSuffix(rel, ".rego") && !strings.HasSuffix(rel, "_test.rego"):
			s.Rules[strings.TrimPrefix(rel, "rules/")] = data
		case isYAML(rel) && !isCatalog(data):
			s.Licenses[rel] = nameDigests(data)
		default:
			return nil
		}
		found = true
		return nil
	})
	if err == nil && !found {
		err = fmt.Errorf("files %s: no license files there", path)
	}
	return err
}

func (s *Script) parseRefusals(data []byte, start int) error {
	for i, text := range splitLines(data) {
		text = strings.TrimSpace(stripComment(text))
		if text == "" {
			continue
		}
		want, ok := strings.CutPrefix(text, "fails:")
		if !ok {
			return &ParseError{s.Path, start + i + 1, "want `fails: TEXT`"}
		}
		s.Refusals = append(s.Refusals, Refusal{start + i + 1, strings.TrimSpace(want)})
	}
	return nil
}

// parseDecisions parses the statements and questions of the decisions section.
func (s *Script) parseDecisions(data []byte, start int) error {
	cur := Step{As: Speaker{Anonymous: true}, From: netip.MustParseAddr("127.0.0.1")}
	var headers []Header
	for i, text := range splitLines(data) {
		line := start + i + 1
		bad := func(format string, args ...any) error {
			return &ParseError{s.Path, line, fmt.Sprintf(format, args...)}
		}
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
				return bad("at %s: want an instant such as 2026-03-01T00:00:00Z", rest)
			}
			cur.At = t
		case "as":
			sp, err := parseSpeaker(rest)
			if err != nil {
				return bad("%v", err)
			}
			if who := sp.Customer + sp.Key; who != "" && s.Keys[who] == 0 {
				s.Keys[who] = line
			}
			cur.As = sp
		case "from":
			a, err := netip.ParseAddr(rest)
			if err != nil {
				return bad("from %s: want an IP address", rest)
			}
			cur.From = a
		case "header":
			name, value, ok := strings.Cut(rest, ":")
			if !ok || name == "" {
				return bad("want `header NAME: VALUE`")
			}
			headers = append(headers, Header{name, strings.TrimSpace(value)})
		default:
			step := cur
			step.Line, step.Text, step.Header = line, text, headers
			headers = nil
			if step.At.IsZero() {
				return bad("a question before the first `at`: scripts have no clock of their own")
			}
			if err := step.parseQuestion(word, rest); err != nil {
				return bad("%v", err)
			}
			if step.Want.Same && len(s.Steps) == 0 {
				return bad("`same` without a line above")
			}
			s.Steps = append(s.Steps, step)
		}
	}
	if headers != nil {
		return &ParseError{s.Path, start, "a `header` without a request after it"}
	}
	return nil
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
			return fmt.Errorf("%s: want a path and an expectation", word)
		}
	}
	if strings.ContainsRune(subject, '\t') {
		return fmt.Errorf("a tab after %q: the path ends at the first space", word)
	}
	e, err := parseExpectation(strings.TrimSpace(want))
	if err != nil {
		return err
	}
	if e.Same && word == "ask" {
		return fmt.Errorf("`same` compares HTTP replies; ask has none")
	}
	st.Want = e
	return nil
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

// NameDigest is the digest that a name stands for in scripts and hand-written catalogs.
func NameDigest(name string) string {
	sum := sha256.Sum256([]byte(name))
	return "sha256:" + hex.EncodeToString(sum[:])
}

var (
	nameRef  = regexp.MustCompile(`(sha256-)?@([A-Za-z0-9]+)`)
	yamlName = regexp.MustCompile(`(^|[\s"'\[{,])(sha256-)?@([A-Za-z0-9]+)`)
	byteRef  = regexp.MustCompile(`\\x([0-9A-Fa-f]{2})(?:\{([0-9]{1,5})\})?`)
)

// expandNames replaces @NAME by its digest and sha256-@NAME by its tag form.
func expandNames(s string) string {
	return nameRef.ReplaceAllStringFunc(s, func(m string) string {
		p := nameRef.FindStringSubmatch(m)
		if p[1] != "" {
			return "sha256-" + strings.TrimPrefix(NameDigest(p[2]), "sha256:")
		}
		return NameDigest(p[2])
	})
}

// nameDigests does the same in YAML, where @ counts only at the start of a value.
func nameDigests(data []byte) []byte {
	return yamlName.ReplaceAllFunc(data, func(m []byte) []byte {
		p := yamlName.FindSubmatch(m)
		return append(bytes.Clone(p[1]), expandNames(string(p[2])+"@"+string(p[3]))...)
	})
}

// unescape replaces \xNN and \xNN{count} by their bytes.
func unescape(s string) (string, error) {
	var err error
	out := byteRef.ReplaceAllStringFunc(s, func(m string) string {
		p := byteRef.FindStringSubmatch(m)
		b, _ := strconv.ParseUint(p[1], 16, 8)
		n := 1
		if p[2] != "" {
			n, _ = strconv.Atoi(p[2])
		}
		if n > 65536 {
			err = fmt.Errorf("%s: more than 65536 bytes", m)
			return ""
		}
		return strings.Repeat(string([]byte{byte(b)}), n)
	})
	return out, err
}

func isYAML(name string) bool {
	return strings.HasSuffix(name, ".yaml") || strings.HasSuffix(name, ".yml")
}

var catalogKind = regexp.MustCompile(`(?m)(^|^\{|[,{]\s*)kind:\s*["']?Catalog["']?\s*([,}#].*)?$`)

func isCatalog(data []byte) bool { return catalogKind.Match(data) }

// stripComment cuts a # at the line's start or after a space.
func stripComment(s string) string {
	for i := 0; i < len(s); i++ {
		if s[i] == '#' && (i == 0 || s[i-1] == ' ' || s[i-1] == '\t') {
			return s[:i]
		}
	}
	return s
}

func splitLines(data []byte) []string {
	if len(data) == 0 {
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
}
