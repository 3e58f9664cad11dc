// Package index is the registry graph of a bundle as one compact file, index.bin: which
// candidates (versions and tags) reach a digest, per repository.
//
// A Builder makes the file on the compile side; Open reads it on the decide side, without
// a pointer per entry: lookups walk the bytes. The file is trusted only after the bundle's
// signature has been verified, and Open still checks every offset, so that no input can make
// a lookup panic or read out of bounds.
package index

// Digest is a SHA-256 digest without its "sha256:" prefix.
type Digest [32]byte

// Instants are Unix seconds; Never and Always have the values of package authz.
const (
	Never  int64 = 1<<63 - 1
	Always int64 = -62135596800
)

// Candidate is a version or tag through which a node may be reached. Field for field what
// authz.Candidate says.
type Candidate struct {
	Product     string
	Version     string
	Order       string // canonical JSON of version.Order, "" without a version
	Tag         string
	Channel     string
	Released    int64
	CountsFrom  int64
	WithdrawnAt int64
	Except      []string // sorted
	Requires    []string // sorted
	RetiresAt   int64
	RevokedAt   int64
}

// Kind of a node. A manifest asked for as a blob is unknown, and the reverse.
type Kind uint8

const (
	Manifest Kind = iota + 1 // image manifests, indexes and referrers' manifests
	Blob
)

// Descriptor describes a referrer (OCI image-spec descriptor).
type Descriptor struct {
	MediaType    string
	Digest       Digest
	Size         int64
	ArtifactType string
	Annotations  map[string]string
}

// Product is what judging a version by its text needs: a tag the registry does not have is
// judged like one that it has.
type Product struct {
	ID       string
	Variants []string // patterns, in file order
	Requires []string // sorted
}

// Release holds the facts about one version of a product: those of its Release document,
// else those of the first repository of the product that has a tag for it.
type Release struct {
	Product     string
	Version     string // normalised text without leading v and without build metadata
	Channel     string
	Released    int64
	CountsFrom  int64
	WithdrawnAt int64
	Except      []string
	Requires    []string // of the release and its product, sorted
}

// Repository is one repository for the Builder.
type Repository struct {
	Registry string
	Name     string
	Product  string // "" when its tags are not versions
	Chart    bool   // '_' in a tag means '+'
	// Facts is the content hash of everything a verdict about this repository can depend on
	// besides the customer: product, releases, public tags, revocations.
	Facts [32]byte
	Tags  []Tag
	Nodes []Node
	// Referrers lists descriptors by subject.
	Referrers map[Digest][]Descriptor
}

// Tag is a tag that exists now. Candidates are those of a request by this tag.
type Tag struct {
	Name       string
	Digest     Digest
	Candidates []Candidate
	// Hidden tags are never listed (digest-like ones).
	Hidden bool
}

// Node is a digest of a repository with everything that reaches it.
type Node struct {
	Digest     Digest
	Kind       Kind
	Candidates []Candidate
}
