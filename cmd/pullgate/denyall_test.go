package main

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/pullgate/pullgate/authz"
	"github.com/pullgate/pullgate/authz/authztest"
	"github.com/pullgate/pullgate/authz/memstore"
	"github.com/pullgate/pullgate/bundle"
)

// The libraries that stand in for the shipped one.
var (
	denyAll = map[string]string{"pullgate/deny.rego": `package pullgate

decision := {"allow": false, "code": "suspended", "message": "Nothing is delivered today.", "until": "never"}

visible := []
`}
	allowAll = map[string]string{"pullgate/allow.rego": `package pullgate

decision := {"allow": true, "code": "ok", "until": "never"}

visible := [i | some i, _ in input.resource.candidates]
`}
)

// otherLibrary is a door whose worlds have another library and all else as it was.
type otherLibrary struct {
	authztest.Door
	signer  *bundle.Signer
	modules map[string]string
}

func (d *otherLibrary) Enter(ctx context.Context, w *authztest.World) error {
	other := *w
	var err error
	if _, other.Bundle, err = rewritten(w.Bundle, d.signer, swapLibrary(d.modules)); err != nil {
		return err
	}
	return d.Door.Enter(ctx, &other)
}

func (d *otherLibrary) AskVersion(ctx context.Context, x *authztest.Exchange, product, version string) (*authztest.Answer, error) {
	vd, ok := d.Door.(authztest.VersionDoor)
	if !ok {
		return nil, errNoVersions
	}
	return vd.AskVersion(ctx, x, product, version)
}

var errNoVersions = errors.New("this door is not asked about versions")

// swapLibrary takes a bundle's library and vendor rules out and puts other modules in.
func swapLibrary(modules map[string]string) func(map[string][]byte) {
	return func(files map[string][]byte) {
		maps.DeleteFunc(files, func(p string, _ []byte) bool { return strings.HasSuffix(p, ".rego") })
		for p, text := range modules {
			files[p] = []byte(text)
		}
	}
}

// everyDoor are the Gate, ext_authz in both encodings, and Envoy.
func everyDoor(t *testing.T) []authztest.Door {
	t.Helper()
	return []authztest.Door{authztest.NewGateDoor(), newGRPCDoor(t, false), newGRPCDoor(t, true), newEnvoyDoor(t)}
}

// TestTheVerdictIsRegos asks every kind of request through every door, of a customer, of the
// public and of nobody: with the shipped library each is allowed, with one that denies
// everything each is refused and nothing arrives at the registry.
func TestTheVerdictIsRegos(t *testing.T) {
	script := readDenyAll(t)
	for _, door := range everyDoor(t) {
		t.Run(door.Name(), func(t *testing.T) {
			kinds := map[string]int{}
			for _, r := range answers(t, door, script) {
				if len(r.Problems) > 0 {
					t.Fatalf("with the shipped library: %d: %s: %s", r.Line, r.Text, strings.Join(r.Problems, "; "))
				}
				kinds[r.Answer.Record.Action]++
			}
			if kinds["pull"] == 0 || kinds["list"] == 0 || kinds["ping"] == 0 {
				t.Fatalf("allowed with the shipped library: %v", kinds)
			}
			for _, r := range answers(t, &otherLibrary{door, newSigner(t), denyAll}, script) {
				refused(t, r)
				if rec := r.Answer.Record; rec.PolicyCode != "suspended" {
					t.Errorf("%d: %s: code %s (policy's %q): refused by something else than the policy", r.Line, r.Text, rec.Code, rec.PolicyCode)
				}
			}
		})
	}
}

// The same for every request of the corpus: enforcement, public documents, bans, features,
// lists and whatever else a license can say are the library's to know.
func TestNothingOfTheCorpusPassesALibraryThatDenies(t *testing.T) {
	scripts := corpusScripts(t)
	for _, door := range everyDoor(t) {
		t.Run(door.Name(), func(t *testing.T) {
			other := &otherLibrary{door, newSigner(t), denyAll}
			asked := 0
			for _, name := range sortedNames(scripts) {
				if len(scripts[name].Refusals) > 0 {
					continue
				}
				for _, r := range answers(t, other, scripts[name]) {
					refused(t, r)
					asked++
				}
			}
			if asked < 500 {
				t.Errorf("only %d requests were asked", asked)
			}
			t.Logf("%d requests refused", asked)
		})
	}
}

// readDenyAll returns a script that asks for everything there is and expects to be given it.
func readDenyAll(t *testing.T) *authztest.Script {
	t.Helper()
	script, err := authztest.ReadScript("testdata/denyall.txtar")
	if err != nil {
		t.Fatal(err)
	}
	return script
}

