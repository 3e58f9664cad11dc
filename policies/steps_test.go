package policies_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/storage/inmem"

	"github.com/pullgate/pullgate/policies"
)

// counter is a topdown.Cancel that counts how often an evaluation polls it: once a step.
type counter struct{ n atomic.Int64 }

func (c *counter) Cancel()         {}
func (c *counter) Cancelled() bool { c.n.Add(1); return false }

// grantJSON is a product grant of a license for versions from major.0.0.
func grantJSON(license string, major int, ends string) string {
	return fmt.Sprintf(`{"license": %q, "grant": 0, "type": "subscription", "empty": false,
		"ranges": [[[%d, 0, 0, {}], [%d, 0, 0, []]]], "channels": ["stable"], "constraint": ">=1.0.0 <2.0.0",
		"clocks": {"starts": 100, "ends": %[4]s, "updates": 9000000, "grace": %[4]s, "terminates": "never", "revoked": "never", "suspended": ["never", "never"], "replaced": "never"},
		"keep": false, "enforcement": "enforce", "held": [], "boundaries": [100, 9000000]}`, license, major, major+1, ends)
}

// candidateJSON is version 1.minor.0.
func candidateJSON(minor int) string {
	return fmt.Sprintf(`{"product": "app", "version": "1.%[1]d.0", "order": [1, %[1]d, 0, {}], "tag": "1.%[1]d.0", "channel": "stable",
		"released": 10, "counts_from": 10, "withdrawn_at": "never", "retires_at": "never", "revoked_at": "never", "boundaries": [10]}`, minor)
}

func candidatesJSON(n int) string {
	list := make([]string, n)
	for i := range list {
		list[i] = candidateJSON(i)
	}
	return strings.Join(list, ",")
}

// steps evaluates a query for a customer with grants, about candidates.
func steps(t testing.TB, query, action, candidates string, grants ...string) (any, int) {
	t.Helper()
	var data map[string]any
	text := fmt.Sprintf(`{"pullgate": {"rules": {}, "public": {}, "customers": {"acme": {"hash": "", "id": "acme", "name": "ACME", "banned": false, "labels": {},
		"licenses": {"a": {"features": {}, "expiring_from": "never"}, "b": {"features": {}, "expiring_from": "never"}, "c": {"features": {}, "expiring_from": "never"}}, "products": {"app": [%s]}, "repositories": {}}}}}`, strings.Join(grants, ","))
	if err := json.Unmarshal([]byte(text), &data); err != nil {
		t.Fatal(err)
	}
	opts := []func(*rego.Rego){rego.Query(query), rego.Store(inmem.NewFromObject(data)), rego.StrictBuiltinErrors(true)}
	for path, text := range library() {
		opts = append(opts, rego.Module(path, text))
	}
	prepared, err := rego.New(opts...).PrepareForEval(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	in, err := ast.ValueFromReader(strings.NewReader(fmt.Sprintf(`{"time": 1000, "action": %q, "request": {},
		"subject": {"customer": "acme", "key": "ci", "via": "key", "claims": {}},
		"resource": {"repository": "acme/app", "product": "app"%s}}`, action, candidates)))
	if err != nil {
		t.Fatal(err)
	}
	var count counter
	rs, err := prepared.Eval(t.Context(), rego.EvalParsedInput(in), rego.EvalExternalCancel(&count))
	if err != nil {
		t.Fatal(err)
	}
	return rs[0].Expressions[0].Value, int(count.n.Load())
}

// A step costs about 0.6 µs; the budget of a decision is 5,000.
func TestStepsOfADecision(t *testing.T) {
	running, ended, other := grantJSON("a", 1, "9000000"), grantJSON("b", 1, "500"), grantJSON("c", 7, "9000000")
	of := func(n int) string { return `, "candidates": [` + candidatesJSON(n) + `]` }
	for _, tt := range []struct {
		name, action, candidates string
		grants                   []string
		code                     string
		most                     int
	}{
		{"manifest", "pull", of(1), []string{running}, "ok", 95},
		{"list", "list", "", []string{running}, "ok", 90},
		{"three licenses", "pull", of(1), []string{running, ended, other}, "ok", 160},
		{"layer of 50 versions", "pull", of(50), []string{running, ended, other}, "ok", 600},
		{"layer of 1,000 versions", "pull", of(1000), []string{running}, "ok", 1200},
		{"refused manifest", "pull", of(1), []string{other}, "version_not_granted", 260},
		{"ended license", "pull", of(1), []string{ended}, "expired", 450},
		{"refused layer of 50 versions", "pull", of(50), []string{other}, "version_not_granted", 2000},
		{"ended layer of 50 versions", "pull", of(50), []string{ended, other}, "expired", 5000},
	} {
		value, n := steps(t, policies.Entrypoint, tt.action, tt.candidates, tt.grants...)
		if code := value.(map[string]any)["code"]; code != tt.code {
			t.Errorf("%s: code %v, want %s", tt.name, code, tt.code)
		}
		t.Logf("%s: %d steps", tt.name, n)
		if n > tt.most {
			t.Errorf("%s: %d steps, want at most %d", tt.name, n, tt.most)
		}
	}
}

func TestStepsOfAList(t *testing.T) {
	value, n := steps(t, policies.VisibleEntrypoint, "list", `, "candidates": [`+candidatesJSON(1000)+`]`, grantJSON("a", 1, "9000000"))
	if visible := value.([]any); len(visible) != 1000 {
		t.Errorf("%d of 1,000 candidates are visible", len(visible))
	}
	t.Logf("1,000 candidates: %d steps", n)
	if n > 30*1000 {
		t.Errorf("%d steps for 1,000 candidates", n)
	}
}
