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

	pace *pace // what the registry has asked for; may be nil

	// The crawl's, all nil or none: an answer came to its end, none came, and whether to stop asking.
	answered, unanswered func()
	givenUp              func() error
}

const maxTries = 3

type request struct {
	kind    string // for the metric: list, head, manifest, config, referrers
	method  string
	target  string // path and query
	accept  string
	max     int64  // bytes of the body
	content bool   // checked against a digest: may come from the listed storage
	known   string // a digest that the answer need not repeat (RFC 9110 section 13.1.2); "" for none
}

type answer struct {
	header http.Header
	body   []byte
	same   bool // it is what the request knew (304); without a body
}

// do asks until there is an answer that is not the registry's trouble, three times at most, or
// more often when the registry says when to come back. The error is an *answerError, errTooMany,
// errGarbage for an answer that was cut off, or the network's.
func (c *client) do(ctx context.Context, r request) (*answer, error) {
	wait := c.wait
	for try, told := 1, 0; ; try++ {
		a, after, err := c.once(ctx, r)
		if err == nil || ctx.Err() != nil || !temporary(err) {
			return a, err
		}
		if after > 0 && told < maxTold {
			told++
			try--
		}
		if try == maxTries {
			return a, err
		}
		if err := c.pace.busy(err, max(after, wait), after > 0); err != nil {
			return nil, err
		}
		if err := sleep(ctx, wait); err != nil {
			return nil, err
		}
		wait *= 2
	}
}

func (c *client) once(ctx context.Context, r request) (a *answer, after time.Duration, err error) {
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-ctx.Done():
		return nil, 0, ctx.Err()
	}
	if err := c.pace.wait(ctx); err != nil {
		return nil, 0, err
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
	if r.known != "" {
		req.Header.Set("If-None-Match", `"`+r.known+`"`)
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
	if resp.StatusCode == http.StatusNotModified && r.known != "" {
		return &answer{header: resp.Header, same: true}, 0, nil
	}
	if resp.StatusCode != http.StatusOK {
		return nil, retryAfter(resp.Header, time.Now()), statusError(resp.StatusCode, body)
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
	if errors.Is(err, errForeign) || errors.Is(err, errTooMany) || errors.Is(err, errCredentials) || errors.Is(err, errSilent) || errors.Is(err, errBusy) {
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
