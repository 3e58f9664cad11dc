package catalog

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Media types of the manifests that are understood. Docker's schema 1 is not: its digest does not
// cover its bytes, and no supported client asks for it any more.
const (
	typeOCIIndex       = "application/vnd.oci.image.index.v1+json"
	typeOCIManifest    = "application/vnd.oci.image.manifest.v1+json"
	typeDockerList     = "application/vnd.docker.distribution.manifest.list.v2+json"
	typeDockerManifest = "application/vnd.docker.distribution.manifest.v2+json"

	typeOCIConfig    = "application/vnd.oci.image.config.v1+json"
	typeDockerConfig = "application/vnd.docker.container.image.v1+json"

	annotationCreated = "org.opencontainers.image.created"
)

// Bounds against a registry whose content somebody else controls.
const (
	maxManifest = 4 << 20 // bytes of a manifest or image config (OCI distribution-spec's own bound)
	maxChildren = 4096    // children of one index, layers of one manifest
	maxTree     = 16384   // manifests below one tag
	maxDepth    = 4       // manifests on a path, the tagged one counted
)

// record is what the store keeps of one manifest. Skip says why a manifest is none to us: it is
// remembered so that it is not fetched again.
type record struct {
	MediaType    string            `json:"type,omitempty"`
	ArtifactType string            `json:"artifact,omitempty"`
	Size         int64             `json:"size,omitempty"`
	Annotations  map[string]string `json:"annotations,omitempty"`
	Children     []child           `json:"children,omitempty"`
	Config       string            `json:"config,omitempty"`
	ConfigType   string            `json:"config_type,omitempty"`
	Layers       []string          `json:"layers,omitempty"`
	Subject      string            `json:"subject,omitempty"`
	Skip         string            `json:"skip,omitempty"`
}

type child struct {
	Digest    string `json:"digest"`
	MediaType string `json:"type,omitempty"`
}

// known reports whether a media type is a manifest's.
func known(mediaType string) bool { return isIndex(mediaType) || isImage(mediaType) }
func isIndex(t string) bool       { return t == typeOCIIndex || t == typeDockerList }
func isImage(t string) bool       { return t == typeOCIManifest || t == typeDockerManifest }

// isManifest reports whether a child may be a manifest: an index may list blobs too (BuildKit's
// cache does).
func (c child) isManifest() bool { return c.MediaType == "" || known(c.MediaType) }

type descriptor struct {
	MediaType string `json:"mediaType"`
	Digest    string `json:"digest"`
}

// errGarbage: an answer that no registry should give.
var errGarbage = errors.New("the answer is not a registry's")

// parseManifest reads a manifest whose bytes have been compared with its digest. It never depends
// on the answer's Content-Type, so that a digest means the same however it was fetched. Content
// that is JSON but no manifest we know gives a record with Skip; anything else is errGarbage.
func parseManifest(body []byte) (*record, error) {
	var m struct {
		SchemaVersion int               `json:"schemaVersion"`
		MediaType     string            `json:"mediaType"`
		ArtifactType  string            `json:"artifactType"`
		Manifests     *[]descriptor     `json:"manifests"`
		Config        *descriptor       `json:"config"`
		Layers        *[]descriptor     `json:"layers"`
		Subject       *descriptor       `json:"subject"`
		Annotations   map[string]string `json:"annotations"`
	}
	if err := json.Unmarshal(body, &m); err != nil {
		if json.Valid(body) {
			return &record{Size: int64(len(body)), Skip: "its fields have types that a manifest's do not have"}, nil
		}
		return nil, fmt.Errorf("%w: a manifest that is not JSON", errGarbage)
	}
	r := &record{MediaType: m.MediaType, ArtifactType: m.ArtifactType, Size: int64(len(body)), Annotations: m.Annotations}
	skip := func(format string, args ...any) (*record, error) {
		return &record{MediaType: m.MediaType, Size: r.Size, Skip: fmt.Sprintf(format, args...)}, nil
	}
	switch {
	case m.SchemaVersion == 1:
		return skip("Docker schema 1; push it again with a client of this decade")
	case m.MediaType != "" && !known(m.MediaType):
		return skip("unknown media type %q", clean(m.MediaType, 80))
	case m.Manifests != nil && (m.Layers != nil || m.Config != nil):
		return skip("an index and an image at once")
	case m.Manifests != nil && !isImage(m.MediaType):
		return r.index(*m.Manifests, m.Subject)
	case m.Layers != nil && !isIndex(m.MediaType):
		return r.image(m.Config, *m.Layers, m.Subject)
	}
	return skip("neither an index nor an image manifest")
}

