package main

import (
	"cmp"
	"slices"
	"time"
)

// A timeScale puts instants on the axis of a picture. Within a stretch it is linear; a stretch in which
// nothing happens for very long is shortened, and the picture shows a break there.
type timeScale struct {
	stretches []stretch // in order of time, at least one; each begins where the last ends
}

type stretch struct {
	from, to int64
	x0, x1   float64
	broken   bool
}

// newTimeScale shows the instants, of which there are at least two different ones, between x0 and x1.
func newTimeScale(instants []int64, x0, x1 float64) *timeScale {
	at := slices.Clone(instants)
	slices.Sort(at)
	at = slices.Compact(at)
	s := &timeScale{}
	weights := make([]float64, len(at)-1)
	for i := range weights {
		s.stretches = append(s.stretches, stretch{from: at[i], to: at[i+1]})
		weights[i] = float64(at[i+1]) - float64(at[i])
	}
	// A stretch that is much longer than all shorter ones together is cut to twice those.
	order := make([]int, len(weights))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(weights[a], weights[b]) })
	total := 0.0
	for _, i := range order {
		if total > 0 && weights[i] > 5*total && weights[i] > 730*24*3600 {
			weights[i], s.stretches[i].broken = total, true
		}
		total += weights[i]
	}
	x := x0
	for i := range s.stretches {
		s.stretches[i].x0 = x
		x += weights[i] / total * (x1 - x0)
		s.stretches[i].x1 = x
	}
	return s
}

// x is where an instant is; what is outside is at the edge.
func (s *timeScale) x(at int64) float64 {
	for _, t := range s.stretches {
		if at < t.to {
			return t.x0 + max(0, float64(at)-float64(t.from))/(float64(t.to)-float64(t.from))*(t.x1-t.x0)
		}
	}
	return s.stretches[len(s.stretches)-1].x1
}

// axisTick is a labelled line of the axis.
type axisTick struct {
	x     float64
	label string
}

// ticks are the beginnings of days, months or years of the zone, as close as their labels allow.
func (s *timeScale) ticks(loc *time.Location) []axisTick {
	perSecond := 0.0 // pixels, where nothing is shortened
	for _, t := range s.stretches {
		if !t.broken {
			perSecond = max(perSecond, (t.x1-t.x0)/(float64(t.to)-float64(t.from)))
		}
	}
	const day = 24 * 3600.0
	units := []struct {
		seconds             float64
		years, months, days int
		layout              string
	}{
		{day, 0, 0, 1, "2006-01-02"},
		{2 * day, 0, 0, 2, "2006-01-02"},
		{7 * day, 0, 0, 7, "2006-01-02"},
		{31 * day, 0, 1, 0, "2006-01"},
		{92 * day, 0, 3, 0, "2006-01"},
		{366 * day, 1, 0, 0, "2006"},
		{1830 * day, 5, 0, 0, "2006"},
		{3660 * day, 10, 0, 0, "2006"},
		{36600 * day, 100, 0, 0, "2006"},
		{366000 * day, 1000, 0, 0, "2006"},
	}
	unit := units[len(units)-1]
	for _, u := range units {
		if u.seconds*perSecond >= 7.5*float64(len(u.layout))+14 {
			unit = u
			break
		}
	}
	var out []axisTick
	for _, t := range s.stretches {
		if t.broken {
			continue
		}
		from := time.Unix(t.from, 0).In(loc)
		y, m, d := from.Date()
		switch {
		case unit.years > 0:
			y, m, d = y-y%unit.years, 1, 1
		case unit.months > 0:
			m, d = m-(m-1)%time.Month(unit.months), 1
		default: // from the same day on in every stretch
			days := int(time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Unix() / (24 * 3600))
			d -= days % unit.days
		}
		for n := 0; ; n++ {
			at := time.Date(y+n*unit.years, m+time.Month(n*unit.months), d+n*unit.days, 0, 0, 0, 0, loc)
			if at.Unix() >= t.to {
				break
			}
			x := s.x(at.Unix())
			if at.Unix() >= t.from && (len(out) == 0 || x-out[len(out)-1].x >= 7.5*float64(len(unit.layout))) {
				out = append(out, axisTick{x, at.Format(unit.layout)})
			}
		}
	}
	return out
}

// A dateFlag is a label with a line to the instant it is about.
type dateFlag struct {
	at    int64
	x     float64
	lines []string
	class string
	row   int // 0 is nearest to the bars
}

// textWidth is more than what the widest usual sans-serif font needs at 11 pixels.
func textWidth(s string) float64 {
	n := 0.0
	for _, r := range s {
		switch {
		case r >= 0x1100: // scripts with wide characters
			n += 12
		default:
			n += 7.1
		}
	}
	return n
}

// fitting is s, shortened to a width at a size of text in pixels.
func fitting(s string, width, size float64) string {
	if textWidth(s)*size/11 <= width {
		return s
	}
	cut := []rune(s)
	for len(cut) > 0 && textWidth(string(cut)+"…")*size/11 > width {
		cut = cut[:len(cut)-1]
	}
	return string(cut) + "…"
}

func (f *dateFlag) width() float64 {
	w := 0.0
	for _, line := range f.lines {
		w = max(w, textWidth(line))
	}
	return w + 6
}

// stackFlags puts flags into rows, so that no text lies on another and no line crosses one. Texts are to
// the right of their line; it returns how far from the bars each row begins, and where the last ends.
func stackFlags(flags []dateFlag) []float64 {
	slices.SortStableFunc(flags, func(a, b dateFlag) int { return cmp.Or(cmp.Compare(b.x, a.x), cmp.Compare(b.at, a.at)) })
	var leftmost []float64 // of the flags in a row or in one further away, whose lines pass the row
	for i := range flags {
		f := &flags[i]
		for f.row < len(leftmost) && f.x+f.width()+4 > leftmost[f.row] {
			f.row++
		}
		if f.row == len(leftmost) {
			leftmost = append(leftmost, 0)
		}
		for r := 0; r <= f.row; r++ {
			leftmost[r] = f.x
		}
	}
	starts := make([]float64, len(leftmost)+1)
	for r := range leftmost {
		lines := 0
		for _, f := range flags {
			if f.row == r {
				lines = max(lines, len(f.lines))
			}
		}
		starts[r+1] = starts[r] + float64(lines)*lineHeight + 5
	}
	return starts
}
