package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
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

type decideFlags struct {
	licenses, bundleFile, catalogFile, data string
	keyFiles                                []string
	as, key, from, at                       string
	anonymous                               bool
}

func decideCommand() *cobra.Command {
	var f decideFlags
	cmd := &cobra.Command{
		Use:   "decide (--licenses DIR | --bundle FILE --key-file PUB) (--as CUSTOMER | --key KEY | --anonymous) METHOD URL",
		Short: "Ask for one decision, as the sidecar would make it",
		Long: `Asks the same engine that serves Envoy about one request and prints the decision as JSON.
--at sets the clock, so the past and the future can be asked about too.

Exit codes: 0 allowed, 1 denied, 2 could not find out.`,
		Example: `  pullgate decide --licenses licenses --as acme GET https://registry.acme.example/v2/acme/app/manifests/1.4.0
  pullgate decide --licenses licenses --as acme --at 2027-01-01T00:00:00Z GET https://registry.acme.example/v2/acme/app/tags/list`,
		Args: cobra.ExactArgs(2),
	}
	fl := cmd.Flags()
	fl.StringVar(&f.licenses, "licenses", "", "directory of license files")
	fl.StringVar(&f.bundleFile, "bundle", "", "bundle file instead of license files")
	fl.StringSliceVar(&f.keyFiles, "key-file", nil, "public key (PEM) the bundle is signed with; repeatable")
	addCatalogFlags(cmd, &f.catalogFile, &f.data)
	fl.StringVar(&f.as, "as", "", "ask as this customer, with a key without limits")
	fl.StringVar(&f.key, "key", "", "ask with this key")
	fl.BoolVar(&f.anonymous, "anonymous", false, "ask without a key")
	fl.StringVar(&f.from, "from", "127.0.0.1", "the client's address")
	fl.StringVar(&f.at, "at", "", "instant to ask for (default: now)")
	output := fl.StringP("output", "o", "json", "json or table")
	cmd.MarkFlagsMutuallyExclusive("licenses", "bundle")
	cmd.MarkFlagsOneRequired("licenses", "bundle")
	cmd.MarkFlagsMutuallyExclusive("as", "key", "anonymous")
	cmd.MarkFlagsOneRequired("as", "key", "anonymous")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if *output != "json" && *output != "table" {
			return fmt.Errorf("-o %s: want table or json", *output)
		}
		at, err := f.clock()
		if err != nil {
			return err
		}
		b, err := f.bundle(cmd.Context(), at)
		if err != nil {
			return err
		}
		req, err := f.request(args[0], args[1])
		if err != nil {
			return err
		}
		d, err := decideOnce(cmd.Context(), b, req, f.as, at)
		if err != nil {
			return err
		}
		if *output == "json" {
			err = printJSON(cmd.OutOrStdout(), decisionJSON(d))
		} else {
			err = printDecision(cmd, d)
		}
		switch {
		case err != nil:
			return err
		case d.Code == authz.CodeStale:
			return fmt.Errorf("stale: the bundle must not be used from %s on; name an earlier instant with --at, or build a new bundle", instantText(b.NotAfter()))
		case d.Outcome == authz.OutcomeError:
			return fmt.Errorf("%s: %s", d.Code, d.Detail)
		case d.Outcome == authz.OutcomeDeny:
			return errNo
		}
		return nil
	}
	return cmd
}

