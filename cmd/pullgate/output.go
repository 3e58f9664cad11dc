package main

import (
	"encoding/json"
	"io"
	"text/tabwriter"
	"time"

	"github.com/pullgate/pullgate/authz"
)

// printJSON writes one object on one line, without escaping for HTML.
func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// newTable aligns tab-separated columns; call Flush at the end.
func newTable(w io.Writer) *tabwriter.Writer {
	return tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
}

// instant is Unix seconds as RFC 3339, or nil for never: what JSON shows as null.
func instant(t int64) *string {
	if t == authz.Never {
		return nil
	}
	s := time.Unix(t, 0).UTC().Format(time.RFC3339)
	return &s
}

// instantText is the same for people.
func instantText(t int64) string {
	if s := instant(t); s != nil {
		return *s
	}
	return "never"
}
