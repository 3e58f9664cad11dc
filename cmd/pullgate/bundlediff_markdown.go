package main

import (
	"fmt"
	"io"
	"strings"
)

const (
	// mostMarkdown bounds a comment in bytes; GitHub takes 65,536 characters.
	mostMarkdown = 60_000
	mostCell     = 200
	mostComment  = 25 // rows of a section
)

// printMarkdown writes a comment for a pull request: what it comes to in the first line, losses in
// the open, the rest folded away.
func (d *difference) printMarkdown(out io.Writer, verified bool) error {
	var b strings.Builder
	mark := "No difference."
	switch {
	case d.Loses():
		mark = "Somebody loses something."
	case d.Different():
		mark = "Nobody loses anything."
	}
	sum := d.sum()
	fmt.Fprintf(&b, "**%s** %s.\n\n", mark, strings.ToUpper(sum[:1])+sum[1:])
	fmt.Fprintf(&b, "Before: %s. After: %s.", bundleText(d.Before), bundleText(d.After))
	if !verified {
		b.WriteString(" Signatures were not checked.")
	}
	b.WriteString("\n")
	left := 0
	for _, s := range d.sections(mostComment) {
		text := s.markdown()
		if b.Len()+len(text) > mostMarkdown {
			left++
			continue
		}
		b.WriteString(text)
	}
	if left > 0 {
		fmt.Fprintf(&b, "\nThere is no room for %d more tables; `-o json` has everything.\n", left)
	}
	_, err := io.WriteString(out, b.String())
	return err
}

func (s *diffSection) markdown() string {
	var b strings.Builder
	n := len(s.rows) + s.more
	if s.loss {
		fmt.Fprintf(&b, "\n#### %s (%d)\n\n", s.title, n)
	} else {
		fmt.Fprintf(&b, "\n<details><summary>%s (%d)</summary>\n\n", s.title, n)
	}
	fmt.Fprintf(&b, "| %s |\n|%s\n", strings.Join(s.columns, " | "), strings.Repeat(" --- |", len(s.columns)))
	for _, row := range s.rows {
		b.WriteString("|")
		for _, cell := range row {
			b.WriteString(" " + markdownCell(cell) + " |")
		}
		b.WriteString("\n")
	}
	if s.more > 0 {
		fmt.Fprintf(&b, "\nand %d more\n", s.more)
	}
	if !s.loss {
		b.WriteString("\n</details>\n")
	}
	return b.String()
}

// markdownCell is a text as code that means nothing to Markdown: no markup, no HTML, no links, on
// one line; in code hosts find no mentions, issues and commits either. Names come from bundles that
// nobody may vouch for.
func markdownCell(s string) string {
	if s == "" {
		return ""
	}
	s = printableText(s)
	if runes := []rune(s); len(runes) > mostCell {
		s = string(runes[:mostCell-1]) + "…"
	}
	var b strings.Builder
	for i, r := range s {
		// A dot after www and a colon make links of their own.
		if strings.ContainsRune("\\`*_{}[]()<>#!|&@~$^=\"':", r) || r == '.' && strings.HasSuffix(strings.ToLower(s[:i]), "www") {
			fmt.Fprintf(&b, "&#%d;", r)
		} else {
			b.WriteRune(r)
		}
	}
	return "<code>" + b.String() + "</code>"
}
