package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/pullgate/pullgate/authz"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
)

// loopback is the address of questions that come from no client.
var loopback = netip.AddrFrom4([4]byte{127, 0, 0, 1})

func whoCanCommand() *cobra.Command {
	var f questionFlags
	var registry string
	var denied bool
	cmd := &cobra.Command{
		Use:   "who-can (--licenses DIR | --bundle FILE --key-file PUB) REPOSITORY:TAG | REPOSITORY@DIGEST | PRODUCT@VERSION",
		Short: "List the customers who may pull something",
		Long: `Asks the engine that serves Envoy, as every customer in turn, whether they may pull it at an
instant, and lists who may, by which license and until when. What a Public document opens to
anyone is said once. Limits of the customers' keys are not applied.

Exit codes: 0 somebody may, 1 nobody, 2 could not find out.`,
		Example: `  pullgate who-can --licenses licenses acme/app:1.4.0
  pullgate who-can --licenses licenses --denied app@2.0.0`,
		Args: cobra.ExactArgs(1),
	}
	f.add(cmd)
	cmd.Flags().StringVar(&registry, "registry", "", "id of the registry, where several have the repository")
	cmd.Flags().BoolVar(&denied, "denied", false, "list those who may not as well, with the policy's code")
	output := addOutput(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		format, err := output()
		if err != nil {
			return err
		}
		a, err := f.ask(cmd.Context())
		if err != nil {
			return err
		}
		defer a.close()
		req, unknown, err := a.thing(args[0], registry)
		if err != nil {
			return err
		}
		if unknown != "" {
			fmt.Fprintf(cmd.ErrOrStderr(), "pullgate: nobody: %s; see `pullgate catalog show`\n", unknown)
			return errNo
		}
		w := &whoCan{asked: a, req: req, progress: newAsking(cmd.ErrOrStderr())}
		err = w.run(cmd.Context())
		w.progress.done()
		if err != nil {
			return err
		}
		return w.print(cmd.OutOrStdout(), cmd.ErrOrStderr(), format, fmt.Sprintf("%s at %s", args[0], a.at.UTC().Format(time.RFC3339)), denied)
	}
	return cmd
}

// thing is the request for what is asked about, by nobody. unknown says why nobody can have it.
func (a *asked) thing(text, registry string) (r *authz.Request, unknown string, err error) {
	name, digest, byDigest := strings.Cut(text, "@")
	if byDigest && !strings.HasPrefix(digest, "sha256:") {
		if name == "" || digest == "" || strings.Contains(name, "/") {
			return nil, "", fmt.Errorf("%s: want PRODUCT@VERSION or REPOSITORY@sha256:HEX", text)
		}
		r, err = (&callerFlags{from: loopback.String()}).version(name, digest)
		return r, "", err
	}
	reference := digest
	if !byDigest {
		i := strings.LastIndexByte(text, ':')
		if i <= 0 || strings.Contains(text[i:], "/") {
			return nil, "", fmt.Errorf("%s: want REPOSITORY:TAG, REPOSITORY@DIGEST or PRODUCT@VERSION", text)
		}
		name, reference = text[:i], text[i+1:]
	}
	registries, err := a.registries()
	if err != nil {
		return nil, "", err
	}
	if host, rest, ok := strings.Cut(name, "/"); ok {
		if reg, known := a.gen.Registry(host); known {
			name, registry = rest, reg.ID
		}
	}
	if registry != "" && !slices.ContainsFunc(registries, func(r registryHost) bool { return r.id == registry }) {
		return nil, "", fmt.Errorf("--registry %s: no such registry", registry)
	}
	var found []string
	for _, reg := range registries {
		if registry != "" && reg.id != registry {
			continue
		}
		req := askedFor("", reg.host, name, "manifests/"+reference)
		if req.Kind != authz.KindManifest {
			return nil, "", fmt.Errorf("%s: not a repository with a tag or digest as registries write them", text)
		}
		t := a.gen.Resolve(authz.Registry{ID: reg.id}, req)
		if !t.Repository {
			continue
		}
		found = append(found, reg.id)
		if !t.Reference && byDigest {
			req = askedFor("", reg.host, name, "blobs/"+reference)
			t = a.gen.Resolve(authz.Registry{ID: reg.id}, req)
		}
		r, unknown = req, ""
		if !t.Reference {
			unknown = fmt.Sprintf("the catalog knows no %s in %s", reference, name)
		}
	}
	switch {
	case len(found) > 1:
		return nil, "", fmt.Errorf("%s is in registries %s; say which with --registry", name, strings.Join(found, " and "))
	case len(found) == 0:
		return nil, "the catalog knows no repository " + name, nil
	}
	return r, unknown, nil
}

