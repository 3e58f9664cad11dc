package license

import (
	"math"
	"reflect"
	"unsafe"
)

// Same says that two customers are one that was read once: of Sets that share what has not changed
// (Edited) those that have not. Two that were read apart are never the same if they have lists or
// labels, whatever these say. It compares no more than a few words.
func (c *Customer) Same(o *Customer) bool {
	return c.ID == o.ID && c.Name == o.Name && c.Pos == o.Pos && c.Zone == o.Zone && c.Banned == o.Banned &&
		sameMap(c.Labels, o.Labels) && sameSlice(c.Keys, o.Keys) && sameSlice(c.Identities, o.Identities)
}

// Same is that of customers.
func (l *License) Same(o *License) bool {
	return l.ID == o.ID && l.Pos == o.Pos && l.Customer == o.Customer && l.Plan == o.Plan && l.Type == o.Type && l.Zone == o.Zone &&
		l.Suspended == o.Suspended && l.Revoked == o.Revoked && l.ReplacedAt == o.ReplacedAt && l.terms == o.terms &&
		l.KeepVersions == o.KeepVersions && l.Enforcement == o.Enforcement && l.Replaces == o.Replaces &&
		sameSlice(l.Grants, o.Grants) && sameMap(l.Features, o.Features)
}

func sameSlice[T any](a, b []T) bool {
	return len(a) == len(b) && (a == nil) == (b == nil) && unsafe.SliceData(a) == unsafe.SliceData(b)
}

func sameMap(a, b map[string]any) bool {
	return reflect.ValueOf(a).UnsafePointer() == reflect.ValueOf(b).UnsafePointer()
}

// Steady is the span of instants [from, to) around issuedAt for which Schedule gives the same.
func (l *License) Steady(issuedAt int64) (from, to int64) {
	t := &l.terms
	if t.renews == nil || t.renews.cancelled != Never {
		return math.MinInt64, math.MaxInt64
	}
	n := t.termAt(max(issuedAt, t.starts))
	from = math.MinInt64
	if n > 0 && t.end(n-1) > t.starts {
		from = t.end(n - 1)
	}
	return from, t.end(n)
}
