package license

import "testing"

// Two weeks before the end on the calendar are not 336 hours where the clocks change in between.
func TestExpiringFromIsTwoWeeksOnTheCalendar(t *testing.T) {
	for _, c := range []struct{ zone, ends, want string }{
		{"UTC", "2026-12-31", "2026-12-18T00:00:00Z"},
		{"Europe/Berlin", "2026-04-04", "2026-03-21T23:00:00Z"}, // 335 hours: summer time begins on 29 March
		{"Europe/Berlin", "2026-11-01", "2026-10-18T22:00:00Z"}, // 337 hours: it ends on 25 October
	} {
		set, err := Parse(map[string][]byte{"a.yaml": []byte("kind: Customer\nid: acme\nzone: " + c.zone + "\n---\nkind: License\nid: l\ncustomer: acme\ntype: subscription\nstarts: 2026-01-01\nends: " + c.ends + "\ngrants: []\n")})
		if err != nil {
			t.Fatal(err)
		}
		l := &set.Licenses[0]
		if got, want := l.ExpiringFrom(l.Schedule(0).Ends), instant(t, c.want); got != want {
			t.Errorf("%s, ends %s: from %d, want %d", c.zone, c.ends, got, want)
		}
	}
	set, err := Parse(map[string][]byte{"a.yaml": []byte("kind: Customer\nid: acme\n---\nkind: License\nid: l\ncustomer: acme\ntype: perpetual\nends: never\nupdates: forever\ngrants: []\n")})
	if err != nil {
		t.Fatal(err)
	}
	if got := set.Licenses[0].ExpiringFrom(Never); got != Never {
		t.Errorf("of what never ends: %d", got)
	}
}
