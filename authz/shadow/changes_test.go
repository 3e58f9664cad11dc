package shadow

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pullgate/pullgate/authz"
)

func decided(id string, o authz.Outcome, status int, code authz.Code, change ...func(*authz.Decision)) *authz.Decision {
	d := &authz.Decision{
		ID: id, Time: time.Unix(1_780_000_000, 0).UTC(), Outcome: o, Status: status, Code: code,
		Subject: authz.Subject{Customer: "acme"}, Resource: authz.Resource{Repository: "acme/app", Product: "app"},
	}
	for _, f := range change {
		f(d)
	}
	return d
}

func TestChangesAreGroupedLossesFirst(t *testing.T) {
	r := &authz.Request{Tag: "1.4.0", Path: "/v2/acme/app/manifests/1.4.0"}
	allow := decided("a", authz.OutcomeAllow, 200, authz.CodeOK)
	deny := decided("b", authz.OutcomeDeny, 403, authz.CodeExpired)
	var c Changes
	if c.Add(r, allow, decided("x", authz.OutcomeAllow, 200, authz.CodeOK)) {
		t.Error("the same answer differs")
	}
	for range 3 {
		c.Add(r, deny, allow)
	}
	c.Add(r, allow, deny)
	pinned := func(d *authz.Decision) { d.Pinned = "sha256:b" }
	c.Add(r, allow, decided("y", authz.OutcomeAllow, 200, authz.CodeOK, pinned))
	listed := func(d *authz.Decision) { d.Names = []string{"1.4.0"} }
	c.Add(r, allow, decided("z", authz.OutcomeAllow, 200, authz.CodeOK, listed))

	s := c.Summary()
	var got []string
	for _, ch := range s.List {
		got = append(got, fmt.Sprint(ch.From.Code, " ", ch.To.Code, " ", ch.What, " ", ch.Count, " ", ch.Decision))
	}
	want := []string{"ok expired  1 a", "expired ok  3 b", "ok ok digest 1 a", "ok ok list 1 a"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if s.Same != 1 || s.Changed != 6 || s.Lost != 1 {
		t.Errorf("%+v", s)
	}
}

func TestKindsOfChangesAreBounded(t *testing.T) {
	var c Changes
	allow := decided("a", authz.OutcomeAllow, 200, authz.CodeOK)
	for i := range MaxChanges + 5 {
		repository := func(d *authz.Decision) { d.Resource.Repository = fmt.Sprint("acme/", i) }
		c.Add(&authz.Request{}, decided("a", authz.OutcomeDeny, http.StatusNotFound, authz.CodeUnknownRepository, repository), allow)
	}
	c.Add(&authz.Request{}, allow, decided("b", authz.OutcomeDeny, http.StatusForbidden, authz.CodeExpired))
	if s := c.Summary(); len(s.List) != MaxChanges || s.Beyond != 6 || s.Changed != MaxChanges+6 || s.Lost != 1 {
		t.Errorf("%d kinds, %d beyond, %d changed, %d lost", len(s.List), s.Beyond, s.Changed, s.Lost)
	}
}
