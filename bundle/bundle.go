// Package bundle says what a pullgate bundle is and how to trust one: an OPA bundle (gzipped
// tar) with compiled license data, the Rego library, vendor modules and the registry index, named
// and numbered in its manifest and signed as a whole.
//
// Write makes the same bytes for the same content. Read takes exactly what Write makes: any
// changed bit of the tar is refused. Any stock OPA from 1.21.3 loads, verifies and evaluates a
// bundle too; its reader forgives padding and framing, ours does not.
package bundle

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"maps"
	"math"
	"path"
	"regexp"
	"slices"
	"strings"
)

// oldestFormat is the oldest version of the bundle format that Read takes.
const oldestFormat = 1

// Never as a NotAfter: the bundle has no deadline.
const Never int64 = math.MaxInt64

// MaxBytes is the size of the largest bundle, all files unpacked. Write makes none above it and
// Read reads no further.
const MaxBytes int64 = 1 << 30

// Paths of the files with a meaning of their own. Every other path is below "pullgate/" or
// "vendor/" and is data.json or ends in ".rego", or it is a side file at the top that ends in ".bin".
const (
	ManifestPath   = ".manifest"
	SignaturesPath = ".signatures.json"
	IndexPath      = "index.bin"
)

// DefaultName is the name of the bundle that serves all customers.
const DefaultName = "default"

var (
	namePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,62}$`)
	// Content sorts after manifest and signature because no path begins with '.' or '-'.
	pathPattern = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*$`)
)

// manifest is what a bundle says about itself; the methods of Bundle explain it.
type manifest struct {
	Format                     int
	Name                       string
	Serial, IssuedAt, NotAfter int64
	PolicyDigest, Revision     string
}

// Bundle is a bundle that was written or read. It is immutable and safe for concurrent use.
type Bundle struct {
	manifest manifest
	keyID    string
	files    map[string]body
	paths    []string
}

// body is what a file of a bundle holds: an Object if OPA hashes its JSON, and bytes if not.
type body struct {
	data   []byte
	object *Object
}

func (f *body) size() int {
	if f.object != nil {
		return f.object.Size()
	}
	return len(f.data)
}

// pieces yields the text in parts.
func (f *body) pieces(yield func([]byte) bool) {
	if f.object != nil {
		f.object.pieces(yield)
		return
	}
	yield(f.data)
}

// besideSections yields what follows the sections: of an object its end.
func (f *body) besideSections(yield func([]byte) bool) {
	switch {
	case f.object == nil:
		yield(f.data)
	case f.object.Len() == 0:
		yield([]byte("{}"))
	default:
		yield([]byte("}"))
	}
}

func (f *body) sum() (sum [sha256.Size]byte) {
	h := sha256.New()
	for p := range f.pieces {
		h.Write(p)
	}
	h.Sum(sum[:0])
	return sum
}

// Content is what Write makes a bundle of.
type Content struct {
	Name     string // default DefaultName
	Serial   int64  // not negative
	IssuedAt int64  // Unix seconds
	NotAfter int64  // after IssuedAt; Never for none
	// PolicyDigest is 64 hex digits, by default PolicyDigest(Files).
	PolicyDigest string
	// Files by path, without ManifestPath and SignaturesPath. JSON must be canonical (see
	// CanonicalJSON) and an object.
	Files map[string][]byte
	// Objects are further files: data.json by path.
	Objects map[string]*Object
}

// All returns the bytes of all files by path, those of Objects put together anew.
func (c *Content) All() map[string][]byte {
	all := maps.Clone(c.Files)
	if all == nil {
		all = map[string][]byte{}
	}
	for p, o := range c.Objects {
		all[p] = o.Bytes()
	}
	return all
}

// File returns a file's bytes, which must not be changed, or nil when the bundle has none at
// that path. ManifestPath and SignaturesPath are included. Those of an Object are put together anew.
func (b *Bundle) File(path string) []byte {
	f, ok := b.files[path]
	switch {
	case !ok:
		return nil
	case f.object != nil:
		return f.object.Bytes()
	}
	return f.data
}

