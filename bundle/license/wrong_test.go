package license

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// rewrite writes documents with one line for each field, values in flow style and the value at
// one place written otherwise.
type rewrite struct {
	b       strings.Builder
	target  string // path of the place
	instead string
	line    int // where it came to stand, and its name, if it has one
	col     int
	name    int
}

func (w *rewrite) column() int {
	text := w.b.String()
	return len(text) - strings.LastIndexByte(text, '\n')
}

func (w *rewrite) value(n *node, path string) {
	switch {
	case path == w.target:
		w.line, w.col = strings.Count(w.b.String(), "\n")+1, w.column()
		w.b.WriteString(w.instead)
	case n.kind == listNode:
		w.b.WriteByte('[')
		for i, item := range n.fields {
			w.value(item.value, fmt.Sprintf("%s[%d]", path, i))
			w.b.WriteString(", ")
		}
		w.b.WriteByte(']')
	case n.kind == objectNode:
		w.b.WriteByte('{')
		for _, f := range n.fields {
			w.field(f, path+".", ", ")
		}
		w.b.WriteByte('}')
	case n.tag == "!!str":
		w.b.WriteString(strconv.Quote(n.text))
	default:
		w.b.WriteString(n.text)
	}
}

func (w *rewrite) field(f field, above, end string) {
	if above+f.key.text == w.target {
		w.name = w.column()
	}
	w.b.WriteString(f.key.text + ": ")
	w.value(f.value, above+f.key.text)
	w.b.WriteString(end)
}

// places visits everything below n.
func places(n *node, path string, visit func(path string)) {
	for i, f := range n.fields {
		p := fmt.Sprintf("%s[%d]", path, i)
		if n.kind == objectNode {
			p = strings.TrimPrefix(path+"."+f.key.text, ".")
		}
		visit(p)
		places(f.value, p, visit)
	}
}

// eachPlace parses the set `whole` with instead at every place of every document; place is like
// "License grants[].versions". Errors that say nothing about the place are left out of errs.
func eachPlace(t *testing.T, visit func(place string, with func(instead string) (errs Errors, ok bool))) {
	t.Helper()
	var r reader
	documents := r.documents("whole", []byte(whole))
	if len(r.errs) > 0 || len(documents) < 10 {
		t.Fatal(r.errs)
	}
	index := regexp.MustCompile(`\[\d+\]`)
	for at, doc := range documents {
		places(doc, "", func(path string) {
			visit(doc.get("kind").value.text+" "+index.ReplaceAllString(path, "[]"), func(instead string) (Errors, bool) {
				w := &rewrite{instead: instead}
				for i, d := range documents {
					w.target = ""
					if i == at {
						w.target = path
					}
					w.b.WriteString("---\n")
					for _, f := range d.fields {
						w.field(f, "", "\n")
					}
				}
				_, err := Parse(map[string][]byte{"a.yaml": []byte(w.b.String())})
				var all, here Errors
				errors.As(err, &all)
				for _, e := range all {
					below := strings.HasPrefix(e.Path, path+".") || strings.HasPrefix(e.Path, path+"[")
					if e.Path == path && e.Pos.Line == w.line && (e.Pos.Column == w.col || e.Pos.Column == w.name) || below {
						here = append(here, e)
					}
				}
				if len(all) > 0 && len(here) == 0 {
					t.Errorf("%s: %s: nothing is said about it at line %d, column %d:\n%v", path, instead, w.line, w.col, err)
				}
				return here, err == nil
			})
		})
	}
}

// remedy is what a message has that says what would be right.
var remedy = regexp.MustCompile(`it must be |write |: quote it|known here: |correct it|leave the field out|exactly one of|is missing: .|: 1 to 63 of |: .sha256:. and 64 |` +
	`lower-case letters and digits|a list has exact versions|names one of them|is neither a date like|is asked under at least one host|at least one|a pattern has letters`)

