package license

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func fromMemory(files map[string][]byte) func(string) ([]byte, error) {
	return func(name string) ([]byte, error) {
		if text, ok := files[name]; ok {
			return text, nil
		}
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
}

func timeline(t testing.TB, files map[string][]byte, id, at string) *Timeline {
	t.Helper()
	set, err := Parse(files)
	if err != nil {
		t.Fatal(err)
	}
	tl, err := set.Timeline(id, instant(t, at), fromMemory(files))
	if err != nil {
		t.Fatal(err)
	}
	return tl
}

// parts is a set in four files, so that places cannot be mixed up.
var parts = map[string][]byte{
	"plans/gold.yaml": []byte(`kind: Plan
id: gold
type: subscription
aligned:
  fiscal_year_ends: 06-30
minimum_term: P3M
renews: {every: P1Y, notice: P30D}
grace: P2W
updates: {until: 2026-12-31}
zone: Asia/Tokyo
grants: []
`),
	"acme.yaml": []byte("kind: Customer\nid: acme\nzone: Europe/Berlin\n"),
	"l/own.yaml": []byte(`kind: License
id: own
customer: acme
plan: gold
starts: 2026-05-10
renews:
  cancelled: 2026-11-20T10:00:00Z
terminates: P60D
keep_versions: true
status:
  suspended:
    at: 2026-08-01
    until: 2026-08-31T12:00:00Z
`),
	"l/next.yaml": []byte(`kind: License
id: next
customer: acme
type: perpetual
starts: 2027-01-01
ends: never
updates: forever
enforcement: warn
grants: []

replaces: own
`),
}

func TestTimelineSaysWhereEachDateComesFrom(t *testing.T) {
	own := timeline(t, parts, "own", "2026-06-01T00:00:00Z")
	next := timeline(t, parts, "next", "2026-06-01T00:00:00Z")
	got := map[string]string{}
	for name, tl := range map[string]*Timeline{"own": own, "next": next} {
		for _, f := range tl.Facts {
			got[name+" "+f.Field] = f.Value + "|" + f.String()
		}
		for _, c := range tl.Clocks {
			var from []string
			for _, o := range c.Origins {
				from = append(from, o.Field+"="+o.Value+"|"+o.String())
			}
			got[name+" clock "+c.Name] = c.How + " | " + strings.Join(from, "; ")
		}
	}
	want := map[string]string{
		"own plan":        "gold|l/own.yaml:4",
		"own type":        "subscription|plan gold (plans/gold.yaml:3)",
		"own zone":        "Asia/Tokyo|plan gold (plans/gold.yaml:10)",
		"own enforcement": "|default",
		"own status":      "|l/own.yaml:10",
		"own replaces":    "|default",

		"own clock start": "the first instant of 2026-05-10 | starts=2026-05-10|l/own.yaml:5",
		"own clock use_end": "end of the fiscal year (06-30) in which the start lies, at least P3M away (2026-06-30 is nearer); cancelled: this end is the last | " +
			"starts=2026-05-10|l/own.yaml:5; aligned.fiscal_year_ends=06-30|plan gold (plans/gold.yaml:5); minimum_term=P3M|plan gold (plans/gold.yaml:6); " +
			"renews.every=P1Y|plan gold (plans/gold.yaml:7); renews.notice=P30D|plan gold (plans/gold.yaml:7); renews.cancelled=2026-11-20T10:00:00Z|l/own.yaml:7",
		"own clock update_window_end": "the end of 2026-12-31 | updates.until=2026-12-31|plan gold (plans/gold.yaml:9)",
		"own clock grace_end":         "use end + P2W | grace=P2W|plan gold (plans/gold.yaml:8)",
		"own clock termination":       "use end + P60D | terminates=P60D|l/own.yaml:8",
		"own clock kept_versions":     "from the grace end to the termination: versions dated before the update window's end | keep_versions=true|l/own.yaml:9",
		"own clock expiring_soon":     "use end − P14D, as for every license | expiring_soon=|default",
		"own clock suspended":         "the first instant of 2026-08-01, to the instant as written | status.suspended.at=2026-08-01|l/own.yaml:12; status.suspended.until=2026-08-31T12:00:00Z|l/own.yaml:13",
		"own clock revoked":           "not revoked | status=|default",
		"own clock replaced":          "start of next, which replaces this license | replaces=own|l/next.yaml:11",

		"next plan":        "|default",
		"next type":        "perpetual|l/next.yaml:4",
		"next zone":        "Europe/Berlin|customer acme (acme.yaml:3)",
		"next enforcement": "warn|l/next.yaml:8",
		"next status":      "|default",
		"next replaces":    "own|l/next.yaml:11",

		"next clock start":             "the first instant of 2027-01-01 | starts=2027-01-01|l/next.yaml:5",
		"next clock use_end":           "a perpetual license | ends=never|l/next.yaml:6",
		"next clock update_window_end": "forever | updates=forever|l/next.yaml:7",
		"next clock grace_end":         "use does not end | grace=|default",
		"next clock termination":       "no `terminates` | terminates=|default",
		"next clock kept_versions":     "none | keep_versions=|default",
		"next clock expiring_soon":     "use does not end | expiring_soon=|default",
		"next clock suspended":         "not suspended | status=|default",
		"next clock revoked":           "not revoked | status=|default",
		"next clock replaced":          "no license replaces this one | replaces=|default",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// licenseOf is a set of one license with the fields.
func licenseOf(fields string) map[string][]byte {
	return map[string][]byte{"a.yaml": []byte("kind: Customer\nid: acme\n---\nkind: License\nid: l\ncustomer: acme\ngrants: []\n" + fields + "\n")}
}

func TestTimelineSaysHowTheEndWasCounted(t *testing.T) {
	for _, c := range []struct{ fields, clock, at, how string }{
		{"type: subscription\nends: 2026-12-31", ClockUseEnd, "2027-01-01T00:00:00Z", "the end of 2026-12-31"},
		{"type: subscription\nends: 2026-12-31T12:00:00Z", ClockUseEnd, "2026-12-31T12:00:00Z", "the instant as written"},
		{"type: subscription\nstarts: 2026-01-01\nterm: P1Y", ClockUseEnd, "2027-01-01T00:00:00Z", "start + P1Y"},
		{
			"type: subscription\nstarts: 2024-01-31\nterm: P1M\nrenews: {every: P1M, cancelled: 2024-04-01T00:00:00Z}", ClockUseEnd,
			"2024-04-30T00:00:00Z", "start + (P1M + 2 × P1M); cancelled: this end is the last",
		},
		{
			"type: subscription\nends: 2024-12-31\nrenews: {every: P1Y}", ClockUseEnd,
			"2028-01-01T00:00:00Z", "first end + 3 × P1Y; first end: the end of 2024-12-31; not cancelled, so compiled one term ahead",
		},
		{"type: subscription\nstarts: 2026-01-01\naligned: calendar-year", ClockUseEnd, "2027-01-01T00:00:00Z", "end of the calendar year in which the start lies"},
		{
			"type: subscription\nstarts: 2026-06-30\naligned: {fiscal_year_ends: 06-30}\nminimum_term: P1D", ClockUseEnd,
			"2026-07-01T00:00:00Z", "end of the fiscal year (06-30) in which the start lies, at least P1D away",
		},
		{
			"type: subscription\nstarts: 2025-06-30\naligned: {fiscal_year_ends: 06-30}\nrenews: {every: P1Y}", ClockUseEnd, "2027-07-01T00:00:00Z",
			"first end + 2 × P1Y; first end: end of the fiscal year (06-30) in which the start lies; not cancelled, so compiled one term ahead",
		},
		{"type: subscription\nends: 2026-12-31\nterminates: 2027-03-31", ClockTermination, "2027-04-01T00:00:00Z", "the end of 2027-03-31"},
		{"type: subscription\nends: 2026-12-31\nupdates: {until: 2026-06-30T01:02:03Z}", ClockUpdates, "2026-06-30T01:02:03Z", "the instant as written"},
		{"type: perpetual\nstarts: 2026-01-31\nends: never\nupdates: {period: P1M}", ClockUpdates, "2026-02-28T00:00:00Z", "start + P1M"},
		{"type: subscription\nends: 2026-12-31\nupdates: with-term", ClockUpdates, "2027-01-01T00:00:00Z", "with the term: the use end"},
		{"type: subscription\nends: 2026-12-31\ngrace: P0D", ClockGrace, "2027-01-01T00:00:00Z", "no grace: the use end"},
		{"type: trial\nends: 2026-12-31\nterminates: P1D\nkeep_versions: true", ClockKept, "", "a trial keeps no versions"},
		{"type: subscription\nends: 2026-12-31\ngrace: P14D\nterminates: P14D\nkeep_versions: true", ClockKept, "", "the termination is not after the grace end"},
		{"type: subscription\nends: 2026-12-31\nterminates: P14D\nkeep_versions: true", ClockKept, "2027-01-01T00:00:00Z", "from the grace end to the termination: versions dated before the use end"},
		{"type: subscription\nends: 2026-12-31\nstatus: {suspended: {at: 2026-01-01}}", ClockSuspended, "2026-01-01T00:00:00Z", "the first instant of 2026-01-01, until further notice"},
		{"type: subscription\nends: 2026-12-31\nstatus: {revoked: {at: 2026-01-01}}", ClockRevoked, "2026-01-01T00:00:00Z", "the first instant of 2026-01-01"},
		{"type: subscription\nends: 2026-12-31", ClockExpiring, "2026-12-18T00:00:00Z", "use end − P14D, as for every license"},
	} {
		got := timeline(t, licenseOf(c.fields), "l", "2026-05-05T00:00:00Z").Clock(c.clock)
		at := Never
		if c.at != "" {
			at = instant(t, c.at)
		}
		if got.At != at || got.How != c.how {
			t.Errorf("%s:\n%s %d %q\nwant %d %q", c.fields, c.clock, got.At, got.How, at, c.how)
		}
	}
}

// S07: the term ends on 31 December 2026, notice is 30 days, so the last moment is before
// 2 December; exactly then is too late.
func TestTimelineJudgesCancellations(t *testing.T) {
	for _, c := range []struct {
		cancelled     string
		running, last int64
		late          bool
		deadline      string
	}{
		{"2026-12-01T23:59:59Z", 1, 1, false, "2026-12-02T00:00:00Z"},
		{"2026-12-02T00:00:00Z", 1, 2, true, "2026-12-02T00:00:00Z"},
		{"2026-12-31T23:59:59Z", 1, 2, true, "2026-12-02T00:00:00Z"},
		{"2027-01-01T00:00:00Z", 2, 2, false, "2027-12-02T00:00:00Z"},
		{"2020-01-01T00:00:00Z", 1, 1, false, "2026-12-02T00:00:00Z"}, // before the start
	} {
		tl := timeline(t, licenseOf("type: subscription\nstarts: 2026-01-01\nterm: P1Y\nrenews: {every: P1Y, notice: P30D, cancelled: "+c.cancelled+"}"), "l", "2026-05-05T00:00:00Z")
		r := tl.Renews
		if r.RunningTerm != c.running || r.LastTerm != c.last || r.Late() != c.late || r.Deadline != instant(t, c.deadline) {
			t.Errorf("%s: %+v, late %v", c.cancelled, r, r.Late())
		}
		if got := tl.Terms[len(tl.Terms)-1]; got.To != tl.Schedule.Ends || got.Number != c.last {
			t.Errorf("%s: last term %+v, use end %d", c.cancelled, got, tl.Schedule.Ends)
		}
	}
}

func TestTimelineLeavesOutTermsAmongMany(t *testing.T) {
	tl := timeline(t, licenseOf("type: subscription\nstarts: 2000-01-01\nterm: P1D\nrenews: {every: P1D}"), "l", "2026-05-05T12:00:00Z")
	var numbers []int64
	for _, term := range tl.Terms {
		numbers = append(numbers, term.Number)
	}
	if want := []int64{1, 2, 3, 4, 9618, 9619, 9620, 9621, 9622, 9623}; !slices.Equal(numbers, want) {
		t.Errorf("terms %v, want %v", numbers, want)
	}
	if got := tl.Terms[8].Phase; got != PhaseCurrent {
		t.Errorf("term %d is %s", tl.Terms[8].Number, got)
	}
	if got := tl.Terms[9].Phase; got != PhaseAhead {
		t.Errorf("term %d is %s", tl.Terms[9].Number, got)
	}
	// A cancellation that is far ahead leaves terms out on both sides of the one that runs.
	tl = timeline(t, licenseOf("type: subscription\nstarts: 2000-01-01\nterm: P1D\nrenews: {every: P1D, cancelled: 2050-01-01T00:00:00Z}"), "l", "2026-05-05T12:00:00Z")
	if len(tl.Terms) > 20 || tl.Terms[len(tl.Terms)-1].To != tl.Schedule.Ends {
		t.Errorf("%d terms, the last %+v", len(tl.Terms), tl.Terms[len(tl.Terms)-1])
	}
	if !slices.ContainsFunc(tl.Terms, func(t Term) bool { return t.Phase == PhaseCurrent }) {
		t.Error("the term that runs is left out")
	}
}

// events is what changes, as "2027-01-01 use_end → grace".
func events(tl *Timeline) []string {
	out := []string{}
	for _, c := range tl.Changes {
		out = append(out, fmt.Sprintf("%s %s → %s", DayOf(c.At, false, tl.Loc).Date, c.Event, c.State))
	}
	return out
}

func TestTimelineSaysWhatChangesNext(t *testing.T) {
	for _, c := range []struct {
		fields, at string
		state      State
		code       string
		want       []string
	}{
		{
			"type: subscription\nstarts: 2026-01-01\nterm: P1Y\ngrace: P14D\nterminates: P90D\nkeep_versions: true", "2025-12-01T00:00:00Z", StateNotStarted, "not_started",
			[]string{"2026-01-01 start → running", "2026-12-18 expiring_soon → running", "2027-01-01 use_end → grace", "2027-01-15 grace_end → kept_versions", "2027-04-01 termination → terminated"},
		},
		{
			"type: subscription\nstarts: 2026-01-01\nterm: P1Y\nrenews: {every: P1Y, notice: P30D}\ngrace: P14D", "2026-05-05T00:00:00Z", StateRunning, "ok",
			[]string{"2026-12-02 notice_deadline → running", "2027-01-01 renewal → running"},
		},
		{ // the hard stop is not moved by renewals
			"type: subscription\nstarts: 2026-01-01\nterm: P1Y\nrenews: {every: P1Y}\nterminates: 2027-06-30", "2026-05-05T00:00:00Z", StateRunning, "ok",
			[]string{"2027-01-01 notice_deadline → running", "2027-01-01 renewal → running", "2027-07-01 termination → terminated"},
		},
		{
			"type: subscription\nstarts: 2026-01-01\nterm: P1Y\nrenews: {every: P1Y, notice: P30D, cancelled: 2026-12-15T00:00:00Z}", "2026-12-20T00:00:00Z", StateRunning, "ok",
			[]string{"2027-01-01 renewal → running", "2027-12-18 expiring_soon → running", "2028-01-01 use_end → ended"},
		},
		{ // the last term does not renew
			"type: subscription\nstarts: 2026-01-01\nterm: P1Y\nrenews: {every: P1Y, cancelled: 2026-12-15T00:00:00Z}\ngrace: P14D", "2026-12-20T00:00:00Z", StateRunning, "ok",
			[]string{"2027-01-01 use_end → grace", "2027-01-15 grace_end → ended"},
		},
		{ // nobody is told that it ends soon before it starts
			"type: subscription\nstarts: 2026-01-10\nterm: P7D", "2026-01-01T00:00:00Z", StateNotStarted, "not_started",
			[]string{"2026-01-10 start → running", "2026-01-17 use_end → ended"},
		},
		{"type: trial\nstarts: 2026-01-01\nterm: P14D", "2026-01-05T00:00:00Z", StateRunning, "ok", []string{"2026-01-15 use_end → ended"}},
		{"type: trial\nstarts: 2026-01-01\nterm: P14D", "2026-01-15T00:00:00Z", StateEnded, "trial_ended", []string{}},
		{"type: subscription\nends: 2026-01-01\nterminates: P1D", "2026-01-02T00:00:00Z", StateEnded, "expired", []string{"2026-01-03 termination → terminated"}},
		{
			"type: subscription\nends: 2026-12-31\nstatus: {suspended: {at: 2026-03-01, until: 2026-03-31}}", "2026-03-01T00:00:00Z", StateSuspended, "suspended",
			[]string{"2026-04-01 suspended_end → running", "2026-12-18 expiring_soon → running", "2027-01-01 use_end → ended"},
		},
		{"type: subscription\nends: 2026-12-31\nstatus: {revoked: {at: 2026-03-01}}", "2026-03-01T00:00:00Z", StateRevoked, "revoked", []string{}},
		{
			"type: perpetual\nends: never\nupdates: {until: 2026-12-31}", "2026-03-01T00:00:00Z", StateRunning, "ok",
			[]string{"2027-01-01 update_window_end → running"},
		},
		{"type: perpetual\nends: never\nupdates: forever", "2026-03-01T00:00:00Z", StateRunning, "ok", []string{}},
	} {
		tl := timeline(t, licenseOf(c.fields), "l", c.at)
		if tl.State != c.state || tl.Code() != c.code {
			t.Errorf("%s\nat %s: %s, code %s; want %s, %s", c.fields, c.at, tl.State, tl.Code(), c.state, c.code)
		}
		if diff := cmp.Diff(c.want, events(tl)); diff != "" {
			t.Errorf("%s\nat %s\n%s", c.fields, c.at, diff)
		}
	}
	for at, want := range map[string]State{"2026-12-31T14:59:59Z": StateRunning, "2026-12-31T23:00:00Z": StateReplaced} {
		if tl := timeline(t, parts, "own", at); tl.State != want {
			t.Errorf("at %s: %s, want %s", at, tl.State, want)
		}
	}
	banned := map[string][]byte{"a.yaml": []byte("kind: Customer\nid: acme\nstatus: banned\n---\nkind: License\nid: l\ncustomer: acme\ngrants: []\ntype: subscription\nends: 2026-12-31\n")}
	if tl := timeline(t, banned, "l", "2026-01-01T00:00:00Z"); tl.State != StateBanned || len(tl.Changes) != 0 || tl.Checks[0].Pass {
		t.Errorf("of a banned customer: %s, %v, %v", tl.State, events(tl), tl.Checks)
	}
}

func TestTimelineRefusesWhatItCannotExplain(t *testing.T) {
	set, err := Parse(parts)
	if err != nil {
		t.Fatal(err)
	}
	var unknown *UnknownError
	for id, want := range map[string]string{
		"nxt":     `no license "nxt", did you mean "next"?`,
		"acme":    "no license \"acme\", but a customer who holds `next` or `own`",
		"nothing": `no license "nothing"`,
	} {
		if _, err := set.Timeline(id, 0, fromMemory(parts)); !errors.As(err, &unknown) || err.Error() != want {
			t.Errorf("%s: %v, want %s", id, err, want)
		}
	}
	if _, err := set.Timeline("own", 0, fromMemory(nil)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("files that are gone: %v", err)
	}
	for file, edit := range map[string][2]string{
		"l/own.yaml":      {"starts: 2026-05-10", "starts: 2026-05-11"},
		"plans/gold.yaml": {"grace: P2W", "grace: P3W"},
		"acme.yaml":       {"id: acme", "id: emca"},
		"l/next.yaml":     {"replaces: own", "zone: Europe/Berlin"},
	} {
		files := map[string][]byte{}
		for name, text := range parts {
			files[name] = text
		}
		files[file] = []byte(strings.Replace(string(parts[file]), edit[0], edit[1], 1))
		if _, err := set.Timeline("own", 0, fromMemory(files)); err == nil || !strings.Contains(err.Error(), "changed while it was read") {
			t.Errorf("%s changed: %v", file, err)
		}
	}
}

func TestDayOfIsTheDayPeopleCount(t *testing.T) {
	for _, c := range []struct {
		zone, at string
		end      bool
		want     Day
	}{
		{"UTC", "2027-01-01T00:00:00Z", true, Day{"2026-12-31", ""}},
		{"UTC", "2027-01-01T00:00:00Z", false, Day{"2027-01-01", ""}},
		{"UTC", "2027-01-01T12:00:00Z", true, Day{"2027-01-01", "12:00"}},
		{"UTC", "2027-01-01T00:00:01Z", false, Day{"2027-01-01", "00:00:01"}},
		{"Europe/Berlin", "2026-12-31T23:00:00Z", true, Day{"2026-12-31", ""}},
		{"America/Los_Angeles", "2027-01-01T00:00:00Z", true, Day{"2026-12-31", "16:00"}},
		{"Africa/Cairo", "2024-04-25T22:00:00Z", false, Day{"2024-04-26", ""}}, // the day begins at one o'clock
		{"Africa/Cairo", "2024-04-25T22:00:00Z", true, Day{"2024-04-25", ""}},
		{"Pacific/Apia", "2011-12-30T10:00:00Z", true, Day{"2011-12-29", ""}}, // there was no 30 December
		{"Pacific/Apia", "2011-12-30T10:00:00Z", false, Day{"2011-12-31", ""}},
	} {
		loc, err := time.LoadLocation(c.zone)
		if err != nil {
			t.Fatal(err)
		}
		if got := DayOf(instant(t, c.at), c.end, loc); got != c.want {
			t.Errorf("%s in %s, end %v: %v, want %v", c.at, c.zone, c.end, got, c.want)
		}
	}
}

func TestTimelineSaysWhichVersionsAreCovered(t *testing.T) {
	const window = "type: subscription\nstarts: 2026-01-01\nterm: P1Y\ngrace: P14D\nterminates: P90D\nkeep_versions: true\nupdates: "
	for _, c := range []struct{ fields, at, want string }{
		{window + "{until: 2026-06-30}", "2026-05-05T00:00:00Z", "2026-07-01T00:00:00Z"},
		{window + "forever", "2026-05-05T00:00:00Z", "never"},
		{window + "{until: 2026-06-30}", "2027-01-05T00:00:00Z", "2026-07-01T00:00:00Z"},
		{window + "forever", "2027-01-05T00:00:00Z", "2027-01-01T00:00:00Z"},
		{window + "forever", "2027-03-05T00:00:00Z", "2027-01-01T00:00:00Z"},
		{window + "forever", "2027-05-05T00:00:00Z", "always"},
		{window + "forever", "2025-05-05T00:00:00Z", "always"},
	} {
		tl := timeline(t, licenseOf(c.fields), "l", c.at)
		got := "never"
		switch {
		case tl.CoversBefore == Always:
			got = "always"
		case tl.CoversBefore != Never:
			got = time.Unix(tl.CoversBefore, 0).UTC().Format(time.RFC3339)
		}
		if got != c.want {
			t.Errorf("%s\nat %s covers what is dated before %s, want %s", c.fields, c.at, got, c.want)
		}
	}
}

func TestDaysAreThoseOfTheCalendar(t *testing.T) {
	tl := timeline(t, parts, "next", "2026-10-24T22:30:00Z") // half past midnight in Berlin, on a day of 25 hours
	for _, c := range []struct {
		at   string
		end  bool
		want int64
	}{
		{"2026-10-24T22:00:00Z", false, 0},
		{"2026-10-24T22:00:00Z", true, -1}, // its last day was yesterday
		{"2026-10-25T22:59:00Z", false, 0},
		{"2026-10-25T23:00:00Z", false, 1},
		{"2026-10-25T23:00:00Z", true, 0},
		{"2026-10-25T23:00:01Z", true, 1}, // an end in the middle of a day is on that day
		{"2027-10-24T22:00:00Z", false, 365},
	} {
		if got := tl.Days(instant(t, c.at), c.end); got != c.want {
			t.Errorf("%s, end %v: %d days, want %d", c.at, c.end, got, c.want)
		}
	}
}

// Property: a timeline is the schedule that is compiled, its terms are those of the model, and
// nothing changes between its changes.
func TestTimelineIsTheScheduleOfTheModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := drawLicense(t)
		set := m.parse(t)
		tl, err := set.Timeline("l", m.issued.Unix(), fromMemory(m.files))
		if err != nil {
			t.Fatalf("%v of\n%s", err, m)
		}
		for name, want := range map[string]int64{
			ClockStart: m.want.Starts, ClockUseEnd: m.want.Ends, ClockUpdates: m.want.Updates,
			ClockGrace: m.want.Grace, ClockTermination: m.want.Terminates, ClockExpiring: m.soon,
		} {
			if got := tl.Clock(name).At; got != want {
				t.Fatalf("%s: %d, want %d\n%s", name, got, want, m)
			}
		}
		for i, term := range tl.Terms {
			n := int(term.Number) - 1
			from := m.starts
			if n > 0 {
				from = m.end(n - 1)
			}
			want := Term{Number: term.Number, From: from.Unix(), To: m.end(n).Unix(), Deadline: Never, Phase: term.Phase}
			if m.renews {
				want.Deadline = m.deadline(n).Unix()
			}
			if term != want {
				t.Fatalf("term %d: %+v, want %+v\n%s", i, term, want, m)
			}
			phase := PhaseFuture
			switch {
			case !m.issued.Before(m.end(n)):
				phase = PhasePast
			case !m.issued.Before(from):
				phase = PhaseCurrent
			case n == m.last && m.renews && m.cancelled.IsZero():
				phase = PhaseAhead
			}
			if term.Phase != phase {
				t.Fatalf("term %d is %s, want %s\n%s", i, term.Phase, phase, m)
			}
		}
		if got := tl.Terms[len(tl.Terms)-1].Number; got != int64(m.last)+1 {
			t.Fatalf("the last term is %d, want %d\n%s", got, m.last+1, m)
		}
		if m.renews && !m.cancelled.IsZero() {
			running := 0
			for !m.cancelled.Before(m.end(running)) {
				running++
			}
			if r := tl.Renews; r.RunningTerm != int64(min(running, m.last)+1) || r.LastTerm != int64(m.last)+1 || r.Late() != (running < m.last) {
				t.Fatalf("%+v, want term %d, then %d\n%s", r, running+1, m.last+1, m)
			}
		}

		// Between two changes every instant has the state of the first.
		state, from := tl.State, m.issued.Unix()
		for _, c := range append(slices.Clone(tl.Changes), Change{At: from + 4e9}) {
			if c.At <= from {
				continue
			}
			at := rapid.Int64Range(from, c.At-1).Draw(t, "between")
			again, err := set.Timeline("l", at, fromMemory(m.files))
			if err != nil {
				t.Fatal(err)
			}
			if again.State != state {
				t.Fatalf("at %d %s, but since %d %s was said\n%v\n%s", at, again.State, from, state, events(tl), m)
			}
			state, from = c.State, c.At
		}
	})
}
