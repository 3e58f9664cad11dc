package catalog

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// Reason classes what went wrong with a registry. Reasons are values of the metric's label.
type Reason string

const (
	Unreachable  Reason = "unreachable"  // no answer
	Unauthorized Reason = "unauthorized" // 401, or the token server refused
	Forbidden    Reason = "forbidden"    // 403
	Failing      Reason = "failing"      // 429, 5xx
	Garbage      Reason = "garbage"      // answers that are not a registry's, or contradict their digest
	Foreign      Reason = "foreign"      // it sends the crawler to another origin
	Shrunk       Reason = "shrunk"       // suddenly much smaller
	TooLarge     Reason = "too_large"    // more than a crawl follows
	Slow         Reason = "slow"         // more time than a crawl takes for a repository
)

// Failure says what went wrong, whether something was known before, and what to do. Its text never holds
// a credential.
type Failure struct {
	Reason     Reason
	Registry   string // the upstream, as configured
	Repository string // "" when it concerns the whole registry
	Known      bool   // an earlier crawl succeeded, and what it learned is kept
	Err        error
}

// Error is one line.
func (f *Failure) Error() string {
	what := f.Registry
	if f.Repository != "" {
		what += ", repository " + f.Repository
	}
	kept := "nothing is known of it yet"
	if f.Known {
		kept = "what was known before is kept"
	}
	return what + ": " + line(f.Err) + "; " + kept + "; " + f.Remedy()
}

func (f *Failure) Unwrap() error { return f.Err }

// Remedy is what an operator can do about it.
func (f *Failure) Remedy() string {
	switch f.Reason {
	case Unauthorized:
		return "check the registry's credentials in pullgate's configuration"
	case Forbidden:
		return "give the account of the registry's credentials the right to pull here"
	case Failing:
		return "look at the registry's own log; the next crawl tries again"
	case Garbage:
		return "check that upstream names the registry itself, not a page or proxy in front of it"
	case Foreign:
		return "check upstream; only its own origin and the listed token realms are ever given a credential, and redirects are followed to listed origins only"
	case Shrunk:
		return "if the removal is meant, run `pullgate catalog crawl --accept-removals` once"
	case TooLarge:
		return "split the repository, or remove tags that nobody pulls"
	case Slow:
		return "look at the registry's load and the network; the next crawl goes on where this one stopped"
	}
	return "check upstream, the network and the certificate; the next crawl tries again"
}

// failure classes an error of a request.
func (c *Crawler) failure(repository string, err error) *Failure {
	f := &Failure{Registry: c.cfg.Upstream, Repository: repository, Err: err, Reason: Unreachable}
	if known, ok := errors.AsType[*Failure](err); ok {
		f.Reason, f.Err = known.Reason, known.Err
		return f
	}
	s := status(err)
	switch {
	case s == http.StatusUnauthorized, errors.Is(err, errCredentials):
		f.Reason = Unauthorized
	case s == http.StatusForbidden:
		f.Reason = Forbidden
	case errors.Is(err, errSlow):
		f.Reason = Slow
	case s == http.StatusTooManyRequests || s >= 500, errors.Is(err, errBusy):
		f.Reason = Failing
	case errors.Is(err, errForeign):
		f.Reason = Foreign
	case errors.Is(err, errTooMany):
		f.Reason = TooLarge
	case s != 0 || errors.Is(err, errGarbage) || isProtocol(err):
		f.Reason = Garbage
	}
	return f
}

// isProtocol reports whether something answered that does not speak HTTP, or not with TLS.
func isProtocol(err error) bool {
	text := err.Error()
	return strings.Contains(text, "malformed HTTP") || strings.Contains(text, "HTTP response to HTTPS client") ||
		strings.Contains(text, "body exceeds") || strings.Contains(text, "no token in bearer response") || strings.Contains(text, "invalid realm")
}

// line is an error as one line without what a library may have quoted: the first line only.
func line(err error) string {
	if ue, ok := errors.AsType[*url.Error](err); ok && !errors.Is(err, context.Canceled) {
		err = fmt.Errorf("%s %s: %w", strings.ToUpper(ue.Op), withoutQuery(ue.URL), ue.Err)
	}
	text, _, _ := strings.Cut(err.Error(), "\n")
	return clean(text, 300)
}

func withoutQuery(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return "a URL"
	}
	u.RawQuery, u.User = "", nil
	return u.String()
}
