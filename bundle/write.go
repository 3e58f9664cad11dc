package bundle

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
)

// manifestFile is .manifest (OPA, management-bundles, "Bundle File Format"). Field order is
// alphabetical, so that the encoding is canonical.
type manifestFile struct {
	Metadata    metadata `json:"metadata"`
	RegoVersion int      `json:"rego_version"`
	Revision    string   `json:"revision"`
	Roots       []string `json:"roots"`
}

type metadata struct {
	Format       int    `json:"format"`
	IssuedAt     int64  `json:"issued_at"`
	Name         string `json:"name"`
	NotAfter     *int64 `json:"not_after,omitempty"` // absent: never
	PolicyDigest string `json:"policy_digest"`
	Serial       int64  `json:"serial"`
}

var roots = []string{"pullgate", "vendor"}

// Write writes the bundle of c to w, signed by s, and returns it. The bytes depend on c and s
// alone. A nil s makes an unsigned bundle, which Read refuses unless told otherwise. The Bundle
// shares the bytes of c.Files, which must not be changed afterwards. Errors: *FormatError for
// content that Read would refuse, ErrTooLarge, or what w returns; w may then have got a part.
func Write(w io.Writer, c *Content, s *Signer) (*Bundle, error) {
	b, _, err := assemble(c, s)
	if err != nil {
		return nil, err
	}
	out, err := newPacker(w)
	if err == nil {
		err = writeTar(out, b)
	}
	if err == nil {
		err = out.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("write bundle: %w", err)
	}
	return b, nil
}

// assemble checks the content and adds manifest and signature. It also returns the hashes of the files.
func assemble(c *Content, s *Signer) (*Bundle, map[string][sha256.Size]byte, error) {
	m := manifest{Format: Format, Name: c.Name, Serial: c.Serial, IssuedAt: c.IssuedAt, NotAfter: c.NotAfter, PolicyDigest: c.PolicyDigest}
	if m.Name == "" {
		m.Name = DefaultName
	}
	if m.PolicyDigest == "" {
		m.PolicyDigest = PolicyDigest(c.Files)
	}
	if err := m.check(); err != nil {
		return nil, nil, err
	}
	files, err := c.files()
	if err != nil {
		return nil, nil, err
	}
	sums := make(map[string][sha256.Size]byte, len(files))
	for p, f := range files {
		sums[p] = f.sum()
	}
	m.Revision = revision(sums)

	text, err := CanonicalJSON(m.file())
	if err != nil {
		return nil, nil, err
	}
	files[ManifestPath] = body{data: text}
	sums[ManifestPath] = sha256.Sum256(text)
	b := &Bundle{manifest: m, files: files}
	if s != nil {
		text, err := s.signatureFile(m.Name, sums)
		if err != nil {
			return nil, nil, err
		}
		files[SignaturesPath] = body{data: text}
		sums[SignaturesPath] = sha256.Sum256(text)
		b.keyID = s.id
	}
	b.paths = slices.Sorted(maps.Keys(files))
	var size int64
	for _, f := range files {
		size += int64(f.size())
	}
	if size > MaxBytes {
		return nil, nil, fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, size, MaxBytes)
	}
	return b, sums, nil
}

// files are those of the content, checked.
func (c *Content) files() (map[string]body, error) {
	files := make(map[string]body, len(c.Files)+len(c.Objects)+2)
	for _, p := range slices.Sorted(maps.Keys(c.Files)) {
		if err := checkPath(p); err != nil {
			return nil, err
		}
		f, err := checkFile(p, body{data: c.Files[p]}, nil)
		if err != nil {
			return nil, err
		}
		files[p] = f
	}
	for p, o := range c.Objects {
		if err := checkPath(p); err != nil {
			return nil, err
		}
		if _, twice := files[p]; twice || !structured(p) {
			return nil, formatError(p, "an object beside a file, or where none can be")
		}
		if o == nil {
			o = &Object{}
		}
		files[p] = body{object: o}
	}
	return files, nil
}