// answers asks the lines of a script that a door can carry. What is no answer is a failure.
func answers(t *testing.T, door authztest.Door, script *authztest.Script) []authztest.Result {
	t.Helper()
	s := *script
	inner := door
	if o, ok := door.(*otherLibrary); ok {
		inner = o.Door
	}
	if _, ok := inner.(authztest.VersionDoor); !ok {
		s.Steps = nil
		for _, st := range script.Steps {
			if st.Product == "" {
				s.Steps = append(s.Steps, st)
			}
		}
	}
	results, err := (&authztest.Runner{Door: door, Catalog: readScriptCatalog}).Run(t.Context(), &s)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		if r.Answer == nil {
			t.Fatalf("%s:%d: %s: %s", r.Path, r.Line, r.Text, strings.Join(r.Problems, "; "))
		}
	}
	return results
}

// refused checks that an answer lets nothing through and lists nothing. The doors themselves
// see to it that nothing arrived at a registry.
func refused(t *testing.T, r authztest.Result) {
	t.Helper()
	a := r.Answer
	switch {
	case a.Refused && a.Status >= 400 && a.Status < 500: // by Envoy itself
	case a.Record == nil:
		t.Errorf("%s:%d: %s: no record", r.Path, r.Line, r.Text)
	case a.Record.Verdict != "deny" || a.Record.Code == "" || a.Record.Status < 400 || a.Pinned != "":
		t.Errorf("%s:%d: %s: %s %s %d pinned %q", r.Path, r.Line, r.Text, a.Record.Verdict, a.Record.Code, a.Record.Status, a.Pinned)
	case !a.NoHTTP && (a.Status < 400 || a.Status != a.Record.Status):
		t.Errorf("%s:%d: %s: status %d, recorded %d", r.Path, r.Line, r.Text, a.Status, a.Record.Status)
	case bytes.Contains(a.Body, []byte(`"tags"`)) || bytes.Contains(a.Body, []byte(`"repositories"`)) || bytes.Contains(a.Body, []byte(`"manifests"`)):
		t.Errorf("%s:%d: %s: body %s", r.Path, r.Line, r.Text, a.Body)
	}
}

