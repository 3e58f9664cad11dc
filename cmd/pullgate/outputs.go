package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/pullgate/pullgate/bundle"
	"github.com/pullgate/pullgate/sync/publish"
)

// output is a place beside the HTTP endpoint that bundles are written to: a directory or a registry.
// One that cannot be written to delays nobody else; it is tried again until something newer takes the
// bundle's place. What was written is looked after: a publisher that led before and was frozen may put
// something older there when it wakes up, which nobody but the next leader can mend.
type output struct {
	what  string // for people
	place publish.Place
	move  publish.Move
	every time.Duration // between two looks

	metrics *outputMetrics
	wake    chan struct{}
	mu      sync.Mutex
	newest  map[string]*delivery // by name
}

// delivery is the newest bundle of a name and how writing it goes.
type delivery struct {
	issue  *publish.Issue
	there  bool   // it was written
	failed string // why the last attempt to write it, or to look, failed; "" when it did not
	taken  bool   // so that somebody has to help: see publish.ErrTaken
}

func newOutput(what string, place publish.Place, move publish.Move, metrics *outputMetrics) *output {
	return &output{what: what, place: place, move: move, every: lookEvery, metrics: metrics, wake: make(chan struct{}, 1), newest: map[string]*delivery{}}
}

// offer gives it a bundle to write. It does not wait.
func (o *output) offer(issue *publish.Issue) {
	name := issue.Bundle.Name()
	o.mu.Lock()
	w := &delivery{issue: issue}
	if old := o.newest[name]; old != nil {
		w.failed = old.failed
	}
	o.newest[name] = w
	o.mu.Unlock()
	o.metrics.wait(o.what, name, true)
	nudge(o.wake)
}

const (
	leastRetry = time.Second // the times between two attempts
	mostRetry  = time.Minute
	lookEvery  = time.Minute     // between two looks whether what was written is still there
	putTimeout = 5 * time.Minute // of one attempt
)

// run writes what is offered, and looks after it, until ctx is done. report is told of what is news.
func (o *output) run(ctx context.Context, report func(name, result string, err error)) error {
	wait := leastRetry
	look := time.NewTicker(o.every)
	defer look.Stop()
	looked := false
	for {
		failed := false
		for name, w := range o.all() {
			if w.there && !looked {
				continue
			}
			news, err := o.tend(ctx, name, w)
			if ctx.Err() != nil {
				return nil
			}
			failed = failed || err != nil
			if news != "" {
				report(name, news, err)
			}
		}
		looked = false
		var again <-chan time.Time
		if failed {
			again = time.After(jitter(wait))
			wait = min(2*wait, mostRetry)
		} else {
			wait = leastRetry
		}
		select {
		case <-ctx.Done():
			return nil
		case <-o.wake:
		case <-again:
		case <-look.C:
			looked = true
		}
	}
}

// tend writes a bundle, or looks whether it is still there and puts it back. It returns the result
// when that is news, as the metric has it.
func (o *output) tend(ctx context.Context, name string, w *delivery) (news string, err error) {
	ctx, cancel := context.WithTimeout(ctx, putTimeout)
	defer cancel()
	result := "written"
	if w.there {
		if err = o.place.Look(ctx, w.issue); err == nil || !errors.Is(err, publish.ErrMissing) {
			return o.done(name, w, "", err), err
		}
		result = "put_back"
	}
	if err = o.place.Put(ctx, w.issue, o.move); err != nil {
		result = "failed"
	}
	o.metrics.writes.WithLabelValues(o.what, name, result).Inc()
	return o.done(name, w, result, err), err
}

func (o *output) all() map[string]*delivery {
	o.mu.Lock()
	defer o.mu.Unlock()
	return maps.Clone(o.newest)
}

// done notes the result of an attempt, or of a look (""), and returns it when it is news.
func (o *output) done(name string, w *delivery, result string, err error) (news string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	text := ""
	if err != nil {
		text, result = err.Error(), "failed"
	}
	if w.failed != text || err == nil && result != "" {
		news = cmp.Or(result, "written")
	}
	w.failed, w.there, w.taken = text, w.there || err == nil, errors.Is(err, publish.ErrTaken)
	if now := o.newest[name]; now != w { // something newer was offered meanwhile
		now.failed = text
		return news
	}
	o.metrics.wait(o.what, name, !w.there)
	return news
}

