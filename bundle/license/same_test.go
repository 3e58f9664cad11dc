package license

import (
	"fmt"
	"reflect"
	"testing"
	"unsafe"

	"pgregory.net/rapid"
)

// A field that differs makes a customer or a license another one, also a field that somebody adds.
func TestSameKnowsEveryField(t *testing.T) {
	set, err := Parse(map[string][]byte{"a.yaml": []byte(base + `---
kind: Customer
id: umbrella
labels: {a: b}
keys: [{id: ci, hash: "sha256:` + fmt.Sprintf("%064x", 1) + `"}]
---
kind: License
id: l
customer: umbrella
type: subscription
starts: 2026-01-01
term: P1Y
renews: {every: P1Y}
terminates: P60D
grants: [{product: app, versions: all}]
features: {sso: true}
`)})
	if err != nil {
		t.Fatal(err)
	}
	differs(t, set.Customer("umbrella"), (*Customer).Same)
	differs(t, set.License("l"), (*License).Same)
}

func differs[T any](t *testing.T, doc *T, same func(a, b *T) bool) {
	t.Helper()
	if again := *doc; !same(doc, &again) {
		t.Errorf("a copy of %T is another", *doc)
	}
	var change func(at string, v reflect.Value, check func())
	change = func(at string, v reflect.Value, check func()) {
		v = reflect.NewAt(v.Type(), unsafe.Pointer(v.UnsafeAddr())).Elem() // also of fields that are not exported
		if v.Kind() == reflect.Struct {
			for i := range v.NumField() {
				change(at+"."+v.Type().Field(i).Name, v.Field(i), check)
			}
			return
		}
		was := reflect.New(v.Type()).Elem()
		was.Set(v)
		switch v.Kind() {
		case reflect.String:
			v.SetString(v.String() + "x")
		case reflect.Bool:
			v.SetBool(!v.Bool())
		case reflect.Slice:
			v.Set(reflect.MakeSlice(v.Type(), v.Len(), v.Len()+1))
		case reflect.Map:
			v.Set(reflect.MakeMap(v.Type()))
		case reflect.Pointer:
			v.Set(reflect.New(v.Type().Elem()))
		case reflect.Uint8:
			v.SetUint(v.Uint() + 1)
		default:
			v.SetInt(v.Int() + 1)
		}
		if check(); t.Failed() {
			t.Fatalf("%s changed", at)
		}
		v.Set(was)
	}
	other := *doc
	change(reflect.TypeFor[T]().Name(), reflect.ValueOf(&other).Elem(), func() {
		if same(doc, &other) {
			t.Error("the same")
		}
	})
}

// A schedule is the same within its span, and another one just outside.
func TestSteadyIsTheSpanOfASchedule(t *testing.T) {
	checked := 0
	rapid.Check(t, func(t *rapid.T) {
		term := rapid.SampledFrom([]string{"term: P1Y", "term: P1M", "ends: 2026-12-31", "term: P10D", "aligned: calendar-year"}).Draw(t, "term")
		renews := rapid.SampledFrom([]string{"", "renews: {every: P1Y}\n", "renews: {every: P1M, notice: P10D}\n", "renews: {every: P1M, cancelled: 2027-03-01T00:00:00Z}\n"}).Draw(t, "renews")
		set, err := Parse(map[string][]byte{"a.yaml": []byte(base + "---\nkind: Customer\nid: umbrella\nzone: Europe/Berlin\n---\nkind: License\nid: l\ncustomer: umbrella\ntype: subscription\nstarts: 2026-01-31\n" +
			term + "\n" + renews + "grants: [{product: app, versions: all}]\n")})
		if err != nil {
			t.Fatal(err)
		}
		l := set.License("l")
		at := rapid.Int64Range(1_700_000_000, 2_000_000_000).Draw(t, "at")
		want := l.Schedule(at)
		from, to := l.Steady(at)
		if at < from || at >= to {
			t.Fatalf("%d is not in [%d, %d)", at, from, to)
		}
		for _, other := range []int64{from, to - 1, rapid.Int64Range(max(from, 1_600_000_000), min(to-1, 2_100_000_000)).Draw(t, "other")} {
			if other >= -1<<40 && other < 1<<40 && l.Schedule(other) != want {
				t.Fatalf("at %d another schedule than at %d, both in [%d, %d)", other, at, from, to)
			}
		}
		if to < 1<<40 && l.Schedule(to) == want || from > -1<<40 && l.Schedule(from-1) == want {
			t.Fatalf("the schedule of %d is the same outside [%d, %d)", at, from, to)
		}
		if to < 1<<40 {
			checked++
		}
	})
	if checked == 0 {
		t.Error("no license renews")
	}
}
