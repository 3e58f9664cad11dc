package engine

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pullgate/pullgate/authz"
)

// At twice what the workers can do half is done and half refused. Of those who give up after 200 ms, as Envoy does,
// nobody waits for a worker longer than half of that, whatever is done takes; most of the refused do not wait at all.
func TestNobodyWaitsLongerThanHalfOfHisTimeout(t *testing.T) {
	const (
		workers = 2
		each    = 10 * time.Millisecond // of a worker, as a rule
		timeout = 200 * time.Millisecond
		asked   = 2000
	)
	for name, c := range map[string]struct {
		takes       func(i int) time.Duration
		least, most int // done
	}{
		"alike":             {func(int) time.Duration { return each }, asked/2 - 10, asked/2 + 50},
		"some take longer":  {func(i int) time.Duration { return each * time.Duration(1+i%7/6*30) }, asked / 50, asked / 2},
		"all of a sudden":   {func(i int) time.Duration { return each * time.Duration(1+i/1000*9) }, asked / 4, asked / 2},
		"longer than it is": {func(int) time.Duration { return 3 * timeout }, workers, asked / 50},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := startWorkers(workers, time.Second)
				defer w.stop()
				var all sync.WaitGroup
				var mu sync.Mutex
				var longest time.Duration
				done, refused, atOnce := 0, 0, 0
				waited := func(since time.Time) time.Duration {
					d := time.Since(since)
					longest = max(longest, d)
					return d
				}
				for i := range asked {
					all.Go(func() {
						ctx, cancel := context.WithTimeout(context.Background(), timeout)
						defer cancel()
						came := time.Now()
						err := w.do(ctx, func() {
							mu.Lock()
							waited(came)
							done++
							mu.Unlock()
							time.Sleep(c.takes(i))
						})
						mu.Lock()
						defer mu.Unlock()
						switch {
						case errors.Is(err, authz.ErrOverloaded):
							if refused++; waited(came) == 0 {
								atOnce++
							}
						case err != nil && !errors.Is(err, context.DeadlineExceeded): // it was being done
							t.Error(err)
						}
					})
					time.Sleep(each / workers / 2)
				}
				all.Wait()
				t.Logf("%d done, %d refused, %d of them at once; %s at most", done, refused, atOnce, longest)
				if longest > timeout/2 || longest < timeout*2/5 {
					t.Errorf("somebody waited for %s", longest)
				}
				if done < c.least || done > c.most || done+refused != asked || atOnce < refused/2 {
					t.Errorf("%d done, %d refused, %d of them at once", done, refused, atOnce)
				}
			})
		})
	}
}
