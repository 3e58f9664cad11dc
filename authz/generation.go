package authz

import (
	"context"
	"errors"
	"net/netip"
)

// ErrOverloaded is the error of Evaluate and Visible when the answer would come too late: too many
// wait already. The request is refused with CodeOverloaded.
var ErrOverloaded = errors.New("too many evaluations wait")

// Engine hands out the active generation. Implemented by package engine.
type Engine interface {
	// Generation returns the active generation, or nil before the first one. It is safe for
	// concurrent use and never blocks.
	Generation() Generation
}

// Generation is a verified bundle made ready to evaluate. It is immutable and safe for
// concurrent use.
type Generation interface {
	Revision() string
	// IssuedAt is the bundle's issued_at. No decision is made by a clock below it.
	IssuedAt() int64
	// NotAfter is the instant from which the bundle must not be used (Unix seconds, or Never).
	NotAfter() int64

	// Registry returns the registry that answers for an authority (host, or host:port), false
	// when none does. Case does not count. A host that is listed with a port answers on that
	// port only, one listed without on any.
	Registry(authority string) (Registry, bool)

	// Authenticate looks a key hash up, in constant time for a given table. The zero Key and
	// false: not a key of this bundle.
	Authenticate(hash [32]byte) (Key, bool)
	// Identify maps a proxy-verified identity to a customer. It returns false when nobody has
	// it, and when the JWT and the certificate name different customers.
	Identify(Identity) (Subject, bool)

	// Resolve finds what a request is about in the index. It never asks the registry.
	Resolve(Registry, *Request) Target
	// Named reports whether one of the customer's licenses, in any state but replaced by
	// another at this instant, names the repository (or, for KindVersion, the product) with a
	// grant that is not empty.
	Named(customer string, t *Target, at int64) bool

	// Key returns the cache key of Evaluate for this input (docs/design/cache-key.md): equal
	// keys mean equal verdicts for as long as the verdict's Until says. ok is false when a rule
	// makes the answer uncacheable.
	Key(*Input) (key [32]byte, ok bool)
	// Evaluate asks the policy for its decision. For KindTags the policy is not shown the
	// candidates: a list is judged by its repository, its entries by Visible. An error is
	// pullgate's own failure or a failing vendor rule, and names it.
	Evaluate(context.Context, *Input) (Verdict, error)
	// Visible returns which of the target's candidates the subject may see, as ascending
	// indexes into Target.Candidates, and, where vendor rules were asked about them, the earliest
	// boundary of those answers (Never: none). Boundaries of candidates are the caller's to find.
	Visible(context.Context, *Input) (indexes []int, until int64, err error)
	// Repositories returns the names a customer's licenses and Public documents name in a
	// registry and the index knows, sorted bytewise. customer may be "".
	Repositories(r Registry, customer string) []string
}

// Registry is one registry of the bundle.
type Registry struct {
	ID     string
	Listed bool // /v2/_catalog is answered
}

// Key is what a bundle knows of one key.
type Key struct {
	Customer string
	ID       string
	Expires  int64 // Unix seconds, or Never
	// InScope reports whether a repository is within the key's limits; nil means all are.
	InScope func(repository string) bool
	// Addresses are the networks the key is good from; nil means all, empty none.
	Addresses []netip.Prefix
}

// Target is what the index knows of a request's resource.
type Target struct {
	Resource Resource
	// Repository says that the index knows the repository.
	Repository bool
	// Reference says that the index knows the tag or digest, as the kind that was asked for
	// (a manifest asked as a blob is unknown).
	Reference bool
	// Candidates are what the resource may be reached through. For KindTags they are those of
	// every listed tag, and Names says of which. Shared and immutable.
	Candidates []Candidate
	// Names is set for KindTags only: Candidates[i] belongs to the tag Names[i]. A tag may have
	// several candidates (a floating tag has a version's) and is listed once.
	Names []string
	// Set identifies Candidates by content, for cache keys.
	Set [32]byte
	// Facts is the content hash of everything of the repository and its product that a verdict
	// can depend on, for cache keys.
	Facts [32]byte
	// Referrers are the descriptors of a KindReferrers request, sorted by digest; the filter is not applied.
	Referrers []Descriptor
}

// Candidate is a version or tag through which a resource may be reached. Instants are
// always set: Always or Never where nothing is known.
type Candidate struct {
	Product string // "" when the tag is no version
	Version string // normalised text without leading v; "" when the tag is no version
	Order   string // canonical JSON of version.Order; "" without a version
	Tag     string // text of the tag; "" for KindVersion
	Channel string // "" without a version

	Released    int64 // Always when unknown
	CountsFrom  int64 // the date used for the update window; equal to Released unless backdated
	WithdrawnAt int64
	Except      []string // customers whom the withdrawal does not touch
	Requires    []string // features, of the product and the release together, sorted
	RetiresAt   int64    // end of the history of a tag that has left the digest; Never for a current one
	RevokedAt   int64    // from when every path of this candidate to the resource is a revoked digest
}

// Input is one question to the policy: the `input` document (policies/schemas/input.json)
// before it is encoded.
type Input struct {
	Time    int64
	Subject Subject
	Action  string
	Kind    Kind
	Target  *Target
	Request *Request
}
