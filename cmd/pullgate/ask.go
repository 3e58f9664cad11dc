package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/pullgate/pullgate/authz"
	"github.com/pullgate/pullgate/authz/classify"
	"github.com/pullgate/pullgate/authz/engine"
	"github.com/pullgate/pullgate/bundle"
	"github.com/pullgate/pullgate/sync/publish"
	"github.com/pullgate/pullgate/sync/source"
	"github.com/spf13/cobra"
)

// questionFlags say what a question is asked of, and for when.
type questionFlags struct {
	licenses, bundleFile, catalogFile, data string
	keyFiles                                []string
	at                                      string
}

func (f *questionFlags) add(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&f.licenses, "licenses", "", "directory of license files")
	fl.StringVar(&f.bundleFile, "bundle", "", "bundle file instead of license files")
	fl.StringSliceVar(&f.keyFiles, "key-file", nil, "public key (PEM) the bundle is signed with; repeatable")
	addCatalogFlags(cmd, &f.catalogFile, &f.data)
	fl.StringVar(&f.at, "at", "", "instant to ask for (default: now)")
	cmd.MarkFlagsMutuallyExclusive("licenses", "bundle")
	cmd.MarkFlagsOneRequired("licenses", "bundle")
}

func (f *questionFlags) clock() (time.Time, error) {
	if f.at == "" {
		return time.Now(), nil
	}
	return parseInstant("--at", f.at)
}

func parseInstant(what, s string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return t, fmt.Errorf("%s %s: want an instant such as 2026-03-01T00:00:00Z", what, s)
	}
	return t, nil
}

// bundle returns what to ask: the given bundle, or the license files compiled for the
// instant that is asked about.
func (f *questionFlags) bundle(ctx context.Context, at time.Time) (*bundle.Bundle, error) {
	if f.bundleFile != "" {
		if len(f.keyFiles) == 0 {
			return nil, errors.New("--bundle needs --key-file: an unverified bundle is not asked")
		}
		return readBundle(f.bundleFile, f.keyFiles, bundle.ReadOptions{})
	}
	snap, err := source.Dir{Path: f.licenses}.Load(ctx)
	if err != nil {
		return nil, err
	}
	repositories, err := questionCatalog(snap.Set, f.catalogFile, f.data, true)
	if err != nil {
		return nil, err
	}
	in := compileInput(snap, repositories)
	in.IssuedAt, in.NotAfter = at.Unix(), authz.Never
	signer, ring, err := ownKey()
	if err != nil {
		return nil, err
	}
	b, _, err := publish.Build(in, signer, ring)
	return b, err
}

// ownKey makes a signing key for bundles that never leave this process: the engine takes
// verified bytes only, here too.
func ownKey() (*bundle.Signer, *bundle.KeyRing, error) {
	key, err := bundle.GenerateKey()
	if err != nil {
		return nil, nil, err
	}
	signer, err := bundle.NewSigner(key)
	if err != nil {
		return nil, nil, err
	}
	ring, err := bundle.NewKeyRing(signer.Public())
	return signer, ring, err
}

// callerFlags say who asks.
type callerFlags struct {
	as, key, from string
	anonymous     bool
}

func (f *callerFlags) add(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&f.as, "as", "", "ask as this customer, with a key without limits")
	fl.StringVar(&f.key, "key", "", "ask with this key")
	fl.BoolVar(&f.anonymous, "anonymous", false, "ask without a key")
	fl.StringVar(&f.from, "from", "127.0.0.1", "the client's address")
	cmd.MarkFlagsMutuallyExclusive("as", "key", "anonymous")
}

// request is what the sidecar would make of METHOD URL.
func (f *callerFlags) request(method, rawURL string) (*authz.Request, error) {
	u, err := url.Parse(rawURL)
	if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
		return nil, fmt.Errorf("%s: want an absolute URL such as https://registry.acme.example/v2/acme/app/manifests/1.4.0", rawURL)
	}
	_, rest, _ := strings.Cut(rawURL, "://")
	return f.classify(method, u.Host, strings.TrimPrefix(rest, u.Host))
}

// version is the question without HTTP: may PRODUCT be had at VERSION?
func (f *callerFlags) version(product, version string) (*authz.Request, error) {
	r, err := f.classify("GET", "", "/v2/")
	if err == nil {
		r.Kind, r.Product, r.Version = authz.KindVersion, product, version
	}
	return r, err
}