// The other way round, a library that allows everything is obeyed too: nothing but it looks at
// a license. What never reaches policy (keys, unknown hosts, references, malformed) stays refused.
func TestALibraryThatAllowsIsObeyed(t *testing.T) {
	script, err := authztest.ParseScript("allowall.txtar", []byte(`
-- all.yaml --
kind: Registry
id: main
hosts: [registry.acme.example]
upstream: https://harbor.internal
---
kind: Customer
id: acme
name: ACME
status: banned
---
kind: Product
id: app
name: App
repositories: [acme/app]
-- catalog.yaml --
kind: Catalog
repositories:
  acme/app:
    tags: {1.4.0: I}
    manifests: {I: {layers: [B]}}
-- decisions --
at 2026-03-01T00:00:00Z
as acme
GET /v2/acme/app/manifests/1.4.0   allow
GET /v2/acme/app/blobs/@B          allow
GET /v2/acme/app/tags/list         reply 200 {"name":"acme/app","tags":["1.4.0"]}
GET /v2/acme/app/manifests/1.5.0   deny unknown_reference 404
GET /v2/acme/other/manifests/1     deny unknown_repository 404
as anonymous
GET /v2/acme/app/manifests/1.4.0   allow
GET /v2/acme/app/manifests/1.5.0   deny unknown_reference 404
PUT /v2/acme/app/manifests/1.4.0   deny unsupported 405
`), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range answers(t, &otherLibrary{authztest.NewGateDoor(), newSigner(t), allowAll}, script) {
		if len(r.Problems) > 0 {
			t.Errorf("%d: %s: %s", r.Line, r.Text, strings.Join(r.Problems, "; "))
		}
	}
}

// A cached verdict depends on the policy that gave it.
func TestACachedAllowDoesNotOutliveItsLibrary(t *testing.T) {
	script := readDenyAll(t)
	cache, err := memstore.New(memstore.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer cache.Close()
	door := newPlainDoor(t, func(cfg *authz.GateConfig) { cfg.Cache = cache })
	cached := 0
	for range 2 {
		for _, r := range answers(t, door, script) {
			if rec := r.Answer.Record; rec.Verdict != "allow" {
				t.Fatalf("%d: %s: %s", r.Line, r.Text, rec.Code)
			} else if rec.Cached == "l1" {
				cached++
			}
		}
	}
	if cached == 0 {
		t.Fatal("nothing came from the cache")
	}
	for _, r := range answers(t, &otherLibrary{door, newSigner(t), denyAll}, script) {
		refused(t, r)
	}
}

// yes is a decision that allows, as Rego.
const yes = `{"allow": true, "code": "ok", "until": "never"}`

// TestALibraryWithoutADecisionIsNotActivated: one that cannot answer the two questions never
// becomes active. Before a first bundle everything stays 503; after one the last good
// library goes on.
func TestALibraryWithoutADecisionIsNotActivated(t *testing.T) {
	const visible = "\n\nvisible := []\n"
	tests := map[string]string{
		"empty":                       "",
		"no decision":                 "package pullgate" + visible,
		"a decision elsewhere":        "package pullgate.other\n\ndecision := " + yes + visible,
		"no visible":                  "package pullgate\n\ndecision := " + yes,
		"a decision that is true":     "package pullgate\n\ndecision := true" + visible,
		"a decision of nothing":       "package pullgate\n\ndecision := {}" + visible,
		"a decision without code":     `package pullgate` + "\n\n" + `decision := {"allow": true, "until": "never"}` + visible,
		"a decision without until":    `package pullgate` + "\n\n" + `decision := {"allow": true, "code": "ok"}` + visible,
		"allow is a text":             `package pullgate` + "\n\n" + `decision := {"allow": "true", "code": "ok", "until": "never"}` + visible,
		"an answer that is none":      `package pullgate` + "\n\n" + `decision := {"allow": true, "code": "internal_error", "until": "never"}` + visible,
		"two decisions":               `package pullgate` + "\n\n" + `decision := {"allow": a, "code": "ok", "until": "never"} if some a in [true, false]` + visible,
		"a builtin not to be had":     `package pullgate` + "\n\n" + `decision := http.send({"method": "get", "url": "http://127.0.0.1/"}).body` + visible,
		"a name that nothing has":     "package pullgate\n\ndecision := nothing" + visible,
		"visible is no set of places": "package pullgate\n\nvisible := \"all\"\n\ndecision := " + yes,
	}
	script := readDenyAll(t)
	for name, module := range tests {
		t.Run(name, func(t *testing.T) {
			door := &failedUpdate{newPlainDoor(t, nil), t, map[string]string{"pullgate/decision.rego": module}, true}
			for _, r := range answers(t, door, script) {
				if rec := r.Answer.Record; rec.Verdict != "deny" || rec.Code != authz.CodeNotReady || rec.Status != http.StatusServiceUnavailable {
					t.Errorf("%d: %s: before the first bundle: %s %s %d", r.Line, r.Text, rec.Verdict, rec.Code, rec.Status)
				}
			}
			door.first = false
			for _, r := range answers(t, door, script) {
				if rec := r.Answer.Record; rec.Verdict != "allow" {
					t.Errorf("%d: %s: after a good bundle: %s %s %s", r.Line, r.Text, rec.Verdict, rec.Code, rec.Detail)
				}
			}
		})
	}
}

// failedUpdate is a door that gets its worlds with a library that cannot be activated: first
// of all, or after the world as it is.
type failedUpdate struct {
	*plainDoor
	t       *testing.T
	modules map[string]string
	first   bool
}

func (d *failedUpdate) Enter(ctx context.Context, w *authztest.World) error {
	d.clock = w.Clock
	if !d.first {
		if err := d.plainDoor.Enter(ctx, w); err != nil {
			return err
		}
	}
	_, b, err := rewritten(w.Bundle, newSigner(d.t), swapLibrary(d.modules))
	if err != nil {
		return err
	}
	if err := d.engine.Activate(ctx, b); err == nil {
		d.t.Error("activated")
	}
	return nil
}

// TestNoAnswerIsARefusal: a library that answers when it is tried and fails later lets nothing
// through, whatever way it fails.
func TestNoAnswerIsARefusal(t *testing.T) {
	const tried = `package pullgate

visible := []

decision := {"allow": false, "code": "anonymous", "until": "never"} if {
	input.action == "ping"
	not input.subject.customer
}

`
	tests := map[string]string{
		"nothing": "",
		"two answers": `decision := {"allow": a, "code": "ok", "until": "never"} if {
	some a in [true, false]
	_asked
}
`,
		"a text for allow": `decision := {"allow": "true", "code": "ok", "until": "never"} if _asked
`,
		"no code": `decision := {"allow": true, "until": "never"} if _asked
`,
		"more than it may cost": `decision := ` + yes + ` if {
	_asked
	n := [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
	count([1 | some a in n; some b in n; some c in n; some d in n; some e in n]) > 0
}
`,
		"a failing builtin": `decision := ` + yes + ` if {
	_asked
	time.parse_rfc3339_ns(input.resource.kind) == 1
}
`,
	}
	const asked = `
_asked if input.action != "ping"

_asked if input.subject.customer
`
	script := readDenyAll(t)
	for _, door := range everyDoor(t) {
		for name, rule := range tests {
			t.Run(door.Name()+"/"+name, func(t *testing.T) {
				library := map[string]string{"pullgate/decision.rego": tried + rule + asked}
				for _, r := range answers(t, &otherLibrary{door, newSigner(t), library}, script) {
					refused(t, r)
					if r.Answer.Record == nil {
						continue // refused has said so
					}
					if rec := r.Answer.Record; rec.Code != authz.CodeInternalError || rec.Status != http.StatusServiceUnavailable {
						t.Errorf("%d: %s: %s %d", r.Line, r.Text, rec.Code, rec.Status)
					}
				}
			})
		}
	}
}
