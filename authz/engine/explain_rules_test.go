package engine

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/pullgate/pullgate/authz"
)

const (
	anyone = ""
	denies = `deny contains {"code": "x", "message": "x"} if time.parse_rfc3339_ns(input.resource.repository) == 1`
)

// A rule that fails is named with its place and the reason, whether the decision asks it or not.
func TestExplainNamesRulesAtFault(t *testing.T) {
	for name, tt := range map[string]struct {
		rule    string
		want    string // of the decision
		failure string
		rules   []string // at fault
		why     string
	}{
		"a denial that fails": {
			denies, "error 503 internal_error", `vendor.x.deny fails: rules/x.rego:3: time.parse_rfc3339_ns: parsing time "acme/app"`,
			[]string{"vendor.x.deny"},
			`rules/x.rego:3: time.parse_rfc3339_ns: parsing time "acme/app"`,
		},
		"a denial that does not end": {
			"deny contains {\"code\": \"x\", \"message\": \"x\"} if {\n\tsome i in numbers.range(1, 100000)\n\ti < 0\n}", "error 503 internal_error",
			"the policy took more steps than it may",
			[]string{"vendor.x.deny"},
			"the policy took more steps than it may",
		},
		"a boundary that is a text": {
			"boundary contains input.resource.repository", "error 503 internal_error", "vendor.x.boundary contributes something of another shape",
			[]string{"vendor.x.boundary"},
			`"acme/app" is no whole number of seconds`,
		},
		"a message that is none": {
			"warn contains {\"code\": \"x\", \"message\": list} if list := input.resource.candidates", "error 503 internal_error", "vendor.x.warn contributes something of another shape",
			[]string{"vendor.x.warn"},
			`{"code":"x","message":[{`,
		},
		"a header with two values": {
			`header contains {"name": "x-a", "value": value, "to": "client"} if some value in ["1", "2"]`, "error 503 internal_error",
			"vendor.x.header contributes something of another shape",
			[]string{"vendor.x.header"},
			"two values for one header",
		},
		"a grant that fails, where a license allows": {
			`grant contains {"code": "x"} if time.parse_rfc3339_ns(input.resource.repository) == 1`, "allow 200 ok", "",
			[]string{"vendor.x.grant"},
			"rules/x.rego:3",
		},
		"two of them": {
			denies + "\n\nboundary contains data.pullgate.customer.id\n\nwarn contains {\"code\": \"y\", \"message\": \"fine\"}", "error 503 internal_error", "fails",
			[]string{"vendor.x.boundary", "vendor.x.deny"},
			`"bakery" is no whole number of seconds (of the years 1 to 9999), nor "never"`,
		},
	} {
		w := shop(t)
		w.rule("x", "package vendor.x\n\n"+tt.rule+"\n")
		d, x := w.asks(t, nil).explain(request("bakery", authz.KindManifest, "acme/app", "1.4.0"))
		if line(d) != tt.want || len(x.Asked) != 1 {
			t.Errorf("%s: %s, asked %+v", name, line(d), x.Asked)
			continue
		}
		re := &x.Asked[0]
		if !strings.Contains(re.Failure, tt.failure) || (re.Failure == "") != (tt.failure == "") {
			t.Errorf("%s: failure %q, want %q", name, re.Failure, tt.failure)
		}
		var rules []string
		for _, f := range re.Vendor.Faults {
			rules = append(rules, f.Rule)
		}
		if !slices.Equal(rules, tt.rules) || !strings.HasPrefix(re.Vendor.Faults[0].Why, tt.why) {
			t.Errorf("%s: at fault %+v, want %v: %s", name, re.Vendor.Faults, tt.rules, tt.why)
		}
		if len(re.Grants) != 1 || re.Grants[0].Passes != authz.CodeOK {
			t.Errorf("%s: grants %+v", name, re.Grants)
		}
		if failed := tt.failure != ""; failed != (re.Reported == nil) || failed != (re.Verdict.Code == authz.CodeInternalError) {
			t.Errorf("%s: reported %+v, verdict %+v", name, re.Reported, re.Verdict)
		}
	}
}

