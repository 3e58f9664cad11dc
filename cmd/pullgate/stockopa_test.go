package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pullgate/pullgate/authz"
	"github.com/pullgate/pullgate/authz/authztest"
	"github.com/pullgate/pullgate/authz/classify"
	"github.com/pullgate/pullgate/authz/engine"
	"github.com/pullgate/pullgate/bundle"
	"github.com/pullgate/pullgate/policies"
)

// TestStockOPADecidesTheCorpusAlike: for every world of the corpus a real OPA downloads and
// verifies the same bundle, gets the input that design §8 documents, whole, and answers
// both entry points as pullgate does, in every field.
func TestStockOPADecidesTheCorpusAlike(t *testing.T) {
	compareWithOPA(t, corpusScripts(t), 500)
}

func TestStockOPADecidesTheExamplesAlike(t *testing.T) {
	scripts := map[string]*authztest.Script{}
	err := filepath.WalkDir("../../examples", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".txtar") {
			return err
		}
		scripts[path], err = authztest.ReadScript(path)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if scripts["../../examples/first-license/tests/globex.txtar"] == nil {
		t.Fatal("examples/first-license has no decision script")
	}
	compareWithOPA(t, scripts, 10)
}

// compareWithOPA runs scripts through a Gate whose every evaluation is repeated by a stock OPA.
// What the scripts expect is TestCorpus' matter. Fewer questions than atLeast are a failure.
func compareWithOPA(t *testing.T, scripts map[string]*authztest.Script, atLeast int) {
	door := newComparingDoor(t, newFedOPA(t))
	runner := authztest.Runner{Door: door, Catalog: readScriptCatalog}
	for _, door.script = range sortedNames(scripts) {
		results, err := runner.Run(t.Context(), scripts[door.script])
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range results {
			for _, p := range r.Problems {
				if strings.HasPrefix(p, "no bundle for ") { // the door's own failure
					t.Errorf("%s:%d: %s", door.script, r.Line, p)
				}
			}
		}
	}
	t.Logf("%d bundles, %d decisions and %d lists of candidates compared, %d of them failures of both", door.opa.count, door.decisions, door.visible, door.failed)
	if door.decisions < atLeast || door.visible == 0 {
		t.Errorf("%d decisions and %d lists of candidates are too few", door.decisions, door.visible)
	}
}

// plainDoor is a Gate over an engine, asked without a transport. It shows verdicts, no replies.
type plainDoor struct {
	engine *engine.Engine
	gate   *authz.Gate
	clock  time.Time
	last   *authz.Record
}

func newPlainDoor(t *testing.T, configure func(*authz.GateConfig)) *plainDoor {
	// Bounded in steps; a machine under load takes its time.
	d := &plainDoor{engine: engine.New(engine.Config{Limits: engine.Limits{DecisionTime: time.Minute, VisibleTime: time.Minute}})}
	t.Cleanup(d.engine.Close)
	cfg := authz.GateConfig{Engine: d.engine, Recorder: d, AskPast: true, Clock: func() time.Time { return d.clock }}
	if configure != nil {
		configure(&cfg)
	}
	d.gate = authz.NewGate(cfg)
	return d
}

func (d *plainDoor) Name() string                     { return "plain" }
func (d *plainDoor) Carries(*authztest.Exchange) bool { return true }
func (d *plainDoor) Record(r *authz.Record)           { d.last = r }

func (d *plainDoor) Enter(ctx context.Context, w *authztest.World) error {
	d.clock = w.Clock
	return d.engine.Activate(ctx, w.Bundle)
}

func (d *plainDoor) Ask(ctx context.Context, x *authztest.Exchange) (*authztest.Answer, error) {
	return d.ask(ctx, x, func(*authz.Request) {}), nil
}

func (d *plainDoor) AskVersion(ctx context.Context, x *authztest.Exchange, product, version string) (*authztest.Answer, error) {
	login := *x
	login.Method, login.Target = "GET", "/v2/"
	return d.ask(ctx, &login, func(r *authz.Request) {
		r.Kind, r.Product, r.Version, r.Via = authz.KindVersion, product, version, "cli"
	}), nil
}