// problems are lines for health.
func (o *output) problems() []string {
	all := o.all()
	o.mu.Lock()
	defer o.mu.Unlock()
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if w := all[name]; w.failed != "" {
			lines = append(lines, fmt.Sprintf("bundle %s: not written to %s, and tried again: %s", name, o.what, w.failed))
		}
	}
	return lines
}

// idle says whether everything is written.
func (o *output) idle() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, w := range o.newest {
		if !w.there {
			return false
		}
	}
	return true
}

// taken says whether something is there that nobody but a person may remove.
func (o *output) taken() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, w := range o.newest {
		if w.taken {
			return true
		}
	}
	return false
}

// outputMetrics are those of all outputs.
type outputMetrics struct {
	writes  *prometheus.CounterVec
	pending *prometheus.GaugeVec
}

func newOutputMetrics(reg prometheus.Registerer) *outputMetrics {
	m := &outputMetrics{
		writes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pullgate_output_writes_total", Help: "Attempts to write a bundle to a directory or registry, by result (written, failed, put_back: something older was found there).",
		}, []string{"to", "bundle", "result"}),
		pending: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "pullgate_output_pending", Help: "1 while the published bundle is not yet written to a directory or registry.",
		}, []string{"to", "bundle"}),
	}
	reg.MustRegister(m.writes, m.pending)
	return m
}

func (m *outputMetrics) wait(to, name string, pending bool) {
	v := 0.0
	if pending {
		v = 1
	}
	m.pending.WithLabelValues(to, name).Set(v)
}

// outputs are all of them.
type outputs []*output

func (p *publishSettings) outputs(ring *bundle.KeyRing, move publish.Move, reg prometheus.Registerer) (outputs, error) {
	metrics := newOutputMetrics(reg)
	var all outputs
	if p.Out != "" {
		all = append(all, newOutput(p.Out, &publish.Directory{Path: p.Out, Ring: ring}, move, metrics))
	}
	if p.OCI != "" {
		push, err := p.pusher(ring)
		if err != nil {
			return nil, err
		}
		all = append(all, newOutput("repository "+p.OCI, push, move, metrics))
	}
	for _, o := range all {
		for name := range p.Bundles {
			for _, result := range []string{"written", "failed", "put_back"} {
				metrics.writes.WithLabelValues(o.what, name, result)
			}
			metrics.wait(o.what, name, false)
		}
	}
	return all, nil
}

// pusher pushes artifacts that a stock OPA can follow, under the bundle's name as the tag.
func (p *publishSettings) pusher(ring *bundle.KeyRing) (*publish.Pusher, error) {
	push, err := publish.NewPusher(publish.PusherConfig{
		Repository: p.OCI, Insecure: p.OCIInsecure, Ring: ring,
		Credentials: func() (string, string, error) {
			if p.OCIUser == "" {
				return "", "", nil
			}
			password, err := readSecretFile(p.OCIPassword)
			return p.OCIUser, password, err
		},
	})
	if err != nil {
		return nil, fmt.Errorf("oci: %w", err)
	}
	return push, nil
}

// findTimeout bounds how long it takes to read back what is published.
const findTimeout = time.Minute

// find is the newest bundle of a name in all places, nil where there is none. The error says which cannot
// be read.
func (all outputs) find(ctx context.Context, name string) (newest *bundle.Bundle, err error) {
	ctx, cancel := context.WithTimeout(ctx, findTimeout)
	defer cancel()
	for _, o := range all {
		b, wrong := o.place.Find(ctx, name)
		if wrong != nil {
			err = errors.Join(err, fmt.Errorf("%s: %w", o.what, wrong))
		}
		if b != nil && (newest == nil || b.Serial() > newest.Serial()) {
			newest = b
		}
	}
	return newest, err
}

func (all outputs) problems() string {
	var lines []string
	for _, o := range all {
		lines = append(lines, o.problems()...)
	}
	return strings.Join(lines, "\n")
}
