package license

import (
	"fmt"
	"iter"
)

// meant is `, did you mean "x"?` for the word that is at most two edits away and nearest, or
// "". Of several it is the first in alphabetical order.
func meant(word string, words iter.Seq[string]) string {
	if word == "" || len(word) > 64 {
		return ""
	}
	best, distance := "", min(3, (len(word)+2)/2)
	for w := range words {
		if d := Edits(word, w, distance); d < distance || d == distance && best != "" && w < best {
			best, distance = w, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(", did you mean %q?", best)
}

// Edits is the number of insertions, deletions and replacements between a and b, or more than
// limit when it is more than limit.
func Edits(a, b string, limit int) int {
	if len(a)-len(b) > limit || len(b)-len(a) > limit {
		return limit + 1
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
