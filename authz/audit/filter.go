package audit

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/pullgate/pullgate/authz"
)

// A Filter says which records are meant. Of a list any value may match, and every field
// that is not empty must. The zero Filter means all records.
type Filter struct {
	ID         string
	Customer   []string
	License    []string
	Key        []string // CUSTOMER/KEY, or the key's id alone
	Repository []string
	Product    []string
	Version    []string
	Verdict    []string // allow, deny
	// Code matches what the customer was told or, where that hides it, what the policy said.
	Code         []string
	Since, Until time.Time // [Since, Until); zero is no bound
}

// Match reports whether a record is meant.
func (f *Filter) Match(r *authz.Record) bool {
	return (f.ID == "" || f.ID == r.ID) &&
		(f.Since.IsZero() || !r.Time.Before(f.Since)) &&
		(f.Until.IsZero() || r.Time.Before(f.Until)) &&
		one(f.Customer, r.Subject.Customer) &&
		one(f.License, r.License) &&
		(one(f.Key, r.Subject.Key) || slices.Contains(f.Key, r.Subject.Customer+"/"+r.Subject.Key)) &&
		one(f.Repository, r.Repository) &&
		one(f.Product, r.Product) &&
		one(f.Version, r.Version) &&
		one(f.Verdict, r.Verdict) &&
		(one(f.Code, string(r.Code)) || slices.Contains(f.Code, string(r.PolicyCode)))
}

func one(list []string, value string) bool { return len(list) == 0 || slices.Contains(list, value) }

// A sieve is what a line must contain to be worth decoding: one of each group.
type sieve [][][]byte

func (f *Filter) sieve() sieve {
	var s sieve
	for _, values := range [][]string{{f.ID}, f.Customer, f.License, f.Repository, f.Product, f.Version, f.Code} {
		var group [][]byte
		for _, v := range values {
			if v != "" {
				group = append(group, quoted(v))
			}
		}
		if len(group) == len(values) && len(group) > 0 {
			s = append(s, group)
		}
	}
	return s
}

// quoted is the JSON text of a string as the writer writes it.
func quoted(v string) []byte {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if enc.Encode(v) != nil {
		return nil // cannot happen for a string; an empty text is in every line
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n"))
}

func (s sieve) passes(line []byte) bool {
	for _, group := range s {
		if !slices.ContainsFunc(group, func(text []byte) bool { return bytes.Contains(line, text) }) {
			return false
		}
	}
	return true
}

// slack is how far a record's time may lie from the time its file suggests: records wait in
// the queue, and clocks are set.
const slack = 10 * time.Minute

// idTime returns the time in a UUIDv7 (RFC 9562 §5.7: its first 48 bits are Unix milliseconds).
func idTime(id string) (time.Time, bool) {
	if len(id) != 36 || id[14] != '7' {
		return time.Time{}, false
	}
	b, err := hex.DecodeString(strings.ReplaceAll(id[:13], "-", ""))
	if err != nil || len(b) != 6 {
		return time.Time{}, false
	}
	var ms int64
	for _, x := range b {
		ms = ms<<8 | int64(x)
	}
	return time.UnixMilli(ms), true
}
