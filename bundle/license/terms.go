package license

import "time"

// license reads a license with its plan's fields.
func (p *parser) license(doc *document, o *object) License {
	l := License{ID: doc.id, Pos: doc.pos, ReplacedAt: Never}
	loc := time.UTC
	if v, ok := o.need("customer", "the id of the customer who holds it"); ok {
		l.Customer, _ = v.reference("Customer")
		loc = p.customerZone(l.Customer)
	}
	if v, ok := o.take("plan"); ok {
		if id, ok := v.reference("Plan"); ok {
			l.Plan = id
			o.v.n = merged(p.docs["Plan"][id].n, doc.n)
		}
	}
	d := o.draft(loc)
	d.read(o)
	if v, ok := o.take("status"); ok {
		v.status(&l, d.loc)
	}
	if v, ok := o.take("replaces"); ok {
		l.Replaces, _ = v.reference("License")
	}
	for _, need := range [][2]string{
		{"type", "`perpetual`, `subscription` or `trial`"},
		{"grants", "what the license is for; [] grants nothing"},
	} {
		if o.v.n.get(need[0]) == nil {
			o.lack(need[0], need[1])
		}
	}
	l.Type, l.Zone, l.KeepVersions, l.Enforcement = d.typ, d.loc.String(), d.keep, d.enforcement
	l.Grants, l.Features = d.grants, d.features
	p.oneEnd(doc)
	l.terms = p.terms(doc, o, d)
	return l
}

// terms compares the fields of a draft with each other.
func (p *parser) terms(doc *document, o *object, d *draft) terms {
	t := terms{loc: d.loc, starts: Always, renews: d.renews, terminates: d.terminates}
	if d.starts != nil {
		t.starts = *d.starts
	}
	given := func(name string) bool { return o.v.n.get(name) != nil }
	fromStart := func(name string) bool {
		if !given("starts") {
			p.failAt(doc, name, "needs `starts`, which it counts from")
		}
		return d.starts != nil
	}

	t.anchor = Never
	switch {
	case given("ends"):
		if d.ends != nil {
			t.anchor = *d.ends
		}
		switch {
		case d.never && d.typ != Perpetual && d.typ != "":
			p.failAt(doc, "ends", "only a perpetual license never ends: give this %s an end, or make it `type: perpetual`", d.typ)
		case !d.never && d.typ == Perpetual:
			p.failAt(doc, "ends", "a perpetual license has `ends: never`: write that, or make it `type: subscription`")
		}
	case given("term"):
		if fromStart("term") && d.term != nil {
			t.anchor, t.term = t.starts, *d.term
		}
	case given("aligned"):
		if fromStart("aligned") && d.aligned != nil {
			t.anchor = d.aligned.firstEnd(t.starts, d.minimum, d.loc)
		}
	default:
		o.lack("ends", "one of `ends`, `term` and `aligned` says when the use ends; a perpetual license has `ends: never`")
	}
	if d.typ == Perpetual && (given("term") || given("aligned")) && !given("ends") {
		name := "term"
		if given("aligned") {
			name = "aligned"
		}
		p.failAt(doc, name, "a perpetual license has `ends: never` instead")
	}
	if given("minimum_term") && !given("aligned") {
		p.failAt(doc, "minimum_term", "only stands beside `aligned`: remove it")
	}
	end := t.end(0)
	if end != Never && end <= t.starts {
		p.failAt(doc, "ends", "is not after `starts`: nothing could be used")
	}

	if given("renews") && (d.typ == Perpetual || d.typ == Trial) {
		p.failAt(doc, "renews", "a %s license does not renew: remove it", d.typ)
	}
	if end == Never {
		t.renews = nil
	}
	if d.grace != nil && !d.grace.IsZero() && d.typ == Trial {
		p.failAt(doc, "grace", "a trial has no grace: remove it, or write P0D over that of a plan")
	}
	if d.grace != nil {
		t.grace = *d.grace
	}
	p.updates(doc, o, d, &t)
	if tm := d.terminates; tm != nil && tm.fixed {
		switch {
		case d.never:
			p.failAt(doc, "terminates", "is before the use end, which never comes: remove it, or give the license an end")
		case end != Never && tm.at < end:
			p.failAt(doc, "terminates", "is before the use end: it is the hard stop after it")
		}
	}
	if d.keep && !given("terminates") {
		p.failAt(doc, "keep_versions", "needs `terminates`, until which the versions are kept")
	}
	return t
}

func (p *parser) updates(doc *document, o *object, d *draft, t *terms) {
	if d.updates != nil {
		t.updates = *d.updates
	}
	switch {
	case d.updates == nil && o.v.n.get("updates") == nil:
		if d.typ == Perpetual {
			o.lack("updates", "a perpetual license says how long it gets newer versions: `forever`, {until: 2026-12-31} or {period: P1Y}")
		}
	case t.updates.kind == withTerm && d.typ == Perpetual && d.updates != nil:
		p.failAt(doc, "updates", "a perpetual license has no term: write `forever`, {until: 2026-12-31} or {period: P1Y}")
	case t.updates.kind == forPeriod && o.v.n.get("starts") == nil:
		p.failAt(doc, "updates", "a `period` needs `starts`, which it counts from")
	}
}

// status reads `active`, {suspended: …} or {revoked: …}.
func (v value) status(l *License, loc *time.Location) {
	if v.n.kind != objectNode {
		if v.n.kind != scalarNode || v.n.text != "active" {
			v.fail("is %s, it must be `active`, {suspended: {at, until, reason}} or {revoked: {at, reason}}", v.what())
		}
		return
	}
	o, _ := v.object()
	defer o.done()
	if len(v.n.fields) != 1 {
		v.fail("must be exactly one of {suspended: {at, until, reason}} and {revoked: {at, reason}}")
		o.known = []string{"suspended", "revoked"}
		return
	}
	if f, ok := o.take("suspended"); ok {
		if inner, ok := f.object(); ok {
			l.Suspended = inner.suspension(loc)
			inner.done()
		}
	}
	if f, ok := o.take("revoked"); ok {
		if inner, ok := f.object(); ok {
			r := &Revocation{}
			r.At, r.Reason, r.PublicReason = inner.effect(loc)
			l.Revoked = r
			inner.done()
		}
	}
}

func (o *object) suspension(loc *time.Location) *Suspension {
	s := &Suspension{Until: Never}
	s.At, s.Reason, s.PublicReason = o.effect(loc)
	if f, ok := o.take("until"); ok {
		if m, ok := f.moment(); ok {
			if s.Until = m.ends(loc); s.Until <= s.At {
				f.fail("is not after `at`: the license would never be suspended")
			}
		}
	}
	return s
}

func (o *object) effect(loc *time.Location) (at int64, reason, public string) {
	if f, ok := o.need("at", "the date or instant from which it is in effect"); ok {
		m, _ := f.moment()
		at = m.begins(loc)
	}
	if f, ok := o.take("reason"); ok {
		reason, _ = f.text()
	}
	if f, ok := o.take("public_reason"); ok {
		public, _ = f.text()
	}
	return at, reason, public
}
