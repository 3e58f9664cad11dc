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

// referrersOf are the descriptors of one artifact type, or all; never nil.
func referrersOf(t *Target, artifactType string) []Descriptor {
	list := make([]Descriptor, 0, len(t.Referrers))
	for _, d := range t.Referrers {
		if artifactType == "" || d.ArtifactType == artifactType {
			list = append(list, d)
		}
	}
	return list
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