// whoCan asks as every customer.
type whoCan struct {
	*asked
	req      *authz.Request
	progress *asking
	anyone   may   // the answer to nobody
	answers  []may // to each of asked.customers
}

// may is whether somebody may have it, and why.
type may struct {
	Customer   string     `json:"customer"` // "" for anyone
	Allow      bool       `json:"allow"`
	Code       authz.Code `json:"code"`
	PolicyCode authz.Code `json:"policy_code"`
	License    string     `json:"license"`
	Grant      string     `json:"grant"`
	Until      *string    `json:"until"`
}

func (w *whoCan) run(ctx context.Context) (err error) {
	defer func() {
		if err != nil && ctx.Err() != nil {
			err = errors.New("interrupted before every customer was asked; nothing is said")
		}
	}()
	if w.anyone, err = w.may(ctx, "", w.req); err != nil {
		return err
	}
	w.answers = make([]may, len(w.customers))
	var next atomic.Int64
	group, inner := errgroup.WithContext(ctx)
	for worker := range runtime.GOMAXPROCS(0) {
		group.Go(func() error {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(w.customers) {
					return nil
				}
				r := *w.req
				r.Credential = credentialOf(w.customers[i])
				var err error
				if w.answers[i], err = w.may(inner, w.customers[i], &r); err != nil {
					return err
				}
				if worker == 0 {
					w.progress.show("%d of %d customers", i, len(w.customers))
				}
			}
		})
	}
	return group.Wait()
}

func (w *whoCan) may(ctx context.Context, customer string, r *authz.Request) (may, error) {
	d := w.Decide(ctx, r)
	if d.Outcome == authz.OutcomeError {
		return may{}, fmt.Errorf("as %s: %w", cmp.Or(customer, "nobody"), w.answered(d))
	}
	return may{
		Customer: customer, Allow: d.Outcome != authz.OutcomeDeny, Code: d.Code, PolicyCode: d.PolicyCode,
		License: d.Verdict.License, Grant: d.Verdict.Grant, Until: instant(d.Verdict.Until),
	}, nil
}

func (w *whoCan) print(out, errs io.Writer, format, what string, denied bool) error {
	rows, allowed := []may{}, 0
	if w.anyone.Allow {
		rows = append(rows, w.anyone)
	}
	for _, m := range w.answers {
		// Who may because anyone may is no answer of its own.
		if m.Allow && m.Code == authz.CodePublic {
			continue
		}
		if m.Allow {
			allowed++
		}
		if m.Allow || denied {
			rows = append(rows, m)
		}
	}
	count := fmt.Sprintf("%d of %d customers may pull %s", allowed, len(w.customers), what)
	switch {
	case w.anyone.Allow:
		count = fmt.Sprintf("anyone may pull %s; %d of %d customers by a license", what, allowed, len(w.customers))
	case allowed == 0:
		count = fmt.Sprintf("nobody may pull %s: customers asked %d", what, len(w.customers))
	}
	if format == "json" {
		for i := range rows {
			if err := printJSON(out, &rows[i]); err != nil {
				return err
			}
		}
		fmt.Fprintln(errs, count)
	} else {
		if err := printMays(out, rows, denied); err != nil {
			return err
		}
		fmt.Fprintln(out, count)
	}
	if allowed == 0 && !w.anyone.Allow {
		return errNo
	}
	return nil
}

func printMays(out io.Writer, rows []may, denied bool) error {
	if len(rows) == 0 {
		return nil
	}
	t := newTable(out)
	if denied {
		fmt.Fprintf(t, "CUSTOMER\tANSWER\tCODE\tLICENSE\tUNTIL\n")
	} else {
		fmt.Fprintf(t, "CUSTOMER\tCODE\tLICENSE\tUNTIL\n")
	}
	for i := range rows {
		m := &rows[i]
		code := m.PolicyCode
		if code == "" {
			code = m.Code
		}
		fmt.Fprintf(t, "%s\t", cmp.Or(m.Customer, "(anyone)"))
		if denied {
			fmt.Fprintf(t, "%s\t", allowWord(m.Allow))
		}
		fmt.Fprintf(t, "%s\t%s\t%s\n", code, m.License, orNever(m.Until))
	}
	return t.Flush()
}
