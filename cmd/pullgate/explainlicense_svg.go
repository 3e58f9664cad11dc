package main

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"slices"
	"strings"

	"github.com/pullgate/pullgate/bundle/license"
)

// The picture of a timeline: 960 pixels wide and as high as its labels need. It stands alone: a
// title, a description, a legend, no fonts or scripts from elsewhere. The same timeline gives
// the same bytes.
const (
	pictureWidth = 960.0
	plotLeft     = 110.0
	plotRight    = 780.0 // labels are to the right of their line
	plotPad      = 28.0  // room for what began always or ends never
	useHeight    = 28.0
	windowHeight = 14.0
	lineHeight   = 13.0
	flagGap      = 12.0
	flagWidth    = 190.0 // from the last line to the edge
)

// pictureStyle has the colours for light and dark surroundings; where @media is not understood
// the picture is light.
const pictureStyle = `
text{font:11px Helvetica,Arial,"DejaVu Sans",sans-serif;fill:#1f2933}
.h1{font-size:17px;font-weight:bold}.h2{font-size:12.5px}.when{font-weight:bold}.soft{fill:#52606d}.in{fill:#ffffff;text-anchor:middle}.in.dark{fill:#1f2933}
.card{fill:#ffffff;stroke:#cbd2d9}.grid{stroke:#e4e7eb}.break{stroke:#ffffff;stroke-width:5}.breakline{stroke:#7b8794;fill:none}
.line{stroke:#7b8794}.now{stroke:#c2255c;stroke-width:2}.nowtext{fill:#c2255c}.stop{stroke:#9b1c1c;stroke-width:2}
.term{fill:#2b6cb0}.term.odd{fill:#4a86c5}.ahead{fill:#d3e3f3;stroke:#2b6cb0;stroke-dasharray:4 3}.grace{fill:#e9a23b}.kept{fill:#fbe7b2;stroke:#b7791f;stroke-dasharray:2 2}
.window{fill:#3c8d71}.void{fill:#e4e7eb;stroke:#9aa5b1;stroke-dasharray:2 2}.hatch{stroke:#9b1c1c;stroke-width:2.5}.hatched{fill:url(#hatch);stroke:#9b1c1c}.gap{fill:#ffffff;fill-opacity:.55}
@media (prefers-color-scheme:dark){
text{fill:#e4e7eb}.soft{fill:#9aa5b1}.in{fill:#ffffff}.in.dark{fill:#1f2933}
.card{fill:#171c22;stroke:#3e4c59}.grid{stroke:#2b343e}.break{stroke:#171c22}.line{stroke:#9aa5b1}.now{stroke:#f06595}.nowtext{fill:#f06595}.stop{stroke:#ff8787}
.void{fill:#2b343e;stroke:#616e7c}.hatch{stroke:#ff8787}.hatched{stroke:#ff8787}.gap{fill:#171c22}
}
`

type picture struct {
	tl    explained
	scale *timeScale
	b     bytes.Buffer

	use, window float64 // top of the lanes
	bottom      float64 // where the axis has its labels
	stop        int64   // from then on nothing counts: revoked, replaced, terminated
	legend      []legendEntry
}

type legendEntry struct{ class, text string }

// drawTimeline returns the picture as SVG.
func drawTimeline(tl explained) []byte {
	p := &picture{tl: tl, stop: min(tl.Schedule.Terminates, tl.Clock(license.ClockRevoked).At, tl.License.ReplacedAt)}
	if tl.Customer.Banned {
		p.stop = license.Always
	}
	p.scale = newTimeScale(p.instants(), plotLeft+plotPad, plotRight-plotPad)
	above, below := p.flagsAbove(), p.flagsBelow()
	up, down := stackFlags(above), stackFlags(below)
	p.use = 92 + up[len(up)-1] + flagGap
	p.window = p.use + useHeight + 8
	p.bottom = p.window + windowHeight + flagGap + down[len(down)-1] + 6

	p.grid()
	p.lanes()
	p.breaks()
	for _, f := range above {
		p.flag(f, p.use-flagGap-up[f.row+1], p.use)
	}
	for _, f := range below {
		p.flag(f, p.window+windowHeight+flagGap+down[f.row], p.window+windowHeight)
	}
	now := p.scale.x(tl.At)
	p.line(now, p.use-4, now, p.window+windowHeight+4, "now")
	height := p.legendRows(p.bottom + 30)
	body := bytes.Clone(p.b.Bytes())
	p.b.Reset()
	p.frame(height) // the frame needs the height, which the legend says
	p.b.Write(body)
	p.b.WriteString("</svg>\n")
	return p.b.Bytes()
}

func (p *picture) grid() {
	for _, t := range p.scale.ticks(p.tl.Loc) {
		p.line(t.x, p.use-6, t.x, p.bottom, "grid")
		p.text(t.x, p.bottom+12, `class="soft" text-anchor="middle"`, t.label)
	}
}

// breaks shows where time is shortened.
func (p *picture) breaks() {
	for _, s := range p.scale.stretches {
		if !s.broken {
			continue
		}
		x := (s.x0 + s.x1) / 2
		top, bottom := p.use-6, p.window+windowHeight+6
		p.line(x+4, top, x-4, bottom, "break")
		p.line(x+1, top, x-7, bottom, "breakline")
		p.line(x+7, top, x-1, bottom, "breakline")
	}
}

