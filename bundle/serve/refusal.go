package serve

import (
	"log"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// caller is what a request says about who sends it, for whoever looks for a mistake. It holds no
// token.
func caller(r *http.Request) string {
	names, has := certified(r)
	switch {
	case has && len(names) == 0:
		return "a client certificate without DNS or URI name, or past its end"
	case has:
		return "the client certificate of " + strings.Join(names, ", ")
	case r.Header.Get("Authorization") != "":
		return "a token"
	}
	return "neither token nor client certificate"
}

// certified are the names of the verified client certificate, and whether there is one. It was
// verified when the connection began, which may have been long ago: one that has ended since has no
// names.
func certified(r *http.Request) (names []string, has bool) {
	if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 {
		return nil, false
	}
	cert := r.TLS.VerifiedChains[0][0]
	if time.Now().After(cert.NotAfter) {
		return nil, true
	}
	names = slices.Clone(cert.DNSNames)
	for _, u := range cert.URIs {
		names = append(names, u.String())
	}
	return names, true
}

// told keeps those who try again and again from filling the log: each text once a minute, and a
// hundred texts.
type told struct {
	mu    sync.Mutex
	texts map[string]time.Time
}

const (
	tellAgain = time.Minute
	mostTexts = 100
)

// news reports whether a text is to be logged now.
func (t *told) news(text string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	for text, at := range t.texts {
		if now.Sub(at) >= tellAgain {
			delete(t.texts, text)
		}
	}
	if _, is := t.texts[text]; is || len(t.texts) == mostTexts {
		return false
	}
	if t.texts == nil {
		t.texts = map[string]time.Time{}
	}
	t.texts[text] = now
	return true
}

// ErrorLog is for the http.Server of a port: its logger gets the connections that are refused before
// there is a request, as one with a certificate of an authority that is not configured is.
func ErrorLog(logger *slog.Logger) *log.Logger { return log.New(&refusals{logger: logger}, "", 0) }

type refusals struct {
	logger *slog.Logger
	told   told
}

func (r *refusals) Write(line []byte) (int, error) {
	text := strings.TrimSpace(string(line))
	from := ""
	if rest, ok := strings.CutPrefix(text, "http: TLS handshake error from "); ok { // net/http, ADDRESS: ERROR
		addr, why, _ := strings.Cut(rest, ": ")
		if host, _, err := net.SplitHostPort(addr); err == nil {
			from, text = host, "TLS: "+why
		}
	}
	if r.told.news(from + " " + text) {
		r.logger.Warn("connection refused", "from", from, "error", text)
	}
	return len(line), nil
}
