package engine

import (
	"slices"
	"strings"
	"testing"

	"github.com/pullgate/pullgate/authz"
	"github.com/pullgate/pullgate/policies"
)

// alikeOf is what a bundle with these modules beside the library, or in its place, says.
func alikeOf(t *testing.T, more map[string]string) Alike {
	t.Helper()
	modules := policies.Modules()
	for path, text := range more {
		modules[path] = []byte(text)
	}
	p, err := newPolicy(modules, nil)
	if err != nil {
		t.Fatal(err)
	}
	return p.alike()
}

// Customers with grants of the same order of dates are one to the library; otherwise a question
// about all of them would take hours.
func TestTheLibraryTellsNoCustomersApart(t *testing.T) {
	a := alikeOf(t, nil)
	if !a.Shared || !a.Order || a.Tags || len(a.Fields) > 0 || a.Because != "" {
		t.Errorf("%+v", a)
	}
	if !slices.Contains(a.LicenseFields, "expiring_from") || slices.Contains(a.LicenseFields, "features") {
		t.Errorf("of a license %q", a.LicenseFields)
	}
}

func TestRulesThatTellCustomersApart(t *testing.T) {
	const deny = "deny contains {\"code\": \"no\", \"message\": \"No.\"} if "
	for body, want := range map[string]Alike{
		deny + `input.request.address == "192.0.2.1"`:                                  {Shared: true, Order: true},
		deny + `data.pullgate.customer.labels.region == "eu"`:                          {Shared: true, Order: true, Fields: []string{"labels"}},
		deny + `input.resource.repository == "acme/app"`:                               {Shared: true, Order: true},
		deny + `input.resource.tag == "1.0.0"`:                                         {Shared: true, Order: true, Tags: true},
		deny + `{ some c in input.resource.candidates; c.channel == "rc" }`:            {Shared: true, Order: true, Tags: true},
		deny + `endswith(input.request.path, "/1.0.0")`:                                {Shared: true, Order: true, Tags: true},
		deny + "_it == \"1.0.0\"\n\n_it := input.resource[\"tag\"]":                    {Shared: true, Order: true, Tags: true},
		deny + `count(data.pullgate.customer) == 1`:                                    {Because: "reads data.pullgate.customer"},
		deny + `data.pullgate.customer[input.resource.tag]`:                            {Because: "reads data.pullgate.customer"},
		deny + `data.pullgate.customer.id == "mill"`:                                   {Because: "reads data.pullgate.customer.id"},
		deny + `data.pullgate.customer.name == "mill"`:                                 {Because: "reads data.pullgate.customer.name"},
		deny + `input.subject.customer == "mill"`:                                      {Because: "reads input.subject.customer"},
		deny + `count(input.subject) == 1`:                                             {Because: "reads input.subject"},
		deny + `{ some l in data.pullgate.customer.licenses; l.features.x }`:           {Because: "reads data.pullgate.customer.licenses"},
		deny + `data.pullgate.customer.products[input.resource.product]`:               {Because: "reads data.pullgate.customer.products"},
		deny + `_helper` + "\n\n_helper if _other\n\n_other if input.subject.customer": {Because: "vendor.a._other reads input.subject.customer"},
		deny + "input.time < 5\n\nboundary contains 5":                                 {Shared: true, Because: "vendor.a.boundary"},
	} {
		if want.Shared && !want.Order && want.Because == "" {
			t.Fatal("a row without a reason")
		}
		got := alikeOf(t, map[string]string{"vendor/a.rego": "package vendor.a\n\n" + body + "\n"})
		if got.Shared != want.Shared || got.Order != want.Order || got.Shared && got.Tags != want.Tags || !slices.Equal(got.Fields, want.Fields) || !strings.Contains(got.Because, want.Because) || (got.Because == "") != (want.Because == "") {
			t.Errorf("%s\n%+v, want %+v", body, got, want)
		}
	}
}