// rightAnyway are the values of another type or form that a place may have, by place and value.
var rightAnyway = map[string][]string{
	"Registry hosts": {"[x]"}, "Registry revoked_digests": {"[]"}, "Registry revoked_digests[].reason": {`"?"`},
	"Product name": {`"?"`}, "Product repositories": {"[x]", "[]"}, "Product variants": {"[x]", "[]"}, "Product requires": {"[x]", "[]"}, "Product requires[]": {`"?"`},
	"Release withdrawn.reason": {`"?"`}, "Release withdrawn.except": {"[]"}, "Release requires": {"[x]", "[]"}, "Release requires[]": {`"?"`},
	"Plan grants": {"[]"}, "Plan grants[].versions": {"[]"},
	"Customer name": {`"?"`}, "Customer labels": {"{zz: 1}", "{}"}, "Customer keys": {"~", "[]"}, "Customer keys[].repositories": {"[x]", "[]"}, "Customer keys[].addresses": {"[]"},
	"Customer identities": {"[]"}, "Customer identities[].jwt.issuer": {`"?"`}, "Customer identities[].jwt.subject": {`"?"`}, "Customer identities[].mtls.san": {`"?"`},
	"License status.suspended.reason": {`"?"`}, "License status.suspended.public_reason": {`"?"`}, "License status.revoked.reason": {`"?"`}, "License status.revoked.public_reason": {`"?"`},
	"License keep_versions": {"true"}, "License grants": {"[]"}, "License grants[].versions": {"[]"}, "License grants[].channels": {"[x]", "[]"},
	"License grants[].tags": {"[x]", "[]"}, "License grants[].tags.current": {"{}"}, "License features": {"{zz: 1}", "{}"},
	"Public repositories": {"[x]", "[]"}, "Public tags": {"[x]", "[]"},
}

// freeData is what takes any value but an empty one.
var freeData = regexp.MustCompile(`^(Customer labels|License features)[.\[]`)

// Every field of every kind with a value of every wrong type is refused at its place, with what
// would be right.
func TestEveryFieldRefusesWrongTypes(t *testing.T) {
	instead := []string{"1.5", "true", "~", "[x]", "{zz: 1}", `"?"`, "[]", "{}"}
	asked := 0
	eachPlace(t, func(place string, with func(string) (Errors, bool)) {
		for _, value := range instead {
			asked++
			errs, ok := with(value)
			wanted := slices.Contains(rightAnyway[place], value) || freeData.MatchString(place) && value != "~"
			if ok != wanted {
				t.Errorf("%s: %s: accepted: %v, want %v", place, value, ok, wanted)
			}
			for _, e := range errs {
				if !remedy.MatchString(e.Msg) {
					t.Errorf("%s: %s: does not say what would be right: %s", place, value, e.Msg)
				}
			}
		}
	})
	if asked < 1000 {
		t.Errorf("only %d values were asked about", asked)
	}
}