func (d *plainDoor) ask(ctx context.Context, x *authztest.Exchange, change func(*authz.Request)) *authztest.Answer {
	in := &classify.Inbound{Method: x.Method, Target: x.Target, Host: x.Host, Address: x.Address, Identity: x.Identity, Via: "ext_authz"}
	for _, h := range x.Header {
		in.Headers = append(in.Headers, classify.Header{Name: h.Name, Value: h.Value})
	}
	req := classify.Classify(in)
	change(req)
	dec := d.gate.Decide(ctx, req)
	return &authztest.Answer{Status: dec.Status, Record: d.last, Pinned: dec.Pinned, NoHTTP: true}
}

// comparingDoor is a Gate over an engine each of whose answers is compared with OPA's.
type comparingDoor struct {
	*plainDoor
	t   *testing.T
	opa *fedOPA

	script                     string
	world                      *bundle.Bundle
	asked                      map[string]bool
	decisions, visible, failed int
}

func newComparingDoor(t *testing.T, opa *fedOPA) *comparingDoor {
	d := &comparingDoor{t: t, opa: opa}
	d.plainDoor = newPlainDoor(t, func(cfg *authz.GateConfig) { cfg.Engine = d })
	return d
}

func (d *comparingDoor) Enter(ctx context.Context, w *authztest.World) error {
	shipped, read, err := rewritten(w.Bundle, d.opa.signer, nil)
	if err != nil {
		return err
	}
	if read.Revision() != w.Bundle.Revision() {
		return errors.New("OPA would get another bundle")
	}
	if d.world == nil || d.world.Revision() != read.Revision() { // else OPA has this content already
		active, err := d.opa.offer(ctx, shipped)
		if err == nil && !active {
			err = fmt.Errorf("opa refuses the bundle\n%s", d.opa.Output())
		}
		if err != nil {
			return err
		}
	}
	d.world, d.asked = w.Bundle, map[string]bool{}
	return d.plainDoor.Enter(ctx, w)
}

// Generation hands the Gate the active generation with the comparison around it.
func (d *comparingDoor) Generation() authz.Generation {
	if g := d.engine.Generation(); g != nil {
		return comparingGeneration{g, d}
	}
	return nil
}

type comparingGeneration struct {
	authz.Generation
	d *comparingDoor
}

func (g comparingGeneration) Evaluate(ctx context.Context, in *authz.Input) (authz.Verdict, error) {
	v, err := g.Generation.Evaluate(ctx, in)
	g.d.compareDecision(ctx, in, v, err)
	if len(in.Target.Candidates) > 0 { // the Gate asks this about tag lists only
		visible, _, err := g.Visible(ctx, in)
		g.d.compareVisible(ctx, in, visible, err)
	}
	return v, err
}

