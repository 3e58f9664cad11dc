package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pullgate/pullgate/bundle/license"
)

// instants are those that the picture shows.
func (p *picture) instants() []int64 {
	tl := p.tl
	out := []int64{tl.At}
	add := func(all ...int64) {
		for _, at := range all {
			if at != license.Never && at != license.Always {
				out = append(out, at)
			}
		}
	}
	for _, c := range tl.Clocks {
		add(c.At, c.Until)
	}
	for _, t := range tl.Terms {
		add(t.From, t.To)
	}
	if tl.Renews != nil {
		add(tl.Renews.Cancelled)
	}
	for _, at := range out {
		if at != tl.At {
			return out
		}
	}
	const halfYear = 183 * 24 * 3600
	return append(out, tl.At-halfYear, tl.At+halfYear)
}

// span puts an interval of time on the plot, to its edges where it has no end. It reports
// whether anything of it is there.
func (p *picture) span(from, to int64) (x0, x1 float64, ok bool) {
	x0, x1 = plotLeft, plotRight
	if from != license.Always {
		x0 = p.scale.x(from)
	}
	if to != license.Never {
		x1 = p.scale.x(to)
	}
	return x0, max(x1, x0+1.5), from < to
}

// lanes draws the bars: use with what follows it, and the update window.
func (p *picture) lanes() {
	tl, s := p.tl, &p.tl.Schedule
	p.text(plotLeft-20, p.use+18, `class="when" text-anchor="end"`, "use")
	p.text(plotLeft-20, p.window+11, `class="when" text-anchor="end"`, "updates")
	if len(tl.Terms) == 0 {
		p.bar(s.Starts, s.Ends, "term", "without end", "use")
	}
	for i, t := range tl.Terms {
		class, words := "term", "term"
		if t.Number%2 == 0 {
			class = "term odd"
		}
		if t.Phase == license.PhaseAhead {
			class, words = "ahead", "compiled ahead"
		}
		if i > 0 && t.Number > tl.Terms[i-1].Number+1 {
			p.bar(tl.Terms[i-1].To, t.From, "term odd", fmt.Sprintf("%d terms", t.Number-tl.Terms[i-1].Number-1), "term")
		}
		label := fmt.Sprintf("term %d", t.Number)
		if tl.Renews == nil {
			label = ""
		}
		p.bar(t.From, t.To, class, label, words)
	}
	if tl.License.Type != license.Trial {
		p.bar(s.Ends, s.Grace, "grace", "grace", "grace")
	}
	if kept := tl.Clock(license.ClockKept); kept.At != license.Never {
		p.bar(kept.At, kept.Until, "kept", "kept versions", "kept versions")
	}
	if c := tl.Clock(license.ClockSuspended); c.At != license.Never && c.At < p.stop {
		if x0, x1, ok := p.span(c.At, min(c.Until, p.stop)); ok {
			p.rect(x0, p.use-3, x1, useHeight+6, "gap")
			p.rect(x0, p.use-3, x1, useHeight+6, "hatched")
			p.mention("hatched", "suspended")
		}
	}
	if x0, x1, ok := p.span(license.Always, s.Updates); ok {
		p.rect(x0+8, p.window, x1, windowHeight, "window")
		p.arrow(x0+8, p.window, windowHeight, -8, "window")
		if s.Updates == license.Never {
			p.arrow(x1, p.window, windowHeight, 8, "window")
		}
		p.mention("window", "dates of versions that the update window includes")
	}
}

// bar draws a span of the use lane; what is after the stop is void.
func (p *picture) bar(from, to int64, class, label, legend string) {
	if until := min(to, p.stop); from < until {
		x0, x1, _ := p.span(from, until)
		p.rect(x0, p.use, x1, useHeight, class)
		if from == license.Always {
			p.arrow(x0, p.use, useHeight, -10, class)
		}
		if until == license.Never {
			p.arrow(x1, p.use, useHeight, 10, class)
		}
		dark := ""
		if class == "ahead" || class == "kept" || class == "grace" {
			dark = " dark"
		}
		if x, ok := p.room(x0, x1, textWidth(label)); ok && label != "" {
			p.text(x, p.use+18, `class="in`+dark+`"`, label)
		}
		p.mention(class, legend)
	}
	if begin := max(from, p.stop); begin < to {
		x0, x1, _ := p.span(begin, to)
		p.rect(x0, p.use, x1, useHeight, "void")
		p.mention("void", "does not count any more")
	}
}

