package main

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"

	"github.com/pullgate/pullgate/bundle"
)

// A diffSection is a part of what is printed: a table under a title.
type diffSection struct {
	title   string
	loss    bool
	columns []string
	rows    [][]string
	more    int // rows that are not here
}

// mostRows bounds the rows of a section.
const mostRows = 100

// sections are the parts of a difference, losses first.
func (d *difference) sections(most int) []diffSection {
	var out []diffSection
	add := func(title string, loss bool, columns string, rows [][]string, beyond int) {
		if len(rows)+beyond > 0 {
			n := min(len(rows), most)
			out = append(out, diffSection{title, loss, strings.Fields(columns), rows[:n], beyond + len(rows) - n})
		}
	}
	add("Lost by anyone, without a license", true, "product repository tags because", rowsOf(&d.AnyoneLost, false), d.AnyoneLost.beyond)
	add("Lost", true, "product repository tags because customers", rowsOf(&d.Lost, true), d.Lost.beyond)
	add("Customers who are gone", true, "customer", rowsOfIDs(d.RemovedIDs), d.Removed-len(d.RemovedIDs))
	add("Gained by anyone, without a license", false, "product repository tags", rowsOf(&d.AnyoneGained, false), d.AnyoneGained.beyond)
	add("Gained", false, "product repository tags customers", rowsOf(&d.Gained, true), d.Gained.beyond)
	add("New customers", false, "customer", rowsOfIDs(d.AddedIDs), d.Added-len(d.AddedIDs))
	add("Answered otherwise", false, "product repository tags answer customers", rowsOf(&d.Answers, true), d.Answers.beyond)
	add("Answered otherwise to anyone", false, "product repository tags answer", rowsOf(&d.AnyoneAnswers, false), d.AnyoneAnswers.beyond)
	add("Licenses, keys and customers", false, "kind what before after of", rowsOf(&d.Said, true), d.Said.beyond)
	var facts, moved [][]string
	for i := range d.Facts {
		f := &d.Facts[i]
		facts = append(facts, []string{f.Kind, f.ID, strings.TrimSpace(f.Change + " " + f.Field), textOrNone(f.Before), textOrNone(f.After)})
	}
	add("Rules, library, registries, public", false, "kind what change before after", facts, 0)
	for _, m := range d.Moved {
		where := m.Repository
		if d.registries > 1 {
			where = m.Registry + " " + where
		}
		moved = append(moved, []string{where, shortList(m.Tags, 12)})
	}
	add("Tags that deliver something else", false, "repository tags", moved, 0)
	return out
}

func rowsOf(g *groups, who bool) (rows [][]string) {
	for _, x := range g.list() {
		row := append([]string{}, x.Columns...)
		if who {
			text := strings.Join(x.Who, ", ")
			if more := x.N - len(x.Who); more > 0 {
				text = fmt.Sprintf("%d: %s and %d more", x.N, text, more)
			}
			row = append(row, text)
		}
		rows = append(rows, row)
	}
	return rows
}

func rowsOfIDs(ids []string) (rows [][]string) {
	for _, id := range ids {
		rows = append(rows, []string{id})
	}
	return rows
}

// sum says the difference in a line.
func (d *difference) sum() string {
	at := d.At.UTC().Format(time.RFC3339)
	if !d.Different() {
		return fmt.Sprintf("no difference for %d customers at %s", d.Customers[1], at)
	}
	anyone := ""
	if d.AnyoneLost.any() {
		anyone += "; anyone loses what was public"
	}
	if d.AnyoneGained.any() {
		anyone += "; anyone gains what is public"
	}
	return fmt.Sprintf("customers: %d lose something, %d have something less long, %d gain something; %d before, %d after (%d gone, %d new)%s; at %s",
		d.Lose, d.Sooner, d.Gain, d.Customers[0], d.Customers[1], d.Removed, d.Added, anyone, at)
}

func bundleText(b *bundle.Bundle) string {
	return fmt.Sprintf("revision %.12s, serial %d, issued %s", b.Revision(), b.Serial(), instantText(b.IssuedAt()))
}

func (d *difference) printTable(out io.Writer, verified bool) error {
	signatures := "NOT CHECKED; give --key-file"
	if verified {
		signatures = "ok"
	}
	t := newTable(out)
	fmt.Fprintf(t, "before\t%s\nafter\t%s\nsignatures\t%s\n", bundleText(d.Before), bundleText(d.After), signatures)
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(out, "\n%s\n", d.sum())
	for _, s := range d.sections(mostRows) {
		fmt.Fprintf(out, "\n%s\n", s.title)
		t := newTable(out)
		fmt.Fprintf(t, "  %s\n", strings.ToUpper(strings.Join(s.columns, "\t")))
		for _, row := range s.rows {
			cells := make([]string, len(row))
			for i, cell := range row {
				cells[i] = cmp.Or(printableText(cell), "-")
			}
			fmt.Fprintf(t, "  %s\n", strings.Join(cells, "\t"))
		}
		if err := t.Flush(); err != nil {
			return err
		}
		if s.more > 0 {
			fmt.Fprintf(out, "  and %d more; -o json has all\n", s.more)
		}
	}
	return nil
}

// printableText is a text that cannot move the cursor of a terminal or break a table: bundles may
// be read that nobody vouches for.
func printableText(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}