func (d *comparingDoor) compareDecision(ctx context.Context, in *authz.Input, v authz.Verdict, failed error) {
	withCandidates := in.Kind != authz.KindTags && in.Kind != authz.KindCatalog && in.Kind != authz.KindPing
	doc, got := d.value(ctx, policies.Entrypoint, in, withCandidates)
	if doc == "" {
		return
	}
	d.decisions++
	if failed != nil {
		d.failed++
		if o, ok := got.(map[string]any); ok && o["allow"] != false {
			d.t.Errorf("%s: pullgate fails (%v), OPA says %v for %s", d.script, failed, got, doc)
		}
		return
	}
	want, err := d.decisionDocument(in.Subject.Customer, v)
	if err != nil {
		d.t.Errorf("%s: %v", d.script, err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		d.t.Errorf("%s: %s (-pullgate +OPA):\n%s\nfor %s", d.script, policies.Entrypoint, diff, doc)
	}
}

func (d *comparingDoor) compareVisible(ctx context.Context, in *authz.Input, visible []int, failed error) {
	doc, got := d.value(ctx, policies.VisibleEntrypoint, in, true)
	if doc == "" {
		return
	}
	d.visible++
	want := []any{}
	for _, i := range visible {
		want = append(want, json.Number(fmt.Sprint(i)))
	}
	if diff := cmp.Diff(want, got); diff != "" || failed != nil {
		d.t.Errorf("%s: %s %v (-pullgate +OPA):\n%s\nfor %s", d.script, policies.VisibleEntrypoint, failed, diff, doc)
	}
}

// value asks OPA; doc is "" when this was asked in this world before, or cannot be asked.
func (d *comparingDoor) value(ctx context.Context, document string, in *authz.Input, candidates bool) (doc string, got any) {
	data, err := inputDocument(in, candidates)
	if err != nil {
		d.t.Errorf("%s: %v", d.script, err)
		return "", nil
	}
	if d.asked[document+string(data)] {
		return "", nil
	}
	d.asked[document+string(data)] = true
	if got, err = d.opa.value(ctx, document, data); err != nil {
		d.t.Errorf("%s: opa: %v for %s", d.script, err, data)
		return "", nil
	}
	return string(data), got
}

// decisionDocument is a verdict as the policy's contract writes it (design §8). A Verdict has
// no features: they are the reported license's, where it lets something through.
func (d *comparingDoor) decisionDocument(customer string, v authz.Verdict) (any, error) {
	type object = map[string]any
	features := json.RawMessage("{}")
	if v.Allow && v.License != "" {
		var customers map[string]struct {
			Licenses map[string]struct {
				Features json.RawMessage `json:"features"`
			} `json:"licenses"`
		}
		if err := json.Unmarshal(d.world.File("pullgate/customers/data.json"), &customers); err != nil {
			return nil, err
		}
		features = customers[customer].Licenses[v.License].Features
	}
	// A header without a value is the engine's own: what a rule may set and did not.
	headers := slices.DeleteFunc(slices.Clone(v.Headers), func(h authz.Header) bool { return h.Value == "" })
	data, err := json.Marshal(object{
		"allow": v.Allow, "code": v.Code, "license": v.License, "grant": v.Grant, "message": v.Message,
		"until": instantDocument(v.Until), "ends": instantDocument(v.Ends), "expiring_from": instantDocument(v.ExpiringFrom),
		"warnings": append([]authz.Warning{}, v.Warnings...), "features": features,
		"headers": append([]authz.Header{}, headers...), "enforcement": v.Enforcement,
	})
	if err != nil {
		return nil, err
	}
	return decodeJSON(data)
}

func instantDocument(t int64) any {
	if t == authz.Never {
		return "never"
	}
	return t
}

// inputDocument writes a question as design §8 documents it. It is not the engine's encoder:
// where the two differ, the verdicts do.
func inputDocument(in *authz.Input, candidates bool) ([]byte, error) {
	type object = map[string]any
	r, res := in.Request, &in.Target.Resource
	doc := object{
		"time":    in.Time,
		"action":  in.Action,
		"subject": texts(object{"claims": object{}}, "customer", in.Subject.Customer, "key", in.Subject.Key, "via", in.Subject.Via),
	}
	resource := texts(object{}, "kind", in.Kind.String(), "host", r.Host, "registry", res.Registry, "repository", res.Repository,
		"product", res.Product, "tag", res.Tag, "digest", res.Digest, "path", r.Path)
	request := texts(object{}, "method", r.Method, "host", r.Host, "path", r.Path, "via", r.Via)
	if r.Address.IsValid() {
		request["address"] = r.Address.String()
	}
	if candidates {
		list := []object{}
		for _, c := range in.Target.Candidates {
			list = append(list, candidateDocument(c))
		}
		resource["candidates"] = list
	}
	doc["resource"], doc["request"] = resource, request
	return json.Marshal(doc)
}

func candidateDocument(c authz.Candidate) map[string]any {
	doc := texts(map[string]any{}, "product", c.Product, "version", c.Version, "tag", c.Tag, "channel", c.Channel)
	if c.Order != "" {
		doc["order"] = json.RawMessage(c.Order)
	}
	for name, list := range map[string][]string{"except": c.Except, "requires": c.Requires} {
		if len(list) > 0 {
			doc[name] = list
		}
	}
	doc["counts_from"] = instantDocument(c.CountsFrom)
	boundaries := []int64{}
	for name, t := range map[string]int64{"released": c.Released, "withdrawn_at": c.WithdrawnAt, "retires_at": c.RetiresAt, "revoked_at": c.RevokedAt} {
		doc[name] = instantDocument(t)
		if t != authz.Always && t != authz.Never {
			boundaries = append(boundaries, t)
		}
	}
	slices.Sort(boundaries)
	doc["boundaries"] = slices.Compact(boundaries)
	return doc
}

// texts adds the members that are not empty: an absent field is absent.
func texts(doc map[string]any, members ...string) map[string]any {
	for m := range slices.Chunk(members, 2) {
		if m[1] != "" {
			doc[m[0]] = m[1]
		}
	}
	return doc
}
