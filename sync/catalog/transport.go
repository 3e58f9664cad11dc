package catalog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// errForeign: the registry names another origin than its own and the listed token realms.
var errForeign = errors.New("another origin")

// origin is a URL's scheme, host and port, the port always written.
func origin(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"https": "443", "http": "80"}[u.Scheme]
	}
	return strings.ToLower(u.Scheme + "://" + u.Hostname() + ":" + port)
}

// fence is the last transport before the network: the only one that decides where a request may
// go, whatever a registry writes into challenges, redirects, links and manifests. Asked directly
// are the registry's own origin and the listed token realms. A redirect to another origin is
// followed to the listed storage only, for a download of content that is checked against its
// digest, and without any credential.
type fence struct {
	next            http.RoundTripper
	own             string
	realms, storage map[string]bool // by origin
}

type contentKey struct{}

// maxAnswer bounds an answer whoever reads it: also a token server's, which the library reads whole.
const maxAnswer = 20 << 20

func (f *fence) RoundTrip(req *http.Request) (*http.Response, error) {
	to, from := origin(req.URL), ""
	if req.Response != nil { // the redirect that led here
		from = "a redirect"
		if req.Response.Request != nil {
			from = origin(req.Response.Request.URL)
		}
	}
	switch {
	case from == "" || from == to:
		if to != f.own && !f.realms[to] && (from == "" || !f.storage[to]) {
			return nil, fmt.Errorf("%w: %s instead of %s", errForeign, to, f.own)
		}
	case !f.storage[to] && to != f.own:
		return nil, fmt.Errorf("%w: %s redirects to %s; if the registry keeps its content there, list it among the redirects of this registry", errForeign, from, to)
	case req.Context().Value(contentKey{}) == nil || req.Method != http.MethodGet || req.Body != nil:
		return nil, fmt.Errorf("%w: %s redirects to %s; only downloads of content may go there", errForeign, from, to)
	}
	if from != "" && to != f.own && (from != to || !f.realms[to]) { // clients keep credentials for subdomains and other ports
		req = req.Clone(req.Context())
		for _, h := range []string{"Authorization", "Cookie", "Referer"} {
			req.Header.Del(h)
		}
	}
	resp, err := f.next.RoundTrip(req)
	if err == nil {
		resp.Body = &bounded{ReadCloser: resp.Body, left: maxAnswer}
	}
	return resp, err
}

// bounded is a body that ends with an error after so many bytes.
type bounded struct {
	io.ReadCloser
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, fmt.Errorf("%w: more than %d bytes", errTooMany, maxAnswer)
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

// login is the registry's answer to who we are; it makes the transport for each repository.
type login struct {
	registry  name.Registry
	auth      authn.Authenticator
	fence     *fence
	challenge *transport.Challenge
}

// connect asks the registry how it authenticates (GET /v2/).
func connect(ctx context.Context, u *url.URL, auth authn.Authenticator, f *fence) (*login, error) {
	opts := []name.Option{name.StrictValidation}
	if u.Scheme == "http" {
		opts = append(opts, name.Insecure)
	}
	reg, err := name.NewRegistry(u.Host, opts...)
	if err != nil {
		return nil, err
	}
	p := &pinger{fence: f, scheme: u.Scheme}
	ch, err := transport.Ping(ctx, reg, p)
	if err != nil {
		return nil, p.why(err)
	}
	if strings.EqualFold(ch.Scheme, "bearer") {
		realm, err := url.Parse(ch.Parameters["realm"])
		if err != nil || realm.Host == "" {
			return nil, fmt.Errorf("%w: a challenge without a realm", errGarbage)
		}
		if to := origin(realm); to != f.own && !f.realms[to] {
			return nil, fmt.Errorf("%w: it wants a token from %s; if that is right, list it among the realms of this registry", errForeign, to)
		}
	}
	l := &login{registry: reg, auth: auth, fence: f, challenge: ch}
	return l, l.check(ctx, u)
}

// check asks once with a Basic credential, so that a wrong one is one failure and not one for
// each repository.
func (l *login) check(ctx context.Context, u *url.URL) error {
	if !strings.EqualFold(l.challenge.Scheme, "basic") {
		return nil
	}
	rt, err := l.transport(ctx, "")
	if err != nil {
		return err
	}
	c := &client{http: &http.Client{Transport: rt}, base: u, slots: make(chan struct{}, 1), count: func(string) {}}
	_, _, err = c.once(ctx, request{method: http.MethodGet, target: "/v2/", max: 64 << 10})
	if status(err) == http.StatusUnauthorized || errors.Is(err, errCredentials) {
		return err
	}
	return nil
}

// pinger keeps the library to the configured scheme (it would also try the other one) and
// remembers why the network failed.
type pinger struct {
	*fence
	scheme string
	mu     sync.Mutex
	err    error
}

func (p *pinger) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Scheme != p.scheme && req.Response == nil {
		return nil, errForeign
	}
	resp, err := p.fence.RoundTrip(req)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err = err
	return resp, err
}

// why is the reason without the library's other attempt.
func (p *pinger) why(err error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if te, ok := errors.AsType[*transport.Error](err); ok {
		return libraryError(te)
	}
	if p.err != nil {
		return p.err
	}
	return err
}

// libraryError is an error answer that the library has read, as ours.
func libraryError(te *transport.Error) error {
	e := &answerError{Status: te.StatusCode}
	if len(te.Errors) > 0 {
		e.Code, e.Message = clean(string(te.Errors[0].Code), 40), clean(te.Errors[0].Message, 200)
	}
	return e
}

// transport authenticates requests for a scope. With bearer tokens every scope has a token of its
// own, so that a refused repository refuses no other.
func (l *login) transport(ctx context.Context, scope string) (http.RoundTripper, error) {
	tok := &transport.Token{}
	rt, err := transport.FromToken(l.registry, l.auth, l.fence, l.challenge, tok)
	if err != nil || !strings.EqualFold(l.challenge.Scheme, "bearer") {
		return rt, err
	}
	tok, err = transport.Exchange(ctx, l.registry, l.auth, l.fence, []string{scope}, l.challenge)
	if te, ok := errors.AsType[*transport.Error](err); ok {
		return nil, fmt.Errorf("token server %w", libraryError(te))
	}
	if err != nil {
		return nil, err
	}
	if tok.Token == "" {
		tok.Token = tok.AccessToken
	}
	return transport.FromToken(l.registry, l.auth, l.fence, l.challenge, tok)
}

// errCredentials: the configured credentials cannot be read.
var errCredentials = errors.New("credentials of the registry")

// credentials gives the library a user name and password only when it needs them.
type credentials func() (username, password string, err error)

func (c credentials) Authorization() (*authn.AuthConfig, error) {
	user, password, err := c()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errCredentials, err)
	}
	return &authn.AuthConfig{Username: user, Password: password}, nil
}
