package pull

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/pullgate/pullgate/bundle"
)

// The protocol is that of OPA's bundle downloads (OPA, management-bundles, "HTTP Long Polling"): a
// server that waits as asked says so by the type of its answer.
const longPollType = "application/vnd.openpolicyagent.bundles"

// limits are times that only tests change.
type limits struct {
	answer time.Duration // for the first byte of an answer, beyond what it was asked to wait
	stall  time.Duration // that a body may be behind the slowest rate that is taken
	first  time.Duration // pause after a first failure; doubled with each further one
	last   time.Duration // longest pause after failures
}

func (l limits) orDefault() limits {
	if l.answer <= 0 {
		l.answer = 15 * time.Second
	}
	if l.stall <= 0 {
		l.stall = 30 * time.Second
	}
	if l.first <= 0 {
		l.first = 500 * time.Millisecond
	}
	if l.last <= 0 {
		l.last = time.Minute
	}
	return l
}

const (
	slowest      = 32 << 10 // bytes a second that a body must have
	maxPause     = 5 * time.Minute
	maxRedirects = 3
	maxSecret    = 64 << 10
	maxTag       = 256
)

// httpSource is a bundle behind a URL.
type httpSource struct {
	url    *url.URL
	client *client
	limits limits
	max    int64
	waits  bool // it held the last request back, or says that it would
}

func (s *httpSource) String() string { return s.url.String() }

