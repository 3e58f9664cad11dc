package authztest

import (
	"context"
	"net/http"

	"github.com/pullgate/pullgate/authz"
	"github.com/pullgate/pullgate/authz/classify"
	"github.com/pullgate/pullgate/authz/engine"
	"github.com/pullgate/pullgate/authz/reply"
)

// GateDoor asks the Gate directly: classify, decide, reply, no transport.
type GateDoor struct{ s *Service }

// NewGateDoor returns a door over a Service of its own.
func NewGateDoor() *GateDoor { return &GateDoor{NewService()} }

// Trace makes every evaluation from here on use a tracer, given the world it happens in. It is
// called before the first Enter.
func (d *GateDoor) Trace(f func(*World) engine.QueryTracer) { d.s.trace = f }

// Close ends the door's service.
func (d *GateDoor) Close() { d.s.Close() }

// Name implements Door.
func (d *GateDoor) Name() string { return "gate" }

// Carries implements Door: everything can be asked here.
func (d *GateDoor) Carries(*Exchange) bool { return true }

// Enter implements Door.
func (d *GateDoor) Enter(ctx context.Context, w *World) error { return d.s.Enter(ctx, w) }

// Keeps implements Keeper.
func (d *GateDoor) Keeps(w *World) bool { return d.s.Keeps(w) }

// Ask implements Door.
func (d *GateDoor) Ask(ctx context.Context, x *Exchange) (*Answer, error) {
	req := classify.Classify(inbound(x))
	dec := d.s.Gate.Decide(ctx, req)
	rep := reply.For(req, dec)
	a := &Answer{Status: rep.Status, Header: http.Header{}, Body: rep.Body, Record: d.s.last, Pinned: dec.Pinned, Warnings: []string{}, Decision: dec}
	headers := rep.Headers
	if rep.Allow {
		a.Status, headers = http.StatusOK, rep.ResponseAdd
	}
	for _, h := range headers {
		a.Header.Add(h.Name, h.Value)
	}
	if x.Method == http.MethodHead {
		a.Body = nil
	}
	for _, w := range dec.Verdict.Warnings {
		a.Warnings = append(a.Warnings, w.Code)
	}
	return a, nil
}

// AskVersion implements VersionDoor.
func (d *GateDoor) AskVersion(ctx context.Context, x *Exchange, product, version string) (*Answer, error) {
	dec := d.s.Gate.Decide(ctx, versionRequest(x, product, version))
	a := &Answer{Status: dec.Status, Record: d.s.last, Pinned: dec.Pinned, Warnings: []string{}, NoHTTP: true, Decision: dec}
	for _, w := range dec.Verdict.Warnings {
		a.Warnings = append(a.Warnings, w.Code)
	}
	return a, nil
}

// Explain implements Explainer.
func (d *GateDoor) Explain(ctx context.Context, st *Step, x *Exchange) (*authz.Explanation, error) {
	req := classify.Classify(inbound(x))
	if st.Product != "" {
		req = versionRequest(x, st.Product, st.Version)
	}
	d.s.explaining = true
	defer func() { d.s.explaining = false }()
	_, explained, err := d.s.Gate.Explain(ctx, req)
	return explained, err
}

// versionRequest is the question `ask`, of whom an exchange says.
func versionRequest(x *Exchange, product, version string) *authz.Request {
	req := classify.Classify(inbound(&Exchange{Method: "GET", Host: x.Host, Target: "/v2/", Header: x.Header, Address: x.Address, Identity: x.Identity}))
	req.Kind, req.Product, req.Version, req.Via = authz.KindVersion, product, version, "cli"
	return req
}

func inbound(x *Exchange) *classify.Inbound {
	in := &classify.Inbound{
		Method: x.Method, Target: x.Target, Host: x.Host, Address: x.Address, Identity: x.Identity, Via: "ext_authz",
		Headers: []classify.Header{{Name: ":authority", Value: x.Host}},
	}
	for _, h := range x.Header {
		in.Headers = append(in.Headers, classify.Header{Name: h.Name, Value: h.Value})
	}
	return in
}
