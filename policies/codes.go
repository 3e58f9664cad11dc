package policies

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
)

// CodeKind says what a code stands for.
type CodeKind string

const (
	CodeAllow   CodeKind = "allow"   // a decision that allows
	CodeDeny    CodeKind = "deny"    // a decision that denies, or would without warn or observe
	CodeWarning CodeKind = "warning" // a warning, which is no decision
)

// Code is a reason that the library gives, as the metadata of its rule describes it. The text
// a customer reads is made from Message and Remedy.
type Code struct {
	Code        string
	Kind        CodeKind
	Title       string
	Description string // what it means, for the vendor
	Message     string // with the names of facts in braces
	Remedy      string // what the customer can do
	Vendor      string // what the vendor can do
}

// Codes returns every code of the library, sorted: those that allow, those that deny, warnings.
// Codes of the doors (unknown_key, malformed …) are not the library's.
func Codes() []Code {
	var out []Code
	for path, b := range Modules() {
		m, err := ast.ParseModuleWithOpts(path, string(b), ast.ParserOptions{ProcessAnnotation: true, RegoVersion: ast.RegoV1})
		if err != nil {
			panic(fmt.Sprintf("policies: %s: %v", path, err)) // part of the program
		}
		for _, a := range m.Annotations {
			text := func(key string) string { s, _ := a.Custom[key].(string); return s }
			if text("code") != "" {
				out = append(out, Code{
					Code: text("code"), Kind: CodeKind(text("kind")), Title: a.Title, Description: a.Description,
					Message: text("message"), Remedy: text("remedy"), Vendor: text("vendor"),
				})
			}
		}
	}
	slices.SortFunc(out, func(a, b Code) int { return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Code, b.Code)) })
	return out
}
