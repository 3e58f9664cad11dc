package license

import "time"

// instantOf is the instant at which the clocks of a zone first show a wall time, given as the
// Unix time it would have in UTC. A wall time that the clocks skip is the first instant after
// the gap, one that they show twice its first occurrence: in both cases the first instant at
// which the local clock has reached it.
func instantOf(wall int64, loc *time.Location) int64 {
	if loc == time.UTC {
		return wall
	}
	const far = 48 * 3600 // no zone was ever further from UTC, nor moved further at once
	t := wall - far
	for {
		at := time.Unix(t, 0).In(loc)
		_, offset := at.Zone()
		reached := max(wall-int64(offset), t)
		_, end := at.ZoneBounds()
		if end.IsZero() {
			return reached
		}
		// Beyond its tables, time ends the zone of a leap year's last day before that day; no
		// clock changes then, so going on by hours is safe.
		next := max(end.Unix(), t+3600)
		if reached < next {
			return reached
		}
		t = next
	}
}

// date is a day of the calendar, in no zone yet.
type date struct {
	year  int
	month time.Month
	day   int
}

// begins is the first instant of the day in the zone, ends that of the next day.
func (d date) begins(loc *time.Location) int64 {
	return instantOf(time.Date(d.year, d.month, d.day, 0, 0, 0, 0, time.UTC).Unix(), loc)
}

func (d date) ends(loc *time.Location) int64 {
	return date{d.year, d.month, d.day + 1}.begins(loc)
}
