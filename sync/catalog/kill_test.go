package catalog

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestMain runs the process that TestKilledCrawlGoesOn kills, when asked to by the environment.
func TestMain(m *testing.M) {
	if upstream := os.Getenv("PULLGATE_TEST_CRAWL"); upstream != "" {
		if err := crawlAsChild(upstream); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func crawlAsChild(upstream string) error {
	parallel, err := strconv.Atoi(os.Getenv("PULLGATE_TEST_PARALLEL"))
	if err != nil {
		return err
	}
	s, err := Open(os.Getenv("PULLGATE_TEST_STORE"), "main")
	if err != nil {
		return err
	}
	c, err := NewCrawler(Config{
		Upstream: upstream, Parallel: parallel,
		Credentials: func() (string, string, error) { return "crawler", "s3cret", nil },
	})
	if err != nil {
		return err
	}
	_, err = c.Crawl(context.Background(), s, Targets{Repositories: []string{"acme/app"}})
	return err
}

// A crawl killed in the middle has kept every answer but those that were under way: the next one
// fetches nothing twice.
func TestKilledCrawlGoesOn(t *testing.T) {
	for _, parallel := range []int{1, 4} {
		t.Run(fmt.Sprintf("parallel=%d", parallel), func(t *testing.T) {
			r := newRegistry(t)
			for i := range 20 {
				a, b := r.image("acme/app", fmt.Sprint("a", i), "2026-01-01T00:00:00Z"), r.image("acme/app", fmt.Sprint("b", i), "2026-01-01T00:00:00Z")
				r.index("acme/app", []string{a, b}, nil, fmt.Sprintf("1.0.%d", i))
			}
			var fetched atomic.Int32
			stuck, release := make(chan struct{}, 100), make(chan struct{})
			t.Cleanup(func() { close(release) })
			r.misbehave(func(_ http.ResponseWriter, req *http.Request) bool {
				if strings.Contains(req.URL.Path, "/sha256:") && fetched.Add(1) > 50 {
					stuck <- struct{}{}
					<-release // this one is never answered
					return true
				}
				return false
			})
			dir := t.TempDir()
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), "PULLGATE_TEST_CRAWL="+r.server.URL, "PULLGATE_TEST_STORE="+dir, fmt.Sprint("PULLGATE_TEST_PARALLEL=", parallel))
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			ended := make(chan string, 1)
			go func() {
				text, _ := io.ReadAll(bufio.NewReader(out))
				ended <- string(text)
			}()
			select {
			case <-stuck:
			case text := <-ended:
				t.Fatalf("the crawl ended by itself: %s", text)
			}
			if _, err := Open(dir, "main"); err == nil || !strings.Contains(err.Error(), "in use by another pullgate") {
				t.Fatalf("a second writer: %v", err)
			}
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			<-ended
			cmd.Wait() //nolint:errcheck // it was killed
			r.misbehave(nil)
			fetches := func() []string {
				return slices.DeleteFunc(r.requests("/sha256:"), func(l string) bool { return strings.Contains(l, "/referrers/") })
			}
			before := len(fetches())

			s, err := Open(dir, "main")
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			crawlOK(t, r.crawler(), s, "acme/app")
			all := fetches()
			times := map[string]int{}
			twice := 0
			for _, l := range all {
				if times[l]++; times[l] > 1 {
					twice++
				}
			}
			t.Logf("%d fetched before the kill, %d after, %d twice", before, len(all)-before, twice)
			if before != 50 || len(times) != 100 || twice > parallel-1 {
				t.Fatalf("%d fetched before, %d different in all, %d twice", before, len(times), twice)
			}
			whole := open(t)
			crawlOK(t, r.crawler(), whole, "acme/app")
			if diff := cmp.Diff(snapshot(t, whole), snapshot(t, s)); diff != "" {
				t.Fatal(diff)
			}
		})
	}
}
