package bundle

import (
	"bufio"
	"compress/gzip"
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
	b, err := assemble(c, s)
	if err != nil {
		return nil, err
	}
	level := gzip.BestSpeed
	if c.Stored {
		level = gzip.NoCompression
	}
	gz, err := gzip.NewWriterLevel(w, level)
	if err != nil {
		return nil, err
	}
	out := bufio.NewWriterSize(gz, 64<<10)
	if err := writeTar(out, b); err != nil {
		return nil, fmt.Errorf("write bundle: %w", err)
	}
	if err := out.Flush(); err != nil {
		return nil, fmt.Errorf("write bundle: %w", err)
	}
	if err := gz.Close(); err != nil {
		return nil, fmt.Errorf("write bundle: %w", err)
	}
	return b, nil
}

// assemble checks the content and adds manifest and signature.
func assemble(c *Content, s *Signer) (*Bundle, error) {
	m := manifest{Name: c.Name, Serial: c.Serial, IssuedAt: c.IssuedAt, NotAfter: c.NotAfter, PolicyDigest: c.PolicyDigest}
	if m.Name == "" {
		m.Name = DefaultName
	}
	if m.PolicyDigest == "" {
		m.PolicyDigest = PolicyDigest(c.Files)
	}
	if err := m.check(); err != nil {
		return nil, err
	}
	files := maps.Clone(c.Files)
	if files == nil {
		files = map[string][]byte{}
	}
	sums := make(map[string][sha256.Size]byte, len(files))
	for _, p := range slices.Sorted(maps.Keys(files)) {
		if err := checkPath(p); err != nil {
			return nil, err
		}
		if err := checkFile(p, files[p]); err != nil {
			return nil, err
		}
		sums[p] = sha256.Sum256(files[p])
	}
	m.Revision = revision(sums)

	text, err := CanonicalJSON(m.file())
	if err != nil {
		return nil, err
	}
	files[ManifestPath] = text
	sums[ManifestPath] = sha256.Sum256(text)
	b := &Bundle{manifest: m, files: files}
	if s != nil {
		if files[SignaturesPath], err = s.signatureFile(m.Name, sums); err != nil {
			return nil, err
		}
		b.keyID = s.id
	}
	b.paths = slices.Sorted(maps.Keys(files))
	var size int64
	for _, data := range files {
		size += int64(len(data))
	}
	if size > MaxBytes {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, size, MaxBytes)
	}
	return b, nil
}

// checkFile checks what a file must be for what its path says.
func checkFile(p string, data []byte) error {
	if !structured(p) {
		return nil
	}
	if len(data) == 0 || data[0] != '{' {
		return formatError(p, "not a JSON object")
	}
	if err := CheckCanonical(data); err != nil {
		return formatError(p, "%v", err)
	}
	return nil
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
		Metadata: metadata{Format: Format, Name: m.Name, Serial: m.Serial, IssuedAt: m.IssuedAt, PolicyDigest: m.PolicyDigest},
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
	if probe.Metadata.Format != Format {
		return manifest{}, formatError(ManifestPath, "format %d, this program reads format %d; update it before the publisher", probe.Metadata.Format, Format)
	}
	var f manifestFile
	if err := decodeExact(data, &f); err != nil {
		return manifest{}, formatError(ManifestPath, "%v", err)
	}
	md := f.Metadata
	m := manifest{
		Name: md.Name, Serial: md.Serial, IssuedAt: md.IssuedAt, NotAfter: Never,
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

func writeTar(w io.Writer, b *Bundle) error {
	var zeros [blockSize]byte
	for _, p := range b.paths {
		data := b.files[p]
		h := tarHeader(p, int64(len(data)))
		for _, part := range [][]byte{h[:], data, zeros[:padding(int64(len(data)))]} {
			if _, err := w.Write(part); err != nil {
				return err
			}
		}
	}
	_, err := w.Write(endOfTar[:])
	return err
}
