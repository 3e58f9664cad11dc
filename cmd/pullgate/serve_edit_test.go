package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestEditsCountWithinASecond measures from the last system call of an edit to the first answer
// that differs. A second is promised; a loaded machine may need more, so that only three fail.
func TestEditsCountWithinASecond(t *testing.T) {
	v := newVendor(t)
	// The directory is a link, as deployment tools leave it.
	v.must(os.Rename(v.path("licenses"), v.path("set-1")), os.Symlink("set-1", v.path("licenses")))
	s := v.serve()
	s.awaitReady()
	var edits []edit
	add := func(name string, change func(), status int) { edits = append(edits, edit{name, change, status}) }
	wide, narrow := grants(">=1.0.0 <2.0.0"), grants(">=2.0.0")
	add("in-place write", func() { v.must(os.WriteFile(v.path("set-1/license.yaml"), []byte(narrow), 0o644)) }, http.StatusForbidden)
	add("rename", func() {
		v.write("new.yaml", wide, 0o644)
		v.must(os.Rename(v.path("new.yaml"), v.path("set-1/license.yaml")))
	}, http.StatusOK)
	add("delete", func() { v.must(os.Remove(v.path("set-1/license.yaml"))) }, http.StatusNotFound)
	add("create", func() { v.write("set-1/license.yaml", wide, 0o644) }, http.StatusOK)
	add("swap of the directory's link", func() {
		v.must(os.CopyFS(v.path("set-2"), os.DirFS(v.path("set-1"))))
		v.write("set-2/license.yaml", narrow, 0o644)
		v.must(os.Symlink("set-2", v.path("next")), os.Rename(v.path("next"), v.path("licenses")))
	}, http.StatusForbidden)
	add("write after the swap", func() { v.write("set-2/license.yaml", wide, 0o644) }, http.StatusOK)
	add("swap of a file's link", func() {
		v.write("narrow.yaml", narrow, 0o644)
		v.must(os.Symlink("../narrow.yaml", v.path("link")), os.Rename(v.path("link"), v.path("set-2/license.yaml")))
	}, http.StatusForbidden)
	add("in a new folder", func() {
		v.must(os.MkdirAll(v.path("set-2/customers/a"), 0o755), os.Remove(v.path("set-2/license.yaml")))
		v.write("set-2/customers/a/license.yaml", wide, 0o644)
	}, http.StatusOK)
	add("checkout of many files", func() {
		v.must(os.Remove(v.path("set-2/customers/a/license.yaml")))
		for i := range 400 {
			dir := fmt.Sprintf("set-2/customers/c%d", i%20)
			v.must(os.MkdirAll(v.path(dir), 0o755))
			v.write(fmt.Sprintf("%s/c%d.yaml", dir, i), fmt.Sprintf("kind: Customer\nid: c%d\n", i), 0o644)
		}
		v.write("set-2/license.yaml.part", "", 0o644)
		v.must(os.Remove(v.path("set-2/license.yaml.part")))
		v.write("set-2/zz.yaml", narrow, 0o644)
	}, http.StatusForbidden)
	for _, e := range edits {
		e.change()
		took := s.await(e.name, 10*time.Second, func() bool { return s.pull("1.4.0").Status == e.status })
		switch {
		case took > 3*time.Second:
			t.Errorf("%s counted after %s", e.name, took)
		case took > time.Second:
			t.Logf("%s counted after %s: more than a second", e.name, took)
		default:
			t.Logf("%s counted after %s", e.name, took.Round(time.Millisecond))
		}
	}
	if got := s.gauge("pullgate_licenses_broken"); got != "0" {
		t.Errorf("pullgate_licenses_broken is %s after good edits", got)
	}
}

type edit struct {
	name   string
	change func()
	status int // of a pull of 1.4.0 afterwards
}

