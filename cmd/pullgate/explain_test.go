package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/pullgate/pullgate/authz"
	"github.com/pullgate/pullgate/authz/authztest"
)

// TestExplanationsOfTheCorpusAgree: for every request of the corpus what is explained is what is
// decided: the verdict, the reported grant, the check that it misses by.
func TestExplanationsOfTheCorpusAgree(t *testing.T) {
	explainScripts(t, corpusScripts(t), 500, 0)
}

func TestExplanationsOfOwnDecisionsAgree(t *testing.T) {
	paths, err := filepath.Glob("../../testdata/decisions/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	scripts := map[string]*authztest.Script{}
	for _, path := range paths {
		if scripts[path], err = authztest.ReadScript(path); err != nil {
			t.Fatal(err)
		}
	}
	explainScripts(t, scripts, 300, 4)
}

func explainScripts(t *testing.T, scripts map[string]*authztest.Script, atLeast, failed int) {
	door := &explainDoor{plainDoor: newPlainDoor(t, nil), t: t, codes: map[authz.Code]int{}}
	runner := authztest.Runner{Door: door, Catalog: readScriptCatalog}
	for _, door.script = range sortedNames(scripts) {
		results, err := runner.Run(t.Context(), scripts[door.script])
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range results {
			for _, p := range r.Problems {
				if strings.HasPrefix(p, "no bundle for ") {
					t.Errorf("%s:%d: %s", door.script, r.Line, p)
				}
			}
		}
	}
	t.Logf("%d requests explained, %d with a reported grant, %d without a verdict; codes %v", door.explained, door.reported, door.failed, door.codes)
	if door.explained < atLeast || door.reported < atLeast/3 || door.failed < failed {
		t.Errorf("%d explanations, %d with a reported grant, %d without a verdict are too few", door.explained, door.reported, door.failed)
	}
}

// explainDoor decides and explains every request.
type explainDoor struct {
	*plainDoor
	t                   *testing.T
	script              string
	explained, reported int
	failed              int // without a verdict
	codes               map[authz.Code]int
}

func (d *explainDoor) Ask(ctx context.Context, x *authztest.Exchange) (*authztest.Answer, error) {
	return d.ask(ctx, x, func(r *authz.Request) { d.compare(ctx, r) }), nil
}

func (d *explainDoor) AskVersion(ctx context.Context, x *authztest.Exchange, product, version string) (*authztest.Answer, error) {
	login := *x
	login.Method, login.Target = "GET", "/v2/"
	return d.ask(ctx, &login, func(r *authz.Request) {
		r.Kind, r.Product, r.Version, r.Via = authz.KindVersion, product, version, "cli"
		d.compare(ctx, r)
	}), nil
}

func (d *explainDoor) compare(ctx context.Context, r *authz.Request) {
	name := fmt.Sprintf("%s %s: %s %s%s%s", d.script, d.clock.Format("2006-01-02"), r.Kind, r.Path, r.Product, r.Version)
	want := d.gate.Decide(ctx, r)
	got, x, err := d.gate.Explain(ctx, r)
	if err != nil {
		d.t.Errorf("%s: %v", name, err)
		return
	}
	if got.Outcome != want.Outcome || got.Status != want.Status || got.Code != want.Code || got.PolicyCode != want.PolicyCode ||
		got.Pinned != want.Pinned || got.Verdict.Grant != want.Verdict.Grant || got.Verdict.Until != want.Verdict.Until || !slices.Equal(got.Names, want.Names) {
		d.t.Errorf("%s: decided %+v, explained %+v", name, want, got)
	}
	d.explained++
	d.codes[got.Code]++
	e := &explanation{r: r, d: got, x: x, notAfter: authz.Never}
	if re := e.failed(); re != nil {
		d.failed++
		if re.Verdict.Allow || re.Reported != nil || len(re.Vendor.Faults) == 0 {
			d.t.Errorf("%s: %s, and nothing is at fault: %+v", name, re.Failure, re)
		}
	} else if got.Outcome == authz.OutcomeError {
		d.t.Errorf("%s: %s without a failure: %+v", name, got.Detail, x)
	}
	if re := e.reasoning(); re != nil {
		d.reportedPair(name, got, re)
	}
	d.printed(name, e)
	if len(e.changes()) == 0 == !e.allowed() {
		d.t.Errorf("%s: %s, and what would change it is %q", name, got.Code, e.changes())
	}
	if (got.Verdict.Until == authz.Never) != (len(e.boundaries()) == 0) {
		d.t.Errorf("%s: until %s, because of %q", name, instantText(got.Verdict.Until), e.boundaries())
	}
}

// reportedPair compares the verdict's grant with the first of those that were considered.
func (d *explainDoor) reportedPair(name string, got *authz.Decision, re *authz.Reasoning) {
	v := &got.Verdict
	if v.License == "" {
		if re.Reported != nil {
			d.t.Errorf("%s: %s names no license, and %+v is reported", name, v.Code, re.Reported)
		}
		return
	}
	d.reported++
	if re.Reported == nil || fmt.Sprintf("%s/%d", re.Reported.License, re.Reported.Grant) != v.Grant || re.Reported.Because == "" {
		d.t.Errorf("%s: grant %s, reported %+v", name, v.Grant, re.Reported)
		return
	}
	first := &re.Grants[0]
	code := first.Passes
	if first.Misses != nil {
		code = first.Misses.Code
	}
	if first.License != re.Reported.License || first.Grant != re.Reported.Grant || code != v.Code {
		d.t.Errorf("%s: %s of %s, the first considered is %s/%d with %s", name, v.Code, v.Grant, first.License, first.Grant, code)
	}
	for _, o := range first.Outcomes {
		if !slices.Contains(o.Candidates, re.Reported.Candidate) {
			continue
		}
		if v.Enforcement == "" && v.Allow && o.Passes != v.Code {
			d.t.Errorf("%s: %s, and the reported candidate passes with %q", name, v.Code, o.Passes)
		}
		// A candidate that is withdrawn is the reason only when all are.
		if (v.Enforcement != "" || !v.Allow) && !slices.ContainsFunc(o.Failed, func(f authz.FailedCheck) bool { return f.Code == v.Code }) {
			d.t.Errorf("%s: %s, and the reported candidate fails %+v", name, v.Code, o.Failed)
		}
	}
}

// printed looks at what people and programs get.
func (d *explainDoor) printed(name string, e *explanation) {
	var text bytes.Buffer
	if err := e.print(&text); err != nil {
		d.t.Errorf("%s: %v", name, err)
	}
	for line := range strings.Lines(text.String()) {
		if words := strings.Fields(line); len(line) > explainWidth+1 && !slices.ContainsFunc(words, func(w string) bool { return len(w) > 50 }) {
			d.t.Errorf("%s: %d columns: %s", name, len(line), line)
		}
		if strings.Contains(line, "%!") {
			d.t.Errorf("%s: %s", name, line)
		}
	}
	if _, err := json.Marshal(e.document()); err != nil {
		d.t.Errorf("%s: %v", name, err)
	}
}

// docs/explain.md names every field of the JSON.
func TestExplainJSONIsDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/explain.md")
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{"until_what": true, "seen": true, "hidden": true, "enforcement": true, "grant": true}
	for name := range decisionJSON(&authz.Decision{Names: []string{}}) {
		names[name] = name != "decision_id"
	}
	var collect func(reflect.Type)
	collect = func(typ reflect.Type) {
		switch typ.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Array:
			collect(typ.Elem())
		case reflect.Struct:
			for i := range typ.NumField() {
				name, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
				names[name] = true
				collect(typ.Field(i).Type)
			}
		}
	}
	collect(reflect.TypeFor[explainDoc]())
	for name, documented := range names {
		if documented && !bytes.Contains(page, []byte("`"+name+"`")) {
			t.Errorf("docs/explain.md does not name `%s`", name)
		}
	}
	if len(names) < 60 {
		t.Errorf("only %d names", len(names))
	}
}
