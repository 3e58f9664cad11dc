package authz

import (
	"slices"
	"strings"
)

// namesOf are the tags of the visible candidates, each once, sorted bytewise; never nil.
func namesOf(t *Target, visible []int) []string {
	names := make([]string, 0, len(visible))
	for _, i := range visible {
		if i >= 0 && i < len(t.Names) {
			names = append(names, t.Names[i])
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// referrers lists the descriptors of one artifact type, or all, that the subject may pull: one
// may be a revoked digest, or a version of its own that a vendor rule denies. Most share the
// candidates of their subject, and with them an entry of the cache.
func (q *question) referrers(reg Registry, subject Subject) error {
	d := q.d
	d.Referrers = make([]Descriptor, 0, len(q.target.Referrers))
	asked := map[[32]byte]Verdict{}
	for _, found := range q.target.Referrers {
		if q.req.ArtifactType != "" && found.ArtifactType != q.req.ArtifactType {
			continue
		}
		r := *q.req
		r.Kind, r.Digest, r.Path = KindManifest, found.Digest, "/v2/"+q.req.Repository+"/manifests/"+found.Digest
		t := q.gen.Resolve(reg, &r)
		in := &Input{Time: q.at, Subject: subject, Action: r.Kind.Action(), Kind: r.Kind, Target: &t, Request: &r}
		key, cacheable := q.gen.Key(in)
		v, known := asked[key]
		if !known || !cacheable {
			e, _, err := q.judge(subject, &r, &t)
			if err != nil {
				return err
			}
			v = e.Verdict
			asked[key] = v
		}
		d.Verdict.Until = min(d.Verdict.Until, v.Until)
		if v.Allow {
			d.Referrers = append(d.Referrers, found)
		}
	}
	return nil
}

// catalog decides about GET /v2/_catalog: the list of those repositories whose own list the
// caller would get, denied with the nearest miss when there is none. Each repository is a
// question of its own to the policy, with a cache entry of its own; the record is one. It
// carries no warnings: those are about a license, and this is about none in particular.
func (q *question) catalog(reg Registry) error {
	d := q.d
	here := q.who.reachesFrom(q.req.Address)
	customer := q.who.Subject.Customer
	if !here {
		customer = ""
	}

	names := []string{}
	var allowed, missed *Verdict
	beyond := !here // something was left out because of the key's limits
	until, cached := Never, "l1"
	ask := func(repository string, inScope bool) (Verdict, error) {
		r := *q.req
		r.Repository = repository
		t := q.gen.Resolve(reg, &r)
		if repository != "" { // asked as its own list would be, but for the entries
			r.Kind, r.Path = KindTags, "/v2/"+repository+"/tags/list"
		}
		subject := q.who.Subject
		if !inScope {
			subject = anonymous
		}
		e, from, err := q.judge(subject, &r, &t)
		if from == "none" || cached == "l1" {
			cached = from
		}
		until = min(until, e.Verdict.Until)
		return e.Verdict, err
	}
	for _, name := range q.gen.Repositories(reg, customer) {
		inScope := here && q.who.reaches(name)
		v, err := ask(name, inScope)
		switch {
		case err != nil:
			return err
		case v.Allow:
			names = append(names, name)
			if allowed == nil || nearness(v.Code) > nearness(allowed.Code) {
				allowed = &v
			}
		case !inScope:
			beyond = true
		case missed == nil || nearness(v.Code) > nearness(missed.Code):
			missed = &v
		}
	}
	v := unasked()
	switch {
	case allowed != nil:
		v.Allow, v.Code = true, allowed.Code
	case missed != nil:
		v, beyond = *missed, false
	default: // no repository in reach: the policy says why
		var err error
		if v, err = ask("", !beyond); err != nil {
			return err
		}
	}
	v.Until, v.Warnings = until, nil
	d.Cached = cached
	q.conclude(&finding{
		Kind: KindCatalog, Refusal: q.who.Refusal, OutOfScope: beyond && !v.Allow,
		Repository: true, Named: true, Allow: v.Allow, Code: v.Code,
	}, v)
	if d.Outcome == OutcomeAnswer {
		d.Names = names
		if q.who.Refusal != "" {
			d.Subject = anonymous
		}
	}
	return nil
}

// checkOrder has the codes a list may get, in the order of docs/codes.md: a later one is a nearer
// miss, and the nearest of all is to be allowed, with a license before without one.
var checkOrder = []Code{
	CodeAnonymous, CodeCustomerBanned, CodeNoLicense, CodeNotGranted, CodeTagNotGranted,
	CodeVersionNotGranted, CodeChannelNotGranted, CodeRevoked, CodeSuspended, CodeNotStarted,
	CodeTerminated, CodeFeatureMissing, CodeTrialEnded, CodeExpired,
	CodePublic, CodeGrace, CodeKeptVersion, CodeOK,
}

// nearness ranks codes; those of vendor rules come before the term's.
func nearness(c Code) int {
	if strings.HasPrefix(string(c), "vendor.") {
		c = CodeFeatureMissing
	}
	return slices.Index(checkOrder, c)
}
