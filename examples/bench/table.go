package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// A row of the table is a figure with its budget. Samples are one for each round.
type row struct {
	what    string
	against string
	unit    string // "×" for a ratio
	must    float64
	aim     float64
	least   bool // must and aim are lower bounds
	none    bool // must is 0
	counted bool // a count, which is the same on every machine
	maybe   bool // there may be nothing that could be measured
	samples []float64
}

func median(samples []float64) float64 {
	s := slices.Sorted(slices.Values(samples))
	if len(s) == 0 {
		return 0
	}
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}

// verdict says which bound the median meets.
func (r *row) verdict() string {
	meets := func(bound float64) bool {
		if r.least {
			return median(r.samples) >= bound
		}
		return median(r.samples) <= bound
	}
	switch {
	case r.must == 0 && !r.none:
		return ""
	case meets(r.aim):
		return "aim"
	case meets(r.must):
		return "must"
	}
	return "MISSED"
}

// tolerance is by how much a size or a time may miss its must before a check fails: those depend on the
// machine, which ratios and counts do not.
const tolerance = 3

// fails says that a check fails by the row.
func (r *row) fails() bool {
	if r.verdict() != "MISSED" {
		return false
	}
	lenient := *r
	if r.unit != "×" && !r.counted {
		lenient.must, lenient.aim = tolerance*r.must, tolerance*r.aim
	}
	return lenient.verdict() == "MISSED"
}

// name is what a row says of which side.
func (r *row) name() string {
	if r.against == "" {
		return r.what
	}
	return r.what + " against " + r.against
}

// failing names the rows by which a check fails, and says by how much.
func failing(rows []row) (list []string) {
	for i := range rows {
		if r := &rows[i]; r.fails() {
			list = append(list, fmt.Sprintf("%s: %s, must be %s", r.name(), r.number(median(r.samples)), r.bound(r.must)))
		}
	}
	return list
}

// summary counts what was met.
func summary(rows []row) string {
	var aim, must int
	var missed []string
	for i := range rows {
		switch rows[i].verdict() {
		case "aim":
			aim++
		case "must":
			must++
		case "MISSED":
			missed = append(missed, rows[i].name())
		}
	}
	text := fmt.Sprintf("%d rows meet their aim, %d their must, %d MISSED", aim, must, len(missed))
	if len(missed) > 0 {
		text += ": " + strings.Join(missed, "; ")
	}
	return text
}

func (r *row) bound(b float64) string {
	if r.none {
		return "0"
	}
	if b == 0 {
		return ""
	}
	sign := "≤"
	if r.least {
		sign = "≥"
	}
	return sign + " " + r.number(b)
}

func (r *row) number(v float64) string {
	digits := 2
	if v >= 100 || r.none || r.counted {
		digits = 0
	} else if v >= 10 {
		digits = 1
	}
	return fmt.Sprintf("%.*f%s", digits, v, r.unit)
}

// writeTable writes rows as a Markdown table, which is readable as it is.
func writeTable(w io.Writer, rows []row) {
	cells := [][]string{{"what", "against", "median", "spread", "must", "aim", "meets"}}
	for i := range rows {
		r := &rows[i]
		spread := ""
		if len(r.samples) > 1 {
			spread = r.number(slices.Min(r.samples)) + " – " + r.number(slices.Max(r.samples))
		}
		middle := "none"
		if len(r.samples) > 0 {
			middle = r.number(median(r.samples))
		}
		cells = append(cells, []string{r.what, r.against, middle, spread, r.bound(r.must), r.bound(r.aim), r.verdict()})
	}
	widths := make([]int, len(cells[0]))
	for _, line := range cells {
		for i, c := range line {
			widths[i] = max(widths[i], len([]rune(c)))
		}
	}
	for n, line := range cells {
		for i, c := range line {
			fmt.Fprintf(w, "| %s%s ", c, strings.Repeat(" ", widths[i]-len([]rune(c))))
		}
		fmt.Fprintln(w, "|")
		if n == 0 {
			for _, width := range widths {
				fmt.Fprint(w, "|", strings.Repeat("-", width+2))
			}
			fmt.Fprintln(w, "|")
		}
	}
}
