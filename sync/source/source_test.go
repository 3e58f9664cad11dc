package source

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pullgate/pullgate/bundle/license"
	"github.com/pullgate/pullgate/examples/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

const base = `kind: Registry
id: main
hosts: [registry.acme.example]
upstream: https://harbor.internal
`

func customer(id string) string { return "kind: Customer\nid: " + id + "\n" }

// directory makes a directory with files; names end in nothing special.
func directory(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "licenses")
	fill(t, dir, files)
	return dir
}

func fill(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		write(t, filepath.Join(dir, name), text)
	}
}

// write puts a file there at once: on a busy machine one that is written in its place may be seen empty.
func write(t *testing.T, path, text string) {
	t.Helper()
	part := filepath.Join(filepath.Dir(path), ".part-"+filepath.Base(path))
	must(t, os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(part, []byte(text), 0o644), os.Rename(part, path))
}

// overwrite writes a file in its place.
func overwrite(t *testing.T, path, text string) {
	t.Helper()
	must(t, os.WriteFile(path, []byte(text), 0o644))
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func customers(s *Snapshot) string {
	var ids []string
	for _, c := range s.Set.Customers {
		ids = append(ids, c.ID)
	}
	return strings.Join(ids, " ")
}

func TestLoadReadsLicensesAndRules(t *testing.T) {
	files := map[string]string{
		"main.yaml": base, "customers/acme.yml": customer("acme"), "notes.txt": "x", ".hidden.yaml": "broken: [",
		"rules/region.rego": "package vendor.region\n", "rules/region_test.rego": "package vendor.region_test\n", "rules/README.md": "x",
	}
	dir := directory(t, files)
	s, err := Dir{Path: dir}.Load(t.Context())
	must(t, err)
	if customers(s) != "acme" || !slices.Equal(slices.Collect(maps.Keys(s.Rules)), []string{"region.rego"}) || string(s.Rules["region.rego"]) != files["rules/region.rego"] {
		t.Fatalf("%+v", s)
	}
	link := filepath.Join(t.TempDir(), "link")
	must(t, os.Symlink(dir, link))
	same, err := Dir{Path: link}.Load(t.Context())
	must(t, err)
	write(t, filepath.Join(dir, "notes.txt"), "y")
	write(t, filepath.Join(dir, "rules/region_test.rego"), "package vendor.other_test\n")
	again, err := Dir{Path: dir}.Load(t.Context())
	must(t, err)
	if len(s.Hash) != 64 || same.Hash != s.Hash || again.Hash != s.Hash {
		t.Fatal("the hash depends on more than names and contents of what is read")
	}
	for name, text := range map[string]string{"rules/region.rego": "package vendor.region # x\n", "main.yaml": base + "# x\n"} {
		write(t, filepath.Join(dir, name), text)
		other, err := Dir{Path: dir}.Load(t.Context())
		must(t, err)
		if other.Hash == s.Hash {
			t.Fatalf("the hash does not depend on %s", name)
		}
		s = other
	}
}

func TestLoadSaysWhatIsWrong(t *testing.T) {
	unreadable := directory(t, map[string]string{"main.yaml": base, "x.yaml": customer("x")})
	must(t, os.Remove(filepath.Join(unreadable, "x.yaml")), os.Symlink("nowhere", filepath.Join(unreadable, "x.yaml")))
	file := filepath.Join(t.TempDir(), "f.yaml")
	write(t, file, base)
	for _, c := range []struct{ name, dir, want string }{
		{"missing", filepath.Join(t.TempDir(), "none"), "no such file or directory; create it with `pullgate init`"},
		{"a file", file, "is not a directory"},
		{"empty", t.TempDir(), "no license files"},
		{"unreadable", unreadable, "x.yaml"},
		{"broken", directory(t, map[string]string{"main.yaml": base, "a.yaml": "kind: Customer\nid: a\nx: 1\n"}), "a.yaml:3:1"},
		{"two at once", directory(t, map[string]string{"main.yaml": base + "y: 1\n", "rules/deep/r.rego": "x"}), "rules/deep/r.rego: is not read"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := Dir{Path: c.dir}.Load(t.Context())
			if s != nil || err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, %v; want %q", s, err, c.want)
			}
		})
	}
	_, err := Dir{Path: directory(t, map[string]string{"a.yaml": "x: 1\n"})}.Load(t.Context())
	if _, ok := errors.AsType[license.Errors](err); !ok {
		t.Fatalf("%T is not license.Errors", err)
	}
}

