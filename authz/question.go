package authz

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"time"
)

// question is one request while it is being decided.
type question struct {
	gate     *Gate
	ctx      context.Context
	gen      Generation // the one the request started with
	req      *Request
	at       int64 // Unix seconds
	deadline int64 // from when gen must not be used
	d        *Decision
	who      caller
	target   Target
	waited   time.Duration // for the shared cache
	hit      bool          // a cache had a part in it
	again    *audit        // nil but where a decision is made again, which asks no cache and counts nothing
}

// answer decides. A panic below it, which is a defect of ours or of OPA, costs this request and not
// the process.
func (q *question) answer(now time.Time) (d *Decision) {
	g, r := q.gate, q.req
	fresh := func() *Decision {
		d := &Decision{
			Time: now.UTC(), Subject: anonymous, Cached: "none", Verdict: unasked(),
			Resource: Resource{Repository: r.Repository, Tag: r.Tag, Digest: r.Digest, Product: r.Product, Version: r.Version},
		}
		if q.gen != nil {
			d.Revision = q.gen.Revision()
		}
		return d
	}
	defer func() {
		if p := recover(); p != nil {
			g.cfg.Logger.Error("panic while deciding", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			d = fresh()
			d.fail(errors.New("panic while deciding"))
		}
	}()
	q.d = fresh()
	q.run()
	return q.d
}

// run fills q.d. What is the same for everybody comes first, so that it tells nothing about
// keys and repositories.
func (q *question) run() {
	d, r := q.d, q.req
	if q.gen == nil {
		d.refuse(OutcomeError, http.StatusServiceUnavailable, CodeNotReady)
		return
	}
	switch r.Kind {
	case KindPing, KindManifest, KindBlob, KindTags, KindReferrers, KindCatalog, KindToken, KindVersion:
	case KindUnsupported:
		status := http.StatusForbidden
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			status = http.StatusMethodNotAllowed
		}
		d.refuse(OutcomeDeny, status, CodeUnsupported)
		return
	default:
		d.refuse(OutcomeDeny, http.StatusBadRequest, CodeMalformed)
		return
	}
	var reg Registry
	if r.Kind != KindVersion {
		var ok bool
		if reg, ok = q.gen.Registry(r.Host); !ok {
			d.refuse(OutcomeDeny, http.StatusNotFound, CodeUnknownRepository)
			return
		}
		d.Resource.Registry = reg.ID
	}
	if r.Kind == KindCatalog && !reg.Listed {
		d.refuse(OutcomeDeny, http.StatusForbidden, CodeUnsupported)
		return
	}
	if q.at >= q.deadline {
		d.refuse(OutcomeError, http.StatusServiceUnavailable, CodeStale)
		return
	}

	q.who = authenticate(q.gen, r, q.at)
	d.Subject = q.who.Recorded
	if q.who.BadKey && q.again == nil {
		ok, again := q.gate.limiter.admit(r.Address, binary.BigEndian.Uint64(r.Credential.Hash[:]))
		if !ok {
			d.refuse(OutcomeDeny, http.StatusTooManyRequests, CodeRateLimited)
			return
		}
		if again {
			// A forgotten key in a client's configuration is one bad key, however many layers the
			// public image has that it pulls.
			defer func() {
				if d.Outcome == OutcomeAllow || d.Outcome == OutcomeAnswer {
					q.gate.limiter.forgive(r.Address)
				}
			}()
		}
	}
	var err error
	switch r.Kind {
	case KindCatalog:
		err = q.catalog(reg)
	case KindToken:
		err = q.token(reg)
	default:
		err = q.resource(reg)
	}
	switch {
	case errors.Is(err, ErrOverloaded):
		q.overloaded()
	case err != nil:
		d.fail(err)
	}
}

// token decides about a login for a bearer token: whoever may log in gets one. So does who has no
// key, for clients that ask for one before they ask for what is public; it is as good as none.
func (q *question) token(reg Registry) error {
	d := q.d
	switch {
	case q.req.Credential.Kind == CredentialToken: // renewed with the key only
		d.Subject = anonymous
		d.refuse(OutcomeDeny, http.StatusUnauthorized, CodeUnknownKey)
		return nil
	case q.who.Refusal == CodeAnonymous:
		d.Outcome, d.Status, d.Code = OutcomeAnswer, http.StatusOK, CodeOK
		return nil
	}
	login := *q.req
	login.Kind, login.Method, login.Path = KindPing, http.MethodGet, "/v2/"
	q.req = &login
	return q.resource(reg)
}

// resource decides about one thing: a manifest, a blob, a tag list, a version, or a login.
func (q *question) resource(reg Registry) error {
	d, r, t := q.d, q.req, &q.target
	*t = q.gen.Resolve(reg, r)
	d.Resource = t.Resource

	// Limits of a key narrow what its customer has, never what is open to everybody.
	outOfScope := r.Kind != KindPing && !(q.who.reachesFrom(r.Address) && q.who.reaches(r.Repository))
	subject := q.who.Subject
	if outOfScope {
		subject = anonymous
	}
	e, cached, err := q.judge(subject, r, t)
	if err != nil && !errors.Is(err, ErrOverloaded) && (r.Kind != KindPing && r.Kind != KindVersion) && subject.Customer != "" && !(t.Repository && q.gen.Named(subject.Customer, t, q.at)) {
		// A vendor rule that fails must not tell who has no right here that there is something:
		// they get what anybody gets, and the record says what failed.
		d.Detail = err.Error()
		subject = anonymous
		if e, cached, err = q.judge(subject, r, t); !e.Verdict.Allow {
			e.Verdict = unasked()
			e.Verdict.Code = CodeInternalError
		}
	}
	if err != nil {
		return err
	}
	d.Cached = cached
	if r.Kind != KindTags {
		d.Candidates = t.Candidates
	}
	v := e.Verdict

	f := finding{
		Kind: r.Kind, ByDigest: r.Digest != "", Refusal: q.who.Refusal, OutOfScope: outOfScope,
		Repository: t.Repository, Reference: t.Reference, Allow: v.Allow, Code: v.Code,
	}
	if (!v.Allow || f.byRule()) && f.Refusal == "" {
		// Asked of what is absent too, so that it takes the same steps.
		named := q.gen.Named(q.who.Subject.Customer, t, q.at)
		f.Named = named && t.Repository
	}
	q.conclude(&f, v)
	if d.Outcome != OutcomeAllow && d.Outcome != OutcomeAnswer {
		return nil
	}
	if q.who.Refusal != "" {
		d.Subject = anonymous // what is public is given to anyone
	}
	switch r.Kind {
	case KindManifest:
		if r.Tag != "" {
			d.Pinned = t.Resource.Digest
		}
	case KindTags:
		d.Names = namesOf(t, e.Visible)
	case KindReferrers:
		return q.referrers(reg, subject)
	}
	return nil
}

// conclude writes the policy's verdict and what the caller may learn of it into the decision.
func (q *question) conclude(f *finding, v Verdict) {
	d := q.d
	d.Outcome, d.Status, d.Code = disclose(f)
	d.PolicyCode = v.Code
	switch {
	case d.Status == http.StatusUnauthorized, d.Code == CodeKeyScope, v.Code == CodeCustomerBanned:
		// A refusal by the first two checks has only what could lift it.
	default:
		v.Until = min(v.Until, q.deadline)
		if q.who.UseKey && !f.OutOfScope {
			v.Until = min(v.Until, q.who.Key.Expires)
		}
	}
	d.Verdict = v
}
