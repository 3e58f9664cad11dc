package pull

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/pullgate/pullgate/bundle"
)

// source is one place that has the bundle.
type source interface {
	// ask returns the bundle, or that it is still the one with a tag. A source that can waits up to
	// wait for another.
	ask(ctx context.Context, tag string, wait time.Duration) (*answer, error)
	String() string // as configured
}

// answer is what a source said. Its body must be closed unless it is unchanged.
type answer struct {
	unchanged bool
	body      io.ReadCloser
	tag       string // of the body; "" for none
	waits     bool   // the source holds requests back as asked
	kind      string // what the source calls the body, when that is surely no bundle
}

// newSource makes a source of a URL.
func newSource(raw string, cfg *Config) (source, error) {
	u, err := url.Parse(raw)
	if err != nil {
		return nil, fmt.Errorf("%q is no URL", withoutUser(raw))
	}
	switch {
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.Contains(raw, "#"):
		return nil, fmt.Errorf("%q: want scheme, host and path only; a secret belongs into bundle_token_file", withoutUser(raw))
	case u.Scheme == "file":
		if u.Host != "" && u.Host != "localhost" || !filepath.IsAbs(u.Path) {
			return nil, fmt.Errorf("%q: want file:///ABSOLUTE/PATH", raw)
		}
		return &fileSource{raw: raw, path: u.Path, name: cfg.Name, max: maxFile(cfg.MaxBytes)}, nil
	case u.Scheme != "https" && u.Scheme != "http" || u.Host == "":
		return nil, fmt.Errorf("%q: want https://HOST/PATH, http:// on loopback, or file:///PATH", raw)
	case u.Scheme == "http" && !loopback(u.Hostname()):
		if cfg.TokenFile != "" {
			return nil, fmt.Errorf("%q: a token must not cross a network in the open: want https://", raw)
		}
		if !cfg.Insecure {
			return nil, fmt.Errorf("%q: bundles name customers: want https://, or bundle_insecure where the network is trusted", raw)
		}
	}
	return &httpSource{url: u, client: &client{cfg: cfg}, limits: cfg.limits, max: maxFile(cfg.MaxBytes)}, nil
}

// withoutUser makes a URL that may hold a password, or a token in its query, fit for a message.
func withoutUser(raw string) string {
	raw, _, _ = strings.Cut(raw, "?")
	if i := strings.LastIndexByte(raw, '@'); i >= 0 {
		raw = "…" + raw[i:]
	}
	return raw
}

func loopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback() || strings.EqualFold(host, "localhost") || net.ParseIP(host).IsLoopback()
}

// maxFile is the size of the largest file that can hold a bundle of so many bytes: compressing may
// add a little.
func maxFile(maxBytes int64) int64 { return maxBytes + maxBytes/1000 + 1<<20 }

// fileSource is a file, or a directory that has NAME.tar.gz.
type fileSource struct {
	raw, path, name string
	max             int64
}

func (s *fileSource) String() string { return s.raw }

// restless is how long after its last change a file's size and time do not yet tell whether it is
// the one that was read: file systems stamp coarsely.
const restless = 2 * time.Second

// ask does not wait: looking costs nothing. What is opened is what is looked at, and opening it never
// waits, as it would for the other end of a pipe.
func (s *fileSource) ask(_ context.Context, tag string, _ time.Duration) (a *answer, err error) {
	path := s.path
	f, info, err := open(path) // follows links, so that a swapped one counts
	if err == nil && info.IsDir() {
		_ = f.Close()
		path = filepath.Join(path, s.name+".tar.gz")
		f, info, err = open(path)
	}
	switch {
	case os.IsNotExist(err):
		return nil, &Failure{NotFound, s.raw, err}
	case err != nil:
		return nil, err
	}
	defer func() {
		if a == nil || a.unchanged {
			_ = f.Close()
		}
	}()
	switch {
	case !info.Mode().IsRegular():
		return nil, &Failure{NotFound, s.raw, fmt.Errorf("%s is no regular file", path)}
	case info.Size() > s.max:
		return nil, fmt.Errorf("%w: the file has %d bytes", bundle.ErrTooLarge, info.Size())
	}
	stamp := fmt.Sprintf("%d %d", info.Size(), info.ModTime().UnixNano())
	if sys, ok := info.Sys().(*syscall.Stat_t); ok { // another file of the same size and time
		stamp += fmt.Sprintf(" %d", sys.Ino)
	}
	if time.Since(info.ModTime()).Abs() < restless {
		stamp = ""
	}
	if stamp != "" && stamp == tag {
		return &answer{unchanged: true}, nil
	}
	return &answer{body: &limited{ReadCloser: f, left: s.max}, tag: stamp}, nil
}

// open opens what may be no regular file, and says what it is.
func open(path string) (*os.File, os.FileInfo, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, nil, errors.Join(err, f.Close())
	}
	return f, info, nil
}
