package catalog

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

// ErrUnknown: the catalog has no such repository, tag or digest.
var ErrUnknown = errors.New("not in the catalog")

// Show prints what is known of REPOSITORY, REPOSITORY:TAG or REPOSITORY@DIGEST: of a repository
// its tags and what they named earlier, of the others the graph below and the tags above. Where a
// digest is wanted, a name of a hand-written catalog will do. Errors: ErrUnknown, or w's.
func Show(w io.Writer, c *Catalog, ref string) error {
	name, digest, byDigest := strings.Cut(ref, "@")
	tag := ""
	if i := strings.LastIndexByte(name, ':'); !byDigest && i > strings.LastIndexByte(name, '/') {
		name, tag = name[:i], name[i+1:]
	}
	repo := c.Repositories[name]
	if repo == nil {
		return fmt.Errorf("repository %s: %w", name, ErrUnknown)
	}
	s := &shower{w: tabwriter.NewWriter(w, 0, 0, 2, ' ', 0), repo: repo}
	switch {
	case byDigest:
		if !ValidDigest(digest) {
			digest = DigestOf(digest)
		}
		if !s.holds(digest) {
			return fmt.Errorf("%s: %w", ref, ErrUnknown)
		}
		s.graph(digest)
	case tag != "":
		t, ok := repo.Tags[tag]
		if !ok && len(repo.History[tag]) == 0 {
			return fmt.Errorf("%s: %w", ref, ErrUnknown)
		}
		if ok {
			s.line("%s\tfirst seen %s", ref, instantOr(t.Seen, "unknown"))
			s.graph(t.Digest)
		} else {
			s.line("%s\tis gone", ref)
		}
		for _, p := range repo.History[tag] {
			s.line("until %s it named %s", instantText(p.Until), p.Digest)
		}
	default:
		s.tags()
	}
	return s.w.Flush()
}

type shower struct {
	w    *tabwriter.Writer // keeps the first error for Flush
	repo *Repository
}

func (s *shower) line(format string, args ...any) {
	fmt.Fprintf(s.w, format+"\n", args...)
}

func (s *shower) tags() {
	s.line("TAG\tDIGEST\tCREATED\tFIRST SEEN")
	for _, t := range slices.Sorted(maps.Keys(s.repo.Tags)) {
		tag := s.repo.Tags[t]
		s.line("%s\t%s\t%s\t%s", t, tag.Digest, instantOr(s.created(tag.Digest), "-"), instantOr(tag.Seen, "-"))
	}
	if len(s.repo.History) == 0 {
		return
	}
	s.line("\nEARLIER\tDIGEST\tCREATED\tUNTIL")
	for _, t := range slices.Sorted(maps.Keys(s.repo.History)) {
		for _, p := range s.repo.History[t] {
			s.line("%s\t%s\t%s\t%s", t, p.Digest, instantOr(s.created(p.Digest), "-"), instantText(p.Until))
		}
	}
}

func (s *shower) created(digest string) int64 {
	if m := s.repo.Manifests[digest]; m != nil {
		return m.Created
	}
	return Always
}

// graph prints what is below a digest, then what reaches it.
func (s *shower) graph(digest string) {
	s.node("", "", digest, map[string]bool{})
	for _, t := range slices.Sorted(maps.Keys(s.repo.Tags)) {
		if s.reaches(s.repo.Tags[t].Digest, digest, 1) {
			s.line("reached by tag %s", t)
		}
	}
	for _, t := range slices.Sorted(maps.Keys(s.repo.History)) {
		for _, p := range s.repo.History[t] {
			if s.reaches(p.Digest, digest, 1) {
				s.line("reached by tag %s until %s", t, instantText(p.Until))
			}
		}
	}
	for _, d := range slices.Sorted(maps.Keys(s.repo.Manifests)) {
		if m := s.repo.Manifests[d]; m.Subject == digest {
			s.line("referred to by %s\t%s", d, m.ArtifactType)
		}
	}
}

// node prints one manifest and, indented, what it refers to. A manifest above itself is cut.
func (s *shower) node(indent, role, digest string, above map[string]bool) {
	m := s.repo.Manifests[digest]
	switch {
	case m == nil:
		s.line("%s%s%s", indent, role, digest)
		return
	case above[digest]:
		s.line("%s%s%s (a cycle, cut)", indent, role, digest)
		return
	}
	above[digest] = true
	defer delete(above, digest)
	text := indent + role + digest
	if m.MediaType != "" {
		text += " " + m.MediaType
	}
	if m.Size != 0 {
		text += " " + strconv.FormatInt(m.Size, 10) + " bytes"
	}
	if m.Created != Always {
		text += " created " + instantText(m.Created)
	}
	s.line("%s", text)
	indent += "  "
	for _, k := range slices.Sorted(maps.Keys(m.Annotations)) {
		s.line("%sannotation %s = %s", indent, clean(k, 200), strconv.Quote(m.Annotations[k]))
	}
	if m.Subject != "" {
		s.line("%ssubject %s", indent, m.Subject)
	}
	if m.Config != "" {
		s.line("%sconfig %s", indent, m.Config)
	}
	for _, l := range m.Layers {
		s.line("%slayer %s", indent, l)
	}
	for _, child := range m.Index {
		s.node(indent, "manifest ", child, above)
	}
}

// holds reports whether a digest is a manifest of the repository or anything one refers to.
func (s *shower) holds(digest string) bool {
	if s.repo.Manifests[digest] != nil {
		return true
	}
	for _, m := range s.repo.Manifests {
		if m.Config == digest || slices.Contains(m.Layers, digest) || slices.Contains(m.Index, digest) {
			return true
		}
	}
	return false
}

// reaches reports whether a digest is, or is below, a manifest.
func (s *shower) reaches(from, digest string, depth int) bool {
	m := s.repo.Manifests[from]
	if from == digest {
		return true
	}
	if m == nil || depth > maxDepth {
		return false
	}
	if m.Config == digest || slices.Contains(m.Layers, digest) {
		return true
	}
	return slices.ContainsFunc(m.Index, func(c string) bool { return s.reaches(c, digest, depth+1) })
}

func instantOr(at int64, unknown string) string {
	if at == Always {
		return unknown
	}
	return instantText(at)
}
