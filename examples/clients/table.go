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
	var registries []string
	for _, p := range all {
		if !slices.Contains(registries, p.registry) {
			registries = append(registries, p.registry)
		}
	}
	for i, p := range all {
		row := p.row()
		first := slices.IndexFunc(all, func(o *played) bool { return o.client == p.client && o.name == p.name && slices.Equal(o.row(), row) })
		if first < i {
			continue // is in the row of an earlier registry
		}
		var where []string
		for _, o := range all {
			if o.client == p.client && o.name == p.name && slices.Equal(o.row(), row) {
				where = append(where, o.registry)
			}
		}
		if len(where) == len(registries) {
			where = []string{"all"}
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", p.client, p.name, strings.Join(where, ", "), strings.Join(row, "\t"))
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

// row is decision, exit code and what was printed.
func (p *played) row() []string {
	decision := "allow"
	if len(p.codes) > 0 {
		decision = "deny " + strings.Join(p.codes, ", ")
	}
	if !p.asked {
		decision = "(not asked)"
	}
	if len(p.wrong) > 0 {
		decision = "WRONG " + decision
	}
	var exits, texts []string
	for _, o := range p.outcomes {
		exits = append(exits, fmt.Sprint(o.gotExit))
		texts = append(texts, o.line())
	}
	return []string{decision, strings.Join(exits, ", "), strings.Join(texts, " | ")}
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