func (p *picture) mention(class, text string) {
	for _, e := range p.legend {
		if e.text == text {
			return
		}
	}
	p.legend = append(p.legend, legendEntry{class, text})
}

// legendRows draws the legend from y on and returns the height of the picture.
func (p *picture) legendRows(y float64) float64 {
	x := plotLeft
	for _, e := range p.legend {
		w := 20 + textWidth(e.text) + 18
		if x+w > pictureWidth-20 && x > plotLeft {
			x, y = plotLeft, y+20
		}
		p.rect(x, y, x+14, 12, e.class)
		p.text(x+20, y+10, "", e.text)
		x += w
	}
	y += 34
	note := fmt.Sprintf("Days of %s. “Last day” is included: what ends, ends with it.", p.tl.License.Zone)
	if slices.ContainsFunc(p.scale.stretches, func(s stretch) bool { return s.broken }) {
		note += " At // time is shortened."
	}
	p.text(plotLeft, y, `class="soft"`, note)
	return y + 18
}

// frame opens the document: what it is, then the card everything lies on.
func (p *picture) frame(height float64) {
	tl := p.tl
	l := tl.License
	title := fmt.Sprintf("License %s of %s", l.ID, tl.Customer.Name)
	plan := string(l.Type)
	if l.Plan != "" {
		plan += ", plan " + l.Plan
	}
	now := fmt.Sprintf("%s, %s", tl.day(tl.At, false), tl.standing())
	next := "Nothing changes any more."
	if len(tl.Changes) > 0 {
		c := tl.Changes[0]
		when := "on " + tl.day(c.At, false)
		if c.End {
			when = tl.endWords(c.At, "last day ", "at ")
		}
		next = fmt.Sprintf("Next, %s: %s.", when, tl.changeText(c))
	}
	fmt.Fprintf(&p.b, `<svg xmlns="http://www.w3.org/2000/svg" width="%.0f" height="%.0f" viewBox="0 0 %.0f %.0f" role="img" aria-labelledby="title desc">`+"\n",
		pictureWidth, height, pictureWidth, height)
	fmt.Fprintf(&p.b, "<title id=\"title\">%s</title>\n<desc id=\"desc\">%s</desc>\n", escapeXML(title), escapeXML(p.description(now, next)))
	fmt.Fprintf(&p.b, "<style>%s</style>\n", pictureStyle)
	p.b.WriteString(`<defs><pattern id="hatch" width="7" height="7" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><line class="hatch" x1="0" y1="0" x2="0" y2="7"/></pattern></defs>` + "\n")
	fmt.Fprintf(&p.b, `<rect class="card" x="0.5" y="0.5" width="%.0f" height="%.0f" rx="6"/>`+"\n", pictureWidth-1, height-1)
	p.text(20, 30, `class="h1"`, fitting(title, 700, 18))
	p.text(pictureWidth-20, 30, `class="soft" text-anchor="end"`, fitting(plan, 190, 11))
	p.text(20, 52, `class="h2"`, fitting(now, 920, 12))
	p.text(20, 71, `class="h2 soft"`, fitting(next, 920, 12))
}

// description is the picture for who does not see it.
func (p *picture) description(now, next string) string {
	words := []string{now + ".", next}
	for _, c := range p.tl.Clocks {
		if c.At == license.Never || c.At == license.Always {
			words = append(words, fmt.Sprintf("%s: %s.", strings.ReplaceAll(c.Name, "_", " "), p.tl.day(c.At, c.End)))
			continue
		}
		when := "from " + p.tl.day(c.At, false)
		if c.End {
			when = p.tl.upTo(c.At)
		}
		if c.Until != license.Never {
			when += ", " + p.tl.upTo(c.Until)
		}
		words = append(words, fmt.Sprintf("%s: %s.", strings.ReplaceAll(c.Name, "_", " "), when))
	}
	return strings.Join(words, " ")
}

func (p *picture) rect(x0, y, x1, height float64, class string) {
	fmt.Fprintf(&p.b, `<rect class="%s" x="%.1f" y="%.1f" width="%.1f" height="%.1f"/>`+"\n", class, x0, y, x1-x0, height)
}

// arrow draws the head of a bar that goes on.
func (p *picture) arrow(x, y, height, length float64, class string) {
	fmt.Fprintf(&p.b, `<path class="%s" d="M%.1f %.1fL%.1f %.1fL%.1f %.1fz"/>`+"\n", class, x, y, x+length, y+height/2, x, y+height)
}

func (p *picture) line(x0, y0, x1, y1 float64, class string) {
	fmt.Fprintf(&p.b, `<line class="%s" x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"/>`+"\n", class, x0, y0, x1, y1)
}

func (p *picture) text(x, y float64, attributes, s string) {
	if attributes != "" {
		attributes = " " + attributes
	}
	fmt.Fprintf(&p.b, `<text x="%.1f" y="%.1f"%s>%s</text>`+"\n", x, y, attributes, escapeXML(s))
}

// escapeXML makes any text content of XML.
func escapeXML(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a Builder does not fail
	return b.String()
}
