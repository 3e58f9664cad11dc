package source

import (
	"errors"
	"fmt"
	"time"
)

// Revocation is something that is taken back.
type Revocation struct {
	Kind       RevocationKind
	ID         string // of a customer or license; of a key CUSTOMER/KEY; of a digest REGISTRY:REPOSITORY@sha256:HEX
	Customer   string // of a key
	Key        string
	Registry   string // of a digest
	Repository string
	Digest     string
	At         time.Time // from when; of a license or digest
	Reason     string    // for who reads the files; of a license or digest; "" for none
}

// RevocationKind is what is taken back.
type RevocationKind string

const (
	RevokeCustomer RevocationKind = "customer" // status: banned
	RevokeLicense  RevocationKind = "license"  // status: {revoked: …}
	RevokeKey      RevocationKind = "key"      // the key is taken out
	RevokeDigest   RevocationKind = "digest"   // one more of revoked_digests
)

// ErrNoSuch means that there is nothing of the name that was to be revoked.
var ErrNoSuch = errors.New("there is no such thing")

func noSuch(what, id string) error { return fmt.Errorf("%w: no %s %q", ErrNoSuch, what, id) }
