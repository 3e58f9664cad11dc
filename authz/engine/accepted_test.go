package engine

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/pullgate/pullgate/policies"
)

// What policies.Check accepts the engine makes ready, and its answers can be kept unless an
// annotation says otherwise: no rule reads the input, the resource or the request as a whole.
func TestAnswersOfAcceptedRulesCanBeKept(t *testing.T) {
	archives, err := filepath.Glob("../../policies/testdata/rules/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatal(archives, err)
	}
	cases := map[string]map[string][]byte{}
	for _, archive := range archives {
		parsed, err := txtar.ParseFile(archive)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range parsed.Files {
			dir, file, _ := strings.Cut(f.Name, "/")
			name := filepath.Base(archive) + " " + dir
			if cases[name] == nil {
				cases[name] = map[string][]byte{}
			}
			cases[name][file] = f.Data
		}
	}
	none := &store{docs: map[string]*document{}}
	accepted := 0
	for name, rules := range cases {
		if policies.Check(rules) != nil {
			continue
		}
		accepted++
		modules, permitted := newWorld().modules, false
		for file, text := range rules {
			modules[policies.RulesDir+file] = text
			permitted = permitted || bytes.Contains(text, []byte("uncacheable"))
		}
		p, err := newPolicy(modules, nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if k := newKeyer(p, none); k.whole != "" && !permitted {
			t.Errorf("%s: %s is read as a whole", name, k.whole)
		}
	}
	if accepted < 12 {
		t.Errorf("only %d cases are accepted", accepted)
	}
}
