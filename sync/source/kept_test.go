package source

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pullgate/pullgate/bundle/license"
	"pgregory.net/rapid"
)

// Whatever happens to a directory, what was kept of the last reading and what looks different give
// the Snapshot, or the error, that reading everything gives.
func TestReadingWhatChangedIsReadingEverything(t *testing.T) {
	edited, whole := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		top, err := os.MkdirTemp("", "source")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(top)
		e := &editor{t: t, top: top, dir: top + "/licenses"}
		e.write("base.yaml", base+"---\nkind: Product\nid: app\nrepositories: [acme/app]\n")
		for i := range 4 {
			e.write(fmt.Sprintf("%d/c%d.yaml", i%2, i), fmt.Sprintf("kind: Customer\nid: c%d\nname: n0\n", i))
		}
		d := Dir{Path: e.dir}
		var k kept
		seen := d.look()
		for step := range 8 {
			if step > 0 {
				e.touched = nil
				e.edit()
			}
			now := d.look()
			if quick, ok := seen.touched(e.touched); ok && !quick.same(&now) {
				t.Fatalf("step %d, %s: the look of what changed is another:\n%+v\nwant\n%+v", step, e.did, quick.folders, now.folders)
			}
			seen = now
			want, wantErr := d.Load(t.Context())
			got, err := k.edited(t.Context(), now, now.since(&k.look))
			if got != nil {
				edited++
			} else if got, err = k.load(t.Context(), d, now); err == nil {
				whole++
			}
			if fmt.Sprint(err) != fmt.Sprint(wantErr) {
				t.Fatalf("step %d, %s: %v\nwant %v", step, e.did, err, wantErr)
			}
			if err == nil && (got.Hash != want.Hash || !reflect.DeepEqual(got.Rules, want.Rules) || !sameSet(got, want)) {
				t.Fatalf("step %d, %s: %+v\nwant %+v", step, e.did, got, want)
			}
		}
	})
	t.Logf("%d edits were read alone, with %d everything was read", edited, whole)
	if edited < whole || edited < 50 {
		t.Error("most edits ought to be read alone")
	}
}

// A file that was read a moment after it had been written is read again, even if nothing about it looks
// different: where times are coarse, it may have been written twice in one of their steps.
func TestWhatWasJustWrittenIsReadAgain(t *testing.T) {
	dir := directory(t, map[string]string{"main.yaml": base, "a.yaml": customer("a")})
	d := Dir{Path: dir}
	var k kept
	l := d.look()
	_, err := k.load(t.Context(), d, l)
	must(t, err)
	write(t, dir+"/a.yaml", customer("b"))
	if k.due(l.at) || !k.due(l.at.Add(grain+1)) {
		t.Error("it is read again at once, or not when the step is over")
	}
	snap, err := k.load(t.Context(), d, l)
	must(t, err)
	if customers(snap) != "b" {
		t.Errorf("got %s", customers(snap))
	}
	// Long after it was written it is not.
	l.at = l.at.Add(time.Hour)
	_, err = k.load(t.Context(), d, l)
	must(t, err)
	if k.due(l.at.Add(time.Hour)) {
		t.Error("it is read again for ever")
	}
}

func TestASnapshotSaysWhenItsNewestChangeWasSaved(t *testing.T) {
	dir := directory(t, map[string]string{"main.yaml": base, "a.yaml": customer("a"), "sub/b.yaml": customer("b")})
	d := Dir{Path: dir}
	var k kept
	load := func() time.Time {
		t.Helper()
		snap, err := k.load(t.Context(), d, d.look())
		must(t, err)
		return snap.Saved
	}
	if at := load(); !at.IsZero() {
		t.Errorf("a first one was saved %v", at)
	}
	for _, edit := range []func(){
		func() { write(t, dir+"/a.yaml", customer("c")) },
		func() { write(t, dir+"/d.yaml", customer("d")) },
		func() { must(t, os.Remove(dir+"/sub/b.yaml")) },
		func() { must(t, os.RemoveAll(dir+"/sub")) },
		func() { write(t, dir+"/rules/r.rego", "package vendor.r\n") },
	} {
		before := time.Now().Add(-100 * time.Millisecond) // the file system's clock ticks
		edit()
		if at := load(); at.Before(before) || at.After(time.Now()) {
			t.Errorf("saved %v, want between %v and now", at, before)
		}
	}
}

