package catalog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// answerError is an answer with a status that is not the one hoped for.
type answerError struct {
	Status  int
	Code    string // of the first error in the OCI error body; "" when it is none
	Message string
}

func (e *answerError) Error() string {
	s := fmt.Sprintf("answered %d %s", e.Status, http.StatusText(e.Status))
	if e.Code != "" {
		s += " (" + strings.TrimRight(e.Code+": "+e.Message, ": ") + ")"
	}
	return s
}

// client asks one repository, or the registry's list of them.
type client struct {
	http  *http.Client
	base  *url.URL
	slots chan struct{} // bounds the requests under way, over all clients of a crawl
	wait  time.Duration // before the second try, doubled before the third
	count func(kind string)

	// The crawl's, all nil or none: an answer came to its end, none came, and whether to stop asking.
	answered, unanswered func()
	givenUp              func() error
}

const (
	maxTries      = 3
	maxRetryAfter = 30 * time.Second
)

type request struct {
	kind    string // for the metric: list, head, manifest, config, referrers
	method  string
	target  string // path and query
	accept  string
	max     int64 // bytes of the body
	content bool  // checked against a digest: may come from another origin
}

type answer struct {
	header http.Header
	body   []byte
}

// do asks until there is an answer that is not the registry's trouble, three times at most. The
// error is an *answerError, errTooMany, errGarbage for an answer that was cut off, or the network's.
func (c *client) do(ctx context.Context, r request) (*answer, error) {
	wait := c.wait
	for try := 1; ; try++ {
		a, after, err := c.once(ctx, r)
		if err == nil || try == maxTries || ctx.Err() != nil || !temporary(err) {
			return a, err
		}
		timer := time.NewTimer(max(min(after, maxRetryAfter), wait))
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil, ctx.Err()
		case <-timer.C:
		}
		wait *= 2
	}
}

func (c *client) once(ctx context.Context, r request) (a *answer, retryAfter time.Duration, err error) {
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-ctx.Done():
		return nil, 0, ctx.Err()
	}
	if c.givenUp != nil {
		if err := c.givenUp(); err != nil {
			return nil, 0, err
		}
		defer func() {
			if err == nil || status(err) != 0 || errors.Is(err, errTooMany) {
				c.answered()
			} else if ctx.Err() == nil && temporary(err) {
				c.unanswered()
			}
		}()
	}
	target, err := c.base.Parse(r.target)
	if err != nil {
		return nil, 0, fmt.Errorf("%w: %v", errGarbage, err)
	}
	if r.content {
		ctx = context.WithValue(ctx, contentKey{}, true)
	}
	req, err := http.NewRequestWithContext(ctx, r.method, target.String(), nil)
	if err != nil {
		return nil, 0, err
	}
	req.Header.Set("User-Agent", "pullgate")
	if r.accept != "" {
		req.Header.Set("Accept", r.accept)
	}
	c.count(r.kind)
	resp, err := c.http.Do(req)
	if te, ok := errors.AsType[*transport.Error](err); ok { // while renewing a token
		return nil, 0, fmt.Errorf("token server %w", libraryError(te))
	}
	if err != nil {
		return nil, 0, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, r.max+1))
	if resp.StatusCode != http.StatusOK {
		seconds, _ := strconv.Atoi(resp.Header.Get("Retry-After"))
		return nil, time.Duration(seconds) * time.Second, statusError(resp.StatusCode, body)
	}
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		return nil, 0, fmt.Errorf("no end of the answer in time, after %d bytes: %w", len(body), err)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("%w: cut off after %d bytes: %w", errGarbage, len(body), err)
	}
	if int64(len(body)) > r.max {
		return nil, 0, fmt.Errorf("%w: more than %d bytes", errTooMany, r.max)
	}
	return &answer{header: resp.Header, body: body}, 0, nil
}

