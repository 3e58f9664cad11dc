package upstream

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

const (
	// mostProblems bounds the repositories of one registry that are told one by one.
	mostProblems = 5
	// problemAge is how long after the last request for a repository its problem is none any more.
	problemAge = 10 * time.Minute
)

// complain notes a problem with the login, or that there is none, and logs it once. It is called with
// mu held.
func (r *registry) complain(err error) {
	var now complained
	if err != nil {
		now = complained(err.Error())
	}
	if now != "" && now != r.problem {
		r.logger.Error(withoutCredential, "registry", r.id, "error", err)
	}
	r.problem = now
}

const withoutCredential = "requests cannot be given the registry's credential"

// complainOf notes how the last attempt to get a token went. A problem is logged once, and of one that many
// repositories have, the first few. It is called with mu held.
func (r *registry) complainOf(t *token, repository string, err error) {
	was := t.err
	t.err = err
	if err == nil || was != nil && was.Error() == err.Error() {
		return
	}
	alike := 0
	for _, other := range r.troubled() {
		if r.tokens[other].err.Error() == err.Error() {
			alike++
		}
	}
	if alike <= mostProblems { // itself among them
		r.logger.Error(withoutCredential, "registry", r.id, "repository", repository, "error", err)
	}
}

// troubled are the repositories whose last attempt to get a token has failed, by name. It is called with
// mu held.
func (r *registry) troubled() []string {
	var names []string
	for name, t := range r.tokens {
		if t.err != nil && t.bearer == r.login.bearer && r.clock().Sub(t.used) < problemAge {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Problem says what keeps requests from being given a credential, a line for each registry and for the first
// few repositories that have no token; "" for nothing.
func (c *Credentials) Problem() string {
	if c == nil {
		return ""
	}
	var lines []string
	for _, id := range slices.Sorted(maps.Keys(c.registries)) {
		lines = append(lines, c.registries[id].tell()...)
	}
	return strings.Join(lines, "\n")
}

func (r *registry) tell() (lines []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.problem != "" {
		lines = append(lines, fmt.Sprintf("registry %s: %s", r.id, r.problem))
	}
	names := r.troubled()
	for i, name := range names {
		if i == mostProblems {
			lines = append(lines, fmt.Sprintf("registry %s: and %d more repositories", r.id, len(names)-i))
			break
		}
		lines = append(lines, fmt.Sprintf("registry %s: %s: %v", r.id, name, r.tokens[name].err))
	}
	return lines
}
