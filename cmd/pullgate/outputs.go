package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pullgate/pullgate/sync/publish"
)

// output is a place beside the HTTP endpoint that bundles are written to: a directory or a registry.
// One that cannot be written to delays nobody else; it is tried again until something newer takes the
// bundle's place.
type output struct {
	what  string // for people
	write func(context.Context, *publish.Issue) error

	wake    chan struct{}
	mu      sync.Mutex
	pending map[string]*publish.Issue // by name
	failed  map[string]string         // by name: why the last attempt failed
}

func newOutput(what string, write func(context.Context, *publish.Issue) error) *output {
	return &output{what: what, write: write, wake: make(chan struct{}, 1), pending: map[string]*publish.Issue{}, failed: map[string]string{}}
}

// offer gives it a bundle to write. It does not wait.
func (o *output) offer(issue *publish.Issue) {
	o.mu.Lock()
	o.pending[issue.Bundle.Name()] = issue
	o.mu.Unlock()
	nudge(o.wake)
}

// leastRetry and mostRetry bound the time between two attempts.
const (
	leastRetry = time.Second
	mostRetry  = time.Minute
)

// run writes what is offered until ctx is done.
func (o *output) run(ctx context.Context, report func(name string, err error)) error {
	wait := leastRetry
	for {
		failed := false
		for _, issue := range o.next() {
			err := o.write(ctx, issue)
			if ctx.Err() != nil {
				return nil
			}
			failed = failed || err != nil
			if o.done(issue, err) {
				report(issue.Bundle.Name(), err)
			}
		}
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
		}
	}
}

func (o *output) next() []*publish.Issue {
	o.mu.Lock()
	defer o.mu.Unlock()
	var all []*publish.Issue
	for _, name := range slices.Sorted(maps.Keys(o.pending)) {
		all = append(all, o.pending[name])
	}
	return all
}

// done notes the result of an attempt, and says whether it is news.
func (o *output) done(issue *publish.Issue, err error) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	name := issue.Bundle.Name()
	if err != nil {
		news := o.failed[name] != err.Error()
		o.failed[name] = err.Error()
		return news
	}
	delete(o.failed, name)
	if o.pending[name] == issue {
		delete(o.pending, name)
	}
	return true
}

// problems are lines for health.
func (o *output) problems() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	var lines []string
	for _, name := range slices.Sorted(maps.Keys(o.failed)) {
		lines = append(lines, fmt.Sprintf("bundle %s: not written to %s, and tried again: %s", name, o.what, o.failed[name]))
	}
	return lines
}

// idle says whether everything is written.
func (o *output) idle() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.pending) == 0
}

// directoryOutput writes NAME.tar.gz, each whole or not at all.
func directoryOutput(dir string) *output {
	return newOutput(dir, func(_ context.Context, issue *publish.Issue) error {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		return replaceFile(filepath.Join(dir, issue.Bundle.Name()+".tar.gz"), func(w io.Writer) error {
			_, err := w.Write(issue.File)
			return err
		})
	})
}

// ociOutput pushes an artifact that a stock OPA can follow, under the bundle's name as its tag.
func (p *publishSettings) ociOutput() (*output, error) {
	push, err := publish.NewPusher(publish.PusherConfig{
		Repository: p.OCI, Insecure: p.OCIInsecure,
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
	return newOutput("repository "+p.OCI, func(ctx context.Context, issue *publish.Issue) error {
		ctx, cancel := context.WithTimeout(ctx, pushTimeout)
		defer cancel()
		return push.Push(ctx, issue)
	}), nil
}

// pushTimeout bounds one attempt to push a bundle.
const pushTimeout = 5 * time.Minute

// outputs are all of them.
type outputs []*output

func (p *publishSettings) outputs() (outputs, error) {
	var all outputs
	if p.Out != "" {
		all = append(all, directoryOutput(p.Out))
	}
	if p.OCI != "" {
		o, err := p.ociOutput()
		if err != nil {
			return nil, err
		}
		all = append(all, o)
	}
	return all, nil
}

func (all outputs) problems() string {
	var lines []string
	for _, o := range all {
		lines = append(lines, o.problems()...)
	}
	return strings.Join(lines, "\n")
}
