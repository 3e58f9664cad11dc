package main

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"github.com/pullgate/pullgate/authz"
)

// explainWidth is how many columns the text for people has.
const explainWidth = 100

// page is text for people, wrapped.
type page struct {
	bytes.Buffer
	zone *time.Location
}

// field writes a line with a name in front.
func (p *page) field(name, format string, args ...any) {
	p.wrap(fmt.Sprintf("  %-17s", name), strings.Repeat(" ", 19), fmt.Sprintf(format, args...))
}

// line writes a line; what is wrapped stands further in.
func (p *page) line(indent, format string, args ...any) {
	p.wrap(indent, strings.Repeat(" ", len(indent)+4), fmt.Sprintf(format, args...))
}

func (p *page) wrap(first, rest, text string) {
	begin, lead := p.Len(), len(text)-len(strings.TrimLeft(text, " "))
	p.WriteString(first + text[:lead])
	fresh := true
	for word := range strings.FieldsSeq(printableLine(text)) {
		if !fresh && p.Len()-begin+1+len(word) > explainWidth && len(rest)+len(word) <= explainWidth {
			p.WriteByte('\n')
			begin, fresh = p.Len(), true
			p.WriteString(rest)
		}
		if !fresh {
			p.WriteByte(' ')
		}
		p.WriteString(word)
		fresh = false
	}
	p.WriteByte('\n')
}

// printableLine keeps a text of a request or a rule from writing to the terminal.
func printableLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return '?'
		}
		return r
	}, s)
}

// moment is an instant in UTC and on the license's calendar.
func (p *page) moment(t int64) string {
	if t == authz.Never || t == authz.Always {
		return instantText(t)
	}
	if p.zone == time.UTC {
		return instantText(t)
	}
	return fmt.Sprintf("%s (%s %s)", instantText(t), time.Unix(t, 0).In(p.zone).Format("2006-01-02 15:04"), p.zone)
}

// local is an instant on a calendar.
func (p *page) local(t int64, zone string) string {
	loc, err := time.LoadLocation(zone)
	switch {
	case t == authz.Never:
		return "never"
	case t == authz.Always:
		return "always"
	case err != nil:
		return instantText(t)
	}
	return time.Unix(t, 0).In(loc).Format("2006-01-02 15:04")
}

// clocks says the instants of a grant's license that there are.
func (p *page) clocks(g *authz.ConsideredGrant) string {
	c := &g.Clocks
	var out []string
	add := func(name string, t int64) {
		if t != authz.Never && t != authz.Always {
			out = append(out, name+" "+p.local(t, g.Zone))
		}
	}
	add("starts", c.Starts)
	if c.Ends == authz.Never {
		out = append(out, "never ends")
	}
	add("ends", c.Ends)
	if c.Updates != c.Ends {
		add("updates end", c.Updates)
	}
	if c.Grace != c.Ends {
		add("grace ends", c.Grace)
	}
	add("terminates", c.Terminates)
	if g.Keep {
		out = append(out, "versions are kept until then")
	}
	add("revoked", c.Revoked)
	add("suspended", c.Suspended[0])
	add("suspension ends", c.Suspended[1])
	return strings.Join(out, ", ") + " (" + g.Zone + ")"
}

// candidate says a candidate in a line.
func (p *page) candidate(c *authz.Candidate, gone bool) string {
	parts := []string{strings.TrimSpace(c.Product + " " + c.Version)}
	if parts[0] == "" {
		parts = nil
	}
	if c.Tag != "" {
		parts = append(parts, "tag "+c.Tag)
	}
	if c.Channel != "" {
		parts = append(parts, "channel "+c.Channel)
	}
	if parts == nil {
		parts = []string{"a text that is no version"}
	}
	add := func(name string, t int64) {
		if t != authz.Never && t != authz.Always {
			parts = append(parts, name+" "+p.moment(t))
		}
	}
	add("released", c.Released)
	if c.CountsFrom != c.Released {
		add("counts from", c.CountsFrom)
	}
	add("withdrawn", c.WithdrawnAt)
	if len(c.Except) > 0 {
		parts = append(parts, "but for "+strings.Join(c.Except, " "))
	}
	if len(c.Requires) > 0 {
		parts = append(parts, "requires "+strings.Join(c.Requires, " "))
	}
	add("digest revoked", c.RevokedAt)
	if gone {
		parts = append(parts, "gone since "+p.moment(c.RetiresAt))
	} else {
		add("history ends", c.RetiresAt)
	}
	return strings.Join(parts, ", ")
}
