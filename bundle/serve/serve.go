// Package serve is the HTTP server that sidecars, and any stock OPA, get their bundles from. It
// speaks the protocol of OPA's bundle downloads (OPA, management-bundles, "Bundle Service API"):
// GET with ETag and If-None-Match, and long polling where the client asks for it by Prefer.
//
// What it serves is signed: the access rules keep customers' names and dates from strangers, and
// are not what makes a bundle good.
package serve

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// PathPrefix is where bundles are: PathPrefix + NAME, and the same with ".tar.gz".
const PathPrefix = "/bundles/"

// longPollType is the Content-Type by which OPA knows that a server holds requests back as asked.
const longPollType = "application/vnd.openpolicyagent.bundles"

const (
	// DefaultMaxWait bounds how long a client may ask to be kept waiting.
	DefaultMaxWait = 5 * time.Minute
	// DefaultMaxWaiting bounds the clients that are kept waiting, of all bundles together.
	DefaultMaxWaiting = 10_000
	// slowest is the least that a client must take of a bundle: bytes a second, after a minute.
	slowest = 64 << 10
)

// Config says which bundles there are and who may have them.
type Config struct {
	// Bundles are the access rules by the bundle's name. There are no others.
	Bundles map[string]Access
	// Foreign reports whether the Host of a request is no name of the server's: then it comes from a
	// page in somebody's browser, perhaps, and gets nothing that anyone may have. nil: no Host is.
	Foreign func(host string) bool
	// Current reports whether what was published may still be given out; while it is false requests
	// are answered with 503. nil: always.
	Current    func() bool
	MaxWait    time.Duration // 0: DefaultMaxWait
	MaxWaiting int           // 0: DefaultMaxWaiting
	Logger     *slog.Logger  // of who is refused; nil: nothing is logged
	Registerer prometheus.Registerer
}

// Server serves the bundle that was last published of each name. It is safe for concurrent use.
type Server struct {
	cfg     Config
	metrics *metrics
	closed  chan struct{}
	close   sync.Once
	told    told

	mu      sync.Mutex // guards the next two
	bundles map[string]*served
	waiting int
}

// served is a bundle under its name, and a channel that is closed when another takes its place.
type served struct {
	file    []byte // nil: none yet
	etag    string
	changed chan struct{}
}

// New returns a Server that has no bundle of any name yet: it answers 503.
func New(cfg Config) *Server {
	if cfg.MaxWait <= 0 {
		cfg.MaxWait = DefaultMaxWait
	}
	if cfg.MaxWaiting <= 0 {
		cfg.MaxWaiting = DefaultMaxWaiting
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Server{cfg: cfg, metrics: newMetrics(cfg.Registerer), closed: make(chan struct{}), bundles: map[string]*served{}}
	for name := range cfg.Bundles {
		s.bundles[name] = &served{changed: make(chan struct{})}
	}
	return s
}

// ETag is the entity tag of a bundle's file: the hash of its bytes (RFC 9110, section 8.8.3).
func ETag(file []byte) string {
	sum := sha256.Sum256(file)
	return `"` + hex.EncodeToString(sum[:]) + `"`
}

// Publish makes file, which must not change any more, what is served as name, and answers everyone
// who waits for it. The caller has verified it. It panics for a name that is not in Config.
func (s *Server) Publish(name string, file []byte) {
	etag := ETag(file) // takes a while
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.bundles[name]
	if old == nil {
		panic("serve: no bundle has the name " + name)
	}
	if etag == old.etag {
		return
	}
	s.bundles[name] = &served{file: file, etag: etag, changed: make(chan struct{})}
	close(old.changed)
}

// Close answers everybody who waits, with 503: they ask another server, or this one later.
func (s *Server) Close() { s.close.Do(func() { close(s.closed) }) }

// ServeHTTP answers GET and HEAD of a bundle: 200, 304 to a client that has it (after the time it
// wants to wait for another), 421 for a foreign Host where anyone may have a bundle, 401 without a token or certificate that is good for any bundle, 404
// for a name that does not exist or that they are not good for, 503 before the first one.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-cache") // caches between must ask
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		s.refuse(w, "", "method", http.StatusMethodNotAllowed, "want GET or HEAD")
		return
	}
	_ = http.NewResponseController(w).SetWriteDeadline(time.Time{}) // that of the connection's last request
	foreign := s.cfg.Foreign != nil && s.cfg.Foreign(r.Host)
	good, known := s.allowed(r, foreign)
	if !known && foreign && s.open() {
		s.tell(r, fmt.Sprintf("it asks for the host %.100q, which is no name of this port: see bundle_hosts", r.Host))
		s.refuse(w, "", "unauthorized", http.StatusMisdirectedRequest, "this name is not one of the publisher: ask it by its address, or list the name in bundle_hosts (--bundle-host)")
		return
	}
	if !known {
		w.Header().Set("WWW-Authenticate", `Bearer realm="pullgate bundles"`)
		s.tell(r, "it is good for no bundle: see token_file and client_sans")
		s.refuse(w, "", "unauthorized", http.StatusUnauthorized, "a bearer token of this publisher, or a client certificate with a name that it lists, is needed; this request has "+caller(r))
		return
	}
	name := s.name(r.URL.Path)
	if !slices.Contains(good, name) {
		s.tell(r, "what it asks for is no bundle, or not for it; those for it: "+strings.Join(good, ", "))
		s.refuse(w, "", "not_found", http.StatusNotFound, "no such bundle, or not for you; those for you: "+strings.Join(good, ", "))
		return
	}
	wait, asked := s.wait(r.Header.Values("Prefer"))
	if asked {
		w.Header().Set("Content-Type", longPollType)
	} else {
		w.Header().Set("Content-Type", "application/gzip")
	}
	b, ok := s.await(r, name, wait)
	switch {
	case !ok:
		w.Header().Set("Retry-After", "5")
		s.refuse(w, name, "unavailable", http.StatusServiceUnavailable, "this publisher stops, or too many clients wait; try again")
	case s.cfg.Current != nil && !s.cfg.Current():
		w.Header().Set("Retry-After", "1")
		s.refuse(w, name, "unavailable", http.StatusServiceUnavailable, "this publisher may not be the one that leads any more; try again, or ask the other")
	case b.file == nil:
		w.Header().Set("Retry-After", "1")
		s.refuse(w, name, "not_ready", http.StatusServiceUnavailable, "nothing is published yet; the publisher's log and /healthz say why")
	default:
		s.send(w, r, name, b)
	}
}

