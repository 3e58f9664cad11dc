package engine

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/pullgate/pullgate/bundle"
)

var jsonSeeds = []string{
	`null`, `true`, `false`, `0`, `-0`, `17`, `1.5e300`, `1E+7`, `-12.25`, `99999999999999999999`, `1e400`, `1e999999999`, `"never"`, `""`, `"a\"b\\cé\u2028😀"`, "\"\xff\"", `"\ud800"`,
	`[]`, `{}`, `[1,"a",[],{"b":null}]`, `{"":1,"a":{"b":[true,false]},"é":"ü"}`,
	`{"banned":false,"id":"acme","licenses":{"l":{"ends":"never","features":{"sso":true}}},"products":{"app":[{"boundaries":[1,2],"clocks":{"replaced":"never"},"empty":false,"ranges":[[[1,0,0,{}],[2,0,0,[]]]]}]}}`,
	// not canonical, or nothing at all
	``, ` 1`, `1 `, `{"b":1,"a":2}`, `{"a":1,"a":2}`, `{"a" :1}`, `[1, 2]`, `01`, `1.`, `.5`, `+1`, `tru`, `nulls`, `"a`, `"a` + "\n" + `"`, `[1,]`, `{"a"}`, `{"a":}`, `{`, `]`, `[1}`, `{"a":1]`, `"\x"`, `"\u12"`,
}

// What is read is what OPA reads: the same value, hash and text. Canonical JSON is read.
func checkDecoded(t *testing.T, text []byte) {
	t.Helper()
	got, err := decodeJSON(text)
	want, failure := ast.ValueFromReader(bytes.NewReader(text))
	if err != nil {
		if failure == nil && bundle.CheckCanonical(text) == nil && strings.Count(string(text), "[")+strings.Count(string(text), "{") < maxDepth {
			t.Fatalf("%q: %v, OPA reads %v", text, err, want)
		}
		return
	}
	if failure != nil {
		t.Fatalf("%q is %v, OPA says %v", text, got, failure)
	}
	if got.Value.Compare(want) != 0 || got.Value.Hash() != want.Hash() || got.String() != want.String() {
		t.Fatalf("%q is %v (%x), OPA reads %v (%x)", text, got, got.Value.Hash(), want, want.Hash())
	}
	o, ok := want.(ast.Object)
	r, err := openRecord(text)
	if ok != (err == nil) {
		t.Fatalf("%q: %v", text, err)
	}
	if !ok {
		return
	}
	if len(r.members) != o.Len() {
		t.Fatalf("%q has %d members, want %d", text, len(r.members), o.Len())
	}
	o.Foreach(func(k, v *ast.Term) {
		m, err := r.Member(string(k.Value.(ast.String)))
		if err != nil || m == nil || !m.Equal(v) || m.Hash() != v.Hash() {
			t.Fatalf("%q: %v is %v, want %v; %v", text, k, m, v, err)
		}
	})
	if all, err := r.Term(); err != nil || !all.Equal(got) {
		t.Fatalf("%q is %v, want %v; %v", text, all, got, err)
	}
}

func TestJSONIsReadAsOPAReadsIt(t *testing.T) {
	read := 0
	for i, s := range jsonSeeds {
		checkDecoded(t, []byte(s))
		if _, err := decodeJSON([]byte(s)); err == nil {
			read++
		} else if i < 15 && !strings.Contains(s, "999") {
			t.Errorf("%s: %v", s, err)
		}
	}
	if read < 18 {
		t.Errorf("%d are read", read)
	}
	for _, deep := range []int{maxDepth, maxDepth + 2, 1_000_000} {
		if _, err := decodeJSON([]byte(strings.Repeat("[", deep) + "1" + strings.Repeat("]", deep))); (err == nil) != (deep == maxDepth) {
			t.Errorf("%d deep: %v", deep, err)
		}
	}
}