// watched is a directory being watched.
type watched struct {
	t       *testing.T
	reports chan string
}

func watch(t *testing.T, d Dir) *watched {
	w := &watched{t: t, reports: make(chan string, 100)}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() {
		done <- d.Watch(ctx, func(s *Snapshot, err error) {
			if (s == nil) == (err == nil) {
				panic("both or none")
			}
			if err != nil {
				w.reports <- "error: " + err.Error()
				return
			}
			w.reports <- customers(s)
		})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return w
}

// within waits for a report that begins with want; any other before it is an error.
func (w *watched) within(want string) {
	w.t.Helper()
	w.report(want, false)
}

// eventually is within for an edit of many steps: on a busy machine it may rest in the middle.
func (w *watched) eventually(want string) {
	w.t.Helper()
	w.report(want, true)
}

func (w *watched) report(want string, steps bool) {
	w.t.Helper()
	start := time.Now()
	late := time.After(time.Minute)
	for {
		select {
		case got := <-w.reports:
			if strings.HasPrefix(got, want) {
				w.t.Logf("%.40q after %v", got, time.Since(start).Round(time.Millisecond))
				return
			}
			if !steps {
				w.t.Fatalf("got %q, want %q", got, want)
			}
		case <-late:
			w.t.Fatalf("%q was not reported", want)
		}
	}
}

func (w *watched) silent(why string) {
	w.t.Helper()
	select {
	case got := <-w.reports:
		w.t.Fatalf("%s: got %q", why, got)
	default:
	}
}

// How soon is measured by TestEditsCountWithinASecond of cmd/pullgate.
func TestEveryKindOfEditCounts(t *testing.T) {
	for _, blind := range []bool{false, true} {
		name := "with notices" // alone
		if blind {
			name = "polling only"
		}
		t.Run(name, func(t *testing.T) {
			for _, e := range edits {
				t.Run(e.name, func(t *testing.T) {
					t.Parallel()
					dir := directory(t, map[string]string{"main.yaml": base, "a.yaml": customer("a"), "sub/b.yaml": customer("b")})
					d := Dir{Path: dir}
					if e.before != nil {
						d.Path = e.before(t, dir)
					}
					if d.deaf = blind; !blind && e.name != "link inside the path" { // whose folder nobody watches
						d.Poll = time.Hour
					}
					w := watch(t, d)
					w.within("a b")
					e.edit(t, dir)
					w.eventually(e.want)
					w.silent("reported twice")
				})
			}
		})
	}
}

var edits = []struct {
	name   string
	before func(t *testing.T, dir string) (path string)
	edit   func(t *testing.T, dir string)
	want   string
}{
	{"in-place write", nil, func(t *testing.T, dir string) { overwrite(t, dir+"/a.yaml", customer("z")) }, "b z"},
	{"in-place write of the same length and time", nil, func(t *testing.T, dir string) {
		info, err := os.Stat(dir + "/a.yaml")
		must(t, err)
		overwrite(t, dir+"/a.yaml", customer("c"))
		must(t, os.Chtimes(dir+"/a.yaml", info.ModTime(), info.ModTime()))
	}, "b c"},
	{"append", nil, func(t *testing.T, dir string) {
		f, err := os.OpenFile(dir+"/sub/b.yaml", os.O_APPEND|os.O_WRONLY, 0)
		must(t, err)
		_, err = f.WriteString("---\n" + customer("c"))
		must(t, err, f.Close())
	}, "a b c"},
	{"rename over", nil, func(t *testing.T, dir string) {
		write(t, dir+"/.a.yaml.swp", customer("z"))
		must(t, os.Rename(dir+"/.a.yaml.swp", dir+"/a.yaml"))
	}, "b z"},
	{"rename away", nil, func(t *testing.T, dir string) { must(t, os.Rename(dir+"/a.yaml", dir+"/a.yaml.off")) }, "b"},
	{"new file", nil, func(t *testing.T, dir string) { write(t, dir+"/c.yaml", customer("c")) }, "a b c"},
	{"new folder", nil, func(t *testing.T, dir string) { write(t, dir+"/new/deep/c.yaml", customer("c")) }, "a b c"},
	{"delete", nil, func(t *testing.T, dir string) { must(t, os.Remove(dir+"/a.yaml")) }, "b"},
	{"delete a folder", nil, func(t *testing.T, dir string) { must(t, os.RemoveAll(dir+"/sub")) }, "a"},
	{"replaced folder", nil, func(t *testing.T, dir string) {
		write(t, dir+"-new/b.yaml", customer("z"))
		must(t, os.Rename(dir+"/sub", dir+"-old"), os.Rename(dir+"-new", dir+"/sub"))
	}, "a z"},
	{"replaced directory", nil, func(t *testing.T, dir string) {
		fill(t, dir+"-new", map[string]string{"main.yaml": base, "z.yaml": customer("z")})
		must(t, os.Rename(dir, dir+"-old"), os.Rename(dir+"-new", dir))
	}, "z"},
	{"checkout of many files", nil, func(t *testing.T, dir string) {
		must(t, os.RemoveAll(dir))
		for i := range 300 {
			write(t, fmt.Sprintf("%s/m%d/x.yaml", dir, i%20)+fmt.Sprint(i)+".yaml", customer(fmt.Sprintf("c%03d", i)))
		}
		write(t, dir+"/main.yaml", base)
	}, "c000 c001 c002"},
	{"git-sync link", func(t *testing.T, dir string) string {
		must(t, os.Symlink(filepath.Base(dir), filepath.Dir(dir)+"/current"))
		return filepath.Dir(dir) + "/current"
	}, func(t *testing.T, dir string) {
		fill(t, dir+"-2", map[string]string{"main.yaml": base, "z.yaml": customer("z")})
		must(t, os.Symlink(filepath.Base(dir)+"-2", filepath.Dir(dir)+"/next"), os.Rename(filepath.Dir(dir)+"/next", filepath.Dir(dir)+"/current"))
	}, "z"},
	{"link inside the path", func(t *testing.T, dir string) string {
		must(t, os.Rename(dir, dir+"-1"), os.Mkdir(dir, 0o755), os.Rename(dir+"-1", dir+"/v1"), os.Symlink("v1", dir+"/current"))
		must(t, os.Mkdir(dir+"/v1/licenses", 0o755))
		for _, f := range []string{"main.yaml", "a.yaml", "sub"} {
			must(t, os.Rename(dir+"/v1/"+f, dir+"/v1/licenses/"+f))
		}
		return dir + "/current/licenses"
	}, func(t *testing.T, dir string) {
		fill(t, dir+"/v2/licenses", map[string]string{"main.yaml": base, "z.yaml": customer("z")})
		must(t, os.Symlink("v2", dir+"/next"), os.Rename(dir+"/next", dir+"/current"))
	}, "z"},
	{"Kubernetes volume", func(t *testing.T, dir string) string {
		must(t, os.Mkdir(dir+"/..1", 0o755), os.Symlink("..1", dir+"/..data"), os.Rename(dir+"/sub/b.yaml", dir+"/b.yaml"), os.Remove(dir+"/sub"))
		for _, f := range []string{"main.yaml", "a.yaml", "b.yaml"} {
			must(t, os.Rename(dir+"/"+f, dir+"/..1/"+f), os.Symlink("..data/"+f, dir+"/"+f))
		}
		return dir
	}, func(t *testing.T, dir string) {
		fill(t, dir+"/..2", map[string]string{"main.yaml": base, "a.yaml": customer("a"), "b.yaml": customer("z")})
		must(t, os.Symlink("..2", dir+"/..data_tmp"), os.Rename(dir+"/..data_tmp", dir+"/..data"), os.RemoveAll(dir+"/..1"))
	}, "a z"},
	{"broken file", nil, func(t *testing.T, dir string) { write(t, dir+"/a.yaml", "kind: Cust") }, "error: a.yaml:1:"},
	{"emptied directory", nil, func(t *testing.T, dir string) {
		must(t, os.RemoveAll(dir), os.Mkdir(dir, 0o755))
	}, "error: .: no license files"},
	{"removed directory", nil, func(t *testing.T, dir string) { must(t, os.RemoveAll(dir)) }, "error: license directory"},
	{"unreadable file", nil, func(t *testing.T, dir string) {
		must(t, os.Remove(dir+"/a.yaml"), os.Symlink(dir+"/nowhere", dir+"/a.yaml"))
	}, "error: a.yaml"},
	{"rule", nil, func(t *testing.T, dir string) { write(t, dir+"/rules/x.rego", "package vendor.x\n") }, "a b"},
}

func TestBrokenEditIsReportedOnceAndRepairAlways(t *testing.T) {
	dir := directory(t, map[string]string{"main.yaml": base, "a.yaml": customer("a")})
	w := watch(t, Dir{Path: dir})
	w.within("a")
	write(t, dir+"/a.yaml", "nonsense")
	w.within("error: a.yaml")
	write(t, dir+"/notes.txt", "x") // the same error is no news
	must(t, os.Chtimes(dir+"/a.yaml", time.Now(), time.Now()))
	write(t, dir+"/b.yaml", "nonsense")
	w.within("error: a.yaml")
	must(t, os.Remove(dir+"/b.yaml"))
	w.within("error: a.yaml")
	write(t, dir+"/a.yaml", customer("a")) // as before the error: still news
	w.within("a")
	write(t, dir+"/a.yaml", customer("a")) // the same content is none
	write(t, dir+"/c.yaml", customer("c"))
	w.within("a c")
}

func TestWatchBeginsWithWhatIsThere(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "licenses")
	w := watch(t, Dir{Path: dir})
	w.within("error: license directory")
	fill(t, dir, map[string]string{"main.yaml": base, "a.yaml": customer("a")})
	w.eventually("a")
}