func (f *decideFlags) clock() (time.Time, error) {
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
func (f *decideFlags) bundle(ctx context.Context, at time.Time) (*bundle.Bundle, error) {
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

func (f *decideFlags) request(method, rawURL string) (*authz.Request, error) {
	u, err := url.Parse(rawURL)
	if err != nil || u.Host == "" || (u.Scheme != "https" && u.Scheme != "http") {
		return nil, fmt.Errorf("%s: want an absolute URL such as https://registry.acme.example/v2/acme/app/manifests/1.4.0", rawURL)
	}
	address, err := netip.ParseAddr(f.from)
	if err != nil {
		return nil, fmt.Errorf("--from %s: want an IP address", f.from)
	}
	_, rest, _ := strings.Cut(rawURL, "://")
	in := &classify.Inbound{Method: method, Host: u.Host, Target: strings.TrimPrefix(rest, u.Host), Address: address, Via: "cli"}
	if f.key != "" {
		in.Headers = append(in.Headers, classify.Header{Name: "authorization", Value: "Basic " + base64.StdEncoding.EncodeToString([]byte("decide:"+f.key))})
	}
	return classify.Classify(in), nil
}

// asHash stands for the key of --as. No key has it: it is no SHA-256 that anybody can find
// a key for.
var asHash = [32]byte{0: 0xff, 31: 0xff}

// asCustomer is a generation in which asHash is a key of a customer, without limits.
type asCustomer struct {
	authz.Generation
	customer string
}

func (g asCustomer) Authenticate(hash [32]byte) (authz.Key, bool) {
	if hash == asHash {
		return authz.Key{Customer: g.customer, ID: "decide", Expires: authz.Never}, true
	}
	return g.Generation.Authenticate(hash)
}

type fixedEngine struct{ gen authz.Generation }

func (e fixedEngine) Generation() authz.Generation { return e.gen }

// decideOnce asks one question of one bundle, as the customer unless the request has its own key.
func decideOnce(ctx context.Context, b *bundle.Bundle, req *authz.Request, as string, at time.Time) (*authz.Decision, error) {
	e := engine.New(engine.Config{Limits: engine.Limits{DecisionTime: 10 * time.Second, VisibleTime: 10 * time.Second}})
	defer e.Close()
	if err := e.Activate(ctx, b); err != nil {
		return nil, err
	}
	gen := e.Generation()
	if as != "" {
		var customers map[string]json.RawMessage
		if err := json.Unmarshal(b.File("pullgate/customers/data.json"), &customers); err != nil {
			return nil, err
		}
		if customers[as] == nil {
			return nil, fmt.Errorf("--as %s: no such customer", as)
		}
		gen = asCustomer{gen, as}
		req.Credential = authz.Credential{Kind: authz.CredentialKey, Hash: asHash}
	}
	gate := authz.NewGate(authz.GateConfig{Engine: fixedEngine{gen}, AskPast: true, Clock: func() time.Time { return at }, Instance: "decide"})
	return gate.Decide(ctx, req), nil
}

func decisionJSON(d *authz.Decision) map[string]any {
	out := map[string]any{
		"allow": d.Outcome == authz.OutcomeAllow || d.Outcome == authz.OutcomeAnswer,
		"code":  d.Code, "policy_code": d.PolicyCode, "license": d.Verdict.License, "message": d.Verdict.Message,
		"until": instant(d.Verdict.Until), "status": d.Status, "pinned": d.Pinned, "decision_id": d.ID,
		"candidates": candidatesJSON(d.Candidates), "warnings": d.Verdict.Warnings,
	}
	if d.Verdict.Warnings == nil {
		out["warnings"] = []authz.Warning{}
	}
	if d.Names != nil {
		out["names"] = d.Names
	}
	return out
}

func candidatesJSON(all []authz.Candidate) []map[string]any {
	out := []map[string]any{}
	for _, c := range all {
		m := map[string]any{"released": instant(c.Released), "withdrawn_at": instant(c.WithdrawnAt)}
		if c.Released == authz.Always {
			delete(m, "released")
		}
		for name, v := range map[string]string{"product": c.Product, "version": c.Version, "tag": c.Tag, "channel": c.Channel} {
			if v != "" {
				m[name] = v
			}
		}
		out = append(out, m)
	}
	return out
}

func printDecision(cmd *cobra.Command, d *authz.Decision) error {
	verdict := "deny"
	if d.Outcome == authz.OutcomeAllow || d.Outcome == authz.OutcomeAnswer {
		verdict = "allow"
	}
	t := newTable(cmd.OutOrStdout())
	fmt.Fprintf(t, "verdict\t%s %s\nstatus\t%d\nlicense\t%s\nuntil\t%s\n", verdict, d.Code, d.Status, d.Verdict.License, instantText(d.Verdict.Until))
	if d.Verdict.Message != "" {
		fmt.Fprintf(t, "message\t%s\n", d.Verdict.Message)
	}
	if d.Pinned != "" {
		fmt.Fprintf(t, "pinned\t%s\n", d.Pinned)
	}
	for _, c := range d.Candidates {
		fmt.Fprintf(t, "candidate\t%s %s (tag %s)\n", c.Product, c.Version, c.Tag)
	}
	for _, w := range d.Verdict.Warnings {
		fmt.Fprintf(t, "warning\t%s: %s\n", w.Code, w.Message)
	}
	return t.Flush()
}
