package audit

import (
	"bytes"
	"encoding/json"
	"strconv"

	"github.com/pullgate/pullgate/authz"
)

// appendRecord appends a record as one line of JSON, byte for byte as encoding/json writes it without
// escaping HTML. Every decision is recorded, a cached one too, of which encoding by reflection was a
// noticeable part. An error is an instant outside the years 0 to 9999; b is then as it was.
func appendRecord(b []byte, r *authz.Record) ([]byte, error) {
	before := b
	b = append(b, `{"id":`...)
	b = appendText(b, r.ID)
	b = append(b, `,"time":"`...)
	var err error
	if b, err = r.Time.AppendText(b); err != nil {
		return before, err
	}
	b = append(b, '"')
	b = member(b, "instance", r.Instance)
	b = member(b, "revision", r.Revision)
	b = append(b, `,"subject":{"customer":`...)
	b = appendText(b, r.Subject.Customer)
	b = member(b, "key", r.Subject.Key)
	b = member(b, "via", r.Subject.Via)
	b = append(b, `},"request":{"method":`...)
	b = appendText(b, r.Request.Method)
	b = member(b, "host", r.Request.Host)
	b = member(b, "path", r.Request.Path)
	b = member(b, "address", r.Request.Address)
	b = member(b, "via", r.Request.Via)
	b = append(b, '}')
	b = member(b, "action", r.Action)
	b = member(b, "repository", r.Repository)
	b = member(b, "reference", r.Reference)
	b = member(b, "product", r.Product)
	b = member(b, "version", r.Version)
	b = member(b, "verdict", r.Verdict)
	b = member(b, "code", string(r.Code))
	b = member(b, "policy_code", string(r.PolicyCode))
	b = member(b, "license", r.License)
	b = member(b, "grant", r.Grant)
	if b = append(b, `,"until":`...); r.Until == nil {
		b = append(b, "null"...)
	} else {
		b = append(b, '"')
		if b, err = r.Until.AppendText(b); err != nil {
			return before, err
		}
		b = append(b, '"')
	}
	b = member(b, "enforcement", r.Enforcement)
	b = member(b, "cached", r.Cached)
	b = append(b, `,"duration_us":`...)
	b = strconv.AppendInt(b, r.DurationUS, 10)
	b = append(b, `,"status":`...)
	b = strconv.AppendInt(b, int64(r.Status), 10)
	if r.Pinned != "" {
		b = member(b, "pinned", r.Pinned)
	}
	if r.Detail != "" {
		b = member(b, "detail", r.Detail)
	}
	return append(b, "}\n"...), nil
}

// member appends a further member, whose name needs no escape.
func member(b []byte, name, value string) []byte {
	b = append(b, `,"`...)
	b = append(b, name...)
	return appendText(append(b, `":`...), value)
}

// appendText appends a string. Printable ASCII, which is nearly all there is, stands for itself.
func appendText(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			var escaped bytes.Buffer
			enc := json.NewEncoder(&escaped)
			enc.SetEscapeHTML(false)
			_ = enc.Encode(s) // of a string it does not fail
			return append(b, bytes.TrimSuffix(escaped.Bytes(), []byte("\n"))...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}