// room is the middle of the widest part of a bar that neither the line of now nor a break crosses, if
// so much fits into it.
func (p *picture) room(x0, x1, width float64) (float64, bool) {
	edges := []float64{x0, x1}
	add := func(x float64) {
		if x0 < x && x < x1 {
			edges = append(edges, x)
		}
	}
	add(p.scale.x(p.tl.At))
	for _, s := range p.scale.stretches {
		if s.broken {
			add((s.x0 + s.x1) / 2)
		}
	}
	slices.Sort(edges)
	best, at := 0.0, 0.0
	for i := range edges[1:] {
		if w := edges[i+1] - edges[i]; w > best {
			best, at = w, (edges[i]+edges[i+1])/2
		}
	}
	return at, width+8 < best
}

// flagsAbove are what happens to a license, flagsBelow its clocks.
func (p *picture) flagsAbove() []dateFlag {
	tl := p.tl
	var out []dateFlag
	add := func(at int64, end bool, class string, what string) {
		if at != license.Never && at != license.Always {
			out = p.merge(out, at, end, class, what)
		}
	}
	add(tl.At, false, "now", "now")
	for _, c := range tl.Clocks {
		switch c.Name {
		case license.ClockExpiring:
			if s := &tl.Schedule; s.Starts < c.At && tl.At < s.Ends && c.At < p.stop && (tl.Renews == nil || tl.Renews.Cancelled != license.Never) {
				add(c.At, false, "line", "expiring soon")
			}
		case license.ClockSuspended:
			add(c.At, false, "stop", "suspended")
			add(c.Until, true, "line", "suspension ends")
		case license.ClockRevoked:
			add(c.At, false, "stop", "revoked")
		case license.ClockReplaced:
			if c.At != license.Never {
				add(c.At, false, "stop", "replaced by\n"+c.Origins[0].ID)
			}
		}
	}
	if r := tl.Renews; r != nil {
		what := "cancelled"
		if r.Late() {
			what = fmt.Sprintf("cancelled, too late\nfor term %d", r.RunningTerm)
		}
		add(r.Cancelled, false, "line", what)
		for _, t := range tl.Terms {
			if t.Deadline == t.To || t.Deadline <= t.From || t.Deadline >= p.stop { // the end says it, or nothing does
				continue
			}
			if t.Phase == license.PhaseCurrent || t.Number == r.RunningTerm || t.Number == r.LastTerm || t.Number == 1 && t.Phase == license.PhaseFuture {
				add(t.Deadline, true, "line", fmt.Sprintf("cancel term %d by then", t.Number))
			}
		}
	}
	return out
}

func (p *picture) flagsBelow() []dateFlag {
	tl, s := p.tl, &p.tl.Schedule
	var out []dateFlag
	add := func(at int64, end bool, what string) {
		if at != license.Never && at != license.Always {
			out = p.merge(out, at, end, "line", what)
		}
	}
	add(s.Starts, false, "start")
	future := 0
	for i, t := range tl.Terms {
		if t.To == s.Ends || tl.Renews == nil {
			continue
		}
		switch {
		case t.Phase == license.PhasePast && i+3 < len(tl.Terms) && tl.Terms[i+2].Phase == license.PhasePast:
			continue // long ago
		case t.Phase == license.PhaseFuture:
			if future++; future > 2 {
				continue
			}
		}
		add(t.To, true, fmt.Sprintf("term %d ends", t.Number))
	}
	useEnd := "use end"
	if tl.Renews != nil && tl.Renews.Cancelled == license.Never {
		useEnd = "use end, compiled ahead"
	}
	add(s.Ends, true, useEnd)
	add(s.Updates, true, "update window end")
	if s.Grace != s.Ends {
		add(s.Grace, true, "grace end")
	}
	add(s.Terminates, true, "termination")
	return out
}

// merge adds a flag, or its words to one of the same instant. what may have several lines.
func (p *picture) merge(flags []dateFlag, at int64, end bool, class, what string) []dateFlag {
	when := p.tl.day(at, false)
	if end {
		when = p.tl.upTo(at)
	}
	var lines []string
	for line := range strings.SplitSeq(what, "\n") {
		lines = append(lines, fitting(line, flagWidth, 11))
	}
	for i := range flags {
		if f := &flags[i]; f.at == at && f.lines[0] == when {
			f.lines = append(f.lines, lines...)
			return flags
		}
	}
	return append(flags, dateFlag{at: at, x: p.scale.x(at), lines: append([]string{when}, lines...), class: class})
}

// flag draws a flag whose text begins at top and whose line ends at the bars.
func (p *picture) flag(f dateFlag, top, bars float64) {
	tip := top
	if top > bars {
		tip += float64(len(f.lines)) * lineHeight
	}
	p.line(f.x, bars, f.x, tip, f.class)
	for i, line := range f.lines {
		class := "soft"
		switch {
		case i == 0 && f.class == "now":
			class = "when nowtext"
		case i == 0:
			class = "when"
		}
		p.text(f.x+4, top+10+float64(i)*lineHeight, `class="`+class+`"`, line)
	}
}
