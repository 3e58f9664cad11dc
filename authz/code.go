package authz

// Code is a reason. Codes are API: they appear in records, metrics, headers and tests,
// and never change their meaning. Codes of vendor rules have the form
// vendor.<package>.<code>.
type Code string

// What each code means, and with which status it comes: docs/codes.md.
const (
	CodeOK          Code = "ok"
	CodeGrace       Code = "grace"
	CodeKeptVersion Code = "kept_version"
	CodePublic      Code = "public"

	CodeAnonymous  Code = "anonymous"
	CodeUnknownKey Code = "unknown_key"
	CodeKeyExpired Code = "key_expired"
	CodeKeyScope   Code = "key_scope"

	CodeCustomerBanned      Code = "customer_banned"
	CodeNoLicense           Code = "no_license"
	CodeNotGranted          Code = "not_granted"
	CodeTagNotGranted       Code = "tag_not_granted"
	CodeVersionNotGranted   Code = "version_not_granted"
	CodeChannelNotGranted   Code = "channel_not_granted"
	CodeRevoked             Code = "revoked"
	CodeSuspended           Code = "suspended"
	CodeNotStarted          Code = "not_started"
	CodeTerminated          Code = "terminated"
	CodeNotYetReleased      Code = "not_yet_released"
	CodeWithdrawn           Code = "withdrawn"
	CodeOutsideUpdateWindow Code = "outside_update_window"
	CodeFeatureMissing      Code = "feature_missing"
	CodeExpired             Code = "expired"
	CodeTrialEnded          Code = "trial_ended"
	CodeLimitReached        Code = "limit_reached" // reserved: seats come later

	CodeUnknownRepository Code = "unknown_repository"
	CodeUnknownReference  Code = "unknown_reference"
	CodeMalformed         Code = "malformed"
	CodeUnsupported       Code = "unsupported"
	CodeRateLimited       Code = "rate_limited"

	CodeNotReady      Code = "not_ready"
	CodeStale         Code = "stale"
	CodeOverloaded    Code = "overloaded"
	CodeInternalError Code = "internal_error"
)

// Warning names that are no codes.
const (
	WarnExpiringSoon = "expiring_soon"
	WarnGrace        = "grace"
	WarnKeptVersion  = "kept_version"
	WarnEnforcement  = "enforcement"
)

// knownCode reports whether a code is one of those above.
func knownCode(c Code) bool {
	switch c {
	case CodeOK, CodeGrace, CodeKeptVersion, CodePublic,
		CodeAnonymous, CodeUnknownKey, CodeKeyExpired, CodeKeyScope,
		CodeCustomerBanned, CodeNoLicense, CodeNotGranted, CodeTagNotGranted,
		CodeVersionNotGranted, CodeChannelNotGranted, CodeRevoked, CodeSuspended,
		CodeNotStarted, CodeTerminated, CodeNotYetReleased, CodeWithdrawn,
		CodeOutsideUpdateWindow, CodeFeatureMissing, CodeExpired, CodeTrialEnded, CodeLimitReached,
		CodeUnknownRepository, CodeUnknownReference, CodeMalformed, CodeUnsupported, CodeRateLimited,
		CodeNotReady, CodeStale, CodeOverloaded, CodeInternalError:
		return true
	}
	return false
}
