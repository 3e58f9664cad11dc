package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/pullgate/pullgate/authz"
	"github.com/pullgate/pullgate/authz/audit"
	"github.com/pullgate/pullgate/authz/token"
)

// maxDecisionsPage bounds one answer of /v1/decisions.
const maxDecisionsPage = 1000

// adminHandler serves the admin port of a sidecar: its read-only paths, and tokens for proxies that
// send customers there, under the customers' names: they ask for a key.
func (sc *sidecar) adminHandler() http.Handler {
	pages := http.NewServeMux()
	pages.Handle("/", adminHandler(sc.status, sc.registry, decisionsDir(sc.cfg.Data)))
	pages.HandleFunc("GET /v1/shadow", func(w http.ResponseWriter, _ *http.Request) {
		if found := sc.shadow.Report(); found != nil {
			writeJSON(w, http.StatusOK, found)
			return
		}
		writeJSON(w, http.StatusNotFound, map[string]string{"error": "there is no candidate bundle; shadow_bundle names one"})
	})
	rest := byName(portNames(sc.cfg.AdminAddr, sc.cfg.AdminHosts), pages)
	if sc.tokens == nil {
		return rest
	}
	mux := http.NewServeMux()
	mux.Handle("/", rest)
	mux.Handle(sc.classifier.TokenPath, &token.Handler{Decider: sc.gate, Classifier: sc.classifier, Issuer: sc.tokens})
	return mux
}

// adminHandler adds the registries' notifications to an admin port, unless they have a port of their
// own. They come under any name, and ask for a secret.
func (c *compileSide) adminHandler(rest http.Handler) http.Handler {
	if c.webhooks != nil {
		return rest
	}
	mux := http.NewServeMux()
	mux.Handle("/", rest)
	mux.Handle("/v1/webhooks/", c.webhook)
	return mux
}

// isAdminPath reports whether the admin port has a path for itself, now or for what may come.
func isAdminPath(path string) bool {
	return slices.Contains([]string{"/metrics", "/healthz", "/readyz", "/v1"}, path) || strings.HasPrefix(path, "/v1/")
}

// adminHandler serves the read-only paths of docs/operations.md. Nothing in it is secret, but it
// names customers: the port listens on loopback unless told otherwise. Without a directory there are
// no decisions.
func adminHandler(s *status, g prometheus.Gatherer, decisions string) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(g, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		writeText(w, http.StatusOK, s.health())
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		ready, why := s.ready()
		if ready {
			writeText(w, http.StatusOK, why+"\n")
			return
		}
		writeText(w, http.StatusServiceUnavailable, "not ready: "+why+"\n")
	})
	mux.HandleFunc("GET /v1/status", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, s.report())
	})
	if decisions == "" {
		return mux
	}
	mux.HandleFunc("GET /v1/decisions", func(w http.ResponseWriter, r *http.Request) {
		filter, limit, err := queryFilter(r.URL.Query(), s.clock())
		if err != nil {
			writeJSON(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
			return
		}
		list := []*authz.Record{}
		err = audit.Query(decisions, filter, audit.NewestFirst, func(rec *authz.Record) bool {
			list = append(list, rec)
			return len(list) < limit
		})
		if err != nil {
			writeJSON(w, http.StatusInternalServerError, map[string]string{"error": "decisions could not be read; see the log"})
			return
		}
		writeJSON(w, http.StatusOK, map[string]any{"decisions": list})
	})
	return mux
}

// queryFilter reads the filter of `decisions list` from a query. Unknown keys are refused.
func queryFilter(q url.Values, now time.Time) (audit.Filter, int, error) {
	var f filterFlags
	limit := 100
	for key, values := range q {
		if key == "limit" {
			n, err := strconv.Atoi(values[len(values)-1])
			if err != nil || n < 1 || n > maxDecisionsPage {
				return audit.Filter{}, 0, fmt.Errorf("limit: want 1 to %d", maxDecisionsPage)
			}
			limit = n
			continue
		}
		list := f.list(key)
		if list == nil {
			return audit.Filter{}, 0, fmt.Errorf("unknown key %q", key)
		}
		*list = append(*list, values...)
	}
	filter, err := f.filter(now)
	return filter, limit, err
}

func writeText(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(code)
	_, _ = w.Write([]byte(text))
}

func writeJSON(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v)
}
