package authz

import "testing"

// disclosure is one row of what a caller may learn, without an order: docs/codes.md says the same.
type disclosure struct {
	name    string
	applies func(f *finding) bool
	outcome Outcome
	status  int
	code    Code // "": the policy's
}

// Words of the rows.
func isContent(f *finding) bool { return f.Kind == KindManifest || f.Kind == KindBlob }
func isNames(f *finding) bool   { return f.Kind == KindTags || f.Kind == KindCatalog }
func ofRepository(f *finding) bool {
	return isContent(f) || isNames(f) || f.Kind == KindReferrers
}

// told: public, had its digest not been revoked, and the caller has no right of their own.
func told(f *finding) bool {
	return f.Code == CodeWithdrawn && f.Repository && f.Reference && (f.Refusal != "" || f.OutOfScope || !f.Named)
}

// within: a customer in scope asks for a repository of theirs and is refused.
func within(f *finding) bool {
	return !f.Allow && !told(f) && f.Refusal == "" && ofRepository(f) && f.Repository && f.Named && !f.OutOfScope
}

// ofRuleAlone: granted by a vendor rule, where no license names the repository.
func ofRuleAlone(f *finding) bool { return f.Code == "vendor.x.y" && !f.Named }

// unreached: a digest that does not exist, or that no grant and its range covers.
func unreached(f *finding) bool {
	return f.ByDigest && (!f.Reference || f.Code == CodeNoLicense || f.Code == CodeNotGranted || f.Code == CodeTagNotGranted || f.Code == CodeVersionNotGranted)
}

var disclosures = []disclosure{
	{"a version that is allowed", func(f *finding) bool { return f.Allow && f.Kind == KindVersion }, OutcomeAllow, 200, ""},
	{"a login", func(f *finding) bool { return f.Allow && f.Kind == KindPing }, OutcomeAnswer, 200, ""},
	{"allowed in an absent repository", func(f *finding) bool { return f.Allow && ofRepository(f) && !f.Repository }, OutcomeDeny, 404, CodeUnknownRepository},
	{"a list of names", func(f *finding) bool { return f.Allow && isNames(f) && f.Repository }, OutcomeAnswer, 200, ""},
	{"allowed and absent", func(f *finding) bool {
		return f.Allow && ofRepository(f) && !isNames(f) && f.Repository && !f.Reference && !ofRuleAlone(f)
	}, OutcomeDeny, 404, CodeUnknownReference},
	{"allowed by a rule alone and absent", func(f *finding) bool {
		return f.Allow && ofRepository(f) && !isNames(f) && f.Repository && !f.Reference && ofRuleAlone(f)
	}, OutcomeDeny, 404, CodeUnknownRepository},
	{"a list of referrers", func(f *finding) bool { return f.Allow && f.Kind == KindReferrers && f.Repository && f.Reference }, OutcomeAnswer, 200, ""},
	{"content", func(f *finding) bool { return f.Allow && isContent(f) && f.Repository && f.Reference }, OutcomeAllow, 200, ""},

	{"public but for a revoked digest", func(f *finding) bool { return !f.Allow && told(f) }, OutcomeDeny, 403, CodeWithdrawn},
	{"nobody known", func(f *finding) bool { return !f.Allow && !told(f) && f.Refusal == CodeAnonymous }, OutcomeDeny, 401, CodeAnonymous},
	{"an unknown key", func(f *finding) bool { return !f.Allow && !told(f) && f.Refusal == CodeUnknownKey }, OutcomeDeny, 401, CodeUnknownKey},
	{"an expired key", func(f *finding) bool { return !f.Allow && !told(f) && f.Refusal == CodeKeyExpired }, OutcomeDeny, 401, CodeKeyExpired},
	{"a login that a policy refuses", func(f *finding) bool { return !f.Allow && !told(f) && f.Refusal == "" && f.Kind == KindPing }, OutcomeDeny, 403, ""},
	{"a version out of the key's scope", func(f *finding) bool {
		return !f.Allow && !told(f) && f.Refusal == "" && f.Kind == KindVersion && f.OutOfScope
	}, OutcomeDeny, 403, CodeKeyScope},
	{"a version", func(f *finding) bool {
		return !f.Allow && !told(f) && f.Refusal == "" && f.Kind == KindVersion && !f.OutOfScope
	}, OutcomeDeny, 403, ""},
	{"a repository that is absent or nobody's business", func(f *finding) bool {
		return !f.Allow && !told(f) && f.Refusal == "" && ofRepository(f) && !(f.Repository && f.Named)
	}, OutcomeDeny, 404, CodeUnknownRepository},
	{"a repository of theirs, out of the key's scope", func(f *finding) bool {
		return !f.Allow && !told(f) && f.Refusal == "" && ofRepository(f) && f.Repository && f.Named && f.OutOfScope
	}, OutcomeDeny, 403, CodeKeyScope},
	{"a banned customer", func(f *finding) bool { return within(f) && f.Code == CodeCustomerBanned }, OutcomeDeny, 403, CodeCustomerBanned},
	{"a digest that is not theirs", func(f *finding) bool { return within(f) && f.Code != CodeCustomerBanned && unreached(f) }, OutcomeDeny, 404, CodeUnknownReference},
	{"a refusal with its reason", func(f *finding) bool { return within(f) && f.Code != CodeCustomerBanned && !unreached(f) }, OutcomeDeny, 403, ""},
}

// Of everything that can be found out, exactly one row says what a caller learns, and disclose
// says that: taking away or turning round one of its conditions is seen here.
func TestDiscloseIsTheTable(t *testing.T) {
	codes := append([]Code{CodeWithdrawn, CodeOutsideUpdateWindow, CodeNotYetReleased, CodeUnknownReference, CodeLimitReached, "vendor.x.y", ""}, checkOrder...)
	used := map[string]int{}
	checked := 0
	for bits := range 1 << 6 {
		bit := func(n int) bool { return bits>>n&1 == 1 }
		for _, kind := range askedKinds {
			for _, refusal := range []Code{"", CodeAnonymous, CodeUnknownKey, CodeKeyExpired} {
				for _, code := range codes {
					f := finding{
						Kind: kind, Refusal: refusal, Code: code,
						ByDigest: bit(0), OutOfScope: bit(1), Repository: bit(2), Reference: bit(3), Named: bit(4), Allow: bit(5),
					}
					var row *disclosure
					for i := range disclosures {
						if !disclosures[i].applies(&f) {
							continue
						}
						if row != nil {
							t.Fatalf("%+v: %s, and %s", f, row.name, disclosures[i].name)
						}
						row = &disclosures[i]
					}
					if row == nil {
						t.Fatalf("%+v: no row", f)
					}
					want := row.code
					if want == "" {
						want = code
					}
					if o, status, c := disclose(&f); o != row.outcome || status != row.status || c != want {
						t.Fatalf("%s: %+v: outcome %d, %d %s; want %d, %d %s", row.name, f, o, status, c, row.outcome, row.status, want)
					}
					used[row.name]++
					checked++
				}
			}
		}
	}
	for _, row := range disclosures {
		if used[row.name] == 0 {
			t.Errorf("nothing comes to %q", row.name)
		}
	}
	t.Logf("%d findings", checked)
}
