package license

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Position is a place in a license file.
type Position struct {
	File   string `json:"file"`             // relative to the directory, with slashes; or Raw.Place
	Line   int    `json:"line,omitempty"`   // from 1; 0 when unknown or about the whole file
	Column int    `json:"column,omitempty"` // from 1, in characters
}

// String is file:line:column, or the file alone when the line is unknown.
func (p Position) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

// Short is file:line, or the file alone when the line is unknown.
func (p Position) Short() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d", p.File, p.Line)
}

func (p Position) compare(q Position) int {
	return cmp.Or(strings.Compare(p.File, q.File), cmp.Compare(p.Line, q.Line), cmp.Compare(p.Column, q.Column))
}

// FieldError is one thing wrong in a license file.
type FieldError struct {
	Pos  Position `json:"pos"`
	Path string   `json:"path,omitempty"` // such as grants[0].versions; "" for a whole file or document
	Msg  string   `json:"message"`        // what is wrong, what would be right
}

// Error is "file:line:column: path: message".
func (e *FieldError) Error() string {
	if e.Path == "" {
		return e.Pos.String() + ": " + e.Msg
	}
	return e.Pos.String() + ": " + e.Path + ": " + e.Msg
}

// Errors is everything wrong in a set of license files, sorted by place. It is never empty
// when it is an error.
type Errors []*FieldError

// Error has one line for each error.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, f := range e {
		lines[i] = f.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap lets errors.As find a *FieldError.
func (e Errors) Unwrap() []error {
	out := make([]error, len(e))
	for i, f := range e {
		out[i] = f
	}
	return out
}

// sorted returns e in order of place, each error once: a plan's field is read again for every
// license that uses it.
func (e Errors) sorted() Errors {
	slices.SortStableFunc(e, func(a, b *FieldError) int {
		return cmp.Or(a.Pos.compare(b.Pos), strings.Compare(a.Path, b.Path), strings.Compare(a.Msg, b.Msg))
	})
	return slices.CompactFunc(e, func(a, b *FieldError) bool { return *a == *b })
}