// sameSet compares everything that a set says.
func sameSet(a, b *Snapshot) bool {
	one, other := reflect.ValueOf(*a.Set), reflect.ValueOf(*b.Set)
	for i := range one.NumField() {
		if one.Type().Field(i).IsExported() && one.Field(i).Len()+other.Field(i).Len() > 0 && !reflect.DeepEqual(one.Field(i).Interface(), other.Field(i).Interface()) {
			return false
		}
	}
	return true
}

// editor makes one edit after the other.
type editor struct {
	t        *rapid.T
	top, dir string
	did      string   // the last edit
	touched  []string // what the file system would tell of
	links    int
}

func (e *editor) must(errs ...error) {
	for _, err := range errs {
		if err != nil {
			e.t.Fatal(e.did, err)
		}
	}
}

func (e *editor) pick(name string, of ...string) string { return rapid.SampledFrom(of).Draw(e.t, name) }

func (e *editor) write(name, text string) {
	path := filepath.Join(e.dir, name)
	if _, err := os.Stat(filepath.Dir(path)); err != nil {
		e.touched = append(e.touched, filepath.Dir(path))
	}
	e.must(os.MkdirAll(filepath.Dir(path), 0o755))
	e.must(os.WriteFile(path, []byte(text), 0o644))
	e.touched = append(e.touched, path)
}

// document is a license file of the customer, which may be in another one, too.
func (e *editor) document(id string) string {
	text := customer("c"+e.pick("id", id, id, id, id, "0")) + "name: n0\n" + e.pick("status", "", "status: banned\n")
	return text + e.pick("license", "", fmt.Sprintf("---\nkind: License\nid: l%s\ncustomer: c%s\ntype: subscription\nstarts: 2026-01-01\nends: 2026-12-3%s\ngrants: [{product: app, versions: all}]\n",
		id, e.pick("of", id, id, id, "1"), e.pick("day", "0", "1")))
}

// files are those that an edit may be about.
func (e *editor) files() (names []string) {
	_ = filepath.WalkDir(e.dir, func(path string, _ os.DirEntry, err error) error {
		if info, err2 := os.Stat(path); err == nil && (err2 != nil || !info.IsDir()) {
			name, _ := filepath.Rel(e.dir, path)
			names = append(names, name)
		}
		return nil
	})
	return names
}

