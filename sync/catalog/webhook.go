package catalog

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Bounds of a notification. One of zot holds a whole manifest as text.
const (
	maxEvent     = maxManifest + 1<<20
	maxEvents    = 8 // bodies that are read at once
	eventTimeout = 10 * time.Second
)

// Webhook receives registries' notifications (POST /…/{registry}, the registry's id in the path
// value "registry") and passes on what they hint at. Whoever knows a registry's secret can make
// pullgate ask that registry again, and nothing else.
//
// Answers: 202 for a notification that was understood, whatever it was about; 401 for a wrong
// secret and for a registry without one, alike; 400 for what is no notification; 413; 503 with
// Retry-After while too many are being read.
type Webhook struct {
	secrets func(registry string) ([]string, error)
	take    func(registry string, hints []Hint) int
	slots   chan struct{}
	total   *prometheus.CounterVec
}

// NewWebhook makes a Webhook. Secrets are those of a registry, none for one without a webhook, and
// are asked for with every notification. Take is given hints that follow the grammar and returns how
// many of them are about repositories that are crawled; it must be fast. reg may be nil.
func NewWebhook(secrets func(registry string) ([]string, error), take func(registry string, hints []Hint) int, reg prometheus.Registerer) (*Webhook, error) {
	h := &Webhook{
		secrets: secrets, take: take, slots: make(chan struct{}, maxEvents),
		total: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pullgate_webhook_notifications_total",
			Help: "Notifications of registries, by result: accepted (a repository is read again), ignored (nothing that is crawled has changed), refused (wrong secret), malformed, too_large, busy.",
		}, []string{"result"}),
	}
	for _, r := range []string{"accepted", "ignored", "refused", "malformed", "too_large", "busy"} {
		h.total.WithLabelValues(r)
	}
	if reg != nil {
		if err := reg.Register(h.total); err != nil {
			return nil, fmt.Errorf("webhook metrics: %w", err)
		}
	}
	return h, nil
}

// ServeHTTP answers one notification. Nothing of a body is read before its secret is right.
func (h *Webhook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(eventTimeout)) // a recorder has none
	status, result := h.receive(w, r)
	if status != http.StatusAccepted { // a body that was not read is hardly waited for
		w.Header().Set("Connection", "close")
		_ = control.SetReadDeadline(time.Now().Add(time.Second))
	}
	h.total.WithLabelValues(result).Inc()
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	switch status {
	case http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", "Bearer")
	case http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", "1")
	}
	w.WriteHeader(status)
	fmt.Fprintln(w, result)
}

func (h *Webhook) receive(w http.ResponseWriter, r *http.Request) (status int, result string) {
	registry := r.PathValue("registry")
	secrets, err := h.secrets(registry)
	if err != nil || !knows(r.Header.Values("Authorization"), secrets) {
		return http.StatusUnauthorized, "refused"
	}
	select {
	case h.slots <- struct{}{}:
		defer func() { <-h.slots }()
	default:
		return http.StatusServiceUnavailable, "busy"
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxEvent))
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return http.StatusRequestEntityTooLarge, "too_large"
	}
	if err != nil {
		return http.StatusBadRequest, "malformed"
	}
	hints, err := ParseEvent(r.Header, body)
	if err != nil {
		return http.StatusBadRequest, "malformed"
	}
	if len(hints) == 0 || h.take(registry, hints) == 0 {
		return http.StatusAccepted, "ignored"
	}
	return http.StatusAccepted, "accepted"
}

// knows reports whether an Authorization header holds a secret: alone (as Harbor sends what is
// configured), after Bearer, or as the password of Basic (as zot does). How long it takes tells
// nothing about a secret.
func knows(authorization, secrets []string) bool {
	given := ""
	if len(authorization) == 1 {
		given = authorization[0]
	}
	if scheme, rest, ok := strings.Cut(given, " "); ok {
		switch strings.ToLower(scheme) {
		case "bearer":
			given = rest
		case "basic":
			pair, _ := base64.StdEncoding.DecodeString(rest)
			_, given, _ = strings.Cut(string(pair), ":")
		}
	}
	sum := sha256.Sum256([]byte(given))
	right := 0
	for _, s := range append([]string{""}, secrets...) {
		want := sha256.Sum256([]byte(s))
		equal := subtle.ConstantTimeCompare(sum[:], want[:])
		if s == "" {
			equal = 0
		}
		right |= equal
	}
	return right == 1
}