func (s *httpSource) ask(ctx context.Context, tag string, wait time.Duration) (*answer, error) {
	do, token, err := s.client.ready()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	watch := time.AfterFunc(wait+s.limits.answer, func() { cancel(fmt.Errorf("%w: no answer", errSlow)) })
	give := func(a *answer, err error) (*answer, error) { // an answer without a body
		if cause := context.Cause(ctx); err != nil && errors.Is(cause, errSlow) {
			err = cause
		}
		watch.Stop()
		cancel(nil)
		return a, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url.String(), nil)
	if err != nil {
		return give(nil, err)
	}
	req.Header.Set("User-Agent", "pullgate")
	prefer := "modes=snapshot"
	if wait > 0 {
		prefer += ";wait=" + strconv.Itoa(int(wait/time.Second))
	}
	req.Header.Set("Prefer", prefer)
	if tag != "" {
		req.Header.Set("If-None-Match", tag)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	started := time.Now()
	resp, err := do.Do(req)
	if err != nil {
		return give(nil, err)
	}
	switch {
	case resp.StatusCode == http.StatusNotModified && tag != "":
		_ = resp.Body.Close()
		s.waits = wait > 0 && (s.waits || resp.Header.Get("Content-Type") == longPollType || time.Since(started) >= wait/2)
		return give(&answer{unchanged: true, waits: s.waits}, nil)
	case resp.StatusCode != http.StatusOK:
		_ = resp.Body.Close()
		return give(nil, s.refused(resp, token))
	case resp.ContentLength > s.max:
		_ = resp.Body.Close()
		return give(nil, fmt.Errorf("%w: the answer has %d bytes", bundle.ErrTooLarge, resp.ContentLength))
	}
	a := &answer{tag: resp.Header.Get("ETag")}
	if len(a.tag) > maxTag || strings.ContainsAny(a.tag, ", ") { // not one tag
		a.tag = ""
	}
	a.kind, _, _ = strings.Cut(resp.Header.Get("Content-Type"), ";")
	s.waits = wait > 0 && a.kind == longPollType
	a.waits = s.waits
	watch.Reset(s.limits.stall)
	a.body = &watched{
		ReadCloser: &limited{ReadCloser: resp.Body, left: s.max}, watch: watch, stall: s.limits.stall, started: time.Now(),
		ctx: ctx, cancel: cancel,
	}
	return a, nil
}

// refused is the error of an answer that has no bundle.
func (s *httpSource) refused(resp *http.Response, token string) error {
	text := fmt.Sprintf("answered %d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
	f := &Failure{Reason: Failing, Source: s.String(), Err: errors.New(text)}
	switch resp.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden:
		f.Reason, f.Err = Unauthorized, fmt.Errorf("%s to a request with %s", text, s.client.shows(token))
	case http.StatusNotFound, http.StatusGone:
		f.Reason = NotFound
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return &pausedError{f, retryAfter(resp.Header, time.Now())}
	}
	return f
}

// pausedError is a failure after which the source wants to be left alone for a while.
type pausedError struct {
	*Failure
	after time.Duration
}

func (e *pausedError) Unwrap() error { return e.Failure }

// retryAfter reads Retry-After (RFC 9110, section 10.2.3): seconds or a date; at most maxPause.
func retryAfter(h http.Header, now time.Time) time.Duration {
	text := h.Get("Retry-After")
	if seconds, err := strconv.ParseInt(text, 10, 64); err == nil {
		return time.Duration(min(max(seconds, 0), int64(maxPause/time.Second))) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return min(max(at.Sub(now), 0), maxPause)
	}
	return 0
}

// watched is a body that ends when it comes more slowly than it must: by any time after the start
// it may be behind the slowest rate by what comes in the time of a stall, no more.
type watched struct {
	io.ReadCloser
	watch   *time.Timer
	started time.Time
	stall   time.Duration
	got     int64
	ctx     context.Context
	cancel  context.CancelCauseFunc
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.ReadCloser.Read(p)
	w.got += int64(n)
	if err != nil {
		if cause := context.Cause(w.ctx); errors.Is(cause, errSlow) {
			err = cause
		}
		return n, err
	}
	due := w.stall + time.Duration(w.got/slowest)*time.Second
	if left := time.Until(w.started.Add(due)); left > 0 {
		w.watch.Reset(left)
	}
	return n, nil
}

func (w *watched) Close() error {
	w.watch.Stop()
	w.cancel(nil)
	return w.ReadCloser.Close()
}

// limited is a body that ends with an error after so many bytes.
type limited struct {
	io.ReadCloser
	left int64
}

func (l *limited) Read(p []byte) (int, error) {
	n, err := l.ReadCloser.Read(p[:min(int64(len(p)), l.left+1)])
	if l.left -= int64(n); l.left < 0 {
		return n, fmt.Errorf("%w: the file does not end", bundle.ErrTooLarge)
	}
	return n, err
}

// client makes an HTTP client of files, and another one when they have changed.
type client struct {
	cfg  *Config
	http *http.Client
	made [3][]byte // CA, certificate and key that it was made of
}

// ready returns the client and the token for the next request. Errors: errUnprepared.
func (c *client) ready() (*http.Client, string, error) {
	var files [3][]byte
	for i, path := range []string{c.cfg.CAFile, c.cfg.CertFile, c.cfg.KeyFile} {
		if path == "" {
			continue
		}
		read := os.ReadFile
		if path == c.cfg.KeyFile {
			read = readSecret
		}
		var err error
		if files[i], err = read(path); err != nil {
			return nil, "", fmt.Errorf("%w: %w", errUnprepared, err)
		}
	}
	if c.http == nil || !bytes.Equal(files[0], c.made[0]) || !bytes.Equal(files[1], c.made[1]) || !bytes.Equal(files[2], c.made[2]) {
		made, err := newClient(files)
		if err != nil {
			return nil, "", fmt.Errorf("%w: %w", errUnprepared, err)
		}
		if c.http != nil {
			c.http.CloseIdleConnections()
		}
		c.http, c.made = made, files
	}
	token, err := readToken(c.cfg.TokenFile)
	if err != nil {
		return nil, "", fmt.Errorf("%w: %w", errUnprepared, err)
	}
	return c.http, token, nil
}

// shows is what a request has to show who sends it.
func (c *client) shows(token string) string {
	switch {
	case token != "" && c.cfg.CertFile != "":
		return "a token and a client certificate"
	case token != "":
		return "a token"
	case c.cfg.CertFile != "":
		return "a client certificate"
	}
	return "neither token nor client certificate"
}

func newClient(files [3][]byte) (*http.Client, error) {
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	if files[0] != nil {
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM(files[0]) {
			return nil, errors.New("the CA file holds no certificate (PEM)")
		}
	}
	if files[1] != nil {
		pair, err := tls.X509KeyPair(files[1], files[2])
		if err != nil {
			return nil, fmt.Errorf("the client certificate: %w", err)
		}
		// Also to a publisher that lists other authorities: why it is refused is then said, by both sides.
		conf.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	}
	return &http.Client{
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
			TLSClientConfig:        conf, // and so HTTP/1.1: one request at a time needs no more
			TLSHandshakeTimeout:    10 * time.Second,
			MaxResponseHeaderBytes: 64 << 10,
			MaxIdleConnsPerHost:    1,
			IdleConnTimeout:        90 * time.Second,
			DisableCompression:     true, // a bundle is compressed; a server that calls that its encoding must not have it undone
		},
		CheckRedirect: func(req *http.Request, via []*http.Request) error {
			if from, to := origin(via[0].URL), origin(req.URL); from != to {
				return fmt.Errorf("%w to %s", errRedirect, to)
			}
			if len(via) > maxRedirects {
				return fmt.Errorf("%w more than %d times", errRedirect, maxRedirects)
			}
			return nil
		},
	}, nil
}

// origin is a URL's scheme, host and port, the port always written.
func origin(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"https": "443", "http": "80"}[u.Scheme]
	}
	return strings.ToLower(u.Scheme + "://" + net.JoinHostPort(u.Hostname(), port))
}

// readToken reads the file of a bearer token; "" without one.
func readToken(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	text, err := readSecret(path)
	if err != nil {
		return "", err
	}
	token := strings.TrimSpace(string(text))
	if token == "" || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return "", fmt.Errorf("%s: want one line with a token", path)
	}
	return token, nil
}

// readSecret reads a file that others may not read; its group may.
func readSecret(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o007 != 0 {
		return nil, fmt.Errorf("%s: readable by others (%s); chmod o= it", path, info.Mode().Perm())
	}
	if !info.Mode().IsRegular() || info.Size() > maxSecret {
		return nil, fmt.Errorf("%s: no file of at most %d bytes", path, maxSecret)
	}
	return os.ReadFile(path)
}
