package postgres

import (
	"fmt"
	"path"

	"github.com/pullgate/pullgate/bundle/license"
)

// folders hold the documents of a kind that have a file of their own each.
var folders = map[string]string{"Registry": "registries", "Product": "products", "Plan": "plans", "Customer": "customers", "Public": "public"}

// full is how large a file gets before the next begins: well below what a license file may have.
const full = license.MaxFileBytes / 2

// Files is the content as a directory of license files: customers/ID.yaml with their keys and
// licenses, products/ID.yaml with their releases, registries/, plans/, public/, rules/. Equal content gives
// equal files.
func (c *Content) Files() map[string][]byte {
	files := make(map[string][]byte)
	last := make(map[string]string) // by first file, the one that is written to
	for _, doc := range c.Documents {
		name := fileOf(doc)
		at, begun := last[name]
		if !begun {
			at = name
		}
		text := doc.AppendYAML(nil)
		if len(files[at])+len(text) > full && files[at] != nil {
			// No id has a '+'.
			at = fmt.Sprintf("%s+%d.yaml", name[:len(name)-len(".yaml")], len(files))
		}
		last[name] = at
		if files[at] != nil {
			files[at] = append(files[at], "---\n"...)
		}
		files[at] = append(files[at], text...)
	}
	for name, text := range c.Rules {
		files[path.Join("rules", name)] = text
	}
	return files
}

// fileOf is the file in which a document is looked for first.
func fileOf(doc license.Raw) string {
	text := func(name string) string {
		v, _ := doc.Get(name)
		s, _ := v.(string)
		return s
	}
	switch kind := text("kind"); kind {
	case "License":
		return "customers/" + text("customer") + ".yaml"
	case "Release":
		return "products/" + text("product") + ".yaml"
	default:
		return folders[kind] + "/" + text("id") + ".yaml"
	}
}
