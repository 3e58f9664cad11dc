package license

// lastInstant is the end of the year 9999 in the zone where it ends last: the latest instant that
// dates give. Periods must not lead beyond it.
const lastInstant int64 = 253402300800 + 12*3600

// inCalendar reports the period of a license that leads beyond the calendar, if one does.
func (p *parser) inCalendar(doc *document, l *License) {
	t := &l.terms
	beyond := func(name string, at int64) bool {
		if at == Never || at <= lastInstant {
			return false
		}
		p.failAt(doc, name, "leads beyond the year 9999: write a shorter period, or an earlier date")
		return true
	}
	end := t.end(0)
	switch {
	case end == Never:
	case t.term.IsZero() && beyond("aligned", end), beyond("term", end):
		return // what follows the end does so too
	case t.renews == nil:
	case beyond("renews", t.end(1)), t.renews.cancelled != Never && beyond("renews", t.ends(0)):
		return
	}
	beyond("grace", t.later(end, t.grace))
	if t.updates.kind == forPeriod {
		beyond("updates", t.later(t.starts, t.updates.period))
	}
	if t.terminates != nil && !t.terminates.fixed {
		beyond("terminates", t.later(end, t.terminates.after))
	}
}
