package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/pullgate/pullgate/authz/shadow"
	"github.com/pullgate/pullgate/bundle"
	"github.com/spf13/cobra"
)

func shadowCommand() *cobra.Command {
	var bundleFile, admin string
	var keys []string
	var failOn string
	cmd := &cobra.Command{
		Use:   "shadow (--bundle FILE --key-file PUB | --admin ADDRESS)",
		Short: "Say which requests a candidate bundle would answer differently",
		Long: `Asks a candidate bundle the requests that were really made, and lists those that it would answer
differently: who, which repository, which answer was given and which would be.

With --bundle the decisions recorded below --data are asked again, each at the instant when it was
made; the filters choose among them. What cannot be asked again is counted: requests of nobody known,
malformed ones, those that pullgate itself failed at. Lists are compared by their answer, not by what
is in them: records do not hold it.

With --admin a running ` + "`pullgate serve --shadow-bundle FILE`" + ` is asked what it has found: it asks the
candidate, after each answer, what it would have answered.

Exit codes: 0 no request (or, with --fail-on loss, none that was allowed and would not be), 1 some,
2 could not find out, or no request was asked.`,
		Example: `  pullgate shadow --bundle candidate.tar.gz --key-file release.pub --since 24h
  pullgate shadow --admin 127.0.0.1:9192 --fail-on loss`,
		Args: cobra.NoArgs,
	}
	f := cmd.Flags()
	f.StringVar(&bundleFile, "bundle", "", "candidate: a bundle `file`")
	f.StringSliceVar(&keys, "key-file", nil, "public key (PEM) it is signed with; repeatable")
	f.StringVar(&admin, "admin", "", "`address` of the admin port of a pullgate serve that has a candidate")
	f.StringVar(&failOn, "fail-on", "any", "exit code 1 for any difference, or for a loss only")
	data := f.String("data", defaultDataDir(), "state `directory` of pullgate serve")
	var filters filterFlags
	filters.add(cmd)
	output := addOutput(cmd)
	cmd.MarkFlagsMutuallyExclusive("bundle", "admin")
	cmd.MarkFlagsOneRequired("bundle", "admin")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		format, err := output()
		if err != nil {
			return err
		}
		if failOn != "any" && failOn != "loss" {
			return fmt.Errorf("--fail-on %s: want any or loss", failOn)
		}
		var found *shadowed
		if admin != "" {
			found, err = askShadow(cmd.Context(), admin)
		} else {
			filter, err2 := filters.filter(time.Now())
			if err2 != nil {
				return err2
			}
			b, err2 := readBundle(bundleFile, keys, bundle.ReadOptions{AllowUnsigned: len(keys) == 0})
			if err2 != nil {
				return err2
			}
			found, err = shadowRecorded(cmd.Context(), b, decisionsDir(*data), filter, newAsking(cmd.ErrOrStderr()))
		}
		if err != nil {
			return err
		}
		if err := found.print(cmd.OutOrStdout(), cmd.ErrOrStderr(), format); err != nil {
			return err
		}
		switch {
		case found.Lost > 0 || failOn == "any" && found.Changed > 0:
			return errNo
		case found.Same+found.Changed == 0 && admin != "":
			return errors.New("the candidate was not asked yet: nothing was requested since it is there, which says nothing about it")
		case found.Same+found.Changed == 0:
			return fmt.Errorf("no decision below %s could be asked again, which says nothing about the candidate: name another --data, or filters that more of them match", *data)
		}
		return nil
	}
	return cmd
}

// shadowed is what was found about a candidate.
type shadowed struct {
	Candidate string     `json:"candidate,omitempty"`
	Revision  string     `json:"revision"`
	Since     *time.Time `json:"since,omitempty"`
	// NotAsked counts records that cannot be asked again, by why.
	NotAsked map[string]int64 `json:"not_asked,omitempty"`
	shadow.Summary
}

// askShadow asks a running sidecar.
func askShadow(ctx context.Context, admin string) (*shadowed, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+admin+"/v1/shadow", nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("--admin: %w", err)
	}
	defer resp.Body.Close()
	defer http.DefaultClient.CloseIdleConnections()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<20))
	if err != nil {
		return nil, fmt.Errorf("--admin: %w", err)
	}
	switch resp.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound:
		return nil, errors.New("--admin: there is no candidate: start that pullgate serve with --shadow-bundle FILE")
	default:
		return nil, fmt.Errorf("--admin: %s", resp.Status)
	}
	var s shadowed
	return &s, json.Unmarshal(body, &s)
}

func (s *shadowed) print(out, notes io.Writer, format string) error {
	if format == "json" {
		return printJSON(out, s)
	}
	if len(s.List) > 0 {
		t := newTable(out)
		fmt.Fprintln(t, "CUSTOMER\tREPOSITORY\tWAS\tWOULD BE\tTIMES\tLAST\tFOR EXAMPLE")
		for _, c := range s.List {
			to := answerText(c.To)
			if c.What != "" {
				to = "another " + c.What
			}
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%d\t%s\t%s (decision %s)\n", cmp.Or(c.Customer, "-"), cmp.Or(c.Repository, "-"), answerText(c.From), to,
				c.Count, c.Last.UTC().Format(time.RFC3339), cmp.Or(c.Reference, c.Path), c.Decision)
		}
		if err := t.Flush(); err != nil {
			return err
		}
	}
	if s.Beyond > 0 {
		fmt.Fprintf(out, "and %d requests of further kinds\n", s.Beyond)
	}
	fmt.Fprintf(out, "%d requests asked, %d answered differently, %d of them lost\n", s.Same+s.Changed, s.Changed, s.Lost)
	for why, n := range s.NotAsked {
		fmt.Fprintf(notes, "%d not asked: %s\n", n, why)
	}
	return nil
}

func answerText(a shadow.Answer) string { return fmt.Sprintf("%s %s %d", a.Verdict, a.Code, a.Status) }