func TestBrokenEditKeepsTheLastGoodSet(t *testing.T) {
	v := newVendor(t)
	s := v.serve()
	s.awaitReady()
	good := grants(">=1.0.0 <2.0.0")
	for _, e := range []struct {
		name       string
		break_     func()
		mend       func()
		shows      string // in log and health
		alsoActive string // how a good set is seen again
	}{
		{
			"a mistake", func() { v.write("licenses/license.yaml", strings.Replace(good, "acme\n", "acmee\n", 1), 0o644) },
			func() { v.write("licenses/license.yaml", good, 0o644) }, "license.yaml:3:11: customer: unknown customer", "",
		},
		{
			"half a file", func() { v.write("licenses/license.yaml", good[:len(good)-20], 0o644) },
			func() { v.write("licenses/license.yaml", good, 0o644) }, "license.yaml:", "",
		},
		{
			"an emptied directory", func() {
				files, err := filepath.Glob(v.path("licenses/*.yaml"))
				v.must(err, os.Mkdir(v.path("away"), 0o755))
				for _, f := range files {
					v.must(os.Rename(f, v.path("away/"+filepath.Base(f))))
				}
			},
			func() {
				files, err := filepath.Glob(v.path("away/*.yaml"))
				v.must(err)
				for _, f := range files {
					v.must(os.Rename(f, v.path("licenses/"+filepath.Base(f))))
				}
			}, "no license files", "",
		},
		{
			"a directory that is gone", func() { v.must(os.Rename(v.path("licenses"), v.path("gone"))) },
			func() { v.must(os.Rename(v.path("gone"), v.path("licenses"))) }, "no such file or directory", "",
		},
	} {
		t.Run(e.name, func(t *testing.T) {
			logged := len(s.log.String())
			e.break_()
			s.await("pullgate_licenses_broken 1", 3*time.Second, func() bool { return s.gauge("pullgate_licenses_broken") == "1" })
			s.await(e.shows+" in /healthz", 3*time.Second, func() bool { // several steps may be several edits
				code, health := s.get("/healthz")
				return code == http.StatusOK && strings.HasPrefix(health, "degraded\n") && strings.Contains(health, e.shows)
			})
			s.await("a line in the log", time.Second, func() bool {
				text := s.log.String()[logged:]
				return strings.Contains(text, "license files refused; the last good set stays in use") && strings.Contains(text, e.shows)
			})
			if code, _ := s.get("/readyz"); code != http.StatusOK {
				t.Errorf("/readyz: %d", code)
			}
			if a := s.pull("1.4.0"); a.Status != http.StatusOK {
				t.Errorf("the last good set is not in use: %+v", a)
			}
			if a := s.pull("2.0.0"); a.Status != http.StatusForbidden {
				t.Errorf("the last good set is not in use: %+v", a)
			}
			e.mend()
			s.await("pullgate_licenses_broken 0", 3*time.Second, func() bool { return s.gauge("pullgate_licenses_broken") == "0" })
			s.await("/healthz after mending", 3*time.Second, func() bool { _, health := s.get("/healthz"); return health == "ok\n" })
			if a := s.pull("1.4.0"); a.Status != http.StatusOK {
				t.Errorf("%+v", a)
			}
		})
	}
}

// Broken files at the start are not an empty set either.
func TestServeWaitsForLicensesThatCanBeRead(t *testing.T) {
	v := newVendor(t)
	good := grants(">=1.0.0 <2.0.0")
	v.write("licenses/license.yaml", "kind: Licence\n", 0o644)
	s := v.serve()
	s.await("the mistake on /readyz", 5*time.Second, func() bool {
		code, body := s.get("/readyz")
		return code == http.StatusServiceUnavailable && strings.Contains(body, "licenses refused: ") && strings.Contains(body, "license.yaml:1:7: kind: ")
	})
	if a := s.pull("1.4.0"); a.Status != http.StatusServiceUnavailable || a.Code != "not_ready" {
		t.Errorf("%+v", a)
	}
	v.write("licenses/license.yaml", good, 0o644)
	s.awaitReady()
	if a := s.pull("1.4.0"); a.Status != http.StatusOK {
		t.Errorf("%+v", a)
	}
}
