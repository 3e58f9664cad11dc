package license

// Somebody who may hold licenses.
type customerShape struct {
	documentShape
	// The name for people.
	Name lineText `yaml:"name" unset:"the id" example:"ACME GmbH"`
	// The IANA zone of the customer's dates and of its licenses'. A date is a whole day there.
	Zone zoneText `yaml:"zone" default:"UTC" example:"Europe/Berlin"`
	// Whether the customer is served.
	Status customerStatusWord `yaml:"status" default:"active"`
	// Free data that rules can read.
	Labels freeObject `yaml:"labels" unset:"none" example:"{region: eu, tier: 2}"`
	// The customer's keys, of which only hashes are kept. `pullgate key new` prints a line to paste here.
	Keys []keyShape `yaml:"keys" is:"empty" unset:"none"`
	// Identities that the proxy verifies, as whole strings. An identity is one customer's.
	Identities []identityShape `yaml:"identities" unset:"none" example:"[{jwt: {issuer: 'https://idp.acme.example', subject: ci}}]"`
}

// A key of a customer. Its limits only narrow what the licenses grant.
type keyShape struct {
	// The key's name, unique among those of the customer. Records have it as `acme/ci`.
	ID idText `yaml:"id" is:"required" example:"ci"`
	// The key's hash, as `pullgate key new` or `pullgate key hash` prints it; never the key itself. A hash stands in one place.
	Hash hashText `yaml:"hash" is:"required" example:"sha256:b7bd55c11b781b0ccc43aa6e57f9dadf0660e9d1d4e27e0979ee43a407d454ae"`
	// The last day (in the customer's zone) on which it works, or the instant at which it ends.
	Expires momentText `yaml:"expires" unset:"never" example:"2027-01-31"`
	// Repository patterns that it is limited to; `[]` means none.
	Repositories []repositoryPatternText `yaml:"repositories" is:"unique" unset:"all" example:"[acme/app, acme/tools/**]"`
	// Networks that it works from, without address bits behind the mask; one address is `10.0.0.7/32`, and `[]` means none.
	Addresses []networkText `yaml:"addresses" unset:"all" example:"[10.0.0.0/8, '2001:db8::/32']"`
}

// An identity that the proxy verified: one of both.
type identityShape struct {
	// A token's issuer and subject.
	JWT jwtShape `yaml:"jwt" unset:"one of both is required" example:"{issuer: 'https://idp.acme.example', subject: ci}"`
	// A client certificate's name.
	MTLS mtlsShape `yaml:"mtls" unset:"one of both is required" example:"{san: 'spiffe://acme/ci'}"`
}

// What a token says.
type jwtShape struct {
	// The token's `iss`, whole.
	Issuer lineText `yaml:"issuer" is:"required" example:"https://idp.acme.example"`
	// The token's `sub`, whole.
	Subject lineText `yaml:"subject" is:"required" example:"ci"`
}

// What a client certificate says.
type mtlsShape struct {
	// The subject alternative name, whole.
	SAN lineText `yaml:"san" is:"required" example:"spiffe://acme/ci"`
}
