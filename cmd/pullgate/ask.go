package main

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/pullgate/pullgate/authz"
	"github.com/pullgate/pullgate/authz/classify"
	"github.com/pullgate/pullgate/bundle"
	"github.com/pullgate/pullgate/sync/publish"
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
	fl.StringVar(&f.licenses, "licenses", "", "`directory` of license files, or URL of a PostgreSQL database")
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
	snap, err := loadLicenses(ctx, f.licenses)
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
