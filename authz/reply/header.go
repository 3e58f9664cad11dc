package reply

import (
	"strings"
	"time"

	"github.com/pullgate/pullgate/authz"
)

// maxWarning bounds the Warning header (OCI distribution-spec, "Warnings": 4096 bytes in all).
const maxWarning = 4096

// warnings is the value of the Warning header, one warning-value for each (RFC 7234, 5.5), or "".
// They share one field, because a header cannot be sent twice in an ext_authz reply.
func warnings(d *authz.Decision) string {
	var b strings.Builder
	for _, w := range d.Verdict.Warnings {
		text := w.Message
		if text == "" {
			text = warningText(w.Code, d)
		}
		text = fit(printable(text), maxMessage)
		value := `299 - "` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
		if b.Len()+2+len(value) > maxWarning {
			break
		}
		if b.Len() > 0 {
			b.WriteString(", ")
		}
		b.WriteString(value)
	}
	return b.String()
}

// warningText is the text of a warning that came without one.
func warningText(code string, d *authz.Decision) string {
	license := "the license"
	if d.Verdict.License != "" {
		license = "license " + d.Verdict.License
	}
	date := ""
	if d.Verdict.Ends != authz.Never && d.Verdict.Ends > 0 {
		date = " on " + time.Unix(d.Verdict.Ends, 0).UTC().Format(time.DateOnly)
	}
	switch code {
	case authz.WarnExpiringSoon:
		return license + " ends" + date + ": ask your vendor to renew it"
	case authz.WarnGrace:
		return license + " ended" + date + " and is in its grace period: ask your vendor to renew it"
	case authz.WarnKeptVersion:
		return license + " ended" + date + ": only versions released before then stay usable"
	case authz.WarnEnforcement:
		return license + " does not cover this, which will be refused in the future: ask your vendor"
	default:
		return "your license has a warning: " + code
	}
}

// ownHeaders are those that no vendor rule may set: they carry credentials, frame the
// message, or are pullgate's to say.
var ownHeaders = map[string]bool{
	"authorization": true, "proxy-authorization": true, "host": true, "cookie": true,
	"connection": true, "keep-alive": true, "te": true, "trailer": true, "transfer-encoding": true, "upgrade": true,
	"content-length": true, "content-type": true, "content-encoding": true, "content-range": true,
	"cache-control": true, "www-authenticate": true, "proxy-authenticate": true, "warning": true, "link": true,
	"retry-after": true, "location": true, "docker-distribution-api-version": true, "oci-filters-applied": true,
}

// allowedVendorHeader is the last fence: the library and check refuse these headers already.
func allowedVendorHeader(h authz.Header) bool {
	if h.Name == "" || len(h.Name) > 128 || len(h.Value) > maxWarning {
		return false
	}
	for i := range len(h.Name) {
		c := h.Name[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-') {
			return false
		}
	}
	for i := range len(h.Value) {
		if c := h.Value[i]; c < 0x20 || c >= 0x7f {
			return false
		}
	}
	name := strings.ToLower(h.Name)
	return !ownHeaders[name] && !Reserved(name) && !strings.HasPrefix(name, "x-envoy-")
}

// override sets a vendor's header, replacing what was there.
func override(all []Header, h authz.Header) []Header {
	name := strings.ToLower(h.Name)
	for i := range all {
		if all[i].Name == name {
			all[i].Value = h.Value
			return all
		}
	}
	return append(all, Header{name, h.Value})
}