// What well formed contributions say is told beside those at fault.
func TestExplainTellsWhatIsSoundBesideAFault(t *testing.T) {
	w := shop(t)
	w.rule("x", "package vendor.x\n\n"+denies+`

warn contains {"code": "y", "message": "fine"}

boundary contains at if some at in [7, "soon", "never"]
`)
	w.rule("y", `package vendor.y

grant contains {"code": "edition"}

deny contains {"code": "closed", "message": "closed"}

header contains {"name": "x-y", "value": "1", "to": "client"}
`)
	_, x := w.asks(t, nil).explain(request("bakery", authz.KindManifest, "acme/app", "1.4.0"))
	v := &x.Asked[0].Vendor
	if !slices.Equal(v.Rules, []string{"x", "y"}) || !slices.Equal(v.Boundary, []int64{7, authz.Never}) || !slices.Equal(v.Grant, []authz.Code{"vendor.y.edition"}) ||
		!slices.Equal(v.Warn, []authz.Warning{{Code: "vendor.x.y", Message: "fine"}}) || !slices.Equal(v.Deny, []authz.Warning{{Code: "vendor.y.closed", Message: "closed"}}) ||
		!slices.Equal(v.Header, []authz.Header{{Name: "x-y", Value: "1", To: "client"}}) || len(v.Faults) != 2 {
		t.Errorf("%+v", v)
	}
	if m := x.Asked[0].Grants[0].Misses; m == nil || m.Check != 11 || m.Code != "vendor.y.closed" {
		t.Errorf("the other rule's denial is no miss: %+v", x.Asked[0].Grants[0])
	}
}

// Rules that no decision asks are no part of its explanation, and those that it does not reach
// do not keep it from being explained.
func TestExplainOfWhatRulesAtFaultLeaveOpen(t *testing.T) {
	w := shop(t)
	w.rule("x", "package vendor.x\n\n"+denies+"\n\nboundary contains input.resource.repository\n")
	w.customer(t, "shut", grant(t, "shut-app", "app", ">=1.0.0"))["banned"] = true
	w.key("shut", "ci", nil)
	a := w.asks(t, nil)
	for name, tt := range map[string]struct {
		r      *authz.Request
		want   string
		asked  int // as how many
		faults int // in the first of them
	}{
		"login":               {request("bakery", authz.KindPing, "", ""), "answer 200 ok", 1, 0},
		"nobody":              {request(anyone, authz.KindManifest, "acme/docs", "guide"), "allow 200 public", 1, 0},
		"nobody, closed":      {request(anyone, authz.KindManifest, "acme/app", "1.4.0"), "deny 401 anonymous", 1, 0},
		"banned":              {request("shut", authz.KindManifest, "acme/docs", "guide"), "allow 200 public", 1, 0},
		"banned, closed":      {request("shut", authz.KindManifest, "acme/app", "1.4.0"), "deny 403 customer_banned", 1, 0},
		"public":              {request("bakery", authz.KindManifest, "acme/docs", "guide"), "allow 200 public", 1, 2},
		"not the customer's":  {request("walkin", authz.KindManifest, "acme/app", "1.4.0"), "deny 404 unknown_repository", 2, 2},
		"nothing":             {request("bakery", authz.KindManifest, "acme/none", "1.4.0"), "deny 404 unknown_repository", 2, 2},
		"a list":              {request("bakery", authz.KindTags, "acme/app", ""), "error 503 internal_error", 1, 2},
		"a catalog":           {request("bakery", authz.KindCatalog, "", ""), "error 503 internal_error", 1, 2},
		"referrers":           {request("bakery", authz.KindReferrers, "acme/app", digestOfName("image140")), "error 503 internal_error", 1, 2},
		"a malformed request": {&authz.Request{}, "deny 400 malformed", 0, 0},
	} {
		d, x := a.explain(tt.r)
		if line(d) != tt.want || len(x.Asked) != tt.asked {
			t.Errorf("%s: %s, asked %+v", name, line(d), x.Asked)
			continue
		}
		if tt.asked == 0 {
			continue
		}
		if got := len(x.Asked[0].Vendor.Faults); got != tt.faults || (got == 0) != (len(x.Asked[0].Vendor.Rules) == 0) {
			t.Errorf("%s: %+v", name, x.Asked[0].Vendor)
		}
		if tt.asked == 2 && (x.Asked[0].Failure == "" || x.Asked[1].Failure != "" || x.Asked[1].Subject.Customer != "" || len(x.Asked[1].Vendor.Rules) > 0) {
			t.Errorf("%s: asked again %+v", name, x.Asked[1])
		}
	}
}

