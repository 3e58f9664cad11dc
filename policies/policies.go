// Package policies is the Rego library that decides, embedded, and what a policy may use.
//
// The library answers two questions about the compiled data of a bundle: Entrypoint (one
// decision) and VisibleEntrypoint (the subset of candidates a subject may see). Its input and
// output have the schemas in schemas/.
package policies

import (
	"embed"
	"io/fs"
	"strings"
)

// FS holds the library below pullgate/ with its tests, and the schemas below schemas/.
//
//go:embed pullgate schemas
var FS embed.FS

// Entry points of the library, as references into data.
const (
	Entrypoint        = "data.pullgate.decision"
	VisibleEntrypoint = "data.pullgate.visible"
	// VisibleUntilEntrypoint is until when vendor rules let that subset stand.
	VisibleUntilEntrypoint = "data.pullgate.visible_until"
)

// Modules returns the library as a bundle ships it: source by path, such as
// pullgate/decision.rego. Tests are left out. The map is the caller's.
func Modules() map[string][]byte {
	return files(func(path string) bool { return !strings.HasSuffix(path, "_test.rego") })
}

// files returns the Rego files of FS whose path is wanted.
func files(wanted func(path string) bool) map[string][]byte {
	out := map[string][]byte{}
	err := fs.WalkDir(FS, "pullgate", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".rego") || !wanted(path) {
			return err
		}
		b, err := FS.ReadFile(path)
		out[path] = b
		return err
	})
	if err != nil {
		panic("policies: embedded files cannot be read: " + err.Error())
	}
	return out
}
