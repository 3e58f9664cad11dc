package authztest

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pullgate/pullgate/authz"
)

func TestAnAnswerIsComparedFieldByField(t *testing.T) {
	until := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	answer := func() *Answer {
		return &Answer{
			Status: 200, Header: http.Header{"X-A": {"1"}}, Body: []byte(`{"name":"secret"}`), Pinned: NameDigest("I"), Warnings: []string{"grace"},
			Record: &authz.Record{Verdict: "allow", Code: "ok", License: "l", Until: &until},
		}
	}
	failed := answer()
	failed.Record.Verdict, failed.Record.Code, failed.Record.Detail = "deny", "internal_error", "a rule fails"
	for _, tc := range []struct {
		expectation string
		answer      *Answer
		diff        []Mismatch
	}{
		{"allow code ok license l until 2027-01-01T00:00:00Z pinned @I warns grace no-header X-B header X-A: 1", answer(), nil},
		{"deny expired 403", answer(), []Mismatch{{"verdict", "deny", "allow ok"}, {"status", "403", "200"}, {"code", "expired", "ok"}}},
		{"allow until null", answer(), []Mismatch{{"until", "null", "2027-01-01T00:00:00Z"}}},
		{"allow until 2026-12-31T23:00:00Z", answer(), []Mismatch{{"until", "2026-12-31T23:00:00Z", "2027-01-01T00:00:00Z"}}},
		{"allow license other pinned none", answer(), []Mismatch{{"license", "other", "l"}, {"pinned", "none", NameDigest("I")}}},
		{"allow warns none warns expiring", answer(), []Mismatch{{"warns", "none", "grace"}, {"warns", "expiring", "grace"}}},
		{"allow header X-A: 2", answer(), []Mismatch{{"header X-A", "2", "1"}}},
		{"allow header X-B: 2", answer(), []Mismatch{{"header X-B", "2", "none"}}},
		{"allow no-header x-a", answer(), []Mismatch{{"header x-a", "none", "1"}}},
		{"allow without secret", answer(), []Mismatch{{"body", "without secret", `{"name":"secret"}`}}},
		{`allow without "X-A: 1"`, answer(), []Mismatch{{"headers", "without X-A: 1", "X-A: 1"}}},
		{`reply 200 {"name":"open"}`, answer(), []Mismatch{{"body.name", `"open"`, `"secret"`}}},
		{"allow", failed, []Mismatch{{"error", "", "internal_error: a rule fails"}, {"verdict", "allow", "deny internal_error"}}},
		{"allow", &Answer{Refused: true, Status: 400}, []Mismatch{{"door", "allow", "status 400 of its own"}}},
		{"deny malformed", &Answer{Refused: true, Status: 400}, nil},
	} {
		t.Run(tc.expectation, func(t *testing.T) {
			e, err := parseExpectation(tc.expectation)
			if err != nil {
				t.Fatal(err)
			}
			c := e.check(tc.answer, nil)
			if diff := cmp.Diff(tc.diff, c.mismatches); diff != "" {
				t.Error(diff)
			}
			if (len(c.problems) > 0) != (len(c.mismatches) > 0) {
				t.Errorf("problems %q", c.problems)
			}
		})
	}
}

func TestSameNamesTheHeadersThatDiffer(t *testing.T) {
	const id = "0198c0de-0000-7000-8000-000000000001"
	reply := func(body string, h http.Header) *Answer {
		return &Answer{Status: 404, Header: h, Body: []byte(body), Record: &authz.Record{Verdict: "deny"}}
	}
	first := reply("no "+id, http.Header{"Date": {"today"}, "X-Pullgate-Decision": {id}, "Link": {"a"}, "Vary": {"x"}})
	for _, tc := range []struct {
		name string
		got  *Answer
		diff []Mismatch
	}{
		{"but for ids and dates", reply("no 0198c0de-0000-7000-8000-00000000000f", http.Header{"Date": {"tomorrow"}, "X-Pullgate-Decision": {"0198c0de-0000-7000-8000-00000000000f"}, "Link": {"a"}, "Vary": {"x"}}), nil},
		{"headers", reply("no "+id, http.Header{"X-Pullgate-Decision": {"0198c0de-0000-7000-8000-00000000000f"}, "Link": {"b"}, "Age": {"1"}}), []Mismatch{{"header Age", "none", "1"}, {"header Link", "a", "b"}, {"header Vary", "x", "none"}}},
		{"body", reply("yes", first.Header), []Mismatch{{"body", "no ID", "yes"}}},
		{"status", &Answer{Status: 403, Record: first.Record}, []Mismatch{{"status", "404", "403"}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := (&Expectation{Same: true}).check(tc.got, first)
			if diff := cmp.Diff(tc.diff, c.mismatches); diff != "" {
				t.Error(diff)
			}
		})
	}
}
