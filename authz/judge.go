package authz

import (
	"context"
	"errors"
	"time"
)

// judge gets a verdict that is true now, from the nearest place that has one: memory, somebody
// who is finding the same out at this moment, the shared cache, or the policy. The entry is shared
// and immutable. cached says where it came from: l1, l2, or none when the policy was asked.
func (q *question) judge(subject Subject, r *Request, t *Target) (e Entry, cached string, err error) {
	g := q.gate
	in := &Input{Time: q.at, Subject: subject, Action: r.Kind.Action(), Kind: r.Kind, Target: t, Request: r}
	if g.cfg.Cache == nil && g.cfg.Shared == nil {
		e, err = q.evaluate(in)
		return e, "none", err
	}
	key, ok := q.gen.Key(in)
	if q.again != nil {
		if e, err = q.evaluate(in); err == nil && ok {
			q.again.evaluated = append(q.again.evaluated, evaluated{in, key, e})
		}
		return e, "none", err
	}
	if !ok {
		g.metrics.cache.WithLabelValues("l1", "bypass").Inc()
		e, err = q.evaluate(in)
		return e, "none", err
	}
	if g.cfg.Cache != nil {
		e, ok = g.cfg.Cache.Get(key)
		ok = ok && e.holds(q.at)
		if g.metrics.looked("l1", ok); ok {
			q.hit = true
			return e, "l1", nil
		}
	}
	e, cached, err = q.join(key, in)
	q.hit = q.hit || err == nil && cached != "none"
	return e, cached, err
}

// join finds a verdict, or waits for who is finding it.
func (q *question) join(key [32]byte, in *Input) (e Entry, cached string, err error) {
	g := q.gate
	defer g.waiting.Add(-1)
	if n := g.waiting.Add(1); g.cfg.MaxWaiting > 0 && n > int64(g.cfg.MaxWaiting) {
		return Entry{}, "none", ErrOverloaded
	}
	f, first := g.flights.join(key)
	if first {
		return q.lead(f, key, in)
	}
	select {
	case <-f.done:
	case <-q.ctx.Done():
		return Entry{}, "none", context.Cause(q.ctx)
	}
	if f.overloaded { // so is who asks now
		return Entry{}, "none", ErrOverloaded
	}
	if f.landed && f.entry.holds(q.at) {
		g.metrics.coalesced.Inc()
		return f.entry, f.cached, nil
	}
	// Why the other failed may concern the other alone: its client went away. Or its second has passed.
	return q.find(key, in)
}

// lead finds a verdict for all who wait for it.
func (q *question) lead(f *flight, key [32]byte, in *Input) (e Entry, cached string, err error) {
	defer q.gate.flights.land(key, f)
	if c := q.gate.cfg.Cache; c != nil { // somebody may have led between the look and the lead
		if e, ok := c.Get(key); ok && e.holds(q.at) {
			f.entry, f.cached, f.landed = e, "l1", true
			return e, "l1", nil
		}
	}
	if e, cached, err = q.find(key, in); err == nil {
		f.entry, f.cached, f.landed = e, cached, true
	}
	f.overloaded = errors.Is(err, ErrOverloaded)
	return e, cached, err
}

// find looks beyond this process's memory, and puts there what it finds.
func (q *question) find(key [32]byte, in *Input) (e Entry, cached string, err error) {
	g := q.gate
	share := false
	if g.cfg.Shared != nil {
		var ok bool
		if e, ok, share = q.lookShared(key, in); ok {
			if g.cfg.Cache != nil {
				g.cfg.Cache.Put(key, e)
			}
			return e, "l2", nil
		}
	}
	started := time.Now()
	if e, err = q.evaluate(in); err != nil || !e.holds(q.at) {
		return e, "none", err
	}
	if g.cfg.Shared != nil {
		g.worth.evaluated(in.Kind, time.Since(started))
	}
	if g.cfg.Cache != nil {
		g.cfg.Cache.Put(key, e)
	}
	if share {
		g.cfg.Shared.Put(key, e)
	}
	return e, "none", nil
}

// maxWait is how long all look-ups in the shared cache of one request may take together: a catalog
// has one for each repository, and Envoy does not wait for ever.
const maxWait = 10 * time.Millisecond

// lookShared asks the shared cache, unless it does not pay. share says that what the policy will be
// asked for instead should be put there: who does not profit does not write either.
func (q *question) lookShared(key [32]byte, in *Input) (e Entry, ok, share bool) {
	g := q.gate
	if q.waited >= maxWait || !g.cfg.ShareAlways && !g.worth.asking(in.Kind) {
		g.metrics.shared("skip")
		return Entry{}, false, false
	}
	started := time.Now()
	e, found := g.cfg.Shared.Get(q.ctx, key)
	took := time.Since(started)
	q.waited += took
	if found == NotAsked {
		g.metrics.shared("open")
		return Entry{}, false, false
	}
	g.worth.looked(took)
	switch {
	case found == FoundEntry && e.holds(q.at):
		g.metrics.shared("hit")
		return e, true, true
	case found == FoundFailed:
		g.metrics.shared("error")
	default:
		g.metrics.shared("miss")
	}
	return Entry{}, false, true
}

var errNoVerdict = errors.New("the policy came to no decision")

// evaluate asks the policy, and for a tag list also which entries may be seen.
func (q *question) evaluate(in *Input) (Entry, error) {
	v, err := q.gen.Evaluate(q.ctx, in)
	if err != nil {
		return Entry{}, err
	}
	if v.Code == "" || v.Code == CodeInternalError {
		return Entry{}, errNoVerdict
	}
	var visible []int
	if v.Allow && in.Kind == KindTags && len(in.Target.Candidates) > 0 {
		var until int64
		if visible, until, err = q.gen.Visible(q.ctx, in); err != nil {
			return Entry{}, err
		}
		v.Until = min(v.Until, until, nextBoundary(in.Target.Candidates, q.at))
	}
	return entryOf(v, visible, q.at), nil
}
