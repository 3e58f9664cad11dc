// Package catalog knows what a registry holds: which tags exist, which digest each names now
// and named earlier, and what every manifest refers to.
//
// A Crawler asks a registry and keeps what it learns in a Store, so that nothing is fetched
// twice and a registry that fails never empties what is known. A Catalog is the result: a plain
// value for the compiler, which can also be read from and written to YAML (`kind: Catalog`).
package catalog

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// Always is the instant of what has no known beginning: 0001-01-01T00:00:00Z in Unix seconds.
const Always int64 = -62135596800

// Catalog is everything known about one registry. Registry is the id of its document in the
// license files, or "" for the only one. A Catalog is a value without hidden state: whoever
// shares one must not change it.
type Catalog struct {
	Registry     string
	Repositories map[string]*Repository
}

// Repository is one repository. Every digest in Tags and History has an entry in Manifests;
// digests in Manifest.Index, Config, Layers and Subject may have none (the registry lacks them,
// they are blobs, or they lie deeper than four manifests below a tag). Maps may be nil.
type Repository struct {
	Read      int64                // when it was last read as a whole with success, Unix seconds; 0 when unknown
	Tags      map[string]Tag       // what each tag names now
	History   map[string][]Past    // by tag, oldest first: what it named earlier; also tags that are gone
	Manifests map[string]*Manifest // by "sha256:HEX"
	// Referrers are manifests that the registry's referrers API lists for a subject that they do
	// not name themselves, sorted, by the subject's digest. The others have a Manifest.Subject.
	Referrers map[string][]string
}

// Tag is where a tag points now.
type Tag struct {
	Digest string // "sha256:HEX"
	Seen   int64  // when the tag was first seen, Unix seconds; Always when unknown
}

// Past is where a tag pointed until an instant.
type Past struct {
	Digest string
	Until  int64 // the instant at which the tag was seen to have left the digest
}

// Manifest is an image manifest, an index, or another artifact's manifest. Index is set on an
// index only; Config and Layers on an image manifest only; Subject on either.
type Manifest struct {
	MediaType    string // "" when unknown
	ArtifactType string // artifactType, else the config's media type where that says what it is
	Size         int64  // bytes; 0 when unknown
	// Created is the frozen date in Unix seconds: the annotation org.opencontainers.image.created,
	// else the image config's date if after 2000 (of an index without annotation: the latest of
	// its children's), else when the repository was first seen to hold it. Always when unknown.
	Created     int64
	Annotations map[string]string
	Index       []string // digests of the children, in order
	Config      string   // digest, "" without
	Layers      []string // digests, in order
	Subject     string   // digest of the manifest that this one refers to, "" without
}

// DigestOf returns the digest that a name stands for in a hand-written catalog: the SHA-256 of
// the name's own bytes, as "sha256:HEX".
func DigestOf(name string) string {
	sum := sha256.Sum256([]byte(name))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// ValidDigest reports whether d is "sha256:" and 64 lower-case hex digits.
func ValidDigest(d string) bool {
	h, ok := strings.CutPrefix(d, "sha256:")
	if !ok || len(h) != 64 {
		return false
	}
	for i := range len(h) {
		if c := h[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// validName says whether s is a name that stands for a digest: letters and digits.
func validName(s string) bool {
	for i := range len(s) {
		if !alnum(s[i]) {
			return false
		}
	}
	return s != ""
}

// validTag is the OCI distribution-spec tag grammar.
func validTag(s string) bool {
	if s == "" || len(s) > 128 || s[0] == '.' || s[0] == '-' {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !alnum(c) && c != '_' && c != '.' && c != '-' {
			return false
		}
	}
	return true
}

// validRepository is the OCI distribution-spec name grammar, at most 255 bytes: path components
// of lower-case letters and digits, joined inside by '.', '_', "__" or any number of '-'.
func validRepository(s string) bool {
	if len(s) > 255 {
		return false
	}
	for part := range strings.SplitSeq(s, "/") {
		if !validComponent(part) {
			return false
		}
	}
	return true
}

func validComponent(s string) bool {
	if s == "" || !lowerAlnum(s[0]) || !lowerAlnum(s[len(s)-1]) {
		return false
	}
	for i := 0; i < len(s); {
		j := i
		for j < len(s) && !lowerAlnum(s[j]) {
			j++
		}
		sep := s[i:j]
		if sep != "" && sep != "." && sep != "_" && sep != "__" && strings.Trim(sep, "-") != "" {
			return false
		}
		i = max(j, i+1)
	}
	return true
}

func lowerAlnum(c byte) bool { return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' }
func alnum(c byte) bool      { return lowerAlnum(c) || c >= 'A' && c <= 'Z' }