// name is the bundle that a path asks for, "" for none.
func (s *Server) name(path string) string {
	name, ok := strings.CutPrefix(path, PathPrefix)
	if !ok {
		return ""
	}
	if _, ok := s.cfg.Bundles[name]; ok {
		return name
	}
	return strings.TrimSuffix(name, ".tar.gz")
}

// allowed returns the names of the bundles that the sender may have, sorted, and whether it is
// known at all.
func (s *Server) allowed(r *http.Request, foreign bool) (names []string, known bool) {
	for _, name := range slices.Sorted(maps.Keys(s.cfg.Bundles)) {
		access := s.cfg.Bundles[name]
		ok, err := access.allows(r, foreign)
		if err != nil {
			s.cfg.Logger.Error("bundle not served: its tokens cannot be read", "bundle", name, "error", err)
		}
		if ok {
			names, known = append(names, name), true
		}
	}
	return names, known
}

// open reports whether there is a bundle that anyone may have.
func (s *Server) open() bool {
	for _, access := range s.cfg.Bundles {
		if access.Anyone {
			return true
		}
	}
	return false
}

// wait is how long a client wants to be kept waiting when nothing is new, by the preference
// "wait" (RFC 7240, section 4.3), and whether it has such a preference.
func (s *Server) wait(prefer []string) (time.Duration, bool) {
	for _, p := range strings.FieldsFunc(strings.Join(prefer, ","), func(c rune) bool { return c == ',' || c == ';' }) {
		key, value, _ := strings.Cut(p, "=")
		if !strings.EqualFold(strings.TrimSpace(key), "wait") {
			continue
		}
		seconds, err := strconv.ParseUint(strings.Trim(strings.TrimSpace(value), `"`), 10, 31)
		if err != nil {
			return 0, false
		}
		return min(time.Duration(seconds)*time.Second, s.cfg.MaxWait), true
	}
	return 0, false
}

// await returns the bundle of a name, at once when the client has another or none, else when it
// changes or the wait is over. A client that has gone gets what there is.
func (s *Server) await(r *http.Request, name string, wait time.Duration) (*served, bool) {
	s.mu.Lock()
	b := s.bundles[name]
	if wait == 0 || b.file != nil && !matches(r.Header.Values("If-None-Match"), b.etag) {
		s.mu.Unlock()
		return b, true
	}
	if s.waiting >= s.cfg.MaxWaiting {
		s.mu.Unlock()
		return nil, false
	}
	s.waiting++
	s.mu.Unlock()
	s.metrics.waiting.Inc()
	defer func() {
		s.metrics.waiting.Dec()
		s.mu.Lock()
		s.waiting--
		s.mu.Unlock()
	}()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-b.changed:
	case <-timer.C:
	case <-r.Context().Done():
	case <-s.closed:
		return nil, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bundles[name], true
}

// matches reports whether If-None-Match lists an entity tag, by weak comparison (RFC 9110,
// section 13.1.2).
func matches(header []string, etag string) bool {
	for _, t := range strings.Split(strings.Join(header, ","), ",") {
		t = strings.TrimSpace(t)
		if t == "*" || strings.TrimPrefix(t, "W/") == etag {
			return true
		}
	}
	return false
}

// send answers 304 or the file. A client that takes too little of it at a time is cut off: it would
// keep the file in memory for ever.
func (s *Server) send(w http.ResponseWriter, r *http.Request, name string, b *served) {
	w.Header().Set("ETag", b.etag)
	if matches(r.Header.Values("If-None-Match"), b.etag) {
		s.metrics.requests.WithLabelValues(name, "not_modified").Inc()
		w.WriteHeader(http.StatusNotModified) // with the Content-Type: OPA reads it here too
		return
	}
	s.metrics.requests.WithLabelValues(name, "ok").Inc()
	patience := time.Minute + time.Duration(len(b.file)/slowest)*time.Second
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(patience)) // not every writer has one
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(b.file))
}

// tell logs why a request is refused.
func (s *Server) tell(r *http.Request, why string) {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	if s.told.news(host + caller(r) + why) {
		s.cfg.Logger.Warn("bundle refused", "from", host, "with", caller(r), "error", why)
	}
}

func (s *Server) refuse(w http.ResponseWriter, name, result string, status int, text string) {
	s.metrics.requests.WithLabelValues(name, result).Inc()
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text + "\n"))
}
