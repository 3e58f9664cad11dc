package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/format"
	"github.com/pullgate/pullgate/bundle/license"
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
