package policies_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
)

// kinds are candidates of each kind that the checks tell apart, at the time 1000: a change of
// version 1.4.0, which the grant covers.
var kinds = []struct {
	name   string
	change map[string]any
}{
	{"good", nil},
	{"withdrawn", map[string]any{"withdrawn_at": 1}},
	{"withdrawn for others", map[string]any{"withdrawn_at": 1, "except": []string{"acme"}}},
	{"revoked", map[string]any{"revoked_at": 1}},
	{"withdrawn and revoked", map[string]any{"withdrawn_at": 1, "revoked_at": 1}},
	{"unreleased", map[string]any{"released": 1001, "counts_from": 1001}},
	{"unreleased and revoked", map[string]any{"released": 1001, "counts_from": 1001, "revoked_at": 1}},
	{"late", map[string]any{"counts_from": 999}},
	{"late and revoked", map[string]any{"counts_from": 999, "revoked_at": 1}},
	{"wanting", map[string]any{"requires": []string{"audit"}}},
	{"of another range", map[string]any{"order": []any{7, 0, 0, map[string]any{}}}},
	{"of another range, withdrawn", map[string]any{"order": []any{7, 0, 0, map[string]any{}}, "withdrawn_at": 1}},
	{"of another range, revoked", map[string]any{"order": []any{7, 0, 0, map[string]any{}}, "revoked_at": 1}},
	{"of another channel", map[string]any{"channel": "rc"}},
}

// standings are a license's clocks at that time.
var standings = []struct{ name, change string }{
	{"running", `{}`},
	{"updates over", `{"updates": 500}`},
	{"grace", `{"ends": 500, "updates": 500, "grace": 9000}`},
	{"kept", `{"ends": 500, "updates": 500, "grace": 500}`},
	{"ended", `{"ends": 500, "updates": 500, "grace": 500}`},
	{"suspended", `{"suspended": [1, "never"]}`},
}

// However many kinds of candidates meet, the decision is one that the checks give, never that
// nothing could be decided; and withdrawing or revoking one of them never lets more through.
func TestCandidatesOfAllKindsAreDecidedTogether(t *testing.T) {
	opts := []func(*rego.Rego){rego.Query("data.pullgate.decision"), rego.Store(inmem.NewFromObject(customersOfAllStandings(t))), rego.StrictBuiltinErrors(true)}
	for path, text := range library() {
		opts = append(opts, rego.Module(path, text))
	}
	prepared, err := rego.New(opts...).PrepareForEval(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	decide := func(customer string, mixed []int) (allow bool, code string) {
		in := ast.NewObject(
			item("time", ast.IntNumberTerm(1000)), item("action", ast.StringTerm("pull")), item("request", ast.ObjectTerm()),
			item("subject", ast.ObjectTerm(item("customer", ast.StringTerm(customer)))),
			item("resource", ast.ObjectTerm(item("repository", ast.StringTerm("acme/app")), item("product", ast.StringTerm("app")), item("candidates", candidatesOf(mixed)))))
		rs, err := prepared.Eval(t.Context(), rego.EvalParsedInput(in))
		if err != nil {
			t.Fatal(err)
		}
		d := rs[0].Expressions[0].Value.(map[string]any)
		return d["allow"].(bool), d["code"].(string)
	}

	codes := map[string]int{}
	for _, customer := range customersOf() {
		for mixed := range mixtures() {
			allow, code := decide(customer, mixed)
			codes[code]++
			if code == "internal_error" {
				t.Errorf("%s: %s could not be decided", customer, namesOf(mixed))
			}
			for i, k := range mixed {
				if name := kinds[k].name; allow || name != "good" && name != "late" && name != "unreleased" {
					continue
				}
				changed := slices.Clone(mixed)
				changed[i] = slices.IndexFunc(kinds, func(other struct {
					name   string
					change map[string]any
				},
				) bool {
					return other.name == "revoked" && kinds[k].name == "good" || other.name == kinds[k].name+" and revoked"
				})
				if then, code := decide(customer, changed); then {
					t.Errorf("%s: %s is refused, %s is %s", customer, namesOf(mixed), namesOf(changed), code)
				}
			}
		}
	}
	t.Log(codes)
	if len(codes) < 11 {
		t.Errorf("the test shows little: %v", codes)
	}
}

func item(key string, value *ast.Term) [2]*ast.Term { return ast.Item(ast.StringTerm(key), value) }

// customersOf names a customer for each standing under each enforcement.
func customersOf() (ids []string) {
	for _, s := range standings {
		for _, enforcement := range []string{"enforce", "observe"} {
			ids = append(ids, s.name+", "+enforcement)
		}
	}
	return ids
}

func customersOfAllStandings(t *testing.T) map[string]any {
	all := map[string]any{}
	read := func(text string) (v map[string]any) {
		if err := json.Unmarshal([]byte(text), &v); err != nil {
			t.Fatal(err)
		}
		return v
	}
	for _, id := range customersOf() {
		parts := strings.Split(id, ", ")
		grant := read(grantJSON("a", 1, "9000000"))
		for _, s := range standings {
			if s.name == parts[0] {
				for k, v := range read(s.change) {
					grant["clocks"].(map[string]any)[k] = v
				}
			}
		}
		grant["enforcement"], grant["keep"] = parts[1], parts[0] == "kept"
		all[id] = map[string]any{
			"hash": "", "id": "acme", "name": "ACME", "banned": false, "labels": map[string]any{},
			"licenses": read(`{"a": {"features": {}, "expiring_from": "never", "ends": 500, "grace": 9000, "terminates": "never"}}`),
			"products": map[string]any{"app": []any{grant}}, "repositories": map[string]any{},
		}
	}
	return map[string]any{"pullgate": map[string]any{"rules": map[string]any{}, "public": map[string]any{}, "customers": all}}
}

// mixtures yields every one, two and three of the kinds.
func mixtures() func(yield func([]int) bool) {
	return func(yield func([]int) bool) {
		for a := range kinds {
			for b := a; b < len(kinds); b++ {
				for c := b; c < len(kinds); c++ {
					if mixed := slices.Compact([]int{a, b, c}); (b < c || a == b) && !yield(mixed) {
						return
					}
				}
			}
		}
	}
}

func candidatesOf(mixed []int) *ast.Term {
	list := make([]*ast.Term, len(mixed))
	for i, k := range mixed {
		var c map[string]any
		if err := json.Unmarshal([]byte(candidateJSON(4)), &c); err != nil {
			panic(err)
		}
		for field, value := range kinds[k].change {
			c[field] = value
		}
		list[i] = ast.NewTerm(ast.MustInterfaceToValue(c))
	}
	return ast.ArrayTerm(list...)
}

func namesOf(mixed []int) string {
	var names []string
	for _, k := range mixed {
		names = append(names, kinds[k].name)
	}
	return strings.Join(names, " + ")
}
