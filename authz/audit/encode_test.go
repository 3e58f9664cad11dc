package audit

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/pullgate/pullgate/authz"
)

// fill gives every field of a struct a value.
func fill(t *rapid.T, v reflect.Value) {
	for i := range v.NumField() {
		switch f := v.Field(i); f.Interface().(type) {
		case time.Time:
			f.Set(reflect.ValueOf(anInstant(t)))
		case *time.Time:
			if at := anInstant(t); rapid.Bool().Draw(t, "until") {
				f.Set(reflect.ValueOf(&at))
			}
		default:
			switch f.Kind() {
			case reflect.Struct:
				fill(t, f)
			case reflect.String:
				f.SetString(rapid.SampledFrom([]string{"", "plain", "<a href='&'>", "é", "\xff", "\u2028", "\x00\x1f", "\"\\", "\x7f", rapid.String().Draw(t, "text")}).Draw(t, "one"))
			default:
				f.SetInt(rapid.Int64().Draw(t, "number"))
			}
		}
	}
}

func anInstant(t *rapid.T) time.Time {
	at := time.Unix(rapid.Int64Range(-70_000_000_000, 260_000_000_000).Draw(t, "seconds"), rapid.Int64Range(0, 999_999_999).Draw(t, "nanoseconds"))
	return at.In(time.FixedZone("", rapid.SampledFrom([]int{0, 3600, -5*3600 - 1800, 30 * 3600}).Draw(t, "zone")))
}

// A line is what encoding/json writes, whatever fields a record has, and so is what cannot be written.
func TestARecordIsWrittenAsEncodingJSONWritesIt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var r authz.Record
		fill(t, reflect.ValueOf(&r).Elem())
		var want bytes.Buffer
		enc := json.NewEncoder(&want)
		enc.SetEscapeHTML(false)
		failure := enc.Encode(&r)
		got, err := appendRecord([]byte("before\n"), &r)
		if (err == nil) != (failure == nil) {
			t.Fatalf("%v, encoding/json says %v", err, failure)
		}
		if failure != nil {
			want.Reset()
		}
		if string(got) != "before\n"+want.String() {
			t.Fatalf("\n%s, want\n%s", got, want.String())
		}
	})
}

func BenchmarkEncodeRecord(b *testing.B) {
	until := time.Unix(4102444800, 0).UTC()
	r := authz.Record{
		ID: "01981f7e-7e57-7aaa-8bbb-123456789abc", Time: time.Unix(1785600000, 123456789).UTC(), Instance: "sidecar-1", Revision: "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
		Subject: authz.RecordSubject{Customer: "bakery", Key: "ci", Via: "key"},
		Request: authz.RecordRequest{Method: "GET", Host: "registry.example", Path: "/v2/acme/app/manifests/1.4.0", Address: "192.0.2.1", Via: "ext_authz"},
		Action:  "pull", Repository: "acme/app", Reference: "1.4.0", Product: "app", Version: "1.4.0", Verdict: "allow", Code: authz.CodeOK, PolicyCode: authz.CodeOK,
		License: "bakery-app", Grant: "bakery-app/0", Until: &until, Cached: "l1", DurationUS: 7, Status: 200,
	}
	b.Run("by reflection", func(b *testing.B) {
		b.ReportAllocs()
		var buf bytes.Buffer
		for b.Loop() {
			buf.Reset()
			enc := json.NewEncoder(&buf)
			enc.SetEscapeHTML(false)
			if err := enc.Encode(&r); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("appended", func(b *testing.B) {
		b.ReportAllocs()
		var buf []byte
		var err error
		for b.Loop() {
			if buf, err = appendRecord(buf[:0], &r); err != nil {
				b.Fatal(err)
			}
		}
	})
}
