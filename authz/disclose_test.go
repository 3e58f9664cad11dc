package authz

import "testing"

func TestDisclose(t *testing.T) {
	// Fields that a row does not set: repository and reference known, caller known and named.
	f := func(set ...func(*finding)) *finding {
		x := &finding{Kind: KindManifest, Repository: true, Reference: true, Named: true}
		for _, s := range set {
			s(x)
		}
		return x
	}
	allow := func(c Code) func(*finding) { return func(f *finding) { f.Allow, f.Code = true, c } }
	deny := func(c Code) func(*finding) { return func(f *finding) { f.Code = c } }
	of := func(k Kind) func(*finding) { return func(f *finding) { f.Kind = k } }
	byDigest := func(f *finding) { f.ByDigest = true }
	absent := func(f *finding) { f.Reference = false }
	noRepository := func(f *finding) { f.Repository, f.Reference = false, false }
	stranger := func(f *finding) { f.Named = false }
	outOfScope := func(f *finding) { f.OutOfScope = true }
	refused := func(c Code) func(*finding) { return func(f *finding) { f.Refusal = c } }

	for _, c := range []struct {
		name    string
		f       *finding
		outcome Outcome
		status  int
		code    Code
	}{
		{"tag", f(allow(CodeOK)), OutcomeAllow, 200, CodeOK},
		{"tag in grace", f(allow(CodeGrace)), OutcomeAllow, 200, CodeGrace},
		{"let through", f(allow(CodeExpired)), OutcomeAllow, 200, CodeExpired},
		{"absent tag that is granted", f(allow(CodeOK), absent), OutcomeDeny, 404, CodeUnknownReference},
		{"absent digest", f(allow(CodeOK), absent, byDigest), OutcomeDeny, 404, CodeUnknownReference},
		{"absent repository", f(allow(CodeOK), noRepository), OutcomeDeny, 404, CodeUnknownRepository},
		{"absent tag that is public", f(allow(CodePublic), absent, refused(CodeAnonymous)), OutcomeDeny, 404, CodeUnknownReference},
		{"public", f(allow(CodePublic), refused(CodeUnknownKey)), OutcomeAllow, 200, CodePublic},
		{"login", f(of(KindPing), allow(CodeOK), noRepository), OutcomeAnswer, 200, CodeOK},
		{"tags", f(of(KindTags), allow(CodeOK), absent), OutcomeAnswer, 200, CodeOK},
		{"tags of an absent repository", f(of(KindTags), allow(CodeOK), noRepository), OutcomeDeny, 404, CodeUnknownRepository},
		{"referrers", f(of(KindReferrers), allow(CodeOK), byDigest), OutcomeAnswer, 200, CodeOK},
		{"referrers of an absent digest", f(of(KindReferrers), allow(CodeOK), byDigest, absent), OutcomeDeny, 404, CodeUnknownReference},
		{"catalog", f(of(KindCatalog), allow(CodeOK)), OutcomeAnswer, 200, CodeOK},
		{"version", f(of(KindVersion), allow(CodeKeptVersion)), OutcomeAllow, 200, CodeKeptVersion},

		{"anonymous", f(deny(CodeAnonymous), refused(CodeAnonymous)), OutcomeDeny, 401, CodeAnonymous},
		{"unknown key", f(deny(CodeAnonymous), refused(CodeUnknownKey)), OutcomeDeny, 401, CodeUnknownKey},
		{"expired key", f(of(KindPing), deny(CodeAnonymous), refused(CodeKeyExpired)), OutcomeDeny, 401, CodeKeyExpired},
		{"anonymous, absent repository", f(deny(CodeAnonymous), refused(CodeAnonymous), noRepository), OutcomeDeny, 401, CodeAnonymous},
		{"anonymous, version", f(of(KindVersion), deny(CodeAnonymous), refused(CodeAnonymous)), OutcomeDeny, 401, CodeAnonymous},
		{"login refused by the policy", f(of(KindPing), deny("vendor.x.y"), noRepository), OutcomeDeny, 403, "vendor.x.y"},

		{"no right", f(deny(CodeNotGranted), stranger), OutcomeDeny, 404, CodeUnknownRepository},
		{"no right, out of scope", f(deny(CodeAnonymous), stranger, outOfScope), OutcomeDeny, 404, CodeUnknownRepository},
		{"no right, banned", f(deny(CodeCustomerBanned), stranger), OutcomeDeny, 404, CodeUnknownRepository},
		{"named, absent repository", f(deny(CodeExpired), noRepository), OutcomeDeny, 404, CodeUnknownRepository},
		{"out of scope", f(deny(CodeAnonymous), outOfScope), OutcomeDeny, 403, CodeKeyScope},
		{"out of scope, absent digest", f(deny(CodeAnonymous), outOfScope, byDigest, absent), OutcomeDeny, 403, CodeKeyScope},
		{"banned", f(deny(CodeCustomerBanned)), OutcomeDeny, 403, CodeCustomerBanned},
		{"banned, absent digest", f(deny(CodeCustomerBanned), byDigest, absent), OutcomeDeny, 403, CodeCustomerBanned},

		{"tag out of range", f(deny(CodeVersionNotGranted)), OutcomeDeny, 403, CodeVersionNotGranted},
		{"absent tag out of range", f(deny(CodeVersionNotGranted), absent), OutcomeDeny, 403, CodeVersionNotGranted},
		{"expired tag", f(deny(CodeExpired)), OutcomeDeny, 403, CodeExpired},
		{"list of an ended license", f(of(KindTags), deny(CodeExpired), absent), OutcomeDeny, 403, CodeExpired},
		{"expired digest", f(deny(CodeExpired), byDigest), OutcomeDeny, 403, CodeExpired},
		{"digest in another channel", f(deny(CodeChannelNotGranted), byDigest), OutcomeDeny, 403, CodeChannelNotGranted},
		{"revoked digest, public before, anonymous", f(deny(CodeWithdrawn), byDigest, refused(CodeAnonymous)), OutcomeDeny, 403, CodeWithdrawn},
		{"revoked tag, public before, no right", f(deny(CodeWithdrawn), stranger), OutcomeDeny, 403, CodeWithdrawn},
		{"revoked tag, public before, out of scope", f(deny(CodeWithdrawn), outOfScope), OutcomeDeny, 403, CodeWithdrawn},
		{"revoked digest", f(deny(CodeWithdrawn), byDigest), OutcomeDeny, 403, CodeWithdrawn},
		{"digest refused by a vendor rule", f(deny("vendor.x.y"), byDigest), OutcomeDeny, 403, "vendor.x.y"},
		{"expired digest that is absent", f(deny(CodeExpired), byDigest, absent), OutcomeDeny, 404, CodeUnknownReference},
		{"digest out of range", f(deny(CodeVersionNotGranted), byDigest), OutcomeDeny, 404, CodeUnknownReference},
		{"digest of no granted tag", f(deny(CodeTagNotGranted), byDigest), OutcomeDeny, 404, CodeUnknownReference},
		{"digest, nothing granted", f(deny(CodeNotGranted), byDigest), OutcomeDeny, 404, CodeUnknownReference},
		{"digest, no license", f(deny(CodeNoLicense), byDigest), OutcomeDeny, 404, CodeUnknownReference},
		{"version out of range", f(of(KindVersion), deny(CodeVersionNotGranted), stranger), OutcomeDeny, 403, CodeVersionNotGranted},
		{"version out of scope", f(of(KindVersion), deny(CodeAnonymous), outOfScope), OutcomeDeny, 403, CodeKeyScope},
	} {
		if o, status, code := disclose(c.f); o != c.outcome || status != c.status || code != c.code {
			t.Errorf("%s: outcome %d, %d %s; want %d, %d %s", c.name, o, status, code, c.outcome, c.status, c.code)
		}
	}
}

// Whatever the policy says, nobody gets more than it allows, and every answer has a status.
func TestDiscloseNeverWidens(t *testing.T) {
	for i := range 1 << 7 {
		bit := func(n int) bool { return i>>n&1 == 1 }
		for k := range KindVersion + 1 {
			for _, c := range append(checkOrder, "vendor.x.y", CodeWithdrawn, "") {
				f := &finding{
					Kind: k, ByDigest: bit(0), OutOfScope: bit(1), Repository: bit(2), Reference: bit(3), Named: bit(4), Allow: bit(5), Code: c,
				}
				if bit(6) {
					f.Refusal = CodeAnonymous
				}
				o, status, code := disclose(f)
				switch {
				case (o == OutcomeAllow || o == OutcomeAnswer) && (!f.Allow || status != 200):
					t.Errorf("%+v: given with %d", f, status)
				case o == OutcomeDeny && (status < 400 || status > 404 || code == "" && c != ""):
					t.Errorf("%+v: refused with %d %s", f, status, code)
				case o == OutcomeError:
					t.Errorf("%+v: an error", f)
				}
			}
		}
	}
}
