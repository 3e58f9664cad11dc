package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/format"
	"github.com/pullgate/pullgate/bundle/license"
	"github.com/pullgate/pullgate/policies"
)

// What is written is written as opa fmt writes, whatever the name, and has no placeholder left.
func TestWrittenRulesAreFormatted(t *testing.T) {
	for _, kind := range ruleKinds {
		for _, name := range []string{"x", "a_rule_with_a_name_of_forty_characters_ok"[:maxRuleName]} {
			files, err := ruleFiles(name, kind, &license.Set{})
			if err != nil {
				t.Fatal(err)
			}
			if last := files[len(files)-1].name; last != "rules/"+name+".rego" {
				t.Errorf("%s is written last, before its tests are there", last)
			}
			for _, f := range files {
				if i := bytes.IndexByte(f.data, '%'); i >= 0 && !bytes.HasPrefix(f.data[i:], []byte("%s@%s")) {
					t.Errorf("%s %s: a placeholder is left: %.20q", kind, f.name, f.data[i:])
				}
				if !strings.HasSuffix(f.name, ".rego") {
					continue
				}
				formatted, err := format.Source(f.name, f.data)
				if err != nil || !bytes.Equal(formatted, f.data) {
					t.Errorf("%s %s is not formatted (%v):\n%s", kind, f.name, err, formatted)
				}
			}
		}
	}
}

// The rules in docs/rules.md are accepted, and the script there passes with its Rego test.
func TestDocumentedRulesPass(t *testing.T) {
	dir := t.TempDir()
	kinds := map[string]int{}
	for _, f := range readFences(t, "../../docs/rules.md") {
		kinds[f.info]++
		switch f.info {
		case "rego":
			if err := policies.Check(map[string][]byte{"rules/docs.rego": []byte(f.text)}); err != nil {
				t.Errorf("%v\n%s", err, f.text)
			}
			if formatted, err := format.Source("docs.rego", []byte(f.text)); err != nil || string(formatted) != f.text {
				t.Errorf("not formatted (%v):\n%s", err, formatted)
			}
		case "rego test":
			write(t, filepath.Join(dir, "rules", "office_test.rego"), f.text)
		case "txtar":
			write(t, filepath.Join(dir, "tests", "office.txtar"), f.text)
			_, rule, _ := strings.Cut(f.text, "-- rules/office.rego --\n")
			rule, _, _ = strings.Cut(rule, "-- ")
			write(t, filepath.Join(dir, "rules", "office.rego"), rule)
		}
	}
	if kinds["rego"] < 2 || kinds["rego test"] != 1 || kinds["txtar"] != 1 {
		t.Errorf("blocks: %v", kinds)
	}
	if code, out, errs := once(t, "test", dir); code != exitYes || out != "8 passed, 0 failed\n" {
		t.Errorf("exit code %d\n%s%s", code, out, errs)
	}
}

// Of each row in docs/rules.md about what is refused, the left is refused and the right is not.
func TestDocumentedRefusalsAreRefused(t *testing.T) {
	text, err := os.ReadFile("../../docs/rules.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(text), "\n## What is refused\n")
	section, _, _ = strings.Cut(section, "\n## ")
	rows := regexp.MustCompile("(?m)^\\| (`.*`) \\| (.*) \\| (`.*`) \\|$").FindAllStringSubmatch(section, -1)
	if !ok || len(rows) < 12 {
		t.Fatalf("only %d rows", len(rows))
	}
	for _, row := range rows {
		if err := policies.Check(documented(row[1])); err == nil {
			t.Errorf("%s is not refused", row[1])
		}
		if err := policies.Check(documented(row[3])); err != nil {
			t.Errorf("%s: %v", row[3], err)
		}
	}
}

// documented makes a rule of the pieces of code in a cell: a package, rules, conditions.
func documented(cell string) map[string][]byte {
	pkg, rules := "package vendor.docs", ""
	for _, m := range regexp.MustCompile("`([^`]*)`").FindAllStringSubmatch(cell, -1) {
		switch code := m[1]; {
		case strings.HasPrefix(code, "package "):
			pkg = code
		case strings.Contains(code, " if "), strings.Contains(code, " contains "):
			rules += code + "\n\n"
		default:
			rules += `warn contains {"code": "docs", "message": "From the docs."} if { ` + code + " }\n\n"
		}
	}
	if rules == "" {
		rules = `warn contains {"code": "docs", "message": "From the docs."} if input.action == "pull"`
	}
	return map[string][]byte{"rules/docs.rego": []byte(pkg + "\n\n" + rules)}
}

// docs/rules.md names every field that a rule can read.
func TestDocumentedFieldsAreAllFields(t *testing.T) {
	text, err := os.ReadFile("../../docs/rules.md")
	if err != nil {
		t.Fatal(err)
	}
	for file, parts := range map[string][]string{
		"input.json": {"", "properties/subject", "properties/resource", "properties/request", "$defs/candidate"},
		"data.json":  {"$defs/customer", "$defs/license", "$defs/grant", "$defs/grant/properties/clocks"},
	} {
		data, err := os.ReadFile("../../policies/schemas/" + file)
		if err != nil {
			t.Fatal(err)
		}
		var schema map[string]any
		if err := json.Unmarshal(data, &schema); err != nil {
			t.Fatal(err)
		}
		for _, part := range parts {
			at := schema
			for _, step := range strings.FieldsFunc(part, func(r rune) bool { return r == '/' }) {
				at, _ = at[step].(map[string]any)
			}
			fields, _ := at["properties"].(map[string]any)
			if len(fields) == 0 {
				t.Errorf("%s has nothing at %q", file, part)
			}
			for name := range fields {
				if !regexp.MustCompile("`[^`]*\\b" + name + "\\b[^`]*`").Match(text) {
					t.Errorf("docs/rules.md does not name %s of %s %s", name, file, part)
				}
			}
		}
	}
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