// checkFile checks that a file is what its path says it must be, and gives it back as that; an object
// shares what is the same in like.
func checkFile(p string, f body, like *Object) (body, error) {
	if !structured(p) || f.object != nil {
		return f, nil
	}
	o, err := NewObjectLike(f.data, like)
	if err != nil {
		return body{}, formatError(p, "%v", err)
	}
	return body{object: o}, nil
}

func (m *manifest) check() error {
	switch {
	case !namePattern.MatchString(m.Name):
		return formatError(ManifestPath, "name %q; want %s", m.Name, namePattern)
	case m.Serial < 0:
		return formatError(ManifestPath, "serial %d is negative", m.Serial)
	case m.NotAfter <= m.IssuedAt:
		return formatError(ManifestPath, "not_after %d is not after issued_at %d", m.NotAfter, m.IssuedAt)
	case !sumPattern.MatchString(m.PolicyDigest):
		return formatError(ManifestPath, "policy digest %q is not 64 hex digits", m.PolicyDigest)
	}
	return nil
}

func (m *manifest) file() manifestFile {
	f := manifestFile{
		Roots: roots, RegoVersion: 1, Revision: m.Revision,
		Metadata: metadata{Format: m.Format, Name: m.Name, Serial: m.Serial, IssuedAt: m.IssuedAt, PolicyDigest: m.PolicyDigest},
	}
	if m.NotAfter != Never {
		f.Metadata.NotAfter = &m.NotAfter
	}
	return f
}

// readManifest decodes .manifest and checks that it is as Write makes it.
func readManifest(data []byte) (manifest, error) {
	// The format first: a newer one may have any other fields.
	var probe struct{ Metadata struct{ Format int } }
	if err := json.Unmarshal(data, &probe); err != nil {
		return manifest{}, formatError(ManifestPath, "not a manifest")
	}
	switch format := probe.Metadata.Format; {
	case format > Format:
		return manifest{}, fmt.Errorf("%w: %w", ErrNewer,
			formatError(ManifestPath, "format %d, this program reads format %d; update it before the publisher", format, Format))
	case format < oldestFormat:
		return manifest{}, formatError(ManifestPath, "format %d, this program reads format %d and later", format, oldestFormat)
	}
	var f manifestFile
	if err := decodeExact(data, &f); err != nil {
		return manifest{}, formatError(ManifestPath, "%v", err)
	}
	md := f.Metadata
	m := manifest{
		Format: md.Format, Name: md.Name, Serial: md.Serial, IssuedAt: md.IssuedAt, NotAfter: Never,
		PolicyDigest: md.PolicyDigest, Revision: f.Revision,
	}
	if md.NotAfter != nil {
		m.NotAfter = *md.NotAfter
	}
	switch {
	case f.RegoVersion != 1:
		return manifest{}, formatError(ManifestPath, "rego_version %d; want 1", f.RegoVersion)
	case !slices.Equal(f.Roots, roots):
		return manifest{}, formatError(ManifestPath, "roots %q; want %q", f.Roots, roots)
	case md.NotAfter != nil && *md.NotAfter == Never:
		return manifest{}, formatError(ManifestPath, "not_after is out of range")
	}
	return m, m.check()
}

func writeTar(w *packer, b *Bundle) error {
	var zeros [blockSize]byte
	for _, p := range b.paths {
		f := b.files[p]
		size := int64(f.size())
		h := tarHeader(p, size)
		if _, err := w.Write(h[:]); err != nil {
			return err
		}
		for _, s := range f.object.Sections() {
			if err := w.section(s); err != nil {
				return err
			}
		}
		for part := range f.besideSections {
			if _, err := w.Write(part); err != nil {
				return err
			}
		}
		if _, err := w.Write(zeros[:padding(size)]); err != nil {
			return err
		}
	}
	_, err := w.Write(endOfTar[:])
	return err
}
