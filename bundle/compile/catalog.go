package compile

// Repository is what the catalog knows of one repository of a registry. The caller converts
// the crawler's or a hand-written catalog into it; Compile only reads it. Digests are
// "sha256:" and 64 lower-case hex digits; others are left out of the bundle with a warning,
// because no request can name them.
type Repository struct {
	Registry string // id; "" means the only one
	Name     string
	// Key is comparable and stands for the rest of the fields: two repositories with the same Key
	// have the same content. nil stands for nothing. Only Kept asks.
	Key any

	Tags      map[string]Tag       // now
	History   map[string][]Past    // by tag: what it named earlier, in any order
	Manifests map[string]*Manifest // by digest; a child that is absent here is one the registry lacks

	// Referrers are manifests that the registry lists as referrers of a subject that they do not
	// name themselves, by the subject's digest.
	Referrers map[string][]string
}

// Tag is where a tag points now.
type Tag struct {
	Digest string
	Seen   int64 // first seen, Unix seconds; license.Always when unknown
}

// Past is where a tag pointed until it left.
type Past struct {
	Digest string
	Until  int64 // the instant at which the tag left the digest
}

// Manifest is an image manifest, an index or an artifact manifest.
type Manifest struct {
	MediaType    string // "" for the OCI image manifest, or the OCI index when Index is set
	ArtifactType string
	Size         int64
	// Created is the date of the image: frozen by the catalog on first sight; license.Always
	// when unknown.
	Created     int64
	Annotations map[string]string

	Index   []string // children of an index
	Config  string   // of an image manifest
	Layers  []string
	Subject string // the manifest that this one refers to
}