// Object returns the object in a data.json, or nil when the bundle has none at that path.
func (b *Bundle) Object(path string) *Object { return b.files[path].object }

// Objects returns all objects by path.
func (b *Bundle) Objects() map[string]*Object {
	all := map[string]*Object{}
	for p, f := range b.files {
		if f.object != nil {
			all[p] = f.object
		}
	}
	return all
}

// Paths returns the paths of all files, sorted.
func (b *Bundle) Paths() []string { return slices.Clone(b.paths) }

// Revision identifies the content: the SHA-256, in hex, over the path and SHA-256 of every file
// but manifest and signature. Equal content has the same revision whatever its serial and times.
func (b *Bundle) Revision() string { return b.manifest.Revision }

// Format is the version of the bundle format that the bundle is written in.
func (b *Bundle) Format() int { return b.manifest.Format }

// Name is the set of customers the bundle serves; it is also the scope of the signature.
func (b *Bundle) Name() string { return b.manifest.Name }

// Serial is the bundle's number; a higher one replaces a lower one.
func (b *Bundle) Serial() int64 { return b.manifest.Serial }

// IssuedAt is when the bundle was compiled, in Unix seconds.
func (b *Bundle) IssuedAt() int64 { return b.manifest.IssuedAt }

// NotAfter is the instant from which the bundle must not be used (Unix seconds, or Never).
func (b *Bundle) NotAfter() int64 { return b.manifest.NotAfter }

// PolicyDigest identifies the Rego in the bundle, see the function PolicyDigest.
func (b *Bundle) PolicyDigest() string { return b.manifest.PolicyDigest }

// KeyID is the id of the key that vouches for the bundle: the one it was written with, or the one
// of the ring that verified it. It is "" when nobody does.
func (b *Bundle) KeyID() string { return b.keyID }

// revision hashes sorted (path, SHA-256) lines, "<hex>  <path>\n" each as sha256sum prints them.
func revision(sums map[string][sha256.Size]byte) string {
	h := sha256.New()
	for _, p := range slices.Sorted(maps.Keys(sums)) {
		sum := sums[p]
		io.WriteString(h, hex.EncodeToString(sum[:])+"  "+p+"\n")
	}
	return hex.EncodeToString(h.Sum(nil))
}

// PolicyDigest is the SHA-256, in hex, over path and SHA-256 of every ".rego" file in files.
func PolicyDigest(files map[string][]byte) string {
	sums := map[string][sha256.Size]byte{}
	for p, data := range files {
		if strings.HasSuffix(p, ".rego") {
			sums[p] = sha256.Sum256(data)
		}
	}
	return revision(sums)
}

// ValidName says whether a bundle may have this name.
func ValidName(name string) bool { return namePattern.MatchString(name) }

// checkPath says whether a content file may have this path. The closed set keeps out what OPA
// gives a meaning of its own (patch.json, data.yaml, policy.wasm, plan.json …).
func checkPath(p string) error {
	if len(p) > maxPath {
		return formatError(printable(p), "path is longer than %d bytes", maxPath)
	}
	if !pathPattern.MatchString(p) {
		return formatError(printable(p), "path is not segments of letters, digits, '_', '.' and '-' that begin with one of the first three")
	}
	top, rest, below := strings.Cut(p, "/")
	switch {
	case !below && strings.HasSuffix(p, ".bin"):
		return nil
	case !below || top != "pullgate" && top != "vendor":
		return formatError(p, "path is outside pullgate/ and vendor/")
	case path.Base(rest) == "data.json" || strings.HasSuffix(rest, ".rego"):
		return nil
	}
	return formatError(p, "neither data.json nor Rego")
}

// structured says whether OPA hashes a file's JSON instead of its bytes.
func structured(p string) bool { return p == ManifestPath || path.Base(p) == "data.json" }
