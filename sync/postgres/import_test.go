package postgres

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/jackc/pgx/v5"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/pullgate/pullgate/bundle/compile"
	"github.com/pullgate/pullgate/bundle/license"
	"github.com/pullgate/pullgate/policies"
	"github.com/pullgate/pullgate/sync/source"
)

// compiled are the files of the bundle that a snapshot gives: equal files are an equal revision.
func compiled(t *testing.T, s *source.Snapshot) map[string][]byte {
	t.Helper()
	in := &compile.Input{
		Set: s.Set, Modules: policies.Modules(), Rules: s.Rules, Name: "default", Serial: 1,
		IssuedAt: 1_800_000_000, NotAfter: 1_800_100_000,
	}
	content, _, err := compile.Compile(in)
	must(t, err)
	return content.All()
}

func different(a, b map[string][]byte) (names []string) {
	for name := range a {
		if !bytes.Equal(a[name], b[name]) {
			names = append(names, name)
		}
	}
	for name := range b {
		if _, ok := a[name]; !ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// roundTrips are sets by name: every field, and what the decision scripts have.
func roundTrips(t *testing.T) map[string]map[string]string {
	t.Helper()
	out := map[string]map[string]string{"every": {
		"every.yaml": every, "rules/region.rego": "package vendor.region\n\n# \"quoted\" \\ and ü\n", "rules/region_test.rego": "package vendor.region_test\n",
	}}
	scripts, err := filepath.Glob("../../testdata/decisions/*.txtar")
	must(t, err)
	for i, script := range scripts {
		if i%3 != 0 || strings.Contains(script, "refused") { // a sample; rules that do not compile
			continue
		}
		text, err := os.ReadFile(script)
		must(t, err)
		files, bytes := map[string]string{}, map[string][]byte{}
		for _, f := range txtar.Parse(text).Files {
			switch {
			case strings.HasPrefix(f.Name, "rules/") && !strings.HasSuffix(f.Name, "_test.rego"):
				files[f.Name] = string(f.Data)
			case filepath.Ext(f.Name) == ".yaml" && !strings.Contains(string(f.Data), "kind: Catalog"):
				files[f.Name], bytes[f.Name] = string(f.Data), f.Data
			}
		}
		if _, err := license.Parse(bytes); err == nil {
			out[filepath.Base(script)] = files
		}
	}
	if len(out) < 8 {
		t.Fatalf("only %d sets", len(out))
	}
	return out
}

// What is imported compiles to the same bundle; what is exported is imported as it was.
func TestImportAndExportLoseNothing(t *testing.T) {
	db := open(t, database(t))
	for name, files := range roundTrips(t) {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, files)
			want, err := source.Dir{Path: dir}.Load(t.Context())
			must(t, err)
			imported := func(c *Content) *source.Snapshot {
				t.Helper()
				var read *source.Snapshot
				must(t, db.Import(t.Context(), c, true, func(s *source.Snapshot) error { read = s; return nil }))
				got, err := db.Load(t.Context())
				must(t, err)
				if customers(got) != customers(read) {
					t.Errorf("verified %s, and there is %s", customers(read), customers(got))
				}
				return got
			}
			got := imported(content(t, files))
			if names := different(compiled(t, want), compiled(t, got)); names != nil {
				t.Errorf("the bundle differs in %q", names)
			}
			exported, err := db.Export(t.Context())
			must(t, err)
			first := exported.Files()
			if got := imported(content(t, texts(first))); different(compiled(t, want), compiled(t, got)) != nil {
				t.Error("what was exported is another set")
			}
			exported, err = db.Export(t.Context())
			must(t, err)
			if diff := cmp.Diff(texts(first), texts(exported.Files())); diff != "" {
				t.Errorf("exported again it differs: %s", diff)
			}
			if name == "every" {
				golden(t, "testdata/every.txtar", first)
			}
		})
	}
}

func texts(files map[string][]byte) map[string]string {
	out := map[string]string{}
	for name, text := range files {
		out[name] = string(text)
	}
	return out
}

func write(t testing.TB, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		name = filepath.Join(dir, name)
		must(t, os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, []byte(text), 0o644))
	}
}

// golden compares files with an archive; -update writes it.
func golden(t *testing.T, archive string, files map[string][]byte) {
	t.Helper()
	a := &txtar.Archive{Comment: []byte("What `pullgate licenses export` writes of a set with every field.\n\n")}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		a.Files = append(a.Files, txtar.File{Name: name, Data: files[name]})
	}
	got := txtar.Format(a)
	if *update {
		must(t, os.MkdirAll(filepath.Dir(archive), 0o755), os.WriteFile(archive, got, 0o644))
	}
	want, err := os.ReadFile(archive)
	must(t, err)
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (-update writes it): %s", archive, diff)
	}
}

func TestImportOverwritesOnlyWhenToldTo(t *testing.T) {
	url := filled(t, small())
	db := open(t, url)
	other := content(t, map[string]string{"base.yaml": base, "c.yaml": customer("c")})
	if err := db.Import(t.Context(), other, false, nil); !errors.Is(err, ErrNotEmpty) {
		t.Errorf("error %v", err)
	}
	s, err := db.Load(t.Context())
	must(t, err)
	if customers(s) != "a b" {
		t.Errorf("now there is %s", customers(s))
	}
	must(t, db.Import(t.Context(), other, true, nil))
	s, err = db.Load(t.Context())
	must(t, err)
	if customers(s) != "c" || len(s.Rules) != 0 {
		t.Errorf("now there is %s with the rules %v", customers(s), s.Rules)
	}
}

