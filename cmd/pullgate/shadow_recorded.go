package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/netip"
	"time"

	"github.com/pullgate/pullgate/authz"
	"github.com/pullgate/pullgate/authz/audit"
	"github.com/pullgate/pullgate/authz/classify"
	"github.com/pullgate/pullgate/authz/engine"
	"github.com/pullgate/pullgate/authz/shadow"
	"github.com/pullgate/pullgate/bundle"
)

// shadowRecorded asks a candidate the requests of recorded decisions.
func shadowRecorded(ctx context.Context, b *bundle.Bundle, dir string, filter audit.Filter, progress *asking) (*shadowed, error) {
	// A busy machine must not look like a difference.
	e := engine.New(engine.Config{Limits: engine.Limits{DecisionTime: time.Minute, VisibleTime: time.Minute}})
	defer e.Close()
	if err := e.Activate(ctx, b); err != nil {
		return nil, err
	}
	callers, err := callersOf(b)
	if err != nil {
		return nil, err
	}
	var changes shadow.Changes
	out := &shadowed{Revision: b.Revision(), NotAsked: map[string]int64{}}
	n := 0
	err = audit.Query(dir, filter, audit.OldestFirst, func(rec *authz.Record) bool {
		r, why := callers.request(rec)
		if why != "" {
			out.NotAsked[why]++
			return ctx.Err() == nil
		}
		d := shadow.Ask(ctx, forever{e}, r, rec.Time)
		d.Names, d.Referrers = nil, nil // not in a record
		changes.Add(r, decisionOf(rec), d)
		n++
		progress.show("%d decisions", n)
		return ctx.Err() == nil
	})
	progress.done()
	if err == nil {
		err = ctx.Err()
	}
	out.Summary = changes.Summary()
	return out, err
}

// forever is an engine whose bundle is not too old: its content is asked about, not its dates.
type forever struct{ authz.Engine }

type undated struct{ authz.Generation }

func (undated) NotAfter() int64 { return authz.Never }

func (f forever) Generation() authz.Generation { return undated{f.Engine.Generation()} }

// callers finds what a candidate knows a recorded caller by. Records hold ids, no credentials.
type callers struct {
	keys map[[2]string][32]byte // customer and key id → hash
	jwt  map[string]authz.Identity
	mtls map[string]authz.Identity
}

func callersOf(b *bundle.Bundle) (*callers, error) {
	c := &callers{keys: map[[2]string][32]byte{}, jwt: map[string]authz.Identity{}, mtls: map[string]authz.Identity{}}
	var keys map[string]struct{ Customer, Key string }
	if err := json.Unmarshal(b.File("pullgate/keys/data.json"), &keys); err != nil {
		return nil, fmt.Errorf("keys of the bundle: %w", err)
	}
	for text, k := range keys {
		var hash [32]byte
		if _, err := hex.Decode(hash[:], []byte(text)); err != nil {
			return nil, fmt.Errorf("keys of the bundle: %w", err)
		}
		c.keys[[2]string{k.Customer, k.Key}] = hash
	}
	var identities struct {
		JWT  []struct{ Issuer, Subject, Customer string }
		MTLS []struct{ SAN, Customer string }
	}
	if err := json.Unmarshal(b.File("pullgate/identities/data.json"), &identities); err != nil {
		return nil, fmt.Errorf("identities of the bundle: %w", err)
	}
	for _, j := range identities.JWT {
		c.jwt[j.Customer] = authz.Identity{JWTIssuer: j.Issuer, JWTSubject: j.Subject}
	}
	for _, m := range identities.MTLS {
		c.mtls[m.Customer] = authz.Identity{SAN: m.SAN}
	}
	return c, nil
}

// request is the request of a record, or why it cannot be made again.
func (c *callers) request(rec *authz.Record) (*authz.Request, string) {
	switch rec.Code {
	case authz.CodeMalformed, authz.CodeUnsupported:
		return nil, "malformed or unsupported, by any bundle"
	case authz.CodeUnknownKey, authz.CodeRateLimited:
		return nil, "of nobody known"
	case authz.CodeInternalError, authz.CodeNotReady, authz.CodeStale, authz.CodeOverloaded:
		return nil, "pullgate itself had failed"
	}
	r := classify.Classify(&classify.Inbound{Method: rec.Request.Method, Target: rec.Request.Path, Host: rec.Request.Host, Via: rec.Request.Via})
	if rec.Request.Via == "cli" || r.Kind == authz.KindMalformed || r.Kind == authz.KindUnsupported {
		return nil, "a question of the command line, or logins for tokens"
	}
	r.Address, _ = netip.ParseAddr(rec.Request.Address)
	switch rec.Subject.Via {
	case "anonymous":
		r.Credential = authz.Credential{Kind: authz.CredentialNone}
	case "jwt":
		r.Identity = c.jwt[rec.Subject.Customer]
		r.Credential = authz.Credential{Kind: authz.CredentialNone}
	case "mtls":
		r.Identity = c.mtls[rec.Subject.Customer]
		r.Credential = authz.Credential{Kind: authz.CredentialNone}
	default: // a key, or a token that was given for it
		r.Credential = authz.Credential{Kind: authz.CredentialKey, Hash: c.keys[[2]string{rec.Subject.Customer, rec.Subject.Key}]}
	}
	return r, ""
}

// decisionOf is what of a decision its record holds.
func decisionOf(rec *authz.Record) *authz.Decision {
	d := &authz.Decision{
		ID: rec.ID, Time: rec.Time.Truncate(time.Second), Outcome: authz.OutcomeDeny, Status: rec.Status, Code: rec.Code, Pinned: rec.Pinned,
		Subject:  authz.Subject{Customer: rec.Subject.Customer, Key: rec.Subject.Key, Via: rec.Subject.Via},
		Resource: authz.Resource{Repository: rec.Repository, Product: rec.Product, Version: rec.Version},
	}
	if rec.Verdict == "allow" {
		d.Outcome = authz.OutcomeAllow
	}
	return d
}
