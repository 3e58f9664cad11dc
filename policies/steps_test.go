package policies_test

import (
	"context"
	"encoding/json"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/storage/inmem"

	"github.com/pullgate/pullgate/policies"
)

// steps is a topdown.Cancel that counts how often an evaluation polls it: once a step.
type steps struct{ n atomic.Int64 }

func (s *steps) Cancel()         {}
func (s *steps) Cancelled() bool { s.n.Add(1); return false }

const data = `{"pullgate": {"customers": {"acme": {"hash": "", "id": "acme", "name": "ACME", "banned": false, "labels": {},
 "licenses": {"a": {"features": {"sso": true}}},
 "products": {"app": [{"license": "a", "grant": 0, "type": "subscription", "empty": false, "ranges": [[[1,0,0,{}],[2,0,0,[]]]], "channels": ["stable"], "constraint": ">=1.0.0 <2.0.0",
   "clocks": {"starts": 100, "ends": 9000000, "updates": 9000000, "grace": 9000000, "terminates": "never", "revoked": "never", "suspended": ["never","never"], "replaced": "never"},
   "keep": false, "enforcement": "enforce", "held": ["sso"], "boundaries": [100, 9000000]}]},
 "repositories": {}}}, "public": {}}}`

const question = `{"time": 1000, "subject": {"customer": "acme", "key": "ci", "via": "key", "claims": {}}, "action": "pull",
 "resource": {"kind": "manifest", "repository": "acme/app", "product": "app", "tag": "1.4.0", "candidates": [
  {"product": "app", "version": "1.4.0", "order": [1,4,0,{}], "tag": "1.4.0", "channel": "stable", "released": 10, "counts_from": 10, "withdrawn_at": "never", "retires_at": "never", "revoked_at": "never", "boundaries": [10]}]},
 "request": {}}`

func TestProbe(t *testing.T) {
	var d map[string]any
	if err := json.Unmarshal([]byte(data), &d); err != nil {
		t.Fatal(err)
	}
	opts := []func(*rego.Rego){rego.Query(policies.Entrypoint), rego.Store(inmem.NewFromObject(d)), rego.StrictBuiltinErrors(true)}
	for path, b := range policies.Modules() {
		opts = append(opts, rego.Module(path, string(b)))
	}
	q, err := rego.New(opts...).PrepareForEval(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	in, err := ast.ValueFromReader(strings.NewReader(question))
	if err != nil {
		t.Fatal(err)
	}
	var s steps
	rs, err := q.Eval(context.Background(), rego.EvalParsedInput(in), rego.EvalExternalCancel(&s))
	if err != nil {
		t.Fatal(err)
	}
	b, _ := json.MarshalIndent(rs[0].Expressions[0].Value, "", " ")
	t.Logf("%s\nsteps %d", b, s.n.Load())
}