// A rule that fails for one tag fails the list, and is named although it does not fail for it.
func TestExplainOfAListThatOneTagFails(t *testing.T) {
	w := shop(t)
	w.rule("x", `package vendor.x

deny contains {"code": "x", "message": "x"} if {
	input.resource.tag == "2.0.0"
	time.parse_rfc3339_ns(input.resource.tag) == 1
}
`)
	d, x := w.asks(t, nil).explain(request("bakery", authz.KindTags, "acme/app", ""))
	if line(d) != "error 503 internal_error" || len(x.Asked) != 1 {
		t.Fatalf("%s, %+v", line(d), x)
	}
	re := &x.Asked[0]
	if want := `rules/x.rego:5: time.parse_rfc3339_ns: parsing time "2.0.0"`; !strings.HasPrefix(re.Failure, "vendor.x.deny fails: "+want) ||
		len(re.Vendor.Faults) != 1 || re.Vendor.Faults[0].Rule != "vendor.x.deny" || !strings.HasPrefix(re.Vendor.Faults[0].Why, want) {
		t.Errorf("failure %q, at fault %+v", re.Failure, re.Vendor.Faults)
	}
}

// Of what is asked of many the outcome alone is told. These two share their candidates.
func TestExplainOfReferrers(t *testing.T) {
	_, x := shop(t).asks(t, nil).explain(request("bakery", authz.KindReferrers, "acme/app", digestOfName("image140")))
	if len(x.Asked) != 2 || len(x.Asked[0].Grants) != 1 || x.Asked[0].Digest != "" {
		t.Fatalf("asked %+v", x.Asked)
	}
	if re := &x.Asked[1]; re.Digest != digestOfName("sbom140") || re.Verdict.Code != authz.CodeOK || re.Grants != nil {
		t.Errorf("%+v", re)
	}
}

// A failure for which no rule can be named, and one that keeps the explanation from being made.
func TestExplainOfALibraryThatFails(t *testing.T) {
	w := shop(t)
	w.rule("x", "package vendor.x\n\nwarn contains {\"code\": \"y\", \"message\": \"fine\"}\n")
	w.modules["pullgate/open/open.rego"] = []byte("package pullgate.open\n\nreaches if time.parse_rfc3339_ns(input.resource.repository) == 1\n\ncovers(_, _) if false\n\nrevoked if false\n")
	_, x := w.asks(t, nil).explain(request("bakery", authz.KindManifest, "acme/app", "2.0.0"))
	if re := &x.Asked[0]; !strings.HasPrefix(re.Failure, "pullgate.open.reaches fails: pullgate/open/open.rego:3: ") || len(re.Vendor.Faults) != 0 || re.Grants != nil {
		t.Errorf("%+v", re)
	}
}

// Who stops waiting gets no explanation.
func TestExplainEndsWithItsContext(t *testing.T) {
	w := shop(t)
	w.rule("x", "package vendor.x\n\n"+denies+"\n")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := w.asks(t, nil).gate.Explain(ctx, request("bakery", authz.KindManifest, "acme/app", "1.4.0")); err == nil {
		t.Error("explained")
	}
}