// A checkout that pauses for less than Settle is never seen in the middle.
func TestCheckoutInTheMiddleIsNotReported(t *testing.T) {
	const settle = 200 * time.Millisecond
	for range 100 { // until the machine makes no pause of its own
		dir := directory(t, map[string]string{"main.yaml": base})
		w := watch(t, Dir{Path: dir, Settle: settle})
		w.within("")
		pause, last, all := time.Duration(0), time.Now(), ""
		for i := range 20 {
			time.Sleep(20 * time.Millisecond)
			all += fmt.Sprintf(" c%02d", i)
			write(t, fmt.Sprintf("%s/%d.yaml", dir, i), customer(fmt.Sprintf("c%02d", i)))
			pause, last = max(pause, time.Since(last)), time.Now()
		}
		if pause < settle/2 {
			w.within(all[1:])
			return
		}
		t.Logf("the machine made a pause of %s", pause)
	}
	t.Fatal("the machine makes a pause in every checkout")
}

// However long Git pauses in the middle of a checkout, what it has not ended is not read; a lock that it
// left behind holds nothing up for ever.
func TestCheckoutOfGitIsReadWhenItHasEnded(t *testing.T) {
	for name, worktree := range map[string]bool{"repository": false, "worktree": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			repository := t.TempDir()
			git := filepath.Join(repository, ".git")
			if worktree {
				git = filepath.Join(t.TempDir(), "worktrees", "one")
				write(t, filepath.Join(repository, ".git"), "gitdir: "+git+"\n")
			}
			if err := os.MkdirAll(git, 0o755); err != nil {
				t.Fatal(err)
			}
			dir := filepath.Join(repository, "vendor", "licenses")
			fill(t, dir, map[string]string{"main.yaml": base})
			w := watch(t, Dir{Path: dir, Settle: 10 * time.Millisecond})
			w.within("")
			lock := filepath.Join(git, "index.lock")
			write(t, lock, "")
			write(t, dir+"/a.yaml", customer("a"))
			time.Sleep(300 * time.Millisecond) // thirty times what is read at once otherwise
			w.silent("in the middle")
			write(t, dir+"/b.yaml", customer("b"))
			if err := os.Remove(lock); err != nil {
				t.Fatal(err)
			}
			w.within("a b")
			write(t, lock, "")
			old := time.Now().Add(-longestCheckout)
			if err := os.Chtimes(lock, old, old); err != nil {
				t.Fatal(err)
			}
			write(t, dir+"/c.yaml", customer("c"))
			w.within("a b c")
		})
	}
}
