package authz

import (
	"net/http"
	"strings"
)

// finding is all that a customer's answer depends on once the policy has spoken.
type finding struct {
	Kind Kind
	// ByDigest: asked by digest, or by a digest-like tag.
	ByDigest bool
	// Refusal says why the caller is no known customer: anonymous, unknown_key, key_expired; "" for a known one.
	Refusal Code
	// OutOfScope: the key's limits do not reach the repository, or not from this address.
	OutOfScope bool
	// Repository and Reference: the index knows them.
	Repository, Reference bool
	// Named: a license of the caller names the repository.
	Named bool

	Allow bool
	Code  Code // the policy's
}

// disclose says what a caller may learn (docs/design/404-or-403.md). The order of its cases is the rule: an
// absent repository and one that is nobody's business read the same, and so do an absent
// digest and one that nothing granted reaches.
func disclose(f *finding) (Outcome, int, Code) {
	denied := func(status int, c Code) (Outcome, int, Code) { return OutcomeDeny, status, c }

	switch {
	case f.Allow && (f.Kind == KindVersion):
		return OutcomeAllow, http.StatusOK, f.Code
	case f.Allow && f.Kind == KindPing:
		return OutcomeAnswer, http.StatusOK, f.Code
	case f.Allow && !f.Repository:
		return denied(http.StatusNotFound, CodeUnknownRepository)
	case f.Allow && (f.Kind == KindTags || f.Kind == KindCatalog):
		return OutcomeAnswer, http.StatusOK, f.Code
	case f.Allow && !f.Reference && f.byRule() && !f.Named:
		return denied(http.StatusNotFound, CodeUnknownRepository)
	case f.Allow && !f.Reference:
		return denied(http.StatusNotFound, CodeUnknownReference)
	case f.Allow && f.Kind == KindReferrers:
		return OutcomeAnswer, http.StatusOK, f.Code
	case f.Allow:
		return OutcomeAllow, http.StatusOK, f.Code

	case f.Code == CodeWithdrawn && f.Reference && f.Repository && (f.Refusal != "" || f.OutOfScope || !f.Named):
		// Public until its digest was revoked: whoever would be allowed otherwise is told.
		return denied(http.StatusForbidden, f.Code)
	case f.Refusal != "":
		return denied(http.StatusUnauthorized, f.Refusal)
	case f.Kind == KindPing: // no library of ours refuses a known customer, another may
		return denied(http.StatusForbidden, f.Code)
	case f.Kind == KindVersion && f.OutOfScope:
		return denied(http.StatusForbidden, CodeKeyScope)
	case f.Kind == KindVersion: // no HTTP behind it: the vendor's own question, told in full
		return denied(http.StatusForbidden, f.Code)
	case !f.Repository || !f.Named:
		return denied(http.StatusNotFound, CodeUnknownRepository)
	case f.OutOfScope:
		return denied(http.StatusForbidden, CodeKeyScope)
	case f.Code == CodeCustomerBanned:
		return denied(http.StatusForbidden, f.Code)
	case f.ByDigest && (!f.Reference || neverGranted(f.Code)):
		return denied(http.StatusNotFound, CodeUnknownReference)
	default:
		return denied(http.StatusForbidden, f.Code)
	}
}

// byRule reports whether the policy's code is a vendor rule's: a grant of one is no right to the
// repository.
func (f *finding) byRule() bool { return strings.HasPrefix(string(f.Code), "vendor.") }

// neverGranted reports whether a code says that no grant, or no grant's range, covers what
// was asked. By digest that is as good as absent.
func neverGranted(c Code) bool {
	switch c {
	case CodeNoLicense, CodeNotGranted, CodeTagNotGranted, CodeVersionNotGranted:
		return true
	}
	return false
}