func (r *record) index(children []descriptor, subject *descriptor) (*record, error) {
	if r.MediaType == "" {
		r.MediaType = typeOCIIndex
	}
	if len(children) > maxChildren {
		return &record{MediaType: r.MediaType, Size: r.Size, Skip: fmt.Sprintf("more than %d children", maxChildren)}, nil
	}
	for _, d := range children {
		if !ValidDigest(d.Digest) {
			return r.badDigest(d.Digest)
		}
		r.Children = append(r.Children, child{Digest: d.Digest, MediaType: d.MediaType})
	}
	return r.refersTo(subject)
}

func (r *record) image(config *descriptor, layers []descriptor, subject *descriptor) (*record, error) {
	if r.MediaType == "" {
		r.MediaType = typeOCIManifest
	}
	if len(layers) > maxChildren {
		return &record{MediaType: r.MediaType, Size: r.Size, Skip: fmt.Sprintf("more than %d layers", maxChildren)}, nil
	}
	if config != nil {
		if !ValidDigest(config.Digest) {
			return r.badDigest(config.Digest)
		}
		r.Config, r.ConfigType = config.Digest, config.MediaType
	}
	for _, d := range layers {
		if !ValidDigest(d.Digest) {
			return r.badDigest(d.Digest)
		}
		r.Layers = append(r.Layers, d.Digest)
	}
	if subject != nil && r.ArtifactType == "" {
		r.ArtifactType = r.ConfigType // OCI image-spec: a referrer's descriptor says so
	}
	return r.refersTo(subject)
}

func (r *record) refersTo(subject *descriptor) (*record, error) {
	if subject != nil {
		if !ValidDigest(subject.Digest) {
			return r.badDigest(subject.Digest)
		}
		r.Subject = subject.Digest
	}
	return r, nil
}

func (r *record) badDigest(d string) (*record, error) {
	return &record{MediaType: r.MediaType, Size: r.Size, Skip: fmt.Sprintf("refers to %q, which is no sha256 digest", clean(d, 80))}, nil
}

// manifest is the record in the model, with its date.
func (r *record) manifest(created int64) *Manifest {
	m := &Manifest{
		MediaType: r.MediaType, ArtifactType: r.ArtifactType, Size: r.Size, Created: created,
		Annotations: r.Annotations, Config: r.Config, Layers: r.Layers, Subject: r.Subject,
	}
	for _, c := range r.Children {
		m.Index = append(m.Index, c.Digest)
	}
	return m
}

// annotated is the date in the manifest's own annotations; false without a readable one.
func (r *record) annotated() (int64, bool) {
	t, err := time.Parse(time.RFC3339, r.Annotations[annotationCreated])
	return t.Unix(), err == nil
}

// datedByConfig reports whether the image config may hold a date that the manifest lacks.
func (r *record) datedByConfig() bool {
	_, annotated := r.annotated()
	return !annotated && r.Config != "" && (r.ConfigType == typeOCIConfig || r.ConfigType == typeDockerConfig)
}

// year2000 is the first instant that counts as a date of an image config: reproducible builds
// write 1970 and 1980.
const year2000 = 946684800

// parseConfig reads an image config's date: Unix seconds, 0 when it has none that counts.
func parseConfig(body []byte) int64 {
	var c struct {
		Created time.Time `json:"created"`
	}
	if json.Unmarshal(body, &c) != nil || c.Created.Unix() < year2000 {
		return 0
	}
	return c.Created.Unix()
}

// digestOf is the digest of content.
func digestOf(body []byte) string {
	sum := sha256.Sum256(body)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// clean makes text of a registry fit for a message: one line of printable ASCII, at most n bytes.
func clean(s string, n int) string {
	b := make([]byte, 0, min(len(s), n))
	for i := 0; i < len(s) && len(b) < n; i++ {
		if c := s[i]; c >= 0x20 && c < 0x7f {
			b = append(b, c)
		} else if len(b) > 0 && b[len(b)-1] != ' ' {
			b = append(b, ' ')
		}
	}
	return string(b)
}
