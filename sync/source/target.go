package source

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/pullgate/pullgate/bundle/license"
)

// Target is what is known of something that is to be revoked.
type Target struct {
	Customer string // whose it is: of a customer, license or key
	Hash     string // of a key: sha256:HEX
}

// Target finds what is to be revoked without reading more files than may have it, which takes a
// fraction of what Revoke takes, and although other files may have mistakes. The error is ErrNoSuch
// when it is not there.
func (d Dir) Target(_ context.Context, r Revocation) (t Target, err error) {
	kind, id := "Customer", r.ID
	switch r.Kind {
	case RevokeLicense:
		kind = "License"
	case RevokeKey:
		id = r.Customer
	case RevokeDigest:
		kind, id = "Registry", r.Registry
	}
	real, err := filepath.EvalSymlinks(d.Path)
	if err != nil {
		return t, fmt.Errorf("license directory %s cannot be read: %w", d.Path, cause(err))
	}
	docs, err := license.LoadRaw(&having{FS: os.DirFS(real), text: []byte(id)})
	if err != nil {
		return t, err
	}
	for _, doc := range docs {
		if text(doc, "kind") == kind && text(doc, "id") == id {
			return r.target(doc)
		}
	}
	return t, noSuch(strings.ToLower(kind), id)
}

// target is what the document says that is to be changed.
func (r *Revocation) target(doc license.Raw) (Target, error) {
	switch r.Kind {
	case RevokeCustomer:
		return Target{Customer: r.ID}, nil
	case RevokeLicense:
		return Target{Customer: text(doc, "customer")}, nil
	case RevokeKey:
		keys, _ := doc.Get("keys")
		list, _ := keys.([]any)
		for _, item := range list {
			if key, ok := item.(license.Raw); ok && text(key, "id") == r.Key {
				return Target{Customer: r.Customer, Hash: text(key, "hash")}, nil
			}
		}
		return Target{}, noSuch("key", r.Customer+"/"+r.Key)
	}
	return Target{}, nil
}

func text(doc license.Raw, field string) string {
	v, _ := doc.Get(field)
	s, _ := v.(string)
	return s
}

// having is a directory in which those YAML files that do not have a text somewhere say nothing.
type having struct {
	fs.FS
	text []byte
}

func (h *having) Open(name string) (fs.File, error) {
	f, err := h.FS.Open(name)
	if ext := path.Ext(name); err != nil || ext != ".yaml" && ext != ".yml" {
		return f, err
	}
	data, err := io.ReadAll(io.LimitReader(f, license.MaxFileBytes+1))
	if err != nil || !bytes.Contains(data, h.text) {
		data = []byte("# nothing about it\n") // what cannot be read is found by who reads all
	}
	return &textFile{File: f, r: bytes.NewReader(data)}, nil
}