func (f *callerFlags) classify(method, host, target string) (*authz.Request, error) {
	address, err := netip.ParseAddr(f.from)
	if err != nil {
		return nil, fmt.Errorf("--from %s: want an IP address", f.from)
	}
	in := &classify.Inbound{Method: method, Host: host, Target: target, Address: address, Via: "cli"}
	if f.key != "" {
		in.Headers = append(in.Headers, classify.Header{Name: "authorization", Value: "Basic " + base64.StdEncoding.EncodeToString([]byte("decide:"+f.key))})
	}
	r := classify.Classify(in)
	if f.as != "" {
		r.Credential = credentialOf(f.as)
	}
	return r, nil
}

// credentialOf stands for a key of a customer that has no limits. No key has its hash: what is
// hashed has not the form of one.
func credentialOf(customer string) authz.Credential {
	return authz.Credential{Kind: authz.CredentialKey, Hash: sha256.Sum256([]byte("as " + customer))}
}

// asCustomers is a generation in which credentialOf is a key of each of some customers.
type asCustomers struct {
	authz.Generation
	byHash map[[32]byte]string
}

func asEach(gen authz.Generation, customers ...string) asCustomers {
	g := asCustomers{gen, make(map[[32]byte]string, len(customers))}
	for _, id := range customers {
		g.byHash[credentialOf(id).Hash] = id
	}
	return g
}

func (g asCustomers) Authenticate(hash [32]byte) (authz.Key, bool) {
	if customer, ok := g.byHash[hash]; ok {
		return authz.Key{Customer: customer, ID: "decide", Expires: authz.Never}, true
	}
	return g.Generation.Authenticate(hash)
}

// Explain passes on to the generation, as an embedded interface does not.
func (g asCustomers) Explain(ctx context.Context, in *authz.Input) (*authz.Reasoning, error) {
	e, ok := g.Generation.(authz.Explainer)
	if !ok {
		return nil, authz.ErrNotExplained
	}
	return e.Explain(ctx, in)
}

type fixedEngine struct{ gen authz.Generation }

func (e fixedEngine) Generation() authz.Generation { return e.gen }

// asked is a Gate over one bundle at one instant, in which every customer can be asked as.
type asked struct {
	*authz.Gate
	bundle    *bundle.Bundle
	gen       authz.Generation
	customers []string // every id, ascending
	close     func()
}

// ask makes a bundle ready. The caller closes what it gets.
func ask(ctx context.Context, b *bundle.Bundle, at time.Time) (*asked, error) {
	e := engine.New(engine.Config{Limits: engine.Limits{DecisionTime: 10 * time.Second, VisibleTime: 10 * time.Second}})
	if err := e.Activate(ctx, b); err != nil {
		e.Close()
		return nil, err
	}
	customers, err := memberNames(b.File("pullgate/customers/data.json"))
	if err != nil {
		e.Close()
		return nil, fmt.Errorf("read customers: %w", err)
	}
	a := &asked{bundle: b, customers: customers, close: e.Close}
	a.gen = asEach(e.Generation(), a.customers...)
	a.Gate = authz.NewGate(authz.GateConfig{Engine: fixedEngine{a.gen}, AskPast: true, Clock: func() time.Time { return at }, Instance: "decide"})
	return a, nil
}

// memberNames are the names of a JSON object's members, ascending, without decoding what they hold.
func memberNames(object []byte) ([]string, error) {
	dec := json.NewDecoder(bytes.NewReader(object))
	if _, err := dec.Token(); err != nil {
		return nil, err
	}
	names := []string{}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return nil, err
		}
		text, ok := name.(string)
		if !ok {
			return nil, fmt.Errorf("%v is no name", name)
		}
		if err := dec.Decode(new(skipped)); err != nil {
			return nil, err
		}
		names = append(names, text)
	}
	slices.Sort(names)
	return names, nil
}

// skipped is a JSON value that is passed over.
type skipped struct{}

func (*skipped) UnmarshalJSON([]byte) error { return nil }

// customer checks that there is a customer of this id; flag is where the id comes from.
func (a *asked) customer(flag, id string) error {
	if _, ok := slices.BinarySearch(a.customers, id); !ok {
		return fmt.Errorf("%s%s: no such customer", flag, id)
	}
	return nil
}

// answered is the error of a decision that could not be made, or errNo for a refusal.
func (a *asked) answered(d *authz.Decision) error {
	switch {
	case d.Code == authz.CodeStale:
		return fmt.Errorf("stale: the bundle must not be used from %s on; name an earlier instant with --at, or build a new bundle", instantText(a.bundle.NotAfter()))
	case d.Outcome == authz.OutcomeError:
		return fmt.Errorf("%s: %s", d.Code, d.Detail)
	case d.Outcome == authz.OutcomeDeny:
		return errNo
	}
	return nil
}