// A database that no one has made tables in gets them; when the import fails it has none.
func TestImportIsAllOrNothing(t *testing.T) {
	url := databaseFrom(t, "template0")
	db := open(t, url)
	refused := errors.New("refused")
	if err := db.Import(t.Context(), content(t, small()), false, func(*source.Snapshot) error { return refused }); !errors.Is(err, refused) {
		t.Errorf("error %v", err)
	}
	if _, err := db.Load(t.Context()); err == nil || !strings.Contains(err.Error(), "has no tables of pullgate: `pullgate licenses import DIR --to URL`") {
		t.Errorf("after an import that failed: %v", err)
	}
	must(t, db.Import(t.Context(), content(t, small()), false, nil))
	broken := small()
	broken["b.yaml"] += "---\nkind: License\nid: x\ncustomer: nobody\ntype: trial\nends: 2026-01-01\ngrants: []\n"
	if err := db.Import(t.Context(), content(t, broken), true, nil); err == nil || !strings.Contains(err.Error(), "nobody") {
		t.Errorf("error %v", err)
	}
	broken = small()
	broken["b.yaml"] += "---\nkind: License\nid: x\ncustomer: a\ntype: trial\nends: 2026-01-01\nstarts: 2026-02-01\ngrants: []\n"
	if err := db.Import(t.Context(), content(t, broken), true, nil); err == nil || !strings.Contains(err.Error(), "licenses/x: ends: is not after `starts`") {
		t.Errorf("error %v", err)
	}
	s, err := db.Load(t.Context())
	must(t, err)
	if customers(s) != "a b" {
		t.Errorf("now there is %s", customers(s))
	}
}

func TestWhatNoColumnHoldsIsRefused(t *testing.T) {
	for text, want := range map[string]string{
		"kind: Customer\nid: a\nshoe_size: 46\n":                         "a.yaml: shoe_size: has no column in the table customers",
		"kind: License\nid: a\nstatus: {paused: {at: 2026-01-01}}\n":     "a.yaml: status: has no column in the table licenses",
		"kind: Customer\nid: a\nlabels: {x: \"a\\0b\"}\n":                "NUL",
		"kind: Customer\nid: a\nkeys: [{id: x, hash: y, shoe_size: 46}]": "a.yaml: shoe_size: has no column in the table keys",
		"kind: Customer\nid: 1\n":                                        "a.yaml: id: a json.Number has no place in the column",
	} {
		_, err := content(t, map[string]string{"a.yaml": text}).rows()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %s", text, err, want)
		}
	}
}

// Files stay below what a license file may have.
func TestLargeCustomersAreExportedInSeveralFiles(t *testing.T) {
	c := &Content{}
	long := strings.Repeat("x", full/3)
	for i := range 4 {
		c.Documents = append(c.Documents, license.Raw{Fields: []license.RawField{
			{Name: "kind", Value: "License"}, {Name: "id", Value: fmt.Sprint("l", i)}, {Name: "customer", Value: "a"}, {Name: "features", Value: license.Raw{Fields: []license.RawField{{Name: "x", Value: long}}}},
		}})
	}
	files := c.Files()
	documents := 0
	for name, text := range files {
		documents += strings.Count(string(text), "kind: License")
		if len(text) > license.MaxFileBytes || !strings.HasPrefix(name, "customers/a") {
			t.Errorf("%s has %d bytes", name, len(text))
		}
	}
	if documents != 4 || len(files) != 2 {
		t.Errorf("%d documents in %d files", documents, len(files))
	}
}

// Every field that a document can have is in a column, and in the set that goes round.
func TestEveryFieldHasAColumn(t *testing.T) {
	var schema struct {
		Defs map[string]struct {
			Properties map[string]any `json:"properties"`
		} `json:"$defs"`
	}
	must(t, json.Unmarshal(license.Schema(), &schema))
	for i := range tables {
		table := &tables[i]
		if table.kind == "" {
			continue
		}
		fields := schema.Defs[table.kind].Properties
		if len(fields) < 2 {
			t.Errorf("the schema has %d fields of %s", len(fields), table.kind)
		}
		for name := range fields {
			has := slices.ContainsFunc(table.columns, func(c column) bool { return c.field[0] == name })
			if !has && name != "kind" && name != "keys" {
				t.Errorf("%s: %s has no column", table.kind, name)
			}
		}
	}
	url := filled(t, map[string]string{"every.yaml": every})
	conn, err := pgx.Connect(t.Context(), url)
	must(t, err)
	defer func() { _ = conn.Close(t.Context()) }()
	for i := range tables {
		for _, c := range tables[i].columns {
			var n int
			must(t, conn.QueryRow(t.Context(), fmt.Sprintf("SELECT count(%s) FROM pullgate.%s", c.name, tables[i].name)).Scan(&n))
			if n == 0 {
				t.Errorf("%s.%s is null in every row", tables[i].name, c.name)
			}
		}
	}
}

// equalSets compares what sets say and where.
func equalSets(a, b *license.Set) bool {
	return cmp.Equal(a, b, cmp.Exporter(func(reflect.Type) bool { return true }), cmpopts.IgnoreFields(license.Set{}, "shared"))
}
