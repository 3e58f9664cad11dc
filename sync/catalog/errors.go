package catalog

import (
	"fmt"
	"strings"
)

// FieldError is one thing wrong in a catalog file. Line and Column count from 1; 0 is unknown.
type FieldError struct {
	File         string
	Line, Column int
	Path         string // of the field, as in repositories.acme/app.tags; "" for the whole document
	Msg          string // what is wrong and what would be right
}

// Error says file:line:column: path: message.
func (e *FieldError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s:%d:%d: ", e.File, e.Line, e.Column)
	if e.Path != "" {
		b.WriteString(e.Path + ": ")
	}
	return b.String() + e.Msg
}

// Errors is everything wrong in a catalog file, in the file's order.
type Errors []*FieldError

// Error joins the messages, one a line.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, fe := range e {
		lines[i] = fe.Error()
	}
	return strings.Join(lines, "\n")
}
