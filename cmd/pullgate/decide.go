package main

import (
	"fmt"

	"github.com/pullgate/pullgate/authz"
	"github.com/spf13/cobra"
)

func decideCommand() *cobra.Command {
	var f questionFlags
	var who callerFlags
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
	f.add(cmd)
	who.add(cmd)
	output := cmd.Flags().StringP("output", "o", "json", "json or table")
	cmd.MarkFlagsOneRequired("as", "key", "anonymous")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if *output != "json" && *output != "table" {
			return fmt.Errorf("-o %s: want table or json", *output)
		}
		req, err := who.request(args[0], args[1])
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
		d := a.Decide(cmd.Context(), req)
		if *output == "json" {
			err = printJSON(cmd.OutOrStdout(), decisionJSON(d))
		} else {
			err = printDecision(cmd, d)
		}
		if err != nil {
			return err
		}
		return a.answered(d)
	}
	return cmd
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