func (e *editor) edit() {
	id := fmt.Sprint(rapid.IntRange(0, 5).Draw(e.t, "customer"))
	files := e.files()
	if len(files) == 0 {
		e.write("base.yaml", base)
		files = []string{"base.yaml"}
	}
	file := e.pick("file", files...)
	path := filepath.Join(e.dir, file)
	edits := map[string]func(){
		"new":     func() { e.write(e.pick("folder", "0", "1", "2/deep", ".")+"/n"+id+".yml", e.document(id)) },
		"replace": func() { e.write(fmt.Sprintf("%s/c%s.yaml", e.pick("folder", "0", "1"), id), e.document(id)) },
		"swap": func() { // by a temporary file, as editors do
			e.write(".tmp", e.document(id))
			to := fmt.Sprintf("%s/1/c%s.yaml", e.dir, id)
			e.must(os.MkdirAll(filepath.Dir(to), 0o755), os.Rename(e.dir+"/.tmp", to))
			e.touched = append(e.touched, filepath.Dir(to), to)
		},
		"same length and time": func() {
			info, err := os.Stat(path)
			text, err2 := os.ReadFile(path)
			if err != nil || err2 != nil {
				return // a link that leads nowhere
			}
			other := strings.NewReplacer("name: n0", "name: n1", "name: n1", "name: n0").Replace(string(text))
			e.must(os.WriteFile(path, []byte(other), 0o644), os.Chtimes(path, info.ModTime(), info.ModTime()))
			e.touched = append(e.touched, path)
		},
		"touch": func() {
			_ = os.Chtimes(path, time.Now(), time.Now())
			e.touched = append(e.touched, path)
		},
		"delete": func() {
			e.must(os.Remove(path))
			e.touched = append(e.touched, path)
		},
		"delete a folder": func() {
			e.must(os.RemoveAll(e.dir + "/1"))
			e.touched = append(e.touched, e.dir+"/1")
		},
		"rename": func() {
			to := filepath.Join(e.dir, e.pick("to", "r.yaml", "r.yaml.off", "rules/r.yaml", ".r.yaml"))
			if filepath.Base(filepath.Dir(to)) == "rules" {
				e.touched = append(e.touched, filepath.Dir(to))
			}
			e.must(os.MkdirAll(filepath.Dir(to), 0o755), os.Rename(path, to))
			e.touched = append(e.touched, path, to)
		},
		"rename a folder": func() {
			_ = os.Rename(e.dir+"/0", e.dir+"/0"+id)
			e.touched = append(e.touched, e.dir+"/0", e.dir+"/0"+id)
		},
		"too large": func() {
			e.must(os.WriteFile(e.dir+"/large.yaml", make([]byte, license.MaxFileBytes+1), 0o644))
			e.touched = append(e.touched, e.dir+"/large.yaml")
		},
		"break": func() { e.write(file, e.pick("what", "kind: [", "x: 1\n", "", "kind: Customer\nid: c1\nplan: x\n")) },
		"rule": func() {
			e.write("rules/"+e.pick("rule", "a.rego", "b.rego", "deep/c.rego", "a_test.rego"), "package vendor.a"+id+"\n")
		},
		"link": func() { // a release that a link leads to, swapped as git-sync and Kubernetes do
			e.links++
			to := fmt.Sprintf("%s/v%d", e.top, e.links)
			e.must(os.MkdirAll(to, 0o755), os.WriteFile(to+"/l.yaml", []byte(e.document(id)), 0o644))
			e.must(os.Symlink(to, e.dir+"/.next"), os.Rename(e.dir+"/.next", e.dir+"/linked"))
			e.touched = append(e.touched, e.dir+"/.next", e.dir+"/linked")
		},
		"link of a file": func() {
			e.links++
			to := fmt.Sprintf("%s/f%d", e.top, e.links)
			e.must(os.WriteFile(to, []byte(e.document(id)), 0o644), os.Symlink(to, e.dir+"/.next"), os.Rename(e.dir+"/.next", e.dir+"/linked.yaml"))
			e.touched = append(e.touched, e.dir+"/linked.yaml")
		},
		"behind a link": func() {
			for _, name := range []string{e.dir + "/linked/l.yaml", e.dir + "/linked.yaml"} {
				if _, err := os.Stat(name); err == nil {
					e.must(os.WriteFile(name, []byte(e.document(id)), 0o644))
				}
			}
		},
		"a link that leads nowhere": func() {
			e.must(os.RemoveAll(e.dir+"/lost.yaml"), os.Symlink("nowhere", e.dir+"/lost.yaml"))
			e.touched = append(e.touched, e.dir+"/lost.yaml")
		},
		"back to good": func() {
			e.must(os.RemoveAll(e.dir+"/lost.yaml"), os.RemoveAll(e.dir+"/rules/deep"), os.RemoveAll(e.dir+"/linked"), os.RemoveAll(e.dir+"/linked.yaml"))
			for _, name := range e.files() {
				if filepath.Ext(name) != ".rego" {
					e.must(os.Remove(filepath.Join(e.dir, name)))
				}
			}
			e.touched = []string{e.dir} // much
			e.write("base.yaml", base+"---\nkind: Product\nid: app\nrepositories: [acme/app]\n")
			e.write("1/c1.yaml", "kind: Customer\nid: c1\nname: n0\n")
		},
	}
	names := slices.Sorted(maps.Keys(edits))
	names = append(names, "replace", "replace", "replace", "swap", "new", "back to good", "back to good", "same length and time")
	e.did = e.pick("edit", names...)
	edits[e.did]()
	e.did += " " + file
}