// outOfRange has for every place with one value a value of the right type that is out of range, or
// names what is not there. A place with "" takes any text.
var outOfRange = map[string]string{
	"Registry kind": "Mirror", "Registry id": "Main", "Registry hosts[]": "a b", "Registry upstream": "ftp://harbor.internal", "Registry history": "P10001Y",
	"Registry catalog": "everything", "Registry revoked_digests[].repository": "acme/*", "Registry revoked_digests[].digest": "sha256:abc",
	"Registry revoked_digests[].at": "2026-02-30", "Registry revoked_digests[].reason": "",

	"Product kind": "product", "Product id": ".app", "Product name": "", "Product registry": "mirror", "Product repositories[]": "Acme/App",
	"Product repositories[].name": "acme//app", "Product repositories[].type": "helm", "Product repositories[].versions": "all", "Product variants[]": "-x", "Product requires[]": "",

	"Release kind": "Version", "Release id": "app_1/4", "Release product": "book", "Release version": "1.4", "Release released": "2026-05-10T09:00:00",
	"Release counts_from": "2026-13-01", "Release channel": "LTS", "Release withdrawn.at": "2025-02-29", "Release withdrawn.reason": "", "Release withdrawn.except[]": "acne",
	"Release requires[]": "",

	"Plan kind": "Template", "Plan id": "mtls", "Plan type": "rental", "Plan grace": "P-1D", "Plan grants[].product": "ap", "Plan grants[].versions": "~=1.4",

	"Customer kind": "Client", "Customer id": "anonymous", "Customer name": "", "Customer zone": "Europe/Berlinn", "Customer status": "blocked",
	"Customer keys[].id": "CI", "Customer keys[].hash": "sha256:00", "Customer keys[].expires": "2027-02-29", "Customer keys[].repositories[]": "acme/app-*",
	"Customer keys[].addresses[]": "10.0.0.0/33", "Customer identities[].jwt.issuer": "", "Customer identities[].jwt.subject": "", "Customer identities[].mtls.san": "",

	"License kind": "Licence", "License id": "jwt", "License customer": "nobody", "License plan": "platinum", "License type": "lifetime",
	"License status.suspended.at": "2026-06-31", "License status.suspended.until": "2026-02-28", "License status.suspended.reason": "", "License status.suspended.public_reason": "",
	"License status.revoked.at": "yesterday", "License status.revoked.reason": "", "License status.revoked.public_reason": "",
	"License zone": "UTC+1", "License starts": "2026-1-1", "License ends": "2026-02-30", "License term": "P0D", "License renews.every": "PT0S", "License renews.notice": "30 days",
	"License renews.cancelled": "2026-11-20", "License grace": "P9999Y", "License updates.until": "2026-00-01", "License terminates": "2026-12-30", "License keep_versions": "yes",
	"License enforcement": "strict", "License replaces": "acme-app-2024", "License grants[].product": "application", "License grants[].versions": "[1.0,2.0)",
	"License grants[].versions[]": "1.4", "License grants[].channels[]": "Stable", "License grants[].repository": "acme/too*ls", "License grants[].tags": "stable",
	"License grants[].tags[]": "1.4?", "License grants[].tags.current.as_of": "2026-02-30",

	"Public kind": "Open", "Public id": "docs/", "Public repositories[]": "acme/docs/***", "Public tags[]": "a b",
}

func TestEveryFieldRefusesWhatIsOutOfRange(t *testing.T) {
	open := make(map[string]bool)
	for place := range outOfRange {
		open[place] = true
	}
	var r reader
	values := make(map[string]bool)
	for _, doc := range r.documents("whole", []byte(whole)) {
		leaves(doc, doc.get("kind").value.text+" ", values)
	}
	eachPlace(t, func(place string, with func(string) (Errors, bool)) {
		value, known := outOfRange[place]
		if !known {
			if values[place] && !freeData.MatchString(place) {
				t.Errorf("%s: no value that is out of range is tried", place)
			}
			return
		}
		delete(open, place)
		if value == "" {
			return
		}
		errs, ok := with(strconv.Quote(value))
		if ok || len(errs) == 0 {
			t.Errorf("%s: %s is accepted", place, value)
		}
		for _, e := range errs {
			if !remedy.MatchString(e.Msg) && !strings.Contains(e.Msg, value) && !strings.Contains(e.Msg, "is not after") && !strings.Contains(e.Msg, "before the use end") {
				t.Errorf("%s: %s: does not say what would be right: %s", place, value, e.Msg)
			}
		}
	})
	if len(open) > 0 {
		t.Errorf("there is no such place: %v", slices.Sorted(maps.Keys(open)))
	}
}

// leaves collects the places of single values.
func leaves(n *node, path string, out map[string]bool) {
	for _, f := range n.fields {
		p := path + "[]"
		if n.kind == objectNode {
			p = strings.TrimSuffix(path, " ") + "." + f.key.text
			if strings.HasSuffix(path, " ") {
				p = path + f.key.text
			}
		}
		if f.value.kind == scalarNode {
			out[p] = true
		}
		leaves(f.value, p, out)
	}
}
