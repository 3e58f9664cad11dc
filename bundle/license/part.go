package license

import (
	"maps"
	"runtime"
	"slices"

	"golang.org/x/sync/errgroup"
)

// A Part is what one file says, or a document that is in none: read, and not yet compared with
// any other. It is immutable.
type Part struct {
	place     string // the file's name, or Raw.Place
	documents []*node
	errs      Errors
}

// FilePart reads a file. What is wrong in it is told by who makes a Set of it.
func FilePart(name string, text []byte) Part {
	var r reader
	docs := r.documents(name, text)
	return Part{place: name, documents: docs, errs: r.errs}
}

// fileParts reads files side by side; the parts are in order of names.
func fileParts(files map[string][]byte) []Part {
	names := slices.Sorted(maps.Keys(files))
	parts := make([]Part, len(names))
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i, name := range names {
		group.Go(func() error {
			parts[i] = FilePart(name, files[name])
			return nil
		})
	}
	_ = group.Wait() // no function fails: mistakes are collected
	return parts
}

// ParseParts makes a Set of parts with different places. The error is Errors.
func ParseParts(parts []Part) (*Set, error) {
	p := newParser()
	for i := range parts {
		p.errs = append(p.errs, parts[i].errs...)
		p.collect(parts[i].documents)
	}
	if len(p.order) == 0 && len(p.errs) == 0 {
		p.report(Position{File: "."}, nil, `no license files here: "pullgate init DIR" writes a first set`)
	}
	s := p.set()
	if len(p.errs) > 0 {
		return nil, p.errs.sorted()
	}
	return s, nil
}
