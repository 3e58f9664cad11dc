// Package license is the license model: what a license grants, how license files are read,
// and how a malformed one is rejected.
//
// Load reads a directory of YAML files, and Parse files that are in memory already, into a Set
// or every problem with its file, line and column (docs/licenses.md). A Set is complete and
// consistent: references resolve, plans are applied, dates are instants. What depends on the day
// a bundle is made is left to License.Schedule, which is pure.
package license

import (
	"net/netip"

	"github.com/pullgate/pullgate/policies/version"
)

// Instants are Unix seconds; Never and Always have the values of package authz.
const (
	Never  int64 = 1<<63 - 1
	Always int64 = -62135596800
)

// Set is everything a directory of license files says, sorted by id.
type Set struct {
	Registries []Registry
	Products   []Product
	Releases   []Release
	Plans      []Plan
	Customers  []Customer
	Licenses   []License // with their plans applied
	Public     []Public

	shared []*document // what Edited reads again with every edit
}

// Registry is an upstream behind one or more authorities.
type Registry struct {
	ID             string
	Pos            Position
	Hosts          []string // lower case, with a port where the file gives one
	Upstream       string
	History        Period // default P400D
	RevokedDigests []RevokedDigest
	Catalog        bool // answer /v2/_catalog
}

// RevokedDigest must not be delivered again, under any name.
type RevokedDigest struct {
	Repository string
	Digest     string // "sha256:" and 64 lower-case hex digits
	At         int64
	Reason     string
}

// Product is a thing that is sold by version.
type Product struct {
	ID, Name     string
	Pos          Position
	Registry     string
	Repositories []ProductRepository // in file order
	Variants     []string            // tag patterns
	Requires     []string            // features, sorted
}

// ProductRepository is a repository of a product.
type ProductRepository struct {
	Name     string // literal
	Chart    bool   // type: chart
	Versions bool   // false for versions: none
}

// Release holds optional facts about one version.
type Release struct {
	ID         string
	Pos        Position
	Product    string
	Version    version.Version
	Released   *int64 // nil: as the registry says
	CountsFrom *int64
	Channel    string // "": from the version
	Withdrawn  *Withdrawal
	Requires   []string // features, sorted
}

// Withdrawal takes a release back.
type Withdrawal struct {
	At     int64
	Reason string
	Except []string // customer ids, sorted
}

// Plan is a license template. Its fields are kept with the licenses that use it; a Set
// lists plans for warnings and explanations only.
type Plan struct {
	ID  string
	Pos Position
}

// Customer is somebody who may hold licenses.
type Customer struct {
	ID, Name   string
	Pos        Position
	Zone       string // IANA name; "UTC" by default
	Banned     bool
	Labels     map[string]any
	Keys       []Key
	Identities []Identity
}

// Key is a credential of a customer: only its hash is known.
type Key struct {
	ID           string
	Pos          Position
	Hash         string    // "sha256:" and 64 lower-case hex digits
	Expires      int64     // Never without expires
	Repositories *[]string // patterns; nil: all; empty: none
	Addresses    *[]netip.Prefix
}

// Identity is one that the proxy verifies: a JWT's issuer and subject, or a certificate's SAN.
type Identity struct {
	Issuer, Subject string
	SAN             string
}

// Type of a license.
type Type string

// The types of a license (docs/licenses.md): what each needs and what follows its end.
const (
	Perpetual    Type = "perpetual"
	Subscription Type = "subscription"
	Trial        Type = "trial"
)

// License binds grants to a customer for a time. Plan fields are already merged in.
type License struct {
	ID       string
	Pos      Position
	Customer string
	Plan     string
	Type     Type
	Zone     string

	Suspended *Suspension
	Revoked   *Revocation
	// ReplacedAt is the start of the license that replaces this one, the earliest if several
	// do, else Never. From then on this license is inert.
	ReplacedAt int64

	// terms is the time data that Schedule compiles.
	terms terms

	KeepVersions bool
	Enforcement  string // enforce, warn, observe
	Replaces     string
	Grants       []Grant // in file order
	Features     map[string]any
}

// Suspension pauses a license from At until Until (Never: until further notice).
type Suspension struct {
	At, Until            int64
	Reason, PublicReason string
}

// Revocation ends a license.
type Revocation struct {
	At                   int64
	Reason, PublicReason string
}

// Grant is one right in a license: by product and versions, or by repository and tags.
type Grant struct {
	Pos      Position
	Product  string
	Versions version.Ranges // of a product grant; empty: grants nothing
	Channels []string       // default stable; empty: grants nothing
	// Constraint is the text of Versions as written, for messages; a list is joined by " || ".
	Constraint string
	// PreReleases are those that the constraint names, for warnings.
	PreReleases []version.Version

	Repository string   // pattern
	Tags       []string // patterns, "*" for `all`; empty: grants nothing
	// Current, when set, grants the tags first seen before this instant instead of Tags: those
	// of `current` with as_of, that day or instant included; without as_of those first seen at
	// or before the license's start.
	Current *int64
}

// Empty reports whether the grant grants nothing, so that it names nothing either.
func (g *Grant) Empty() bool {
	if g.Product != "" {
		return len(g.Versions) == 0 || len(g.Channels) == 0
	}
	return len(g.Tags) == 0 && g.Current == nil
}

// Public opens repositories to anyone.
type Public struct {
	ID           string
	Pos          Position
	Repositories []string // patterns
	Tags         []string // patterns, "*" for `all`
}

// Schedule holds a license's instants, compiled for one issued_at. Where nothing ends they
// are Never.
type Schedule struct {
	Starts     int64 // Always without starts
	Ends       int64 // use end, with the renewals up to one term ahead
	Updates    int64 // update-window end
	Grace      int64 // grace end; equal to Ends without grace
	Terminates int64 // hard stop, or Never
}
