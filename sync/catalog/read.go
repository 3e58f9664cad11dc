package catalog

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// Read decodes the documents of a catalog file (docs/decision-scripts.md), each `kind: Catalog`.
// Documents with the same registry are one Catalog; a repository may be in only one of them. The
// result is sorted by registry. File is the name used in messages.
//
// Digests are written as "sha256:HEX" or as a name of letters and digits, with or without a
// leading '@', which stands for DigestOf(name); in a tag `sha256-@NAME` stands for the hex digits.
// Without `seen` a tag was first seen Always, without `created` a manifest is as old.
// A tag's digest without an entry under manifests gets an empty one.
//
// The error is Errors, with everything that is wrong; the result is then nil.
func Read(file string, data []byte) ([]*Catalog, error) {
	r := &reader{file: file, byRegistry: map[string]*Catalog{}}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var doc yaml.Node
		err := dec.Decode(&doc)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			r.syntax(err)
			break
		}
		if len(doc.Content) > 0 && !isNull(doc.Content[0]) {
			r.document(doc.Content[0])
		}
	}
	if len(r.errs) > 0 {
		return nil, r.errs
	}
	if len(r.out) == 0 {
		r.errs = append(r.errs, &FieldError{File: file, Line: 1, Column: 1, Msg: "no document; a catalog begins with `kind: Catalog`"})
		return nil, r.errs
	}
	slices.SortFunc(r.out, func(a, b *Catalog) int { return cmp.Compare(a.Registry, b.Registry) })
	return r.out, nil
}

type reader struct {
	file       string
	errs       Errors
	out        []*Catalog
	byRegistry map[string]*Catalog
}

func (r *reader) fail(n *yaml.Node, path, format string, args ...any) {
	r.errs = append(r.errs, &FieldError{File: r.file, Line: n.Line, Column: n.Column, Path: path, Msg: fmt.Sprintf(format, args...)})
}

func (r *reader) syntax(err error) {
	fe := &FieldError{File: r.file, Line: 1, Column: 1, Msg: "not YAML: " + err.Error()}
	if le, ok := errors.AsType[*yaml.LoadError](err); ok {
		fe.Line, fe.Column, fe.Msg = max(le.Mark.Line, 1), max(le.Mark.Column, 1), "not YAML: "+le.Message
	}
	r.errs = append(r.errs, fe)
}

func (r *reader) document(n *yaml.Node) {
	fields, ok := r.object(n, "", "kind", "registry", "repositories")
	if !ok {
		return
	}
	kind := fields["kind"]
	if kind == nil {
		r.fail(n, "kind", "missing; write `kind: Catalog`")
		return
	}
	if kind.Value != "Catalog" {
		r.fail(kind, "kind", "%q is not a catalog's kind; write `kind: Catalog`", kind.Value)
		return
	}
	registry := ""
	if f := fields["registry"]; f != nil {
		if registry = r.text(f, "registry"); registry == "" {
			r.fail(f, "registry", "empty; write the id of a Registry document, or leave the field out")
		}
	}
	c := r.byRegistry[registry]
	if c == nil {
		c = &Catalog{Registry: registry, Repositories: map[string]*Repository{}}
		r.byRegistry[registry] = c
		r.out = append(r.out, c)
	}
	repos := fields["repositories"]
	if repos == nil {
		r.fail(n, "repositories", "missing; write `repositories: {}` for an empty registry")
		return
	}
	for k, v := range r.entries(repos, "repositories") {
		path := "repositories." + k.Value
		switch {
		case !validRepository(k.Value):
			r.fail(k, path, "not a repository name (lower-case path components joined by '/')")
		case c.Repositories[k.Value] != nil:
			r.fail(k, path, "written twice")
		default:
			c.Repositories[k.Value] = r.repository(v, path)
		}
	}
}

func (r *reader) repository(n *yaml.Node, path string) *Repository {
	repo := &Repository{Tags: map[string]Tag{}, History: map[string][]Past{}, Manifests: map[string]*Manifest{}}
	fields, ok := r.object(n, path, "tags", "history", "seen", "manifests", "referrers")
	if !ok {
		return repo
	}
	for k, v := range r.entries(fields["tags"], path+".tags") {
		if tag, ok := r.tag(k, path+".tags"); ok {
			repo.Tags[tag] = Tag{Digest: r.digest(v, path+".tags."+k.Value), Seen: Always}
		}
	}
	for k, v := range r.entries(fields["history"], path+".history") {
		if tag, ok := r.tag(k, path+".history"); ok {
			repo.History[tag] = r.history(v, path+".history."+k.Value)
		}
	}
	for k, v := range r.entries(fields["seen"], path+".seen") {
		tag, ok := r.tag(k, path+".seen")
		if !ok {
			continue
		}
		t, known := repo.Tags[tag]
		if !known {
			r.fail(k, path+".seen."+k.Value, "the tag is not under tags")
			continue
		}
		t.Seen = r.instant(v, path+".seen."+k.Value)
		repo.Tags[tag] = t
	}
	for k, v := range r.entries(fields["manifests"], path+".manifests") {
		d := r.digest(k, path+".manifests")
		if repo.Manifests[d] != nil {
			r.fail(k, path+".manifests."+k.Value, "written twice, perhaps once as a name and once as a digest")
			continue
		}
		repo.Manifests[d] = r.manifest(v, path+".manifests."+k.Value)
	}
	for k, v := range r.entries(fields["referrers"], path+".referrers") {
		at := path + ".referrers." + k.Value
		subject := r.digest(k, path+".referrers")
		if repo.Referrers[subject] != nil {
			r.fail(k, at, "written twice, perhaps once as a name and once as a digest")
			continue
		}
		if repo.Referrers == nil {
			repo.Referrers = map[string][]string{}
		}
		repo.Referrers[subject] = r.digests(v, at)
		slices.Sort(repo.Referrers[subject])
	}
	repo.complete()
	return repo
}

