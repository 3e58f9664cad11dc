package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/pullgate/pullgate/authz"
	"github.com/spf13/cobra"
)

func explainCommand() *cobra.Command {
	var f questionFlags
	var who callerFlags
	var lic explainLicenseFlags
	var cache cacheFlags
	cmd := &cobra.Command{
		Use:   "explain (--licenses DIR | --bundle FILE --key-file PUB) (--as CUSTOMER | --key KEY | --anonymous) METHOD URL | PRODUCT@VERSION",
		Short: "Say how a decision comes about, or what a license says about time",
		Long: `Asks what decide asks and says how the answer came about: how the request was understood, who
asks, and every grant of the customer that names the resource with the checks that it passes
and fails, the values that were compared, which grant is reported and why, and what would
change the answer. Where a vendor rule fails it says which, where and why. PRODUCT@VERSION asks
about a version without HTTP. Nothing is recorded.

With --license ID instead of a request it prints the resolved schedule of that license.

Exit codes: 0 allowed, 1 denied or not decided, 2 could not find out.`,
		Example: `  pullgate explain --licenses licenses --as acme GET https://registry.acme.example/v2/acme/app/manifests/1.4.0
  pullgate explain --licenses licenses --as acme --at 2027-01-05T00:00:00Z app@1.4.0
  pullgate explain --licenses licenses --license acme-app-2026`,
		Args: cobra.MaximumNArgs(2),
	}
	f.add(cmd)
	who.add(cmd)
	cache.add(cmd)
	addExplainLicenseFlags(cmd, &lic)
	cmd.Flags().StringVarP(&lic.output, "output", "o", "", "table, json, or with --license svg (default: table on a terminal, else json)")
	cmd.MarkFlagsMutuallyExclusive("license", "as", "key", "anonymous")
	cmd.MarkFlagsMutuallyExclusive("license", "bundle")
	cmd.MarkFlagsMutuallyExclusive("license", "cache")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := cache.load(); err != nil {
			return err
		}
		if lic.license != "" {
			if len(args) > 0 {
				return fmt.Errorf("%s: --license asks about a license; ask about a request without it", args[0])
			}
			lic.licenses, lic.at = f.licenses, f.at
			return explainLicense(cmd, lic)
		}
		format, err := outputFormat(cmd, lic.output)
		if err != nil {
			return err
		}
		if who.as == "" && who.key == "" && !who.anonymous {
			return errors.New("who asks? give --as CUSTOMER, --key KEY or --anonymous; or --license ID for the schedule of a license")
		}
		req, err := explainedRequest(&who, args)
		if err != nil {
			return err
		}
		a, err := f.ask(cmd.Context())
		if err != nil {
			return err
		}
		defer a.close()
		if who.as != "" {
			if err := a.customer("--as ", who.as); err != nil {
				return err
			}
		}
		e, err := a.explain(cmd.Context(), req)
		if err != nil {
			return err
		}
		e.caches = cache.settings
		if format == "json" {
			err = printJSON(cmd.OutOrStdout(), e.document())
		} else {
			err = e.print(cmd.OutOrStdout())
		}
		if err != nil {
			return err
		}
		if !e.allowed() {
			return errNo
		}
		return nil
	}
	return cmd
}

// explainedRequest is what METHOD URL or PRODUCT@VERSION asks.
func explainedRequest(who *callerFlags, args []string) (*authz.Request, error) {
	if len(args) == 2 {
		return who.request(args[0], args[1])
	}
	if len(args) == 1 {
		if product, version, ok := strings.Cut(args[0], "@"); ok && product != "" && version != "" && !strings.Contains(product, "/") {
			return who.version(product, version)
		}
		return nil, fmt.Errorf("%s: want METHOD URL, such as GET https://registry.acme.example/v2/acme/app/manifests/1.4.0, or PRODUCT@VERSION", args[0])
	}
	return nil, errors.New("what is asked? give METHOD URL or PRODUCT@VERSION; or --license ID for the schedule of a license")
}

// explanation is an answer and how it came about.
type explanation struct {
	r        *authz.Request
	d        *authz.Decision
	x        *authz.Explanation
	notAfter int64     // of the bundle
	caches   *settings // of the sidecar whose caches are told about; nil: of none
}

// explain asks and explains, also why the policy could not decide. That it was not asked because
// there is no bundle to ask is an error.
func (a *asked) explain(ctx context.Context, r *authz.Request) (*explanation, error) {
	d, x, err := a.Explain(ctx, r)
	if err != nil {
		return nil, err
	}
	if d.Outcome == authz.OutcomeError && len(x.Asked) == 0 {
		return nil, a.answered(d)
	}
	return &explanation{r: r, d: d, x: x, notAfter: a.bundle.NotAfter()}, nil
}

// reasoning is that of the one question, nil when the policy was not asked about one thing. Where
// it failed and was asked again as about nobody, it is that of the answer.
func (e *explanation) reasoning() *authz.Reasoning {
	var of *authz.Reasoning
	for i := range e.x.Asked {
		if re := &e.x.Asked[i]; re.Digest == "" && e.r.Kind != authz.KindCatalog {
			of = re
		}
	}
	return of
}

// failed is the question to which the policy came to no verdict, nil when there is none.
func (e *explanation) failed() *authz.Reasoning {
	for i := range e.x.Asked {
		if e.x.Asked[i].Failure != "" {
			return &e.x.Asked[i]
		}
	}
	return nil
}

func (e *explanation) allowed() bool {
	return e.d.Outcome == authz.OutcomeAllow || e.d.Outcome == authz.OutcomeAnswer
}
