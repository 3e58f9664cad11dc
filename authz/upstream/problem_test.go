package upstream_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// refusing gives tokens for all repositories but the named ones.
func (w *world) refusing(repositories ...string) {
	w.tokens(func(rw http.ResponseWriter, req *http.Request) {
		scope := req.URL.Query().Get("scope")
		if slices.ContainsFunc(repositories, func(r string) bool { return scope == "repository:"+r+":pull" }) {
			rw.WriteHeader(http.StatusForbidden)
			return
		}
		fmt.Fprintf(rw, `{"token":"for-%s","expires_in":300}`, scope)
	})
}

// errors are the problems that were logged.
func (w *world) errors() int { return strings.Count(w.log.String(), "level=ERROR") }

// A repository whose token is refused is told until it has one, whatever happens to the others.
func TestProblemsAreThoseOfEachRepository(t *testing.T) {
	alone(t, func(w *world) {
		c := w.aimed(nil)
		synctest.Wait()
		w.refusing("acme/lib")
		const problem = "registry main: acme/lib: token server https://registry.example:443 answered 403 Forbidden"
		for n := range 10 {
			w.ask(c, "acme/lib")
			w.expect(c, fmt.Sprint("acme/app-", n), fmt.Sprintf("Bearer for-repository:acme/app-%d:pull", n))
			if got := c.Problem(); got != problem {
				t.Errorf("problem %q", got)
			}
			time.Sleep(3 * time.Second)
		}
		if n := w.errors(); n != 1 || !strings.Contains(w.log.String(), "repository=acme/lib") {
			t.Errorf("logged %d times:\n%s", n, w.log)
		}
		w.refusing("acme/app-1")
		w.expect(c, "acme/lib", "Bearer for-repository:acme/lib:pull")
		if got := c.Problem(); got != "" {
			t.Errorf("problem %q", got)
		}
		w.refusing("acme/lib")
		time.Sleep(5 * time.Minute)
		w.ask(c, "acme/lib")
		if n := w.errors(); n != 2 || c.Problem() != problem {
			t.Errorf("again: problem %q, logged %d times", c.Problem(), n)
		}
		// What nobody asks for any more is no problem.
		time.Sleep(10*time.Minute - 1)
		if got := c.Problem(); got != problem {
			t.Errorf("problem %q", got)
		}
		time.Sleep(time.Nanosecond)
		if got := c.Problem(); got != "" {
			t.Errorf("still: %q", got)
		}
	})
}

// Many of them are a few lines, on /healthz and in the log.
func TestProblemsOfManyRepositoriesAreAFewLines(t *testing.T) {
	alone(t, func(w *world) {
		c := w.aimed(nil)
		synctest.Wait()
		away := func() { w.set("registry.example", nil) }
		away()
		for range 3 {
			for n := range 12 {
				w.ask(c, fmt.Sprintf("acme/%02d", n))
			}
			time.Sleep(3 * time.Second)
		}
		lines := strings.Split(c.Problem(), "\n")
		if lines[0] != "registry main: the registry does not say how to log in: Get \"https://registry.example/v2/\": no route to registry.example" {
			t.Errorf("the login: %q", lines[0])
		}
		for n := range 5 {
			if want := fmt.Sprintf("registry main: acme/%02d: token server https://registry.example:443: no route to registry.example", n); lines[1+n] != want {
				t.Errorf("%q, want %q", lines[1+n], want)
			}
		}
		if len(lines) != 7 || lines[6] != "registry main: and 7 more repositories" {
			t.Errorf("%q", lines)
		}
		if n := w.errors(); n != 6 {
			t.Errorf("logged %d times:\n%s", n, w.log)
		}
		// A registry that takes Basic after all has none of these.
		w.set("registry.example", challenging("Basic"))
		time.Sleep(10 * time.Minute)
		w.ask(c, "acme/00")
		synctest.Wait()
		w.expect(c, "acme/00", basic("u", "s3cret"))
		if got := c.Problem(); got != "" {
			t.Errorf("problem %q", got)
		}
	})
}
