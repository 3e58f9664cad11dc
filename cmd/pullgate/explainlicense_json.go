package main

import (
	"github.com/pullgate/pullgate/bundle/license"
)

// The JSON of explain --license (docs/explain.md). Names are stable; every field is always
// there; an instant that is null has a word beside it.
type (
	licenseAnswer struct {
		License      string                  `json:"license"`
		Position     license.Position        `json:"position"`
		Customer     string                  `json:"customer"`
		CustomerName string                  `json:"customer_name"`
		Plan         *string                 `json:"plan"`
		Type         license.Type            `json:"type"`
		Zone         string                  `json:"zone"`
		Enforcement  string                  `json:"enforcement"`
		Status       string                  `json:"status"`
		Replaces     *string                 `json:"replaces"`
		Origins      map[string]originAnswer `json:"origins"`
		At           *string                 `json:"at"`
		State        license.State           `json:"state"`
		Code         *string                 `json:"code"`
		Covers       coversAnswer            `json:"covers"`
		Checks       []checkAnswer           `json:"checks"`
		Clocks       map[string]clockAnswer  `json:"clocks"`
		Renews       *renewsAnswer           `json:"renews"`
		Terms        []termAnswer            `json:"terms"`
		Changes      []changeAnswer          `json:"changes"`
	}
	originAnswer struct {
		Field  string  `json:"field"`
		Value  *string `json:"value"`
		From   string  `json:"from"` // license, plan, customer or default
		ID     *string `json:"id"`
		File   *string `json:"file"`
		Line   *int    `json:"line"`
		Column *int    `json:"column"`
	}
	// momentAnswer is an instant with the day that people count: of an end the last one.
	momentAnswer struct {
		At   *string `json:"at"`
		Word *string `json:"word"` // never or always, when At is null
		Day  *string `json:"day"`
		Time *string `json:"time"` // local, of an instant at which no day begins
		Days *int64  `json:"days"` // local days from the instant asked about
	}
	coversAnswer struct {
		Versions string  `json:"versions"` // all, none or dated_before
		Before   *string `json:"before"`
	}
	checkAnswer struct {
		Check int    `json:"check"`
		Name  string `json:"name"`
		Pass  bool   `json:"pass"`
	}
	clockAnswer struct {
		momentAnswer
		End     bool           `json:"end"`
		Passed  bool           `json:"passed"`
		Until   *momentAnswer  `json:"until"` // of kept_versions and suspended, else null
		How     string         `json:"how"`
		Origins []originAnswer `json:"origins"`
	}
	renewsAnswer struct {
		Every        string              `json:"every"`
		Notice       *string             `json:"notice"`
		Cancellation *cancellationAnswer `json:"cancellation"`
		Origins      []originAnswer      `json:"origins"`
	}
	cancellationAnswer struct {
		Arrived  momentAnswer `json:"arrived"`
		InTerm   int64        `json:"in_term"`
		Deadline momentAnswer `json:"deadline"`
		TooLate  bool         `json:"too_late"`
		LastTerm int64        `json:"last_term"`
	}
	termAnswer struct {
		Term           int64         `json:"term"`
		Phase          license.Phase `json:"phase"`
		From           momentAnswer  `json:"from"`
		To             momentAnswer  `json:"to"`
		NoticeDeadline *momentAnswer `json:"notice_deadline"`
	}
	changeAnswer struct {
		momentAnswer
		Event string        `json:"event"`
		State license.State `json:"state"`
		Text  string        `json:"text"`
	}
)

func timelineJSON(tl explained) licenseAnswer {
	l := tl.License
	out := licenseAnswer{
		License: l.ID, Position: l.Pos, Customer: l.Customer, CustomerName: tl.Customer.Name, Plan: orNull(l.Plan),
		Type: l.Type, Zone: l.Zone, Enforcement: l.Enforcement, Status: statusWord(l), Replaces: orNull(l.Replaces),
		Origins: map[string]originAnswer{}, At: instant(tl.At), State: tl.State, Code: orNull(tl.Code()),
		Covers: coversAnswer{Versions: "dated_before", Before: instant(tl.CoversBefore)},
		Checks: []checkAnswer{}, Clocks: map[string]clockAnswer{}, Terms: []termAnswer{}, Changes: []changeAnswer{},
	}
	switch tl.CoversBefore {
	case license.Never:
		out.Covers.Versions = "all"
	case license.Always:
		out.Covers = coversAnswer{Versions: "none"}
	}
	for _, o := range tl.Facts {
		out.Origins[o.Field] = originJSON(o)
	}
	for _, c := range tl.Checks {
		out.Checks = append(out.Checks, checkAnswer{c.Number, c.Name, c.Pass})
	}
	for _, c := range tl.Clocks {
		a := clockAnswer{momentAnswer: tl.momentJSON(c.At, c.End), End: c.End, Passed: c.At <= tl.At, How: c.How, Origins: originsJSON(c.Origins)}
		if c.Name == license.ClockKept || c.Name == license.ClockSuspended {
			until := tl.momentJSON(c.Until, true)
			a.Until = &until
		}
		out.Clocks[c.Name] = a
	}
	if r := tl.Renews; r != nil {
		out.Renews = &renewsAnswer{Every: r.Every, Notice: orNull(r.Notice), Origins: originsJSON(r.Origins)}
		if r.Cancelled != license.Never {
			out.Renews.Cancellation = &cancellationAnswer{
				Arrived: tl.momentJSON(r.Cancelled, false), InTerm: r.RunningTerm, Deadline: tl.momentJSON(r.Deadline, true),
				TooLate: r.Late(), LastTerm: r.LastTerm,
			}
		}
	}
	for _, t := range tl.Terms {
		a := termAnswer{Term: t.Number, Phase: t.Phase, From: tl.momentJSON(t.From, false), To: tl.momentJSON(t.To, true)}
		if t.Deadline != license.Never {
			deadline := tl.momentJSON(t.Deadline, true)
			a.NoticeDeadline = &deadline
		}
		out.Terms = append(out.Terms, a)
	}
	for _, c := range tl.Changes {
		out.Changes = append(out.Changes, changeAnswer{momentAnswer: tl.momentJSON(c.At, c.End), Event: c.Event, State: c.State, Text: tl.changeText(c)})
	}
	return out
}

func (tl explained) momentJSON(at int64, end bool) momentAnswer {
	switch at {
	case license.Never:
		return momentAnswer{Word: orNull("never")}
	case license.Always:
		return momentAnswer{Word: orNull("always")}
	}
	day, days := license.DayOf(at, end, tl.Loc), tl.Days(at, end)
	return momentAnswer{At: instant(at), Day: &day.Date, Time: orNull(day.Time), Days: &days}
}

func originsJSON(all []license.Origin) []originAnswer {
	out := []originAnswer{}
	for _, o := range all {
		out = append(out, originJSON(o))
	}
	return out
}

func originJSON(o license.Origin) originAnswer {
	if o.Default() {
		return originAnswer{Field: o.Field, From: "default"}
	}
	from := map[string]string{"License": "license", "Plan": "plan", "Customer": "customer"}[o.Kind]
	return originAnswer{Field: o.Field, Value: orNull(o.Value), From: from, ID: &o.ID, File: &o.Pos.File, Line: &o.Pos.Line, Column: &o.Pos.Column}
}

// orNull is nil for "".
func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func statusWord(l *license.License) string {
	switch {
	case l.Suspended != nil:
		return "suspended"
	case l.Revoked != nil:
		return "revoked"
	}
	return "active"
}
