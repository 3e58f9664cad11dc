package engine

import (
	"context"
	"fmt"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/storage"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/open-policy-agent/opa/v1/util"

	"github.com/pullgate/pullgate/bundle"
)

var storeFiles = map[string][]byte{
	"pullgate/customers/data.json":  []byte(`{"a":{"id":"a","list":[1,{"x":"y"}],"products":{"app":[]},"text":"{\"}"},"b":{}}`),
	"pullgate/public/data.json":     []byte(`{"acme/docs":[{"id":"docs"}]}`),
	"pullgate/registries/data.json": []byte(`{"main":{"hosts":["h"],"listed":false}}`),
}

// objectOf is an object of JSON in any form.
func objectOf(t *testing.T, text string) *bundle.Object {
	t.Helper()
	data, err := bundle.CanonicalJSON(util.MustUnmarshalJSON([]byte(text)))
	if err != nil {
		t.Fatal(err)
	}
	o, err := bundle.NewObject(data)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// storeOf is a store of files, by path.
func storeOf(t *testing.T, files map[string][]byte) *store {
	t.Helper()
	objects := map[string]*bundle.Object{}
	for name, data := range files {
		objects[name] = objectOf(t, string(data))
	}
	return newStore(objects, nil, func() {})
}

// The store answers every path as OPA's own store does.
func TestStoreReadsLikeOPAs(t *testing.T) {
	s := storeOf(t, storeFiles)
	whole := map[string]any{}
	for name, data := range storeFiles {
		whole[name] = util.MustUnmarshalJSON(data)
	}
	other := inmem.NewFromObject(map[string]any{"pullgate": map[string]any{
		"customers":  whole["pullgate/customers/data.json"],
		"public":     whole["pullgate/public/data.json"],
		"registries": whole["pullgate/registries/data.json"],
	}})
	ctx := context.Background()
	txn, err := other.NewTransaction(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range []storage.Path{
		{},
		{"pullgate"},
		{"pullgate", "customers"},
		{"pullgate", "customers", "a"},
		{"pullgate", "customers", "b"},
		{"pullgate", "customers", "c"},
		{"pullgate", "customers", "a", "products", "app"},
		{"pullgate", "customers", "a", "list", "1", "x"},
		{"pullgate", "customers", "a", "list", "2"},
		{"pullgate", "customers", "a", "list", "x"},
		{"pullgate", "customers", "a", "id", "x"},
		{"pullgate", "customers", "a", "text"},
		{"pullgate", "public"},
		{"pullgate", "public", "acme/docs", "0", "id"},
		{"pullgate", "registries", "main", "listed"},
		{"pullgate", "registries", "other"},
		{"pullgate", "nosuch"},
		{"vendor"},
		{"pullgate", "regis"},
	} {
		for range 2 { // parsed and at hand
			want, wantErr := other.Read(ctx, txn, p)
			got, gotErr := s.Read(ctx, nil, p)
			if storage.IsNotFound(wantErr) != storage.IsNotFound(gotErr) {
				t.Errorf("%v: error %v, want %v", p, gotErr, wantErr)
				continue
			}
			if wantErr != nil {
				continue
			}
			if v := ast.MustInterfaceToValue(want); v.Compare(got.(ast.Value)) != 0 {
				t.Errorf("%v: %v, want %v", p, got, v)
			}
		}
	}
}

func TestStoreRefusesWrites(t *testing.T) {
	s := storeOf(t, storeFiles)
	ctx := context.Background()
	if _, err := s.NewTransaction(ctx, storage.WriteParams); err == nil {
		t.Error("a write transaction")
	}
	txn, err := s.NewTransaction(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Write(ctx, txn, storage.AddOp, storage.Path{"x"}, 1); err == nil {
		t.Error("a write")
	}
	if err := s.Truncate(ctx, txn, storage.WriteParams, nil); err == nil {
		t.Error("a truncation")
	}
	s.Abort(ctx, txn)
	if err := s.Commit(ctx, txn); err != nil {
		t.Error(err)
	}
}

func TestStoreRefusesBrokenData(t *testing.T) {
	for _, doc := range []string{`1`, `{"products":{"app":{}}}`, `{"products":{"app":[1]}}`, `{"products":{"app":[{"empty":false}]}}`, `{"repositories":{"r":[{"clocks":{"replaced":"x"},"empty":false}]}}`} {
		s := storeOf(t, map[string][]byte{"pullgate/customers/data.json": []byte(`{"a":` + doc + `}`)})
		c, err := s.customer("a")
		if err == nil {
			_, _, err = c.until(c.products, "app")
		}
		if err == nil {
			_, _, err = c.until(c.repositories, "r")
		}
		if err == nil {
			t.Errorf("customer %s is taken", doc)
		}
	}
}

func TestACustomerIsNamedUntilReplaced(t *testing.T) {
	const doc = `{"products":{` +
		`"app":[{"clocks":{"replaced":"never"},"empty":true},{"clocks":{"replaced":100},"empty":false},{"clocks":{"replaced":50},"empty":false}],` +
		`"none":[{"clocks":{"replaced":"never"},"empty":true}]},` +
		`"repositories":{"r":[{"clocks":{"replaced":"never"},"empty":false}]}}`
	s := storeOf(t, map[string][]byte{"pullgate/customers/data.json": []byte(`{"a":` + doc + `}`)})
	c, err := s.customer("a")
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		table *record
		name  string
		at    int64
		want  bool
	}{
		{c.products, "app", 99, true},
		{c.products, "app", 100, false},
		{c.products, "none", 0, false},
		{c.products, "", 0, false},
		{c.products, "r", 0, false},
		{c.repositories, "r", 1 << 60, true},
	} {
		if got := c.names(row.table, row.name, row.at); got != row.want {
			t.Errorf("%q at %d: %v", row.name, row.at, got)
		}
	}
}

func TestMemoStaysWithinItsWeight(t *testing.T) {
	c := newMemo[int, string](100)
	for i := range 1000 {
		c.put(i, fmt.Sprint(i), 10)
		if v, ok := c.get(i); !ok || v != fmt.Sprint(i) {
			t.Fatalf("%d is not there after it was put", i)
		}
		if c.weight > 100 || len(c.m)*10 != c.weight {
			t.Fatalf("weight %d with %d values", c.weight, len(c.m))
		}
	}
	c.put(5000, "heavy", 26)
	if _, ok := c.get(5000); ok {
		t.Error("one value may take more than a quarter")
	}
	c.put(999, "again", 20)
	if v, _ := c.get(999); v != "again" || c.weight > 100 {
		t.Errorf("%q, weight %d", v, c.weight)
	}
}
