package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/pullgate/pullgate/examples/load/drive"
)

// few is how many customers there are where their number is not what is measured.
func (b *bench) few() int { return min(1000, b.o.crowd) }

// share is a part of the number of edits, for what takes longer.
func (b *bench) share(by int) int { return max(1, b.o.edits/by) }

// effect measures from an edit of one license among many until customers are answered otherwise.
func (b *bench) effect(ctx context.Context) (*result, error) {
	rows, err := b.edited(ctx, b.few(), editing{edits: b.o.edits, must: 1, aim: 0.3})
	if err != nil {
		return nil, err
	}
	many, err := b.edited(ctx, b.o.crowd, editing{edits: b.o.edits, must: 3, aim: 1}, editing{split: true, edits: b.o.edits, must: 5, aim: 2})
	if err != nil {
		return nil, err
	}
	return &result{rows: append(rows, many...), note: fmt.Sprintf("%d edits each; 3 licenses a customer, each customer's in a file of their own.", b.o.edits)}, nil
}

// An editing is edits of a license while something runs.
type editing struct {
	split     bool // a publisher and two sidecars, not one process
	edits     int
	must, aim float64 // seconds
}

// edited edits one license of a world with so many customers.
func (b *bench) edited(ctx context.Context, customers int, runs ...editing) (rows []row, err error) {
	b.say("%d customers, each in a file of their own", customers)
	w, err := b.newWorld(ctx, fmt.Sprintf("effect-%d", customers), customers)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	acme, err := w.customer("acme")
	if err != nil {
		return nil, err
	}
	for _, e := range runs {
		what, start := "one process", func() error { return w.one(ctx, "") }
		if e.split {
			what, start = "publisher, two sidecars", func() error { return w.split(ctx, "", "") }
		}
		what = fmt.Sprintf("%d customers, %s", customers, what)
		began := time.Now()
		if err := start(); err != nil {
			return nil, err
		}
		b.say("%s: ready after %.1f s", what, time.Since(began).Seconds())
		more, err := w.edit(ctx, acme, what, e)
		if err = errors.Join(err, w.stop()); err != nil {
			return nil, err
		}
		rows = append(rows, more...)
	}
	return rows, nil
}

// edit takes acme's license away and gives it back, again and again.
func (w *world) edit(ctx context.Context, acme, what string, e editing) ([]row, error) {
	var took []time.Duration
	for i := range e.edits + 2 {
		if i == 2 { // the first edits pay for what all others share
			if err := w.rest(ctx); err != nil {
				return nil, err
			}
		}
		versions, want := ">=2.0.0", http.StatusForbidden
		if i%2 == 1 {
			versions, want = ">=1.0.0 <2.0.0", http.StatusOK
		}
		saved := time.Now()
		if err := w.grant("acme", versions); err != nil {
			return nil, err
		}
		if err := w.await(ctx, acme, "1.4.0", want); err != nil {
			return nil, err
		}
		if i >= 2 {
			took = append(took, time.Since(saved))
		}
		if i%20 == 0 {
			w.b.say("%s: edit %d counts after %.2f s", what, i, time.Since(saved).Seconds())
		}
	}
	rows := timed(what+": an edit counts", took, e.must, e.aim)
	most, err := w.peaks(what)
	return append(rows, most...), err
}

// timed are the rows of times.
func timed(what string, took []time.Duration, must, aim float64) []row {
	slices.Sort(took)
	all := row{what: what, unit: " s"}
	for _, d := range took {
		all.samples = append(all.samples, d.Seconds())
	}
	return []row{all, {what: what + ", p95", unit: " s", must: must, aim: aim, samples: []float64{drive.Latency(took).At(.95).Seconds()}}}
}
