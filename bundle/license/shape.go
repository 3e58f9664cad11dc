package license

// The shapes are the form of license files, written down once for people and for tools:
// schema.json and the tables of docs/licenses.md are generated from their fields, tags and
// comments (go test ./bundle/license -run Schema -update). Nothing reads them at run time; tests
// hold them against the parser, in both directions.
//
// Tags: `yaml` is the name. `is` lists: required; unique, no item twice; filled, at least one
// item; empty, may stand there without a value. `default` is the value that counts when the field
// is left out, `unset` says in words what then counts. `example` is a value as YAML.
//
// A shape with the method either has one alternative per field instead of fields.

// shapes has one shape for each kind, in the order in which kinds are listed everywhere.
var shapes = []any{registryShape{}, productShape{}, releaseShape{}, planShape{}, customerShape{}, licenseShape{}, publicShape{}}

// Every document of a license file.
type documentShape struct {
	// What the document describes. The other fields depend on it.
	Kind kindWord `yaml:"kind" is:"required"`
	// The document's name, which others refer to: 1 to 63 of `a-z 0-9 . _ -`, beginning with a letter or a digit, unique per
	// kind. Not `key`, `anonymous`, `jwt` or `mtls`.
	ID documentIDText `yaml:"id" is:"required" example:"acme-2026"`
}

// A registry behind the host names that customers use.
type registryShape struct {
	documentShape
	// The authorities customers use: DNS names or IP addresses, compared without case. With a port only that port, without one
	// any; nothing else is answered. A host is one registry's.
	Hosts []hostText `yaml:"hosts" is:"required unique filled" example:"[registry.acme.example, 'registry.acme.example:5000']"`
	// Where pullgate reads the registry: scheme, host and port, without credentials and path. Customers never see it.
	Upstream upstreamText `yaml:"upstream" is:"required" example:"https://harbor.internal"`
	// How long a digest that left its tag stays reachable as what it was, as a period. `P0D`: not at all.
	History periodText `yaml:"history" default:"P400D" example:"P90D"`
	// Whether `/v2/_catalog` is answered.
	Catalog catalogWord `yaml:"catalog" default:"off"`
	// Digests that nobody gets any more, nor what only they reach. This wins over everything, `warn` and `observe` too.
	RevokedDigests []revokedDigestShape `yaml:"revoked_digests" unset:"none"`
}

// A digest that must not be delivered again.
type revokedDigestShape struct {
	// The repository in which it is revoked; a pattern is an error.
	Repository repositoryText `yaml:"repository" is:"required" example:"acme/app"`
	// `sha256:` and 64 lower-case hexadecimal digits.
	Digest digestText `yaml:"digest" is:"required" example:"sha256:559aead08264d5795d3909718cdd05abd49572e84fe55590eef31a88a08fdffd"`
	// The date (in UTC) or instant from which it is refused.
	At momentText `yaml:"at" is:"required" example:"2026-03-01T00:00:00Z"`
	// Why, for who reads this file: it goes into no bundle, record or message.
	Reason lineText `yaml:"reason" unset:"none" example:"leaked key"`
}

// A product, which is sold by version.
type productShape struct {
	documentShape
	// The name for people.
	Name lineText `yaml:"name" unset:"the id" example:"Acme App"`
	// The id of the Registry it is in.
	Registry referenceText `yaml:"registry" unset:"the only one; required when there are several" example:"main"`
	// The repositories that hold it, by literal name: their tags that are versions are its versions. A repository is one
	// product's.
	Repositories []productRepository `yaml:"repositories" is:"unique" unset:"required, unless Release documents list versions" example:"[acme/app, {name: acme/charts/app, type: chart}]"`
	// Tag patterns of builds of the same version: with `alpine*`, the tag `1.4.0-alpine3.20` counts as version 1.4.0, not as
	// a pre-release of it.
	Variants []tagPatternText `yaml:"variants" is:"unique" unset:"none" example:"[alpine*, slim]"`
	// Features that a license must hold for any version of the product.
	Requires []lineText `yaml:"requires" is:"unique" unset:"none" example:"[sso]"`
}

// A repository of a product: its name, or an object.
type productRepository struct {
	Name   repositoryText
	Object productRepositoryShape
}

func (productRepository) either() {}

// A repository of a product that is not as usual.
type productRepositoryShape struct {
	// The repository's literal name; a pattern is an error.
	Name repositoryText `yaml:"name" is:"required" example:"acme/charts/app"`
	// What its tags look like.
	Type repositoryTypeWord `yaml:"type" default:"image"`
	// What its tags mean.
	Versions repositoryVersionsWord `yaml:"versions" default:"tags"`
}

// Facts about one version. Without a document they come from the registry.
type releaseShape struct {
	documentShape
	// The id of the Product.
	Product referenceText `yaml:"product" is:"required" example:"app"`
	// The version, as strict SemVer. There is one document for a version; a variant without one uses its base version's.
	Version versionText `yaml:"version" is:"required" example:"1.4.1"`
	// When it was released, as a date (in UTC) or instant. Before it nobody gets the version.
	Released momentText `yaml:"released" unset:"the manifest's annotation 'org.opencontainers.image.created', else the image config's date if after 2000 (of an index: the latest child's), else when pullgate first saw it; frozen then" example:"2026-05-10T09:00:00Z"`
	// The date (in UTC) or instant that counts for update windows, grace and kept versions. Backdate a fix so that older
	// licenses get it.
	CountsFrom momentText `yaml:"counts_from" unset:"'released'" example:"2026-02-01"`
	// The channel that a grant must list: lower-case letters, digits and `-`.
	Channel channelText `yaml:"channel" unset:"from the version: 'stable' without pre-release, else the letters its first identifier begins with, else 'pre'" example:"lts"`
	// Takes the version back.
	Withdrawn withdrawalShape `yaml:"withdrawn" unset:"not withdrawn"`
	// Features that a license must hold for the version, beside those of the product.
	Requires []lineText `yaml:"requires" is:"unique" unset:"none" example:"[beta-terms]"`
}

// When and for whom a version is taken back.
type withdrawalShape struct {
	// The date (in UTC) or instant from which nobody gets it.
	At momentText `yaml:"at" is:"required" example:"2026-06-01"`
	// Why, for who reads this file: it goes into no bundle, record or message.
	Reason lineText `yaml:"reason" unset:"none" example:"CVE-2026-1234"`
	// Ids of the customers who still get it.
	Except []referenceText `yaml:"except" unset:"nobody" example:"[globex]"`
}

// Repositories that are open to anyone, without a license and without a key. Revoked digests stay closed.
type publicShape struct {
	documentShape
	// Repository patterns: `*` stands for one whole segment, `**` for one or more. Only repositories that the catalog knows
	// are open.
	Repositories []repositoryPatternText `yaml:"repositories" is:"required unique" example:"[acme/docs/**]"`
	// The tags that are open: tag patterns, in which `*` stands for any run of characters.
	Tags publicTags `yaml:"tags" is:"required" example:"all"`
}
