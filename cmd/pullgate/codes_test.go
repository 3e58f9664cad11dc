package main

import (
	"bytes"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/template"

	"github.com/pullgate/pullgate/authz"
	"github.com/pullgate/pullgate/authz/authztest"
	"github.com/pullgate/pullgate/authz/reply"
	"github.com/pullgate/pullgate/policies"
)

const (
	codesPage     = "../../docs/codes.md"
	codesTemplate = "testdata/codes/page.md.tmpl"
	codesExamples = "testdata/codes/examples.txtar"
)

// codeEntry is what docs/codes.md says of one code.
type codeEntry struct {
	Code                       string
	Meanings, Vendor, Customer []string
	Lenient                    bool
	Answers                    []codeAnswer
}

// codeAnswer is one answer with the code, as it went out.
type codeAnswer struct {
	Status           int
	OCI, Message, As string
	Warning          string
}

// codeGroup is a section of the page.
type codeGroup struct {
	Title, Heading, Text string
	Codes                []*codeEntry
}

// TestCodesPage compares docs/codes.md with what the program knows and answers; -update writes it.
func TestCodesPage(t *testing.T) {
	page := writeCodesPage(t)
	if *update {
		if err := os.WriteFile(codesPage, page, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	kept, err := os.ReadFile(codesPage)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(kept, page) {
		t.Errorf("docs/codes.md is not what the program says now; write it with go test ./cmd/pullgate -run TestCodesPage -update")
	}
	for _, code := range constantCodes(t) {
		if n := bytes.Count(kept, []byte("\n### "+code+"\n")); n != 1 {
			t.Errorf("docs/codes.md describes %s %d times", code, n)
		}
	}
}

// Every code that a decision script comes to has a place on the page.
func TestCodesOfScriptsAreOnThePage(t *testing.T) {
	page, err := os.ReadFile(codesPage)
	if err != nil {
		t.Fatal(err)
	}
	paths, err := filepath.Glob("../../testdata/decisions/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	if _, err := os.Stat(corpus); err == nil {
		for name := range corpusScripts(t) {
			paths = append(paths, filepath.Join(corpus, name))
		}
	}
	seen := map[string]string{}
	for _, path := range paths {
		s, err := authztest.ReadScript(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range runScript(t, s) {
			if r.Answer == nil {
				continue // the line's own test says why
			}
			for _, code := range append([]string{string(r.Answer.Record.Code), string(r.Answer.Record.PolicyCode)}, r.Answer.Warnings...) {
				seen[code] = path + ":" + strconv.Itoa(r.Line)
			}
		}
	}
	delete(seen, "")
	for _, code := range slices.Sorted(maps.Keys(seen)) {
		if !strings.HasPrefix(code, "vendor.") && !bytes.Contains(page, []byte("\n### "+code+"\n")) {
			t.Errorf("%s: code %s is not in docs/codes.md", seen[code], code)
		}
	}
	t.Logf("%d codes from %d scripts", len(seen), len(paths))
	if len(seen) < 25 {
		t.Errorf("only %d codes seen", len(seen))
	}
}

func runScript(t *testing.T, s *authztest.Script) []authztest.Result {
	t.Helper()
	door := authztest.NewGateDoor()
	defer door.Close()
	results, err := (&authztest.Runner{Door: door, Catalog: readScriptCatalog}).Run(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return results
}

// writeCodesPage makes the page. It fails when a code is described nowhere or twice, or when no
// request of the examples comes to it.
func writeCodesPage(t *testing.T) []byte {
	t.Helper()
	entries := map[string]*codeEntry{}
	library := map[string]policies.Code{}
	doors := map[string]bool{}
	for _, c := range policies.Codes() {
		library[c.Code] = c
		entries[c.Code] = &codeEntry{Code: c.Code, Meanings: []string{c.Description}, Vendor: []string{c.Vendor}, Customer: []string{c.Remedy}}
	}
	for _, d := range reply.Doors() {
		code := string(d.Code)
		if _, both := library[code]; both != (d.Meaning == "") || both != (d.Vendor == "") {
			t.Errorf("%s is described by the library and by package reply, or by neither", code)
		}
		e := entries[code]
		if e == nil {
			e = &codeEntry{Code: code}
			entries[code] = e
		}
		if !doors[code] {
			e.Customer = nil // what the policy would say is not sent
		}
		doors[code] = true
		customer := strings.ReplaceAll(d.Customer, "{host}", "HOST")
		for list, text := range map[*[]string]string{&e.Meanings: d.Meaning, &e.Vendor: d.Vendor, &e.Customer: customer} {
			if text != "" && !slices.Contains(*list, text) {
				*list = append(*list, text)
			}
		}
	}
	entries[ofRules] = &codeEntry{Code: ofRules}
	addAnswers(t, entries)
	addLenient(t, entries)

	allowed := codeGroup{Title: "allowed", Heading: "Allowed", Text: "With `enforcement: warn` or `observe` an allowed decision carries the code of the refusal it would have been, of those marked *lenient* below."}
	policy := codeGroup{Title: "refused by the policy", Heading: "Refused by the policy", Text: "In the order of the checks; the first that fails names the code. Of several grants and licenses the one that came furthest is reported.\n*Lenient*: a license with `enforcement: warn` or `observe` lets it through, but for a digest of `revoked_digests`."}
	around := codeGroup{Title: "refused around it", Heading: "Refused around it", Text: "Before the policy is asked, or in place of what it says."}
	for _, code := range constantCodes(t) {
		e := entries[code]
		switch {
		case e == nil:
			t.Fatalf("%s is described nowhere: give it metadata in policies/pullgate/reason or a Door in authz/reply", code)
		case len(e.Answers) == 0:
			t.Errorf("no request in %s comes to %s", codesExamples, code)
		}
		switch {
		case doors[code]:
			around.Codes = append(around.Codes, e)
		case library[code].Kind == policies.CodeAllow:
			allowed.Codes = append(allowed.Codes, e)
		default:
			policy.Codes = append(policy.Codes, e)
		}
	}
	var warnings []*codeEntry
	for code, c := range library {
		if c.Kind == policies.CodeWarning {
			warnings = append(warnings, entries[code])
		}
	}
	slices.SortFunc(warnings, func(a, b *codeEntry) int { return strings.Compare(b.Code, a.Code) })

	text, err := os.ReadFile(codesTemplate)
	if err != nil {
		t.Fatal(err)
	}
	var page bytes.Buffer
	data := map[string]any{"Groups": []codeGroup{allowed, policy, around}, "Warnings": warnings, "Vendor": entries[ofRules]}
	if err := template.Must(template.New("page").Parse(string(text))).Execute(&page, data); err != nil {
		t.Fatal(err)
	}
	return page.Bytes()
}

// ofRules begins the codes of vendor rules, which share an entry.
const ofRules = "vendor."

// addAnswers asks the examples and keeps what comes back, each once.
func addAnswers(t *testing.T, entries map[string]*codeEntry) {
	t.Helper()
	s, err := authztest.ReadScript(codesExamples)
	if err != nil {
		t.Fatal(err)
	}
	add := func(code string, a codeAnswer) {
		if strings.HasPrefix(code, ofRules) {
			code, a.As = ofRules, code
		}
		if e := entries[code]; e == nil {
			t.Errorf("%s: nothing describes %s", codesExamples, code)
		} else if !slices.Contains(e.Answers, a) {
			e.Answers = append(e.Answers, a)
		}
	}
	for _, r := range runScript(t, s) {
		if len(r.Problems) > 0 {
			t.Fatalf("%s:%d: %s: %s", codesExamples, r.Line, r.Text, strings.Join(r.Problems, "; "))
		}
		rec := r.Answer.Record
		a := answerOf(t, r.Answer.Status, r.Answer.Body, rec.ID)
		warning := r.Answer.Header.Get("Warning")
		for _, name := range r.Answer.Warnings {
			if name != string(rec.Code) && !strings.HasPrefix(name, ofRules) {
				add(name, codeAnswer{Warning: warning})
			}
		}
		if slices.Contains(r.Answer.Warnings, string(rec.Code)) || strings.HasPrefix(string(rec.Code), ofRules) {
			a.Warning = warning
		}
		if warning != "" && a.Warning == "" {
			continue // an example of the warning
		}
		add(string(rec.Code), a)
		if rec.Code == authz.CodeUnknownRepository && rec.PolicyCode != "" {
			a.As = string(rec.Code)
			add(string(rec.PolicyCode), a)
		}
	}
	// What needs no policy and no script can bring about.
	for code, status := range map[authz.Code]int{
		authz.CodeRateLimited: 429, authz.CodeLimitReached: 403, authz.CodeNotReady: 503, authz.CodeStale: 503, authz.CodeOverloaded: 503, authz.CodeInternalError: 503,
	} {
		d := &authz.Decision{ID: exampleID, Outcome: authz.OutcomeDeny, Status: status, Code: code}
		if status == 503 {
			d.Outcome = authz.OutcomeError
		}
		p := reply.For(&authz.Request{Kind: authz.KindManifest}, d)
		add(string(code), answerOf(t, p.Status, p.Body, exampleID))
	}
}

const exampleID = "0199c2de-8a3f-7c11-9d5e-0242ac120002"

// answerOf reads an answer; ids, which differ each time, become one.
func answerOf(t *testing.T, status int, body []byte, id string) codeAnswer {
	t.Helper()
	a := codeAnswer{Status: status}
	if status == 200 {
		return a
	}
	var fault struct {
		Errors []struct{ Code, Message string }
	}
	if err := json.Unmarshal(bytes.ReplaceAll(body, []byte(id), []byte(exampleID)), &fault); err != nil || len(fault.Errors) != 1 {
		t.Fatalf("body %s: %v", body, err)
	}
	a.OCI, a.Message = fault.Errors[0].Code, fault.Errors[0].Message
	return a
}

// addLenient asks the examples once more, of licenses that only warn.
func addLenient(t *testing.T, entries map[string]*codeEntry) {
	t.Helper()
	data, err := os.ReadFile(codesExamples)
	if err != nil {
		t.Fatal(err)
	}
	s, err := authztest.ParseScript(codesExamples, bytes.ReplaceAll(data, []byte("enforcement: enforce"), []byte("enforcement: warn")), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range runScript(t, s) {
		if rec := r.Answer.Record; rec.Enforcement == "warn" {
			code := string(rec.Code)
			if strings.HasPrefix(code, ofRules) {
				code = ofRules
			}
			entries[code].Lenient = true
		}
	}
}

// constantCodes are the values of authz's constants of type Code, in the order of their source.
func constantCodes(t *testing.T) []string {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), "../../authz/code.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var codes []string
	ast.Inspect(f, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if typ, ok := spec.Type.(*ast.Ident); !ok || typ.Name != "Code" {
			return false
		}
		code, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		if err != nil {
			t.Fatal(err)
		}
		codes = append(codes, code)
		return false
	})
	if len(codes) < 30 {
		t.Fatalf("only %d codes in authz/code.go", len(codes))
	}
	return codes
}
