package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/pullgate/pullgate/authz"
	"github.com/pullgate/pullgate/authz/authztest"
	"github.com/pullgate/pullgate/authz/classify"
	"github.com/pullgate/pullgate/authz/engine"
	"github.com/pullgate/pullgate/bundle/compile"
	"github.com/pullgate/pullgate/bundle/license"
	"github.com/pullgate/pullgate/policies"
	"github.com/pullgate/pullgate/sync/publish"
)

// What explain prints of a license is what a bundle issued then says of it: for every license
// of the decision scripts and the examples, at every instant that a script asks about.
func TestExplainLicenseIsWhatIsCompiled(t *testing.T) {
	var paths []string
	for _, root := range []string{"../../testdata/decisions", "../../examples"} {
		err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
			if filepath.Ext(path) == ".txtar" {
				paths = append(paths, path)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	compared := 0
	for _, path := range paths {
		script, err := authztest.ReadScript(path)
		if err != nil {
			t.Fatal(err)
		}
		if len(script.Refusals) > 0 {
			continue
		}
		set, err := license.Parse(script.Licenses)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		instants := []int64{0, time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC).Unix(), time.Date(2040, 2, 29, 12, 0, 0, 0, time.UTC).Unix()}
		for _, step := range script.Steps {
			instants = append(instants, step.At.Unix())
		}
		slices.Sort(instants)
		for _, at := range slices.Compact(instants) {
			compared += compareExplained(t, path, set, script.Licenses, at)
		}
	}
	t.Logf("%d explanations of %d scripts", compared, len(paths))
	if compared < 500 {
		t.Errorf("only %d explanations were compared", compared)
	}
}

func compareExplained(t *testing.T, path string, set *license.Set, files map[string][]byte, at int64) int {
	t.Helper()
	content, _, err := compile.Compile(&compile.Input{Set: set, Modules: policies.Modules(), IssuedAt: at, NotAfter: license.Never})
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	var compiled map[string]struct {
		Licenses map[string]map[string]any `json:"licenses"`
	}
	dec := json.NewDecoder(bytes.NewReader(content.Objects["pullgate/customers/data.json"].Bytes()))
	dec.UseNumber()
	if err := dec.Decode(&compiled); err != nil {
		t.Fatal(err)
	}
	for _, l := range set.Licenses {
		var out bytes.Buffer
		tl, err := set.Timeline(l.ID, at, func(name string) ([]byte, error) { return files[name], nil })
		if err != nil {
			t.Fatalf("%s: %s: %v", path, l.ID, err)
		}
		if err := printJSON(&out, timelineJSON(explained{tl})); err != nil {
			t.Fatal(err)
		}
		var printed struct {
			Type, Zone, Enforcement string
			Clocks                  map[string]struct {
				At    *time.Time
				Word  string
				Until struct {
					At   *time.Time
					Word string
				}
			}
		}
		if err := json.Unmarshal(out.Bytes(), &printed); err != nil {
			t.Fatal(err)
		}
		seconds := func(at *time.Time, word string) string {
			switch {
			case at != nil:
				return fmt.Sprint(at.Unix())
			case word == "always":
				return fmt.Sprint(license.Always)
			}
			return word
		}
		clock := func(name string) string {
			c, ok := printed.Clocks[name]
			if !ok {
				t.Fatalf("no clock %s", name)
			}
			return seconds(c.At, c.Word)
		}
		until := printed.Clocks["suspended"].Until
		got := map[string]string{
			"type": printed.Type, "zone": printed.Zone, "enforcement": printed.Enforcement, "starts": clock("start"), "ends": clock("use_end"),
			"updates": clock("update_window_end"), "grace": clock("grace_end"), "terminates": clock("termination"), "expiring_from": clock("expiring_soon"),
			"revoked": clock("revoked"), "replaced": clock("replaced"), "suspended": fmt.Sprintf("[%s %s]", clock("suspended"), seconds(until.At, until.Word)),
		}
		want := compiled[l.Customer].Licenses[l.ID]
		for name, value := range got {
			if w := fmt.Sprint(want[name]); value != w {
				t.Errorf("%s: %s at %d: %s is printed as %s and compiled as %s", path, l.ID, at, name, value, w)
			}
		}
	}
	return len(set.Licenses)
}

// The state that explain names is the code that the engine answers a list with, for every
// license of testdata/explain alone, at and just before each of its instants.
func TestExplainLicenseIsWhatTheEngineSays(t *testing.T) {
	dir := filepath.Join("testdata", "explain", "licenses")
	set, err := license.Load(os.DirFS(dir))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join("testdata", "explain", "catalog.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	catalog, err := publish.ReadCatalog("catalog.yaml", text, set)
	if err != nil {
		t.Fatal(err)
	}
	signer, ring, err := ownKey()
	if err != nil {
		t.Fatal(err)
	}
	// Each license gets a customer of its own, so that no other answers for it.
	apart := *set
	apart.Customers, apart.Licenses = nil, slices.Clone(set.Licenses)
	for i := range apart.Licenses {
		l := &apart.Licenses[i]
		customer := *set.Customer(l.Customer)
		customer.ID, l.Customer = l.ID, l.ID
		apart.Customers = append(apart.Customers, customer)
	}
	generations := map[int64]authz.Generation{} // by the instant of issue
	issued := func(at int64) authz.Generation {
		if generations[at] == nil {
			b, _, err := publish.Build(&compile.Input{
				Set: &apart, Catalog: catalog, Modules: policies.Modules(), Name: "default", Serial: 1, IssuedAt: at, NotAfter: license.Never,
			}, signer, ring)
			if err != nil {
				t.Fatal(err)
			}
			e := engine.New(engine.Config{Limits: engine.Limits{DecisionTime: 10 * time.Second, VisibleTime: 10 * time.Second}})
			t.Cleanup(func() { e.Close() })
			if err := e.Activate(t.Context(), b); err != nil {
				t.Fatal(err)
			}
			generations[at] = e.Generation()
		}
		return generations[at]
	}
	codes := map[string]bool{}
	for i := range set.Licenses {
		l := &set.Licenses[i]
		timelineAt := func(at int64) *license.Timeline {
			tl, err := set.Timeline(l.ID, at, func(name string) ([]byte, error) { return os.ReadFile(filepath.Join(dir, name)) })
			if err != nil {
				t.Fatal(err)
			}
			return tl
		}
		at, err := time.Parse(time.RFC3339, explainedLicenses[l.ID])
		if err != nil {
			t.Fatalf("license %s is not explained: %v", l.ID, err)
		}
		first := timelineAt(at.Unix())
		instants := []int64{at.Unix()}
		renewing := first.Renews != nil && first.Renews.Cancelled == license.Never
		for _, c := range first.Clocks {
			if renewing && c.Name != license.ClockStart {
				continue // all others move on with the instant that is asked about
			}
			for _, at := range []int64{c.At, c.Until} {
				if at != license.Never && at != license.Always {
					instants = append(instants, at-1, at)
				}
			}
		}
		slices.Sort(instants)
		for _, at := range slices.Compact(instants) {
			gen := issued(0) // whenever it is issued, it says the same of what does not renew
			if renewing {
				gen = issued(at)
			}
			code := listCode(t.Context(), gen, l.ID, at)
			want := timelineAt(at).Code()
			if want == "" { // replaced: nothing names the repository
				want = string(authz.CodeNotGranted)
			}
			if codes[want] = true; code != want {
				t.Errorf("%s at %s: explained as %s, the engine says %s", l.ID, time.Unix(at, 0).UTC().Format(time.RFC3339), want, code)
			}
		}
	}
	for _, code := range []string{"ok", "grace", "kept_version", "expired", "trial_ended", "terminated", "not_started", "suspended", "revoked"} {
		if !codes[code] {
			t.Errorf("no license was %s", code)
		}
	}
}

// listCode asks for the tags of acme/app.
func listCode(ctx context.Context, gen authz.Generation, customer string, at int64) string {
	req := classify.Classify(&classify.Inbound{
		Method: "GET", Host: "registry.acme.example", Target: "/v2/acme/app/tags/list",
		Address: netip.MustParseAddr("127.0.0.1"), Via: "cli",
	})
	req.Credential = credentialOf(customer)
	gate := authz.NewGate(authz.GateConfig{
		Engine: fixedEngine{asEach(gen, customer)}, AskPast: true, Clock: func() time.Time { return time.Unix(at, 0) }, Instance: "test",
	})
	d := gate.Decide(ctx, req)
	if d.Outcome == authz.OutcomeError {
		return "error: " + d.Detail
	}
	if code := string(d.PolicyCode); code != "" {
		return code
	}
	return string(d.Code)
}
