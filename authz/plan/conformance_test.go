package plan

import (
	"context"
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/open-policy-agent/opa/v1/test/cases"

	"github.com/pullgate/pullgate/policies"
)

// objectNode is data that is all there, handed out by one member after the other.
type objectNode struct{ ast.Object }

func (n objectNode) Term() (*ast.Term, error) { return ast.NewTerm(n.Object), nil }

func (n objectNode) Member(name string) (*ast.Term, error) {
	t := n.Get(ast.StringTerm(name))
	if t != nil {
		if o, ok := t.Value.(ast.Object); ok {
			return NodeTerm(objectNode{o}), nil
		}
	}
	return t, nil
}

// both evaluates an entry point by the plan and by topdown, which may fail. reason is why the plan did not answer.
func both(t *testing.T, modules map[string]string, entrypoint string, data map[string]any, input *ast.Term) (byPlan, byTopdown *ast.Term, reason string, failure error) {
	t.Helper()
	parsed := map[string]*ast.Module{}
	for name, text := range modules {
		m, err := ast.ParseModuleWithOpts(name, text, ast.ParserOptions{RegoVersion: ast.RegoV1, ProcessAnnotation: true})
		if err != nil {
			t.Fatal(err)
		}
		parsed[name] = m
	}
	c := ast.NewCompiler().WithDefaultRegoVersion(ast.RegoV1)
	var program *Program
	var planned error
	policies.Alone(func() {
		if c.Compile(parsed); !c.Failed() {
			program, planned = New(context.Background(), c, entrypoint)
		}
	})
	if c.Failed() {
		t.Fatal(c.Errors)
	}
	options := []func(*rego.Rego){
		rego.Compiler(c), rego.Query(entrypoint), rego.StrictBuiltinErrors(true), rego.Store(inmem.NewFromObject(data)),
		rego.GenerateJSON(func(t *ast.Term, _ *rego.EvalContext) (any, error) { return t, nil }),
	}
	if input != nil {
		options = append(options, rego.ParsedInput(input.Value))
	}
	rs, failure := rego.New(options...).Eval(context.Background())
	if len(rs) > 0 {
		byTopdown = rs[0].Expressions[0].Value.(*ast.Term)
	}
	if program == nil {
		return nil, byTopdown, planned.Error(), failure
	}
	all := ast.MustInterfaceToValue(data).(ast.Object)
	values, err := program.Eval(context.Background(), &Question{Entrypoints: []string{entrypoint}, Input: input, Data: objectNode{all}})
	if err != nil {
		if !errors.Is(err, ErrDeclined) {
			t.Errorf("%v is another error", err)
		}
		return nil, byTopdown, err.Error(), failure
	}
	return values[0], byTopdown, "", failure
}

// agree fails the test when the plan answers, and not with what topdown says.
func agree(t *testing.T, byPlan, byTopdown *ast.Term, failure error) {
	t.Helper()
	switch {
	case byPlan == nil:
	case failure != nil:
		t.Errorf("the plan says %v, topdown fails: %v", byPlan, failure)
	case byTopdown == nil:
		t.Errorf("the plan says %v, for topdown it is undefined", byPlan)
	case !byPlan.Equal(byTopdown) || byPlan.Hash() != ast.MustParseTerm(byTopdown.String()).Hash() || byPlan.String() != byTopdown.String():
		t.Errorf("the plan says %v, topdown %v", byPlan, byTopdown)
	}
}

// OPA's own cases, which hold for every implementation of Rego. The plan answers as topdown does, or does
// not; most it must answer.
func TestPlansConformToOPAsCases(t *testing.T) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/open-policy-agent/opa").Output()
	if err != nil {
		t.Fatal(err)
	}
	set, err := cases.Load(filepath.Join(strings.TrimSpace(string(out)), "v1/test/cases/testdata/v1"))
	if err != nil {
		t.Fatal(err)
	}
	answered, declined := 0, map[string]int{}
	for _, tc := range set.Sorted().Cases {
		entrypoint, _, ok := strings.Cut(tc.Query, " = ")
		if _, err := ast.ParseRef(entrypoint); !ok || err != nil || !strings.HasPrefix(entrypoint, "data.") || len(tc.Env) > 0 {
			continue
		}
		if strings.Contains(strings.Join(tc.Modules, ""), "test.sleep") {
			continue // a builtin that only OPA's own runner of these cases has
		}
		t.Run(tc.Note, func(t *testing.T) {
			modules := map[string]string{}
			for i, m := range tc.Modules {
				modules[string(rune('a'+i))+".rego"] = m
			}
			data, input := map[string]any{}, (*ast.Term)(nil)
			if tc.Data != nil {
				data = *tc.Data
			}
			if tc.InputTerm != nil {
				input = ast.MustParseTerm(*tc.InputTerm)
			} else if tc.Input != nil {
				input = ast.NewTerm(ast.MustInterfaceToValue(*tc.Input))
			}
			byPlan, byTopdown, reason, failure := both(t, modules, entrypoint, data, input)
			agree(t, byPlan, byTopdown, failure)
			if byPlan != nil {
				answered++
			} else if byTopdown != nil {
				_, why, _ := strings.Cut(reason, ": ")
				declined[why]++
				t.Log(reason)
			}
		})
	}
	missed := 0
	for why, n := range declined {
		missed += n
		t.Logf("%4d %s", n, why)
	}
	t.Logf("%d answered, %d not although topdown does", answered, missed)
	if answered < 4*missed {
		t.Error("the plan declines too much")
	}
}
