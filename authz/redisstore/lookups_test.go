package redisstore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// slowRedis answers after a while, with the name itself; it notes what it was asked for together.
type slowRedis struct {
	mu      sync.Mutex
	takes   time.Duration
	batches []string
	budgets []time.Duration
}

func (r *slowRedis) ask(ctx context.Context, batch []*lookup) {
	var names []string
	for _, one := range batch {
		names = append(names, one.names...)
	}
	end, _ := ctx.Deadline()
	r.mu.Lock()
	r.batches, r.budgets = append(r.batches, strings.Join(names, " ")), append(r.budgets, time.Until(end))
	r.mu.Unlock()
	select {
	case <-time.After(r.takes):
	case <-ctx.Done():
	}
	for _, one := range batch {
		if one.err = ctx.Err(); one.err == nil {
			one.found = slices.Clone(one.names)
		}
	}
}

// come has look-ups arrive at instants, and returns how long each took.
func (r *slowRedis) come(t *testing.T, at ...time.Duration) (took []time.Duration) {
	l := lookups{ask: r.ask}
	took = make([]time.Duration, len(at))
	var all sync.WaitGroup
	for i, after := range at {
		all.Go(func() {
			time.Sleep(after)
			began := time.Now()
			own := &lookup{names: []string{fmt.Sprint(i)}}
			l.do(own)
			took[i] = time.Since(began)
			if own.err == nil && !slices.Equal(own.found, own.names) {
				t.Errorf("look-up %d found %v", i, own.found)
			}
		})
	}
	all.Wait()
	if l.underWay != 0 || len(l.waiting) != 0 {
		t.Errorf("at the end %d are under way and %d wait", l.underWay, len(l.waiting))
	}
	return took
}

func TestLookupsShareARoundTrip(t *testing.T) {
	const µs, ms = time.Microsecond, time.Millisecond
	for name, c := range map[string]struct {
		takes   time.Duration
		at      []time.Duration
		batches []string
		took    []time.Duration
	}{
		"who is alone asks at once": {300 * µs, []time.Duration{0, 400 * µs, 800 * µs}, []string{"0", "1", "2"}, []time.Duration{300 * µs, 300 * µs, 300 * µs}},
		"who comes while one is under way is asked for with those who wait": {
			300 * µs,
			[]time.Duration{0, 10 * µs, 20 * µs, 30 * µs, 305 * µs, 400 * µs},
			[]string{"0", "1 2 3", "4 5"},
			[]time.Duration{300 * µs, 590 * µs, 580 * µs, 570 * µs, 595 * µs, 500 * µs},
		},
		"nobody waits for others for more than a millisecond": {
			4 * ms,
			[]time.Duration{0, 1 * µs, 100 * µs, 200 * µs, 1200 * µs, 2000 * µs},
			[]string{"0", "1 2 3", "4 5"},
			[]time.Duration{4 * ms, 5 * ms, 4901 * µs, 4801 * µs, 5 * ms, 4200 * µs},
		},
		"nor for all of it for more than five": {
			time.Hour,
			[]time.Duration{0, 1 * µs, 100 * µs, 200 * µs, 1200 * µs, 6 * ms},
			[]string{"0", "1 2 3", "4", "5"},
			[]time.Duration{5 * ms, 5 * ms, 4901 * µs, 4801 * µs, 5 * ms, 4200 * µs},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := &slowRedis{takes: c.takes}
				took := r.come(t, c.at...)
				if !slices.Equal(r.batches, c.batches) {
					t.Errorf("asked for %q, want %q", r.batches, c.batches)
				}
				if !slices.Equal(took, c.took) {
					t.Errorf("took %v, want %v", took, c.took)
				}
				for i, budget := range r.budgets {
					if budget < lookupBudget-maxGather {
						t.Errorf("%q had %s for the answer", r.batches[i], budget)
					}
				}
			})
		})
	}
}

// However many come, no batch is larger than what is read of one answer, nobody is left behind, and
// nobody waits for longer than for himself.
func TestManyLookups(t *testing.T) {
	for _, takes := range []time.Duration{300 * time.Microsecond, time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			r := &slowRedis{takes: takes}
			at := make([]time.Duration, 1000)
			for i := range at {
				at[i] = time.Duration(i%7) * 20 * time.Microsecond
			}
			for i, took := range r.come(t, at...) {
				if took > lookupBudget {
					t.Errorf("look-up %d took %s", i, took)
				}
			}
			asked := 0
			for _, b := range r.batches {
				n := len(strings.Fields(b))
				if asked += n; n > maxBatch {
					t.Errorf("%d in a batch", n)
				}
			}
			if asked != len(at) || len(r.batches) > len(at)/8 {
				t.Errorf("%d asked for in %d batches", asked, len(r.batches))
			}
		})
	}
}

// A panic is that of one request; those who wait with it go on with nothing.
func TestLookupsSurviveAPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &slowRedis{takes: 300 * time.Microsecond}
		l := lookups{ask: func(ctx context.Context, batch []*lookup) {
			r.ask(ctx, batch)
			if len(batch) > 1 {
				for _, one := range batch {
					one.found, one.err = nil, errors.New("half done")
				}
				panic("in the library")
			}
		}}
		var all sync.WaitGroup
		var mu sync.Mutex
		panics, failed := 0, 0
		for i := range 6 {
			all.Go(func() {
				own := &lookup{names: []string{fmt.Sprint(i)}}
				defer func() {
					mu.Lock()
					defer mu.Unlock()
					if recover() != nil {
						panics++
					} else if own.err != nil {
						failed++
					}
				}()
				l.do(own)
			})
		}
		all.Wait()
		own := &lookup{names: []string{"after"}}
		l.do(own)
		if panics != 1 || failed != 4 || own.err != nil || l.underWay != 0 {
			t.Errorf("%d panics, %d failed, then %v, %d under way", panics, failed, own.err, l.underWay)
		}
	})
}

// Under a load that fills batches, a slow moment makes more of them under way. They become fewer again
// as they end, in place of each going on with the few who wait.
func TestASlowMomentPasses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began, no, batches, asked := time.Now(), 0, 0, 0
		var mu sync.Mutex
		l := lookups{ask: func(_ context.Context, batch []*lookup) {
			at := time.Since(began)
			mu.Lock()
			no++
			takes := time.Duration(300+no*389%100) * time.Microsecond
			if at > 10*time.Millisecond && at < 13*time.Millisecond {
				takes = 4 * time.Millisecond
			} else if at > 30*time.Millisecond {
				batches++
				asked += len(batch)
			}
			mu.Unlock()
			time.Sleep(takes)
		}}
		var all sync.WaitGroup
		for w := range 128 {
			all.Go(func() {
				time.Sleep(time.Duration(w) * 37 * time.Microsecond)
				for n := 0; time.Since(began) < 300*time.Millisecond; n++ {
					l.do(&lookup{})
					time.Sleep(time.Duration(200+(w*97+n*61)%300) * time.Microsecond)
				}
			})
		}
		all.Wait()
		if asked < 22*batches {
			t.Errorf("%d look-ups in %d batches", asked, batches)
		}
	})
}
