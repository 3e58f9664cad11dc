package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// table writes what is shown for people.
func (s *shown) table(w io.Writer, now time.Time) error {
	t := newTable(w)
	line := func(format string, args ...any) { fmt.Fprintf(t, format+"\n", args...) }
	if s.Read != nil {
		read, _ := time.Parse(time.RFC3339, *s.Read)
		line("registry %s, %s, read %s (%s ago)", s.Registry, s.Repository, *s.Read, now.Sub(read).Truncate(time.Second))
	}
	switch {
	case s.Tag != "" && s.Graph == nil:
		line("%s:%s is gone", s.Repository, s.Tag)
	case s.Tag != "":
		line("%s:%s first seen %s", s.Repository, s.Tag, orDash(s.FirstSeen))
	}
	if s.Tags != nil {
		line("TAG\tDIGEST\tVERSION\tCREATED\tFIRST SEEN")
		for _, g := range s.Tags {
			version := strings.Join(g.Versions, ", ")
			if g.Hidden {
				version = "(of a digest)"
			}
			line("%s\t%s\t%s\t%s\t%s", g.Tag, g.Digest, dash(version), orDash(g.Created), orDash(g.FirstSeen))
		}
	}
	if s.Graph != nil {
		s.Graph.lines(t, "", "")
		switch {
		case len(s.ReachedBy) == 0:
			line("nothing reaches it: a request for it is answered with 404")
		default:
			line("\nREACHED BY\t%sVERSION\tCHANNEL\tRELEASED\tENDS", s.heading("PRODUCT\t"))
		}
		for _, r := range s.ReachedBy {
			product := s.heading(dash(r.Product) + "\t")
			line("%s\t%s%s\t%s\t%s\t%s", r.Tag, product, dash(r.Version), dash(r.Channel), orDash(r.Released), r.ends())
		}
	}
	if len(s.History) > 0 {
		line("\nEARLIER\tDIGEST\tCREATED\tUNTIL")
		for _, p := range s.History {
			line("%s\t%s\t%s\t%s", p.Tag, p.Digest, orDash(p.Created), p.Until)
		}
	}
	return t.Flush()
}

// heading is a column that only license files fill.
func (s *shown) heading(text string) string {
	if s.products {
		return text
	}
	return ""
}

// ends says what ends a way, or has.
func (r shownWay) ends() string {
	var out []string
	for _, e := range []struct {
		what string
		at   *string
	}{{"retires", r.Retires}, {"revoked", r.Revoked}, {"withdrawn", r.Withdrawn}} {
		if e.at != nil {
			out = append(out, e.what+" "+*e.at)
		}
	}
	return dash(strings.Join(out, ", "))
}

// lines writes a node and, indented, what it leads to.
func (n *shownNode) lines(w io.Writer, indent, role string) {
	text := indent + role + n.Digest
	switch {
	case n.Cut != "":
		fmt.Fprintln(w, text+" ("+n.Cut+")")
		return
	case n.MediaType != "":
		text += " " + onTerminal(n.MediaType)
	}
	if n.ArtifactType != "" {
		text += " " + onTerminal(n.ArtifactType)
	}
	if n.Size != 0 {
		text += " " + strconv.FormatInt(n.Size, 10) + " bytes"
	}
	if n.Created != nil {
		text += " created " + *n.Created
	}
	fmt.Fprintln(w, text)
	indent += "  "
	for _, k := range slices.Sorted(maps.Keys(n.Annotations)) {
		fmt.Fprintf(w, "%sannotation %s = %s\n", indent, onTerminal(k), strconv.QuoteToASCII(n.Annotations[k]))
	}
	if n.Subject != "" {
		fmt.Fprintf(w, "%ssubject %s\n", indent, n.Subject)
	}
	for _, c := range n.Children {
		c.lines(w, indent, c.Kind+" ")
	}
	for _, r := range n.Referrers {
		r.lines(w, indent, "referrer ")
	}
	for _, s := range n.Signatures {
		fmt.Fprintf(w, "%stag %s names %s\n", indent, s.Tag, s.Digest)
	}
}

// onTerminal is text of a registry as it may be written to a terminal: not changed when it is plain.
func onTerminal(s string) string {
	if q := strconv.QuoteToASCII(s); q[1:len(q)-1] != s || strings.ContainsAny(s, " \t") {
		return q
	}
	return s
}

func orDash(s *string) string {
	if s == nil {
		return "-"
	}
	return *s
}
