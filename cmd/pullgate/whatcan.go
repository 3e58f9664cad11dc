package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/pullgate/pullgate/authz"
	"github.com/pullgate/pullgate/authz/classify"
	"github.com/pullgate/pullgate/bundle"
	versions "github.com/pullgate/pullgate/policies/version"
	"github.com/spf13/cobra"
	"golang.org/x/term"
)

func whatCanCommand() *cobra.Command {
	var f questionFlags
	var products, repositories []string
	cmd := &cobra.Command{
		Use:   "what-can (--licenses DIR | --bundle FILE --key-file PUB) CUSTOMER",
		Short: "List everything that a customer may pull",
		Long: `Lists every tag that a customer may pull at an instant, with the license that allows it and until
when, by asking the engine that serves Envoy: for each repository its list, then each tag.
Tags with code public are open to anyone. Limits of the customer's keys are not applied.

Exit codes: 0 something, 1 nothing, 2 could not find out.`,
		Example: `  pullgate what-can --licenses licenses acme
  pullgate what-can --licenses licenses --at 2027-01-01T00:00:00Z --repository 'acme/*' acme`,
		Args: cobra.ExactArgs(1),
	}
	f.add(cmd)
	cmd.Flags().StringSliceVar(&products, "product", nil, "only repositories of this product; repeatable")
	cmd.Flags().StringSliceVar(&repositories, "repository", nil, "only repositories of this name or pattern; repeatable")
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
		if err := a.customer("", args[0]); err != nil {
			return err
		}
		w := &whatCan{asked: a, customer: args[0], products: products, repositories: repositories, progress: newAsking(cmd.ErrOrStderr())}
		rows, err := w.rows(cmd.Context())
		w.progress.done()
		if err != nil && cmd.Context().Err() != nil {
			return errors.New("interrupted before every repository was asked about; nothing is said")
		}
		if err != nil {
			return err
		}
		return w.print(cmd.OutOrStdout(), cmd.ErrOrStderr(), format, rows, a.at)
	}
	return cmd
}

// whatCan asks for everything of a customer.
type whatCan struct {
	*asked
	customer               string
	products, repositories []string // filters
	progress               *asking
	read                   int // repositories that were asked about
}

// pullable is one tag that a customer may pull.
type pullable struct {
	Registry   string     `json:"registry"`
	Repository string     `json:"repository"`
	Tag        string     `json:"tag"`
	Product    string     `json:"product,omitempty"`
	Version    string     `json:"version,omitempty"`
	Digest     string     `json:"digest"`
	Code       authz.Code `json:"code"`
	License    string     `json:"license"`
	Grant      string     `json:"grant"`
	Until      *string    `json:"until"`
	Public     bool       `json:"public"`
}

func (w *whatCan) rows(ctx context.Context) ([]pullable, error) {
	registries, err := w.registries()
	if err != nil {
		return nil, err
	}
	var rows []pullable
	for _, reg := range registries {
		for _, name := range w.gen.Repositories(authz.Registry{ID: reg.id}, w.customer) {
			if len(w.repositories) > 0 && !slices.ContainsFunc(w.repositories, func(p string) bool { return versions.MatchRepository(p, name) }) {
				continue
			}
			tags, err := w.tags(ctx, reg, name)
			if err != nil {
				return nil, err
			}
			for _, tag := range tags {
				d := w.Decide(ctx, w.request(reg.host, name, "manifests/"+tag))
				switch {
				case d.Outcome == authz.OutcomeError:
					return nil, w.answered(d)
				case d.Outcome == authz.OutcomeDeny:
					continue
				}
				rows = append(rows, pullable{
					Registry: reg.id, Repository: name, Tag: tag, Product: d.Resource.Product, Version: d.Resource.Version, Digest: d.Pinned,
					Code: d.Code, License: d.Verdict.License, Grant: d.Verdict.Grant, Until: instant(d.Verdict.Until), Public: d.Code == authz.CodePublic,
				})
				w.progress.show("%d repositories, %d tags", w.read, len(rows))
			}
		}
	}
	return rows, nil
}

