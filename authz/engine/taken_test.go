package engine

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/pullgate/pullgate/bundle"
)

// Whatever a bundle is like beside the one before, what is taken over from that gives what the
// bundle alone gives.
func TestWhatIsTakenOverIsWhatTheBundleSays(t *testing.T) {
	shared := 0
	rapid.Check(t, func(t *rapid.T) {
		var customers, keys *bundle.Object
		var last *store
		var lastSubjects *subjects
		edit := func(o *bundle.Object, value func(name string) string, name func(string) string) *bundle.Object {
			var changes []bundle.Member
			for _, n := range rapid.SliceOfNDistinct(rapid.StringMatching(`[a-d][0-9]`), 0, 12, rapid.ID[string]).Draw(t, "changed") {
				m := bundle.Member{Name: name(n)}
				if rapid.IntRange(0, 3).Draw(t, "gone") > 0 {
					m.Value = []byte(value(n))
				}
				changes = append(changes, m)
			}
			edited, err := o.Edit(changes)
			if err != nil {
				t.Fatal(err)
			}
			if rapid.Bool().Draw(t, "from a file") { // nothing is shared then
				if edited, err = bundle.NewObject(edited.Bytes()); err != nil {
					t.Fatal(err)
				}
			}
			return edited
		}
		everKey := map[string]bool{}
		for range 3 {
			customers = edit(customers, func(n string) string {
				return fmt.Sprintf(`{"id":%q,"labels":{"x":%q},"products":{"app":[]},"repositories":{}}`, n, strings.Repeat("x", rapid.SampledFrom([]int{1, 30_000}).Draw(t, "length")))
			}, func(n string) string { return n })
			keys = edit(keys, func(n string) string {
				return fmt.Sprintf(`{"customer":%q,"expires":%d,"key":"ci"}`, n+strings.Repeat("x", 15_000), rapid.IntRange(1, 3).Draw(t, "expires"))
			}, func(n string) string {
				sum := sha256.Sum256([]byte(n))
				return hex.EncodeToString(sum[:])
			})
			files := map[string]*bundle.Object{"pullgate/customers/data.json": customers}
			s, alone := newStore(files, last, func() {}), newStore(files, nil, func() {})
			for id, text := range customers.Members() {
				b, ok := s.blob(id)
				if other, _ := alone.blob(id); !ok || string(b.json()) != string(text) || b.hash != sha256.Sum256(text) || b.hash != other.hash {
					t.Fatalf("%s is another", id)
				}
			}
			for id, c := range s.hot.m {
				want, err := alone.customer(id)
				if err != nil || want == nil || !bytes.Equal(want.json, c.v.json) {
					t.Fatalf("%s: a document of before: %v", id, err)
				}
				shared++
			}
			if c, _ := s.customer("a1"); (c == nil) != (customers.Get("a1") == nil) {
				t.Fatal("a1")
			}
			who, err := readSubjects(keys, nil, lastSubjects, func() {})
			if err != nil {
				t.Fatal(err)
			}
			whoAlone, err := readSubjects(keys, nil, nil, func() {})
			if err != nil {
				t.Fatal(err)
			}
			for name := range keys.Members() {
				everKey[name] = true
			}
			for name := range everKey { // those of before that are gone too
				hash, err := hex.DecodeString(name)
				if err != nil {
					t.Fatal(err)
				}
				got, ok := who.key([32]byte(hash))
				want, known := whoAlone.key([32]byte(hash))
				if ok != (keys.Get(name) != nil) || ok != known || !reflect.DeepEqual(got, want) {
					t.Fatalf("%s: %+v, want %+v", name, got, want)
				}
			}
			last, lastSubjects = s, who
		}
	})
	if shared == 0 {
		t.Error("nothing is taken over")
	}
}

// A bundle that cannot be read changes nothing of the one before, of which it took parts.
func TestABrokenBundleLeavesTheOneBeforeAlone(t *testing.T) {
	good := objectOf(t, `{"`+strings.Repeat("ab", 32)+`":{"customer":"a","key":"k","expires":1}}`)
	before, err := readSubjects(good, nil, nil, func() {})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range []bundle.Member{{Name: strings.Repeat("cd", 32), Value: []byte(`{"customer":"a"}`)}, {Name: "x", Value: []byte(`{"customer":"a","expires":1,"key":"k"}`)}} {
		broken, err := good.Edit([]bundle.Member{m})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := readSubjects(broken, nil, before, func() {}); err == nil {
			t.Errorf("%s is taken", m.Value)
		}
		if k, ok := before.key([32]byte([]byte(strings.Repeat("\xab", 32)))); !ok || k.ID != "k" {
			t.Errorf("%+v %t", k, ok)
		}
		if _, ok := before.key([32]byte([]byte(strings.Repeat("\xcd", 32)))); ok {
			t.Error("a key of the broken one")
		}
	}
}

// Who makes a bundle ready gives way with every section of customers and of keys, whether it was there before
// or not, and in the index.
func TestMakingReadyGivesWay(t *testing.T) {
	w := shop(t)
	for n := range 50 {
		name := fmt.Sprint("c", n)
		sum := sha256.Sum256([]byte(name))
		w.customers[name] = object{"id": name, "labels": object{"x": strings.Repeat("x", 30_000)}, "licenses": object{}, "products": object{}, "repositories": object{}}
		w.keys[hex.EncodeToString(sum[:])] = object{"customer": name + strings.Repeat("x", 30_000), "key": "ci", "expires": "never"}
	}
	b := w.bundle(t)
	customers, keyring := b.Object(customersDir+"/"+dataFile), b.Object(keysDir+"/"+dataFile)
	if len(customers.Sections()) < 5 || len(keyring.Sections()) < 5 {
		t.Fatal("too few sections")
	}
	times := 0
	giveWay := func() { times++ }
	newStore(map[string]*bundle.Object{customersDir + "/" + dataFile: customers}, nil, giveWay)
	if times < len(customers.Sections()) {
		t.Errorf("%d times with %d sections of customers", times, len(customers.Sections()))
	}
	edited, err := keyring.Edit([]bundle.Member{{Name: strings.Repeat("ab", 32), Value: []byte(`{"customer":"a","expires":1,"key":"k"}`)}})
	if err != nil {
		t.Fatal(err)
	}
	var last *subjects
	for _, keyring := range []*bundle.Object{keyring, edited} {
		times = 0
		if last, err = readSubjects(keyring, nil, last, giveWay); err != nil {
			t.Fatal(err)
		}
		if times < len(keyring.Sections()) {
			t.Errorf("%d times with %d sections of keys", times, len(keyring.Sections()))
		}
	}
	all := len(customers.Sections()) + len(keyring.Sections())
	times = 0
	if err := newEngine(t, Config{GiveWay: giveWay}).Activate(context.Background(), b); err != nil {
		t.Fatal(err)
	}
	if times <= all {
		t.Errorf("%d times in an activation with %d sections", times, all)
	}
}
