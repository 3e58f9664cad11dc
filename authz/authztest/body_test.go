package authztest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestBodiesAreComparedAsJSONByPath(t *testing.T) {
	var long, lacking strings.Builder
	for i := range 60 {
		fmt.Fprintf(&long, `,"1.%d.0"`, i)
		if i != 7 {
			fmt.Fprintf(&lacking, `,"1.%d.0"`, i)
		}
	}
	for _, tc := range []struct {
		name, want, got string
		diff            []Mismatch
	}{
		{"equal in another order of members", `{"a":1,"b":[1,2]}`, `{"b":[1,2],"a":1}`, nil},
		{"a member", `{"a":{"b":1},"c":2}`, `{"a":{"b":2},"c":2}`, []Mismatch{{"body.a.b", "1", "2"}}},
		{"another type", `{"a":{"b":1}}`, `{"a":[1]}`, []Mismatch{{"body.a", `{"b":1}`, "[1]"}}},
		{"a member too few and one too many", `{"a":1,"b c":2}`, `{"a":1,"d":null}`, []Mismatch{{`body["b c"]`, "2", absent}, {"body.d", absent, "null"}}},
		{"a short list", `{"tags":["1","2"]}`, `{"tags":["1"]}`, []Mismatch{{"body.tags", `["1","2"]`, `["1"]`}}},
		{"a long list", `["0"` + long.String() + `]`, `["0"` + lacking.String() + `,"9"]`, []Mismatch{{"body", `"1.7.0"`, absent}, {"body", absent, `"9"`}}},
		{"a long list in another order", `["x","y"` + long.String() + `]`, `["y","x"` + long.String() + `]`, []Mismatch{{"body[0]", `"x"`, `"y"`}, {"body[1]", `"y"`, `"x"`}}},
		{"objects in a list", `{"errors":[{"code":"DENIED"},{"code":"X"}]}`, `{"errors":[{"code":"NAME_UNKNOWN"}]}`, []Mismatch{{"body.errors[0].code", `"DENIED"`, `"NAME_UNKNOWN"`}, {"body.errors[1]", `{"code":"X"}`, absent}}},
		{"no JSON", "hello", `{"a":1}`, []Mismatch{{"body", "hello", `{"a":1}`}}},
		{"nothing", "{}", "", []Mismatch{{"body", "{}", "(empty)"}}},
		{"nothing, as wanted", "", "", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if diff := cmp.Diff(tc.diff, diffBody(tc.want, []byte(tc.got))); diff != "" {
				t.Error(diff)
			}
		})
	}
}
