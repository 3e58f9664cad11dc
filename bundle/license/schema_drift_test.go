package license

import (
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// For every object of license files: the fields that the parser knows, as its message about an
// unknown one lists them, are those of the shape, no more and no less.
func TestSchemaAndParserKnowTheSameFields(t *testing.T) {
	w, set := newWriter(t), readSamples(t, newValidator(t))
	known := make(map[reflect.Type]map[string]bool)
	for n, s := range set.all {
		for _, p := range w.of(s) {
			fields, ok := p.value.(map[string]any)
			if !ok || p.typ == reflect.TypeFor[freeObject]() {
				continue
			}
			if known[p.typ] == nil {
				known[p.typ] = make(map[string]bool)
			}
			more := maps.Clone(fields)
			more["zzz"] = "x"
			for _, probe := range []any{more, map[string]any{"zzz": "x"}} {
				for _, e := range set.refusals(t, n, p.with(probe)) {
					if _, list, ok := strings.Cut(e.Msg, "known here: "); ok && e.Path == strings.TrimPrefix(p.path+".zzz", ".") {
						for name := range strings.SplitSeq(list, ", ") {
							known[p.typ][name] = true
						}
					}
				}
			}
		}
	}
	names := 0
	for _, shape := range w.shapesBelow() {
		var want []string
		for _, f := range w.fields(shape) {
			want = append(want, f.name)
		}
		slices.Sort(want)
		if got := slices.Sorted(maps.Keys(known[shape])); !slices.Equal(got, want) {
			t.Errorf("%s: the parser knows %v, the shape has %v", shape.Name(), got, want)
		}
		names += len(want)
	}
	t.Logf("%d fields of %d objects", names, len(known))
}

// The words of a field are those that the parser names when it refuses another, and it accepts
// each of them.
func TestSchemaAndParserKnowTheSameWords(t *testing.T) {
	w, set := newWriter(t), readSamples(t, newValidator(t))
	done := make(map[reflect.Type]bool)
	named := regexp.MustCompile("`([^`]+)`")
	for n, s := range set.all {
		for _, p := range w.of(s) {
			words := choices(p.field)
			if words == nil || done[p.field] {
				continue
			}
			done[p.field] = true
			var want, got []string
			for _, c := range words {
				want = append(want, c.word)
				for _, e := range set.refusals(t, n, p.with(c.word)) {
					if e.Path == p.path && strings.HasPrefix(e.Msg, "is \"") {
						t.Errorf("%s: the parser refuses the word: %v", p.path, e)
					}
				}
			}
			for _, e := range set.refusals(t, n, p.with("zzzzzz")) {
				if _, list, ok := strings.Cut(e.Msg, "it must be "); ok && e.Path == p.path {
					for _, m := range named.FindAllStringSubmatch(list, -1) {
						got = append(got, m[1])
					}
				}
			}
			slices.Sort(want)
			slices.Sort(got)
			if got != nil && !slices.Equal(got, want) {
				t.Errorf("%s: the parser knows %v, the shape has %v", p.path, got, want)
			}
		}
	}
	for _, shape := range w.shapesBelow() {
		for _, f := range w.fields(shape) {
			if choices(f.typ) != nil && !done[f.typ] {
				t.Errorf("no sample has %s of %s", f.name, shape.Name())
			}
		}
	}
}

// Every field, every form and every item of the samples is left out, or replaced by something of
// another type: both sides accept it or both refuse it.
func TestSchemaAndParserAgreeOnTypes(t *testing.T) {
	v := newValidator(t)
	w, set := newWriter(t), readSamples(t, v)
	probes := []any{gone{}, 1.4, true, nil, []any{}, []any{1.4}, map[string]any{}, map[string]any{"zzz": 1.4}, "", "two\nlines"}
	n, seen, done := 0, make(map[reflect.Type]bool), make(map[string]bool)
	for i, s := range set.all {
		for _, p := range w.of(s) {
			seen[p.typ] = true
			same := fmt.Sprint(s.shape, index.ReplaceAllString(p.path, ""), p.typ)
			if done[same] {
				continue
			}
			done[same] = true
			for _, probe := range probes {
				if p.path == "" && (probe == nil || probe == any(gone{})) || probe == any(gone{}) && strings.HasSuffix(p.path, "]") {
					continue // no document, and an item less
				}
				n++
				doc := p.with(probe)
				wrong := set.refusals(t, i, doc)
				problem := v.schema.Validate(doc)
				if s.doc["plan"] != nil && problem == nil && planned(wrong) {
					continue
				}
				if (problem != nil) != (len(wrong) > 0) {
					t.Errorf("%s %s: %s is %T %v:\nschema: %v\nparser: %v", s.shape.Name(), s.doc["id"], p.path, probe, probe, problem, wrong)
				}
			}
		}
	}
	for _, shape := range w.shapesBelow() {
		if !seen[shape] {
			t.Errorf("no sample has a %s", shape.Name())
		}
	}
	t.Logf("%d documents", n)
}

// planned is whether a license only lacks what its plan could have given.
func planned(wrong Errors) bool {
	return !slices.ContainsFunc(wrong, func(e *FieldError) bool {
		return !strings.HasPrefix(e.Msg, "is missing") && !strings.HasPrefix(e.Msg, "needs `")
	})
}

// A text of every type is replaced by others, right and wrong ones: the schema refuses none that
// the parser accepts, and most of what the parser refuses.
func TestSchemaRefusesNoTextThatTheParserAccepts(t *testing.T) {
	texts := []string{
		"x", "acme", "Acme", "a b", "key", "never", "always", "all", "active", "banned", "forever", "with-term", "calendar-year", "listed", "trial", "perpetual",
		"2026-07-01", "2026-1-9", "2026-02-30", "2024-02-29", "2026-07-01T00:00:00Z", "2026-07-01T00:00:00.5+01:00", "2026-07-01T00:00:00", "2026-07-01 00:00:00Z", "0000-01-01",
		"06-30", "02-29", "06-31", "P1Y", "P0D", "P", "PT", "P1YT", "PT24H", "P1Y2M3W4DT5H6M7S", "-P1D", "P1.5D", "p1y", "P9999999Y", "1y",
		"Europe/Berlin", "UTC", "Local", "Etc/GMT+1", "../x", "EST5EDT", "Mars", "GB-Eire",
		"r.example", "R.example:5000", "r.example:", "r.example:0", "[2001:db8::1]:443", "2001:db8::9", "https://r.example", "u@r", "a..b", "-a",
		"https://x.internal:8080/", "HTTP://x", "https://x/y", "https://u:p@x", "ftp://x", "https://", "https://x?y", "https://[::1]",
		"10.0.0.0/8", "10.0.0.0/33", "10.0.0.7", "10.0.0.7/8", "::/0", "2001:db8::/32", "2001:db8::/129", "::ffff:10.0.0.0/104", "10.0.0.0/08", "fe80::%eth0/64",
		"sha256:" + strings.Repeat("0", 64), "sha256:" + strings.Repeat("A", 64), "sha256:abc", "sha512:" + strings.Repeat("0", 64), "pg_x",
		"acme/app", "acme/*", "acme/**/x", "*", "**", "***", "acme/app-*", "acme//app", "a__b/c--d.e", "a___b", "r.example:5000/a", strings.Repeat("a/", 127) + "a", strings.Repeat("a/", 128) + "a",
		"1.4", "1.4.*", "-x", ".x", "a?", "_", strings.Repeat("a", 128), strings.Repeat("a", 129), "stable", "RC", "rc-1", "1rc",
		"1.4.0", "v1.4.0-rc.1+b.01", "01.4.0", "1.4.0-01", "1.4.0-", "1.4.0+", "1.4.0-0a.-", "1.4.0.0",
		">=1.0.0 <2.0.0", ">= 1.0.0, < 2.0.0 || ~3", "1.2 - 1.4", "1.2.x", "^1", "!=1.0.0", "=>1", "~>1.2", ">>1", "1 &", "latest", "*", "x || X", "",
		"ünïcode", "\U0001F600", "a\u2028b", "a\tb",
	}
	v := newValidator(t)
	w, set := newWriter(t), readSamples(t, v)
	n, both, parserOnly, done := 0, 0, 0, make(map[reflect.Type]bool)
	for i, s := range set.all {
		for _, p := range w.of(s) {
			if _, ok := p.value.(string); !ok || done[p.field] {
				continue
			}
			done[p.field] = true
			for _, text := range texts {
				n++
				doc := p.with(text)
				wrong := set.refusals(t, i, doc)
				switch problem := v.schema.Validate(doc); {
				case problem != nil && len(wrong) == 0:
					t.Errorf("%s %s: %s is %q: the parser accepts what the schema refuses: %v", s.shape.Name(), s.doc["id"], p.path, text, problem)
				case problem != nil:
					both++
				case len(wrong) > 0:
					parserOnly++
				}
			}
		}
	}
	t.Logf("of %d documents the parser refuses %d, and of those the schema %d", n, both+parserOnly, both)
	if both*10 < (both+parserOnly)*7 {
		t.Error("the schema sees less than it did")
	}
}
