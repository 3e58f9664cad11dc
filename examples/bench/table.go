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
	if v >= 100 || r.none {
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
		cells = append(cells, []string{r.what, r.against, r.number(median(r.samples)), spread, r.bound(r.must), r.bound(r.aim), r.verdict()})
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