func statusError(status int, body []byte) error {
	e := &answerError{Status: status}
	var oci struct {
		Errors []struct{ Code, Message string }
	}
	if json.Unmarshal(body, &oci) == nil && len(oci.Errors) > 0 {
		e.Code, e.Message = clean(oci.Errors[0].Code, 40), clean(oci.Errors[0].Message, 200)
	}
	return e
}

// temporary reports whether asking again may help.
func temporary(err error) bool {
	if ae, ok := errors.AsType[*answerError](err); ok {
		return ae.Status == http.StatusTooManyRequests || ae.Status >= 500 && ae.Status != http.StatusNotImplemented
	}
	if errors.Is(err, errForeign) || errors.Is(err, errTooMany) || errors.Is(err, errCredentials) || errors.Is(err, errSilent) {
		return false
	}
	if errors.Is(err, errGarbage) {
		return errors.Is(err, io.ErrUnexpectedEOF)
	}
	return true
}

// status is the HTTP status behind an error, of the registry or its token server; 0 for none.
func status(err error) int {
	if ae, ok := errors.AsType[*answerError](err); ok {
		return ae.Status
	}
	return 0
}

// list reads a paginated list (OCI end-8 and Docker's _catalog) to its end. field is the JSON
// field with the names. A page that is full but names no next one is followed all the same,
// because some registries cut without saying so.
func (c *client) list(ctx context.Context, path, field string, most int) ([]string, error) {
	const page = 1000
	var names []string
	seen, asked := map[string]bool{}, map[string]bool{}
	target := path + "?n=" + strconv.Itoa(page)
	for {
		if asked[target] || len(asked) > most {
			return nil, fmt.Errorf("%w: a list whose pages never end", errGarbage)
		}
		asked[target] = true
		a, err := c.do(ctx, request{kind: "list", method: http.MethodGet, target: target, accept: "application/json", max: 16 << 20})
		if err != nil {
			return nil, err
		}
		got, err := listed(a.body, field)
		if err != nil {
			return nil, err
		}
		fresh := false
		for _, n := range got {
			if !seen[n] {
				seen[n], fresh = true, true
				names = append(names, n)
			}
		}
		if len(names) > most {
			return nil, fmt.Errorf("%w: more than %d names in a list", errTooMany, most)
		}
		next, err := c.next(a.header, target)
		switch {
		case err != nil:
			return nil, err
		case next != "":
			target = next
		case fresh && len(got) >= page:
			target = path + "?n=" + strconv.Itoa(page) + "&last=" + url.QueryEscape(got[len(got)-1])
		default:
			return names, nil
		}
	}
}

// errTooMany: more names, or more bytes, than a crawl follows.
var errTooMany = errors.New("the answer is too large")

func listed(body []byte, field string) ([]string, error) {
	var page map[string]json.RawMessage
	var names []string
	if err := json.Unmarshal(body, &page); err != nil {
		return nil, fmt.Errorf("%w: a list that is not JSON", errGarbage)
	}
	raw, ok := page[field]
	if _, named := page["name"]; !ok && !named {
		return nil, fmt.Errorf("%w: a list without %q", errGarbage, field)
	}
	if ok && json.Unmarshal(raw, &names) != nil {
		return nil, fmt.Errorf("%w: %q is not a list of names", errGarbage, field)
	}
	return names, nil
}

// next is the path and query of the next page in a Link header (RFC 8288), "" for none.
func (c *client) next(h http.Header, from string) (string, error) {
	for _, link := range h.Values("Link") {
		uri, params, ok := strings.Cut(strings.TrimPrefix(strings.TrimSpace(link), "<"), ">")
		if !ok || !strings.Contains(strings.ReplaceAll(params, `"`, ""), "rel=next") {
			continue
		}
		base, err := c.base.Parse(from)
		if err != nil {
			return "", err
		}
		u, err := base.Parse(uri)
		if err != nil {
			return "", fmt.Errorf("%w: a Link that is no URL", errGarbage)
		}
		if origin(u) != origin(c.base) {
			return "", fmt.Errorf("%w: the next page of a list is on %s", errForeign, origin(u))
		}
		return u.RequestURI(), nil
	}
	return "", nil
}
