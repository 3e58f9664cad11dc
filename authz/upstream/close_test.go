package upstream_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/pullgate/pullgate/authz/upstream"
)

// Nothing begins in the background while Close waits for what runs there, nor after it: requests may still
// be answered then. The race detector sees a goroutine that Close does not wait for.
func TestNothingBeginsOnceItIsClosed(t *testing.T) {
	w := newWorld(t)
	for round := range 200 {
		c, err := upstream.New(upstream.Config{
			Credentials: map[string]upstream.Credential{"main": {Username: "u", PasswordFile: w.file}}, Transport: w, Patience: time.Millisecond,
		})
		if err != nil {
			t.Fatal(err)
		}
		var asking sync.WaitGroup
		start := make(chan struct{})
		for n := range 4 {
			asking.Go(func() {
				<-start
				c.Aim(map[string]string{"main": fmt.Sprintf("https://registry-%d.example", n)})
				for i := range 10 {
					c.Authorization(t.Context(), "main", fmt.Sprintf("acme/%d-%d-%d", round, n, i))
				}
			})
		}
		close(start)
		c.Close()
		before := len(w.requests(""))
		if round%20 == 0 {
			time.Sleep(time.Millisecond)
		}
		if late := w.requests(""); len(late) > 0 {
			t.Fatalf("after Close, which saw %d requests: %q", before, late)
		}
		asking.Wait()
	}
}
