package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
)

// yaml-language-server reads the line that names a schema for one document only.
func TestEveryDocumentThatInitWritesNamesItsSchema(t *testing.T) {
	files, err := starterFiles()
	if err != nil {
		t.Fatal(err)
	}
	documents := 0
	for _, f := range files {
		if filepath.Ext(f.name) != ".yaml" {
			continue
		}
		for text := range bytes.SplitSeq(f.data, []byte("\n---\n")) {
			documents++
			above := strings.Repeat("../", strings.Count(filepath.ToSlash(f.name), "/"))
			if line := "# yaml-language-server: $schema=" + above + schemaFile + "\n"; !bytes.HasPrefix(text, []byte(line)) {
				t.Errorf("%s: a document does not begin with %s", f.name, line)
			}
		}
	}
	if documents < 4 {
		t.Errorf("only %d documents", documents)
	}
}
