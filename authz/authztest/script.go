// Package authztest has the suites an implementation must pass and the runner of decision
// scripts (docs/decision-scripts.md): one corpus, asked through every door.
package authztest

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/txtar"
)

// Script is a parsed decision script. It is immutable.
type Script struct {
	Path     string            // as given, for messages
	Licenses map[string][]byte // license files by name, digests' names replaced
	Rules    map[string][]byte // rules by name ("region.rego")
	Catalog  []byte            // the kind: Catalog document, or nil
	Steps    []Step            // one per expectation line
	Refusals []Refusal         // one per fails: line; a script has Steps or Refusals
	Keys     map[string]int    // every CUSTOMER and CUSTOMER/KEY that a step speaks as, with the line of its first `as`

	Directories []string          // those that `files` lines name
	RuleFiles   map[string]string // the file of each rule that comes from such a directory, by the rule's name
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

// String is the speaker as an `as` line has it.
func (s Speaker) String() string {
	switch {
	case s.Key != "":
		return "key " + s.Key
	case s.Issuer != "":
		return "jwt " + s.Issuer + " " + s.Subject
	case s.Raw != "":
		return "raw " + s.Raw
	case s.Customer != "":
		return s.Customer
	}
	return "anonymous"
}

// Refusal is a text that the errors of a refused set must contain.
type Refusal struct {
	Line int
	Want string
}

// Text is the line as written.
func (r Refusal) Text() string { return "fails: " + r.Want }

// ParseError is a script that cannot be read: its author's mistake, not a failed case.
type ParseError struct {
	Path string
	Line int
	Msg  string // what is wrong, what would be right
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

// parser gathers everything that is wrong with a script.
type parser struct {
	*Script
	errs []error // *ParseError
}

func (p *parser) wrong(line int, format string, args ...any) {
	p.errs = append(p.errs, &ParseError{p.Path, line, fmt.Sprintf(format, args...)})
}

// ParseScript parses a script. `files` lines are read relative to path, unless dir is nil: then
// the script has no directory. The error joins a *ParseError for everything that is wrong.
func ParseScript(path string, data []byte, dir fs.FS) (*Script, error) {
	s := &Script{
		Path: path, Licenses: map[string][]byte{}, Rules: map[string][]byte{}, Keys: map[string]int{},
		RuleFiles: map[string]string{},
	}
	p := &parser{Script: s}
	ar := txtar.Parse(data)
	line := 0
	for _, text := range splitLines(ar.Comment) {
		line++
		name, ok := strings.CutPrefix(text, "files ")
		if !ok {
			continue
		}
		if dir == nil {
			p.wrong(line, "%s: this script has no directory", text)
		} else if err := s.addFiles(strings.TrimSpace(name)); err != nil {
			p.wrong(line, "%v", err)
		}
	}
	sections := map[string]bool{}
	for _, f := range ar.Files {
		line++ // its marker
		p.section(f.Name, f.Data, line, sections[f.Name])
		line += len(splitLines(f.Data))
		sections[f.Name] = true
	}
	switch {
	case sections["decisions"] && sections["refusals"]:
		p.wrong(1, "both decisions and refusals; a refused set decides nothing: make two scripts of it")
	case !sections["decisions"] && !sections["refusals"]:
		p.wrong(1, "neither decisions nor refusals: nothing to check; a section begins with a line `-- decisions --`")
	case len(s.Steps) == 0 && len(s.Refusals) == 0 && p.errs == nil:
		p.wrong(1, "no expectation: a script that cannot fail; write one such as `GET /v2/acme/app/manifests/1.4.0 allow`")
	}
	if p.errs != nil {
		return nil, errors.Join(p.errs...)
	}
	return s, nil
}

// section adds a section that begins at a line; again says that there is one of its name.
func (p *parser) section(name string, data []byte, line int, again bool) {
	rule, inRules := strings.CutPrefix(name, "rules/")
	switch {
	case again:
		p.wrong(line, "section %q comes twice; put both into one", name)
	case name == "decisions":
		p.decisions(data, line)
	case name == "refusals":
		p.refusals(data, line)
	case inRules && strings.HasSuffix(rule, "_test.rego"):
		p.wrong(line, "section %q: Rego tests are files of their own, beside the rules", name)
	case inRules && isRule(rule) && strings.Contains(rule, "/"):
		p.wrong(line, "section %q: rules lie directly in rules/", name)
	case inRules && isRule(rule) && p.Rules[rule] != nil:
		p.wrong(line, "section %q has the name of a file that a `files` line added: %s", name, p.RuleFiles[rule])
	case inRules && isRule(rule):
		p.Rules[rule] = data
	case isYAML(name) && isCatalog(data) && p.Catalog != nil:
		p.wrong(line, "a second catalog; a script has one")
	case isYAML(name) && isCatalog(data):
		p.Catalog = data
	case isYAML(name):
		for _, dir := range p.Directories {
			file := filepath.ToSlash(filepath.Join(dir, filepath.FromSlash(name)))
			if p.Licenses[file] != nil {
				p.wrong(line, "section %q has the name of a file that a `files` line added: %s", name, file)
			}
		}
		p.Licenses[name] = nameDigests(data)
	default:
		p.wrong(line, "unknown section %q: want *.yaml, rules/*.rego, decisions or refusals", name)
	}
}

func (p *parser) refusals(data []byte, start int) {
	for i, text := range splitLines(data) {
		text = strings.TrimSpace(stripComment(text))
		if text == "" {
			continue
		}
		want, ok := strings.CutPrefix(text, "fails:")
		if want = strings.TrimSpace(want); !ok || want == "" {
			p.wrong(start+i+1, "%s: want `fails: TEXT`, TEXT being a part of what check says", text)
			continue
		}
		p.Refusals = append(p.Refusals, Refusal{start + i + 1, want})
	}
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