// tags are those that the customer sees in a repository's list. Where that is refused single tags
// may be pulled all the same: a license that is not enforced may be another one than the list is
// refused for, and vendor rules may refuse the list alone or grant a tag. Then each tag is asked for.
func (w *whatCan) tags(ctx context.Context, reg registryHost, name string) ([]string, error) {
	req := w.request(reg.host, name, "tags/list")
	t := w.gen.Resolve(authz.Registry{ID: reg.id}, req)
	if len(w.products) > 0 && !slices.Contains(w.products, t.Resource.Product) {
		return nil, nil
	}
	w.read++
	d := w.Decide(ctx, req)
	switch d.Outcome {
	case authz.OutcomeError:
		return nil, w.answered(d)
	case authz.OutcomeAnswer:
		return d.Names, nil
	}
	return slices.Compact(slices.Sorted(slices.Values(t.Names))), nil
}

func (w *whatCan) request(host, repository, rest string) *authz.Request {
	return askedFor(w.customer, host, repository, rest)
}

// askedFor is a customer's request below /v2/REPOSITORY/.
func askedFor(customer, host, repository, rest string) *authz.Request {
	r := classify.Classify(&classify.Inbound{Method: "GET", Host: host, Target: "/v2/" + repository + "/" + rest, Address: loopback, Via: "cli"})
	if customer != "" {
		r.Credential = credentialOf(customer)
	}
	return r
}

func (w *whatCan) print(out, errs io.Writer, format string, rows []pullable, at time.Time) error {
	repositories := map[string]bool{}
	for _, r := range rows {
		repositories[r.Registry+"/"+r.Repository] = true
	}
	when := at.UTC().Format(time.RFC3339)
	count := fmt.Sprintf("%s may pull at %s: tags %d, repositories %d", w.customer, when, len(rows), len(repositories))
	if len(rows) == 0 {
		count = fmt.Sprintf("%s may pull nothing at %s: repositories asked about %d", w.customer, when, w.read)
	}
	if format == "json" {
		for i := range rows {
			if err := printJSON(out, &rows[i]); err != nil {
				return err
			}
		}
		fmt.Fprintln(errs, count)
	} else {
		if len(rows) > 0 {
			t := newTable(out)
			fmt.Fprintf(t, "REPOSITORY\tTAG\tVERSION\tCODE\tLICENSE\tUNTIL\n")
			for i := range rows {
				r := &rows[i]
				fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", r.Repository, r.Tag, r.Version, r.Code, r.License, orNever(r.Until))
			}
			if err := t.Flush(); err != nil {
				return err
			}
		}
		fmt.Fprintln(out, count)
	}
	if len(rows) == 0 {
		return errNo
	}
	return nil
}

func orNever(instant *string) string {
	if instant == nil {
		return "never"
	}
	return *instant
}

// registryHost is a registry and a host that it answers for.
type registryHost struct{ id, host string }

// registries are those of the bundle, by id.
func (a *asked) registries() ([]registryHost, error) { return registriesOf(a.bundle) }

func registriesOf(b *bundle.Bundle) ([]registryHost, error) {
	var docs map[string]struct {
		Hosts []string `json:"hosts"`
	}
	if err := json.Unmarshal(b.File("pullgate/registries/data.json"), &docs); err != nil {
		return nil, fmt.Errorf("read registries: %w", err)
	}
	var out []registryHost
	for _, id := range slices.Sorted(maps.Keys(docs)) {
		if hosts := docs[id].Hosts; len(hosts) > 0 {
			out = append(out, registryHost{id, hosts[0]})
		}
	}
	return out, nil
}

// asking shows on a terminal how far a long question has come, and nothing elsewhere.
type asking struct {
	w        io.Writer
	terminal bool
	last     time.Time
}

func newAsking(w io.Writer) *asking {
	f, ok := w.(*os.File)
	return &asking{w: w, terminal: ok && term.IsTerminal(int(f.Fd())), last: time.Now()}
}

// show writes over the last line, a few times a second.
func (p *asking) show(format string, args ...any) {
	if now := time.Now(); p.terminal && now.Sub(p.last) > 200*time.Millisecond {
		p.last = now
		fmt.Fprintf(p.w, "\r\033[K"+format, args...)
	}
}

func (p *asking) done() {
	if p.terminal {
		fmt.Fprint(p.w, "\r\033[K")
	}
}