// Another library that reads more, or computes, is found out.
func TestLibrariesThatTellCustomersApart(t *testing.T) {
	library := policies.Modules()
	change := func(path, from, to string) map[string]string {
		text := string(library[path])
		if !strings.Contains(text, from) {
			t.Fatalf("%s has no %q", path, from)
		}
		return map[string]string{path: strings.Replace(text, from, to, 1)}
	}
	started := "started(grant, time) if grant.clocks.starts <= time"
	const state = "pullgate/check/state.rego"
	for name, tt := range map[string]struct {
		modules map[string]string
		because string
		shared  bool
	}{
		"an id":                {change(state, started, started+"\n\nstarted(_, _) if data.pullgate.customer.id == \"mill\""), "reads data.pullgate.customer.id", false},
		"who asks":             {change(state, started, started+"\n\nstarted(_, _) if input.subject.customer == \"mill\""), "reads input.subject.customer", false},
		"somebody else":        {change(state, started, started+"\n\nstarted(_, _) if data.pullgate.customers.mill"), "reads data.pullgate.customers", false},
		"every license":        {change(state, started, started+"\n\nstarted(_, _) if {\n\tall := data.pullgate.customer.licenses\n\tall[_].type == \"trial\"\n}"), "reads data.pullgate.customer.licenses", false},
		"a license as a whole": {change(state, started, started+"\n\nstarted(grant, _) if {\n\tlicense := data.pullgate.customer.licenses[grant.license]\n\tcount(license) == 12\n}"), "reads data.pullgate.customer.licenses", false},
		"every product":        {change(state, started, started+"\n\nstarted(_, _) if data.pullgate.customer.products[_]"), "reads data.pullgate.customer.products", false},
		"another product":      {change(state, started, started+"\n\nstarted(_, _) if data.pullgate.customer.products[input.resource.repository]"), "reads data.pullgate.customer.products", false},
		"a difference":         {change(state, started, "started(grant, time) if grant.clocks.starts - 60 <= time"), "check.started calls minus", true},
		"a day":                {change(state, started, started+" else if floor(grant.clocks.starts / 86400) == floor(time / 86400)"), "check.started calls div", true},
		"a sum in a function":  {change(state, started, "started(grant, time) if _later(grant.clocks.starts) <= time\n\n_later(at) := sum([at, 60])"), "check._later calls sum", true},
	} {
		got := alikeOf(t, tt.modules)
		if got.Shared != tt.shared || got.Order || !strings.Contains(got.Because, tt.because) {
			t.Errorf("%s: %+v", name, got)
		}
	}
	got := alikeOf(t, change(state, started, started+"\n\nstarted(grant, _) if data.pullgate.customer.licenses[grant.license].features.early == true"))
	if !got.Shared || !slices.Contains(got.LicenseFields, "features") {
		t.Errorf("a feature: %+v", got)
	}
	got = alikeOf(t, change(state, started, started+"\n\nstarted(_, _) if data.pullgate.customer.labels.friend == true"))
	if !got.Shared || !got.Order || !slices.Equal(got.Fields, []string{"labels"}) {
		t.Errorf("a label: %+v", got)
	}
}

// Some customers of a bundle answer as all of them do.
func TestActivateSome(t *testing.T) {
	w := shop(t)
	all := w.asks(t, nil)
	some := w.asks(t, nil)
	docs := map[string][]byte{"bakery": canonical(t, w.customers["bakery"])}
	if err := some.engine.ActivateSome(t.Context(), w.bundle(t), func(id string) []byte { return docs[id] }); err != nil {
		t.Fatal(err)
	}
	g := some.engine.active.Load()
	for _, tag := range []string{"1.4.0", "2.0.0", "latest"} {
		r := request("bakery", authz.KindManifest, "acme/app", tag)
		want := all.ask(r)
		if want.Code == "" {
			t.Fatal("no decision")
		}
		target := g.Resolve(authz.Registry{ID: "main"}, r)
		v, err := g.Evaluate(t.Context(), &authz.Input{
			Time: now, Subject: authz.Subject{Customer: "bakery", Key: "ci", Via: "key"}, Action: "pull", Kind: r.Kind, Target: &target, Request: r,
		})
		if err != nil || v.Allow != want.Verdict.Allow || v.Code != want.PolicyCode {
			t.Errorf("%s: %v %s (%v), want %v %s", tag, v.Allow, v.Code, err, want.Verdict.Allow, want.PolicyCode)
		}
	}
	if c, err := g.store.customer("mill"); c != nil || err != nil {
		t.Errorf("mill is there: %v, %v", c, err)
	}
	if _, ok := g.Authenticate(w.key("bakery", "ci", nil)); ok {
		t.Error("somebody has a key")
	}
	if _, err := g.store.read([]string{"pullgate"}); err == nil {
		t.Error("all of data.pullgate is read, as if nobody else were there")
	}
}
