package token

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"github.com/pullgate/pullgate/authz"
	"github.com/pullgate/pullgate/authz/classify"
)

// Decider answers requests. A nil Decision is answered with 503.
type Decider interface {
	Decide(context.Context, *authz.Request) *authz.Decision
}

// Handler answers token requests over HTTP, for proxies that do not pass bodies on to be judged. Its
// answers are those that an ext_authz request would get. Host must be the one that the client
// asked, and the peer's address is the client's unless Classifier says where to find that.
type Handler struct {
	Decider    Decider
	Classifier *classify.Classifier // with TokenPath; other paths are 404
	Issuer     *Issuer
}

// bodyTimeout is how long a request's body may take.
const bodyTimeout = 10 * time.Second

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if req.URL.Path != h.Classifier.TokenPath {
		http.NotFound(w, req)
		return
	}
	in := &classify.Inbound{Method: req.Method, Target: req.RequestURI, Host: req.Host, Via: "http"}
	for name, values := range req.Header {
		for _, v := range values {
			in.Headers = append(in.Headers, classify.Header{Name: name, Value: v})
		}
	}
	if peer, err := netip.ParseAddrPort(req.RemoteAddr); err == nil {
		in.Address = peer.Addr()
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTimeout)) // a recorder has none
	var err error
	if in.Body, err = io.ReadAll(http.MaxBytesReader(w, req.Body, classify.MaxBody)); err != nil {
		in.Body = nil // refused: no grant is in it
		if large := (*http.MaxBytesError)(nil); !errors.As(err, &large) {
			return // the client is gone
		}
	}
	r := h.Classifier.Classify(in)
	p := h.Issuer.Reply(r, h.Decider.Decide(req.Context(), r))
	if p.Allow { // there is nothing here to let a request through to
		http.Error(w, "", http.StatusNotFound)
		return
	}
	for _, header := range p.Headers {
		w.Header().Set(header.Name, header.Value)
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(p.Body)))
	w.WriteHeader(p.Status)
	_, _ = w.Write(p.Body)
}
