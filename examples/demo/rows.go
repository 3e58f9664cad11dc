package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/pullgate/pullgate/examples/peers"
)

// row is one thing a customer does, with everything that must come of it.
type row struct {
	who  string // whose key; "nobody" has none
	what string // for people
	tool string // path of the client
	args []string

	allow bool
	code  string   // of the decision record
	shows []string // texts that the client must print
	hides []string // texts that it must not
	// reaches says that requests must arrive at the registry; otherwise none may.
	reaches bool

	before func(context.Context) error
}

// line is a row that was played.
type line struct {
	row
	exit  int
	said  string
	why   string
	wrong []string
}

func rows(s *stage) []row {
	app := s.host + "/demo/app"
	pull := func(who, ref string, allow bool, code string, shows ...string) row {
		what := "pull " + strings.TrimPrefix(ref, app)
		if _, digest, ok := strings.Cut(ref, "@"); ok {
			what = "pull @" + digest[:15] + "… (" + s.versionOf(digest) + ")"
		}
		return row{
			who: who, what: what, tool: s.crane, args: []string{"pull", "--platform", "linux/amd64", ref, s.path("pulled.tar")},
			allow: allow, reaches: allow, code: code, shows: shows,
		}
	}
	all := []row{
		pull("acme", app+":1.4.0", true, "ok"),
		pull("acme", app+":2.0.0", false, "version_not_granted", "DENIED", "2.0.0"),
		pull("acme", app+"@"+s.app["1.5.0"], true, "ok"),
		pull("acme", app+"@"+s.app["2.0.0"], false, "unknown_reference", "MANIFEST_UNKNOWN"),
		pull("acme", app+":1.5", true, "ok"),
		pull("acme", app+":latest", false, "version_not_granted", "DENIED"),
		{
			who: "acme", what: "list tags", tool: s.crane, args: []string{"ls", app}, allow: true, code: "ok",
			shows: []string{"1.4.0", "1.5", "1.5.0"}, hides: []string{"2.0.0", "latest", "build-"},
		},
		pull("globex", app+":latest", true, "ok"),
		pull("initech", app+":1.4.0", false, "expired", "DENIED", "initech-app"),
		pull("stranger", app+":1.4.0", false, "unknown_key", "UNAUTHORIZED"),
		pull("nobody", app+":1.4.0", false, "anonymous", "UNAUTHORIZED"),
	}
	if s.skopeo != "" {
		all = append(all,
			row{who: "acme", what: "skopeo :1.5.0", tool: s.skopeo, args: s.skopeoArgs(app + ":1.5.0"), allow: true, reaches: true, code: "ok"},
			row{who: "acme", what: "skopeo :2.0.0", tool: s.skopeo, args: s.skopeoArgs(app + ":2.0.0"), code: "version_not_granted", shows: []string{"denied", "2.0.0"}})
	}
	shortened := pull("acme", app+":1.4.0", false, "expired", "DENIED", "acme-app")
	shortened.what += " after its license was shortened"
	shortened.before = s.shorten
	return append(all, shortened)
}

func (s *stage) skopeoArgs(ref string) []string {
	return []string{"copy", "--override-os", "linux", "--override-arch", "amd64", "docker://" + ref, "dir:" + s.path("skopeo")}
}

func (s *stage) versionOf(digest string) string {
	for version, d := range s.app {
		if d == digest {
			return version
		}
	}
	return "unknown"
}

// play runs a row and compares the client, the records and the registry's access log.
func (s *stage) play(ctx context.Context, r row) (line, error) {
	l := line{row: r}
	arrivedBefore, err := s.arrived(ctx)
	if err != nil {
		return l, err
	}
	started := time.Now()
	_ = os.Remove(s.path("pulled.tar"))
	_ = os.RemoveAll(s.path("skopeo"))
	out, exit, err := s.client(ctx, r.who, s.host, r.tool, r.args...)
	if err != nil {
		return l, err
	}
	l.exit, l.said = exit, strings.TrimSpace(out)
	wrong := func(format string, args ...any) { l.wrong = append(l.wrong, fmt.Sprintf(format, args...)) }

	if (exit == 0) != r.allow {
		wrong("the client exited with %d", exit)
	}
	for _, text := range r.shows {
		if !strings.Contains(out, text) {
			wrong("the client did not print %q", text)
		}
	}
	for _, text := range r.hides {
		if strings.Contains(out, text) {
			wrong("the client printed %q", text)
		}
	}

	records, err := s.records(ctx, started, "demo/app")
	if err != nil {
		return l, err
	}
	if len(records) == 0 {
		wrong("no decision was recorded")
	} else {
		last := records[len(records)-1]
		l.why = last.Code
		if (last.Verdict == "allow") != r.allow || last.Code != r.code {
			wrong("the record says %s %s, not %s", last.Verdict, last.Code, r.code)
		}
		if last.Status == 403 && !strings.Contains(out, last.ID) {
			wrong("the client does not show the decision's id %s", last.ID)
		}
	}

	after, err := s.arrived(ctx)
	if err != nil {
		return l, err
	}
	arrived := after[len(arrivedBefore):]
	if r.reaches != (len(arrived) > 0) {
		wrong("%d requests arrived at the registry", len(arrived))
	}
	for _, a := range arrived {
		if strings.Contains(a.Path, "/manifests/") && !strings.Contains(a.Path, "/manifests/sha256:") {
			wrong("a tag arrived at the registry instead of the digest that was judged: %s", a.Path)
		}
	}
	return l, nil
}

// arrived returns what customers' requests have reached the registry. pullgate's own
// reading of it names itself in the user agent.
func (s *stage) arrived(ctx context.Context) ([]peers.LoggedRequest, error) {
	all, err := s.registry.Requests(ctx)
	if err != nil {
		return nil, err
	}
	var customers []peers.LoggedRequest
	for _, r := range all {
		if strings.HasPrefix(r.Path, "/v2/demo/app/") && !strings.Contains(r.Agent, "pullgate") {
			customers = append(customers, r)
		}
	}
	return customers, nil
}

// print writes the table: who, what, verdict, why, and what the client printed.
func print(table []line) {
	fmt.Println()
	w := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "WHO\tWHAT\tVERDICT\tWHY\tEXIT\tTHE CLIENT PRINTED")
	for _, l := range table {
		verdict := "deny"
		if l.allow {
			verdict = "allow"
		}
		said := lastLine(l.said)
		if len(l.args) > 0 && l.args[0] == "ls" {
			said = strings.Join(strings.Fields(l.said), " ")
		}
		if len(l.wrong) > 0 {
			verdict += " (WRONG)"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d\t%s\n", l.who, l.what, verdict, l.why, l.exit, shorten(said))
		for _, text := range l.wrong {
			fmt.Fprintf(w, "\t\t! %s\n", text)
		}
	}
	_ = w.Flush()
}

// shorten drops the client's repetition of the URL and keeps what it says.
func shorten(said string) string {
	for _, code := range []string{"DENIED: ", "UNAUTHORIZED: ", "MANIFEST_UNKNOWN: ", "denied: "} {
		if i := strings.Index(said, code); i >= 0 {
			said = said[i:]
			break
		}
	}
	if said == "" {
		return "(nothing)"
	}
	return said
}
