package authztest

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pullgate/pullgate/bundle/compile"
	"github.com/pullgate/pullgate/bundle/license"
	"github.com/pullgate/pullgate/policies"
)

const aRule = `package vendor.own

deny contains {"code": "own", "message": "own"} if input.subject.customer == "nobody"
`

// Rules that were checked for other licenses and another instant make the same bundle as
// compile.Compile makes.
func TestRulesCheckedBeforeMakeTheSameBundle(t *testing.T) {
	renewing := licensed + `---
kind: License
id: acme-app
customer: acme
type: subscription
starts: 2026-01-01
term: P1Y
renews: {every: P1Y}
grants: [{product: app, versions: all}]
`
	var shared Shared
	checked := 0
	for _, licenses := range []string{licensed, renewing} {
		set, err := license.Parse(map[string][]byte{"a.yaml": []byte(licenses)})
		if err != nil {
			t.Fatal(err)
		}
		for _, at := range []string{"2026-01-01T00:00:00Z", "2031-06-01T00:00:00Z"} {
			for _, rules := range []map[string][]byte{
				nil,
				{"own.rego": []byte(aRule)},
				{"other.rego": []byte(aRule)},
				{"own.rego": []byte(aRule), "more.rego": []byte("package vendor.more\n\nwarn contains {\"code\": \"c\", \"message\": \"m\"} if input.subject.customer == \"acme\"\n")},
			} {
				clock, err := time.Parse(time.RFC3339, at)
				if err != nil {
					t.Fatal(err)
				}
				in := compile.Input{Set: set, Modules: policies.Modules(), Rules: rules, Name: "default", Serial: 1, IssuedAt: clock.Unix(), NotAfter: license.Never}
				want, _, err := compile.Compile(&in)
				if err != nil {
					t.Fatal(err)
				}
				got, err := shared.compile(t.Context(), &in)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, got, cmp.Comparer(bytes.Equal)); diff != "" {
					t.Errorf("%s: %s", at, diff)
				}
				if checked = max(checked, len(shared.rules)); rules == nil && checked > 3 {
					t.Errorf("%d sets of rules are kept", checked)
				}
			}
		}
	}
	if checked != 3 {
		t.Errorf("%d sets of rules are kept, want 3", checked)
	}
}

// Runners that share work at the same time; the race detector looks on.
func TestRunnersWorkAtTheSameTime(t *testing.T) {
	var shared Shared
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			door := NewGateDoor()
			defer door.Close()
			runner := Runner{Door: door, Catalog: noCatalog, Shared: &shared}
			for j := range 3 {
				rule := ""
				if (i+j)%2 == 0 {
					rule = "-- rules/own.rego --\n" + strings.Replace(aRule, "own", fmt.Sprintf("own%d", i), 1)
				}
				s, err := ParseScript("x.txtar", []byte("-- a.yaml --\n"+licensed+rule+"-- decisions --\nat 2026-06-01T12:00:00Z\nas acme\nask app@1.4.0 allow\nask app@1.4.0 deny no_license\nat 2026-06-02T12:00:00Z\nask app@1.4.0 deny\n"), nil)
				if err != nil {
					t.Error(err)
					return
				}
				results, err := runner.Run(t.Context(), s)
				if err != nil {
					t.Error(err)
					return
				}
				if len(results) != 3 || len(results[0].Problems) == 0 || len(results[1].Problems)+len(results[2].Problems) > 0 {
					t.Errorf("%+v", results)
				}
			}
		})
	}
	wg.Wait()
}
