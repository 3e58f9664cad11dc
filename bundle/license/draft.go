package license

import (
	"regexp"
	"strconv"
	"time"
)

// draft is a license whose fields are read but not yet compared with each other.
type draft struct {
	loc *time.Location

	typ         Type
	keep        bool
	enforcement string
	features    map[string]any
	grants      []Grant

	starts     *int64
	never      bool    // ends: never
	ends       *int64  // ends: a date or an instant
	term       *Period // positive
	aligned    *fiscalYear
	minimum    *Period
	renews     *renewal
	grace      *Period
	updates    *updates
	terminates *termination
}

// fiscalYear ends with the given day; 29 February means the last day of February.
type fiscalYear struct {
	month time.Month
	day   int
}

var calendarYear = fiscalYear{time.December, 31}

// draft reads the zone, because the dates of the other fields are in it.
func (o *object) draft(otherwise *time.Location) *draft {
	d := &draft{loc: otherwise, enforcement: "enforce"}
	if v, ok := o.take("zone"); ok {
		if loc, ok := v.zone(); ok {
			d.loc = loc
		}
	}
	return d
}

// read reads the fields that plans and licenses share.
func (d *draft) read(o *object) {
	if v, ok := o.take("type"); ok {
		s, _ := v.oneOf(string(Perpetual), string(Subscription), string(Trial))
		d.typ = Type(s)
	}
	if v, ok := o.take("starts"); ok {
		if m, ok := v.moment(); ok {
			d.starts = new(m.begins(d.loc))
		}
	}
	if v, ok := o.take("ends"); ok {
		if v.n.kind == scalarNode && v.n.text == "never" {
			d.never = true
		} else if m, ok := v.moment(); ok {
			d.ends = new(m.ends(d.loc))
		}
	}
	d.term = o.positive("term")
	d.minimum = o.positive("minimum_term")
	if v, ok := o.take("aligned"); ok {
		d.aligned = v.aligned()
	}
	if v, ok := o.take("renews"); ok {
		d.renews = v.renewal()
	}
	if v, ok := o.take("grace"); ok {
		if p, ok := v.period(); ok {
			d.grace = &p
		}
	}
	if v, ok := o.take("updates"); ok {
		d.updates = v.updates(d.loc)
	}
	if v, ok := o.take("terminates"); ok {
		d.terminates = v.termination(d.loc)
	}
	if v, ok := o.take("keep_versions"); ok {
		d.keep, _ = v.boolean()
	}
	if v, ok := o.take("enforcement"); ok {
		d.enforcement, _ = v.oneOf("enforce", "warn", "observe")
	}
	if v, ok := o.take("features"); ok {
		d.features, _ = v.fields()
	}
	if v, ok := o.take("grants"); ok {
		items, _ := v.list()
		d.grants = make([]Grant, 0, len(items))
		for _, item := range items {
			d.grants = append(d.grants, item.grant(d))
		}
	}
}

func (o *object) positive(name string) *Period {
	v, ok := o.take(name)
	if !ok {
		return nil
	}
	p, ok := v.positive()
	if !ok {
		return nil
	}
	return &p
}

var monthDay = regexp.MustCompile(`^(\d{2})-(\d{2})$`)

func (v value) aligned() *fiscalYear {
	if v.n.kind != objectNode {
		if _, ok := v.oneOf("calendar-year"); ok {
			return new(calendarYear)
		}
		return nil
	}
	o, _ := v.object()
	defer o.done()
	f, ok := o.need("fiscal_year_ends", "the last day of the fiscal year, like 06-30")
	if !ok {
		return nil
	}
	s, ok := f.text()
	if !ok {
		return nil
	}
	if y, ok := parseFiscalYear(s); ok {
		return &y
	}
	f.fail("%q is no day of a year: write month and day, like 06-30; 02-29 means the last day of February", s)
	return nil
}

// parseFiscalYear reads month and day, like 06-30.
func parseFiscalYear(s string) (fiscalYear, bool) {
	m := monthDay.FindStringSubmatch(s)
	if m == nil {
		return fiscalYear{}, false
	}
	month, _ := strconv.Atoi(m[1])
	day, _ := strconv.Atoi(m[2])
	ok := month >= 1 && month <= 12 && day >= 1 && day <= daysIn(2000, time.Month(month))
	return fiscalYear{time.Month(month), day}, ok
}

func (v value) renewal() *renewal {
	o, ok := v.object()
	if !ok {
		return nil
	}
	defer o.done()
	r := &renewal{cancelled: Never}
	if f, has := o.need("every", "the period of a renewal, like P1Y"); has {
		r.every, ok = f.positive()
	} else {
		ok = false
	}
	if f, has := o.take("notice"); has {
		r.notice, _ = f.period()
	}
	if f, has := o.take("cancelled"); has {
		m, good := f.moment()
		if good && m.isDate {
			f.fail("%s is a date: a cancellation arrives at an instant, like %sT10:00:00Z", f.n.text, f.n.text)
		}
		r.cancelled = m.instant
	}
	if !ok {
		return nil
	}
	return r
}

func (v value) updates(loc *time.Location) *updates {
	if v.n.kind != objectNode {
		switch s, _ := v.oneOf("with-term", "forever"); s {
		case "with-term":
			return &updates{kind: withTerm}
		case "forever":
			return &updates{kind: forever}
		}
		return nil
	}
	o, _ := v.object()
	defer o.done()
	if len(v.n.fields) != 1 {
		v.fail("must be exactly one of {until: 2026-12-31} and {period: P1Y}, or `with-term` or `forever`")
		o.known = []string{"until", "period"}
		return nil
	}
	if f, ok := o.take("until"); ok {
		if m, ok := f.moment(); ok {
			return &updates{kind: untilDate, until: m.ends(loc)}
		}
	}
	if f, ok := o.take("period"); ok {
		if p, ok := f.positive(); ok {
			return &updates{kind: forPeriod, period: p}
		}
	}
	return nil
}

func (v value) termination(loc *time.Location) *termination {
	if v.n.kind == scalarNode && len(v.n.text) > 0 && v.n.text[0] == 'P' {
		if p, ok := v.period(); ok {
			return &termination{after: p}
		}
		return nil
	}
	if m, ok := v.moment(); ok {
		return &termination{fixed: true, at: m.ends(loc)}
	}
	return nil
}
