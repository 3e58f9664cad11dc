package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// print writes the matrix: client, what it did, with which registries the same came of it,
// what pullgate decided, how the client exited and what the person read.
func print(w io.Writer, all []*played, verbose bool) {
	t := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	fmt.Fprintln(t, "CLIENT\tWHAT\tREGISTRY\tDECISION\tEXIT\tTHE PERSON READS")
	for _, r := range rows(all) {
		fmt.Fprintln(t, strings.Join([]string{r.client, r.what, r.registries, r.decision, r.exit, r.reads}, "\t"))
	}
	_ = t.Flush()
	for _, p := range all {
		for _, text := range p.wrong {
			fmt.Fprintf(w, "! %s, %s, %s: %s\n", p.client, p.name, p.registry, text)
		}
		if verbose {
			fmt.Fprintf(w, "= %s, %s, %s\n", p.client, p.name, p.registry)
		}
		if len(p.wrong) > 0 || verbose {
			for _, o := range p.outcomes {
				fmt.Fprintf(w, "    %s\n", strings.ReplaceAll(o.said, "\n", "\n    "))
			}
		}
	}
}

// A row is what came of a scene, with one or more registries.
type row struct {
	client, what, registries, decision, exit, reads string
	token                                           bool
}

// rows puts registries together with which the same came of a scene.
func rows(all []*played) []row {
	var rows []row
	seen := map[string]bool{} // registries that scenes without tokens were played with
	for _, p := range all {
		if !p.token {
			seen[p.registry] = true
		}
		r := p.row()
		i := slices.IndexFunc(rows, func(o row) bool { o.registries = ""; return o == r })
		if i < 0 {
			i = len(rows)
			rows = append(rows, r)
		}
		rows[i].registries = strings.TrimPrefix(rows[i].registries+", "+p.registry, ", ")
	}
	for i := range rows {
		if strings.Count(rows[i].registries, ",") == len(seen)-1 || rows[i].token {
			rows[i].registries = "all"
		}
	}
	return rows
}

// row is a row without registries.
func (p *played) row() row {
	r := row{client: p.client, what: p.name, decision: "allow", token: p.token}
	if p.code != allowed && len(p.codes) > 0 {
		r.decision = "deny"
	}
	if len(p.codes) > 0 {
		r.decision += " (" + strings.Join(p.codes, ", ") + ")"
	}
	if !p.asked {
		r.decision = "(not asked)"
	}
	if len(p.wrong) > 0 {
		r.decision = "WRONG " + r.decision
	}
	var exits, texts []string
	for _, o := range p.outcomes {
		exits = append(exits, fmt.Sprint(o.gotExit))
		texts = append(texts, o.line())
	}
	r.exit, r.reads = strings.Join(exits, ", "), strings.Join(texts, "; then ")
	return r
}

// line is what was asserted, in its line, or else the last line.
func (o outcome) line() string {
	if strings.Contains(o.says, "\n") && strings.Contains(o.said, o.says) {
		return strings.ReplaceAll(o.says, "\n", " / ")
	}
	lines := strings.FieldsFunc(o.said, func(r rune) bool { return r == '\n' || r == '\r' })
	slices.Reverse(lines)
	i := slices.IndexFunc(lines, func(l string) bool { return strings.Contains(l, cmp.Or(o.says, "\n")) })
	if len(lines) == 0 {
		return "(nothing)"
	}
	return strings.TrimSpace(strings.ReplaceAll(lines[max(i, 0)], "\t", " "))
}