// complete gives every digest that a tag names or named an entry in Manifests.
func (repo *Repository) complete() {
	add := func(d string) {
		if repo.Manifests[d] == nil {
			repo.Manifests[d] = &Manifest{Created: Always}
		}
	}
	for _, t := range repo.Tags {
		add(t.Digest)
	}
	for _, ps := range repo.History {
		for _, p := range ps {
			add(p.Digest)
		}
	}
}

func (r *reader) history(n *yaml.Node, path string) []Past {
	var out []Past
	for i, item := range r.items(n, path) {
		at := path + "[" + strconv.Itoa(i) + "]"
		fields, ok := r.object(item, at, "digest", "until")
		if !ok {
			continue
		}
		if fields["digest"] == nil || fields["until"] == nil {
			r.fail(item, at, "wants both digest and until, as in {digest: I0, until: 2026-01-10T00:00:00Z}")
			continue
		}
		out = append(out, Past{r.digest(fields["digest"], at+".digest"), r.instant(fields["until"], at+".until")})
	}
	slices.SortStableFunc(out, func(a, b Past) int { return cmp.Compare(a.Until, b.Until) })
	return out
}

func (r *reader) manifest(n *yaml.Node, path string) *Manifest {
	m := &Manifest{Created: Always}
	f, ok := r.object(n, path, "index", "config", "layers", "subject", "created", "annotations", "artifact_type", "media_type", "size")
	if !ok {
		return m
	}
	if f["index"] != nil && (f["config"] != nil || f["layers"] != nil) {
		r.fail(f["index"], path+".index", "an index has no config or layers; leave out the one or the other")
	}
	m.Index = r.digests(f["index"], path+".index")
	m.Layers = r.digests(f["layers"], path+".layers")
	if v := f["config"]; v != nil {
		m.Config = r.digest(v, path+".config")
	}
	if v := f["subject"]; v != nil {
		m.Subject = r.digest(v, path+".subject")
	}
	if v := f["created"]; v != nil {
		m.Created = r.instant(v, path+".created")
	}
	if v := f["artifact_type"]; v != nil {
		m.ArtifactType = r.text(v, path+".artifact_type")
	}
	if v := f["media_type"]; v != nil {
		m.MediaType = r.text(v, path+".media_type")
	}
	if v := f["size"]; v != nil {
		size, err := strconv.ParseInt(r.text(v, path+".size"), 10, 64)
		if err != nil || size < 0 {
			r.fail(v, path+".size", "%q is not a number of bytes", v.Value)
		}
		m.Size = size
	}
	for k, v := range r.entries(f["annotations"], path+".annotations") {
		if m.Annotations == nil {
			m.Annotations = map[string]string{}
		}
		m.Annotations[k.Value] = r.text(v, path+".annotations."+k.Value)
	}
	return m
}

// tag is a tag's text, with `sha256-@NAME` resolved.
func (r *reader) tag(k *yaml.Node, path string) (string, bool) {
	tag := k.Value
	if rest, ok := strings.CutPrefix(tag, "sha256-@"); ok {
		name, suffix, _ := strings.Cut(rest, ".")
		if len(name) < len(rest) {
			suffix = "." + suffix
		}
		if !validName(name) {
			r.fail(k, path+"."+tag, "after sha256-@ comes a name of letters and digits")
			return "", false
		}
		tag = "sha256-" + strings.TrimPrefix(DigestOf(name), "sha256:") + suffix
	}
	if !validTag(tag) {
		r.fail(k, path+"."+tag, "not a tag (letters, digits, '_', '.', '-', at most 128)")
		return "", false
	}
	return tag, true
}

func (r *reader) digests(n *yaml.Node, path string) []string {
	var out []string
	for i, item := range r.items(n, path) {
		out = append(out, r.digest(item, path+"["+strconv.Itoa(i)+"]"))
	}
	return out
}

func (r *reader) digest(n *yaml.Node, path string) string {
	s := r.text(n, path)
	if ValidDigest(s) {
		return s
	}
	name := strings.TrimPrefix(s, "@")
	if n.Kind == yaml.ScalarNode && !validName(name) {
		r.fail(n, path, "%q is neither a digest (sha256: and 64 lower-case hex digits) nor a name (letters and digits)", s)
	}
	return DigestOf(name)
}

func (r *reader) instant(n *yaml.Node, path string) int64 {
	s := r.text(n, path)
	t, err := time.Parse(time.RFC3339, s)
	if err != nil && n.Kind == yaml.ScalarNode {
		r.fail(n, path, "%q is not an instant; write one with an offset, as in 2026-01-10T00:00:00Z", s)
	}
	if err != nil {
		return Always
	}
	return t.Unix()
}