// A decoded value equals OPA's; whatever is canonical is read.
func FuzzDecodeJSON(f *testing.F) {
	for _, s := range jsonSeeds {
		f.Add([]byte(s))
	}
	f.Fuzz(checkDecoded)
}

// A document is read by its members, so that each wrong one is met where it is read, and no other.
func TestACustomerThatIsNotCanonicalIsAnError(t *testing.T) {
	for _, text := range []string{
		`[]`, `1`, ``, `{`, `{}}`, `{"id":"a"`, `{"id":"a",}`, `{"id":"a" }`, `{ "id":"a"}`, `{"b":1,"a":2}`, `{"a":1,"a":1}`, `{"products":[]}`, `{"licenses":1}`,
		`{"products":{"b":[],"a":[]}}`, `{"repositories":{"a":[]]}`, `{id:1}`, `{"i\d":1}`,
	} {
		if c, err := openCustomer([]byte(text)); err == nil {
			t.Errorf("%s is taken: %d members", text, len(c.members))
		}
	}
	c, err := openCustomer([]byte(`{"banned":x,"id":"a","labels":{"b":1,"a":2}}`))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"banned": false, "id": true, "labels": false, "none": true} {
		if v, err := c.Member(name); (err == nil) != want {
			t.Errorf("%s: %v, %v", name, v, err)
		}
	}
	if v, err := c.Term(); err == nil {
		t.Errorf("as a whole: %v", v)
	}
}

func BenchmarkCustomer(b *testing.B) {
	var text bytes.Buffer
	fmt.Fprint(&text, `{"banned":false,"hash":"`+strings.Repeat("0", 64)+`","id":"c1","labels":{"region":"eu"},"licenses":{`)
	for i := range 3 {
		if i > 0 {
			text.WriteByte(',')
		}
		fmt.Fprintf(&text, `"c1-l%d":{"ends":4102444800,"enforcement":"enforce","expiring_from":4101235200,"features":{"nodes":10,"sso":true},"grace":4102444800,"replaced":"never","revoked":"never","starts":1735689600,"suspended":["never","never"],"terminates":"never","type":"subscription","updates":4102444800,"zone":"UTC"}`, i)
	}
	fmt.Fprint(&text, `},"name":"","products":{`)
	for i := range 3 {
		if i > 0 {
			text.WriteByte(',')
		}
		fmt.Fprintf(&text, `"p%d":[{"boundaries":[1735689600,4102444800],"channels":["stable"],"clocks":{"ends":4102444800,"grace":4102444800,"replaced":"never","revoked":"never","starts":1735689600,"suspended":["never","never"],"terminates":"never","updates":4102444800},"constraint":">=1.0.0 <1.40.0","empty":false,"enforcement":"enforce","grant":0,"held":["nodes","sso"],"keep":false,"license":"c1-l%d","ranges":[[[1,0,0,{}],[1,40,0,[]]]],"type":"subscription"}]`, i, i)
	}
	fmt.Fprint(&text, `},"repositories":{}}`)
	if err := bundle.CheckCanonical(text.Bytes()); err != nil {
		b.Fatal(err)
	}
	b.Run("read by OPA", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := ast.ValueFromReader(bytes.NewReader(text.Bytes())); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("read", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := decodeJSON(text.Bytes()); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("what a decision reads", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			c, err := openCustomer(text.Bytes())
			if err != nil {
				b.Fatal(err)
			}
			if _, err := c.products.Member("p1"); err != nil {
				b.Fatal(err)
			}
			if _, err := c.Member("banned"); err != nil {
				b.Fatal(err)
			}
			license, err := openRecord(c.find("licenses").json)
			if err == nil {
				license, err = openRecord(license.find("c1-l1").json)
			}
			if err != nil {
				b.Fatal(err)
			}
			for _, name := range []string{"features", "expiring_from"} {
				if _, err := license.Member(name); err != nil {
					b.Fatal(err)
				}
			}
		}
	})
}
