package engine

import (
	"slices"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
)

// An input that keeps the name of every field is passed on, not read.
func TestAnInputThatIsPassedOnIsNotRead(t *testing.T) {
	for _, body := range []string{
		`asked with input as json.remove(input, ["/b/c"])`,
		`asked with input as json.remove(input, ["/b/c"]) with input.b.d as 1`,
	} {
		if got := inputRefs(t, body); !slices.Equal(got, []string{"input.a"}) {
			t.Errorf("%s: %v are read", body, got)
		}
	}
}

// Any other use of the input reads it; more than is read may be told, never less.
func TestAnInputThatIsNotPassedOnIsRead(t *testing.T) {
	for body, want := range map[string][]string{
		"x := json.remove(input, [\"/b/c\"])\n\tasked with input as x\n\tx.e == 1":                  {"input"},
		"x := input\n\ty := json.remove(x, [\"/b/c\"])\n\tasked with input as y\n\tx.e == 1":        {"input"},
		`asked with input as json.remove(input.b, ["/c"])`:                                          {"input.b"},
		`asked with input as json.remove(input, [input.p])`:                                         {"input"},
		`asked with input as {"a": input.q}`:                                                        {"input.q"},
		`asked with input.a as json.remove(input, ["/b"])`:                                          {"input"},
		`asked with input as object.remove(input, ["b"])`:                                           {"input"},
		"asked with input as input":                                                                 {"input"},
		`count(json.remove(input, ["/b/c"])) == 1`:                                                  {"input"},
		"some x\n\tjson.remove(input, [\"/b\"], x)\n\tcount([1 | asked with input as x; x.e]) == 1": {"input"},
	} {
		got := inputRefs(t, body)
		for _, ref := range append(want, "input.a") {
			if !slices.Contains(got, ref) && !slices.Contains(got, "input") {
				t.Errorf("%s: %s is not read, only %v", body, ref, got)
			}
		}
	}
}

func inputRefs(t *testing.T, body string) (refs []string) {
	t.Helper()
	c, err := compileModules(map[string][]byte{"a.rego": []byte("package p\n\nasked if input.a == 1\n\nallow if {\n\t" + body + "\n}\n")})
	if err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	base, err := baseRefs(c, "data.p.allow")
	if err != nil {
		t.Fatal(err)
	}
	for _, ref := range base {
		if ref[0].Equal(ast.InputRootDocument) {
			refs = append(refs, ref.String())
		}
	}
	return refs
}
