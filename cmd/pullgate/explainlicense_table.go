package main

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/pullgate/pullgate/bundle/license"
)

// tableWidth is what an explanation keeps to, but for names that are longer.
const tableWidth = 100

// printTimeline prints a timeline for people.
func printTimeline(w io.Writer, tl explained) error {
	out := bufio.NewWriter(w)
	l := tl.License
	fmt.Fprintf(out, "license %s of %s", l.ID, l.Customer)
	if tl.Customer.Name != l.Customer {
		fmt.Fprintf(out, ", %s", tl.Customer.Name)
	}
	fmt.Fprintf(out, " (%s)\n", l.Pos.Short())
	values := map[string]string{"plan": l.Plan, "type": string(l.Type), "zone": l.Zone, "enforcement": l.Enforcement, "status": statusWord(l), "replaces": l.Replaces}
	for _, o := range tl.Facts {
		if values[o.Field] != "" {
			fmt.Fprintf(out, "  %-13s %-30s %s\n", o.Field, values[o.Field], o)
		}
	}

	fmt.Fprintf(out, "\nat %s, %s in %s\n", instantText(tl.At), tl.day(tl.At, false), l.Zone)
	printWrapped(out, "  ", tl.standing())
	for _, c := range tl.Checks {
		pass := "passes"
		if !c.Pass {
			pass = "FAILS"
		}
		fmt.Fprintf(out, "  check %-2d %-28s %s\n", c.Number, strings.ReplaceAll(c.Name, "_", " "), pass)
	}

	fmt.Fprintf(out, "\nnext\n")
	if len(tl.Changes) == 0 {
		fmt.Fprintf(out, "  nothing changes any more\n")
	}
	state := tl.State
	for _, c := range tl.Changes {
		tl.printMoment(out, "", c.At, c.End)
		becomes := ""
		if c.State != state {
			becomes = " → " + strings.ReplaceAll(string(c.State), "_", " ")
		}
		state = c.State
		printWrapped(out, "    ", tl.changeText(c)+becomes)
	}

	fmt.Fprintf(out, "\nclocks\n")
	for _, c := range tl.Clocks {
		name := strings.ReplaceAll(c.Name, "_", " ")
		if c.At == license.Never {
			fmt.Fprintf(out, "  %-18s never: %s [%s]\n", name, c.How, originPlaces(c.Origins))
			continue
		}
		tl.printMoment(out, name, c.At, c.End)
		if c.Until != license.Never {
			tl.printMoment(out, " ", c.Until, true)
		}
		printWrapped(out, "    ", c.How+" ["+originPlaces(c.Origins)+"]")
	}

	if r := tl.Renews; r != nil {
		notice := ""
		if r.Notice != "" {
			notice = ", notice " + r.Notice
		}
		fmt.Fprintf(out, "\nrenews\n")
		printWrapped(out, "  ", fmt.Sprintf("every %s%s [%s]", r.Every, notice, originPlaces(r.Origins)))
		if r.Cancelled != license.Never {
			printWrapped(out, "  ", fmt.Sprintf("cancellation %s", tl.cancellationText()))
		}
	}
	tl.printTerms(out)
	return out.Flush()
}

func (tl explained) printTerms(out io.Writer) {
	if len(tl.Terms) == 0 {
		return
	}
	fmt.Fprintln(out)
	t := newTable(out)
	fmt.Fprintf(t, "term\tfirst day\tlast day\tends before\tcancel by\tphase\n")
	for i, term := range tl.Terms {
		if i > 0 && term.Number > tl.Terms[i-1].Number+1 {
			fmt.Fprintf(t, "…\t(%d more)\n", term.Number-tl.Terms[i-1].Number-1)
		}
		cancel, remark := "does not renew", strings.ReplaceAll(string(term.Phase), "_", " ")
		if term.Deadline != license.Never {
			cancel = tl.day(term.Deadline, true)
		}
		if r := tl.Renews; r != nil && r.Cancelled != license.Never {
			switch {
			case term.Number == r.LastTerm:
				remark += ", cancelled"
			case term.Number == r.RunningTerm:
				remark += ", cancelled too late"
			}
		}
		fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%s\t%s\n", term.Number, tl.day(term.From, false), tl.day(term.To, true), instantText(term.To), cancel, remark)
	}
	_ = t.Flush() // the writer below keeps its error
}

// printMoment prints a line: name, local day, instant, how far away.
func (tl explained) printMoment(out io.Writer, name string, at int64, end bool) {
	local, exact := "from "+tl.day(at, false), instantText(at)
	switch {
	case at == license.Never || at == license.Always:
		local, exact = tl.day(at, end), ""
	case end:
		local = tl.upTo(at)
	}
	line := fmt.Sprintf("  %-18s %-27s %-21s %s", name, local, exact, tl.distance(at, end))
	if name == "" {
		line = fmt.Sprintf("  %-27s %-21s %s", local, exact, tl.distance(at, end))
	}
	fmt.Fprintln(out, strings.TrimRight(line, " "))
}

// originPlaces says where fields come from, each with its name.
func originPlaces(all []license.Origin) string {
	var out []string
	for _, o := range all {
		field := o.Field
		if o.Value != "" {
			field += ": " + o.Value
		}
		if o.Default() {
			out = append(out, "default")
			continue
		}
		out = append(out, field+", "+o.String())
	}
	return strings.Join(out, "; ")
}

// printWrapped prints words in lines of at most tableWidth characters.
func printWrapped(out io.Writer, indent, words string) {
	line := indent
	for _, word := range strings.Fields(words) {
		if line != indent && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > tableWidth {
			fmt.Fprintln(out, line)
			line = indent
		}
		if line != indent {
			line += " "
		}
		line += word
	}
	fmt.Fprintln(out, line)
}
