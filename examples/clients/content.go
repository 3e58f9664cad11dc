package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

const (
	appRepository   = "demo/app"
	chartRepository = "demo/charts/app"

	mediaIndex    = "application/vnd.oci.image.index.v1+json"
	mediaManifest = "application/vnd.oci.image.manifest.v1+json"
	mediaConfig   = "application/vnd.oci.image.config.v1+json"
	mediaLayer    = "application/vnd.oci.image.layer.v1.tar+gzip"
	mediaEmpty    = "application/vnd.oci.empty.v1+json"
	mediaSBOM     = "application/vnd.example.sbom.v1+json"
)

// A blob is anything that has a digest.
type blob struct {
	mediaType string
	data      []byte
}

func (b blob) digest() string { return fmt.Sprintf("sha256:%x", sha256.Sum256(b.data)) }

// descriptor of OCI's image-spec.
type descriptor struct {
	MediaType    string            `json:"mediaType"`
	ArtifactType string            `json:"artifactType,omitempty"`
	Digest       string            `json:"digest"`
	Size         int               `json:"size"`
	Platform     map[string]string `json:"platform,omitempty"`
}

func (b blob) descriptor() descriptor {
	return descriptor{MediaType: b.mediaType, Digest: b.digest(), Size: len(b.data)}
}

// manifest is an image or an artifact; an index has Manifests only.
type manifest struct {
	SchemaVersion int          `json:"schemaVersion"`
	MediaType     string       `json:"mediaType"`
	ArtifactType  string       `json:"artifactType,omitempty"`
	Config        *descriptor  `json:"config,omitempty"`
	Layers        []descriptor `json:"layers,omitempty"`
	Subject       *descriptor  `json:"subject,omitempty"`
	Manifests     []descriptor `json:"manifests,omitempty"`
}

func (m manifest) blob() blob {
	m.SchemaVersion = 2
	data, err := json.Marshal(m)
	if err != nil {
		panic(err) // there is nothing in it that cannot be JSON
	}
	return blob{m.MediaType, data}
}

// An object is what one tag of a repository names, with everything below it.
type object struct {
	repository string
	name       string // for people: `2.0.0`, `chart 1.2.3`
	version    string
	tags       []string // none for what only a subject leads to
	root       blob
	manifests  []blob   // below the root, children first
	blobs      []blob   // configs and layers
	amd64      []string // digests of what a pull for one platform fetches; nil for all
}

// digests of the object and everything below it, sorted.
func (o *object) digests() []string {
	all := map[string]bool{o.root.digest(): true}
	for _, b := range slices.Concat(o.manifests, o.blobs) {
		all[b.digest()] = true
	}
	return slices.Sorted(maps.Keys(all))
}

// content is what every registry has, byte for byte the same.
type content struct {
	app   map[string]*object // by version
	chart map[string]*object
	sbom  map[string]*object // by version of its subject
	sig   map[string]*object // by version of what it signs
}

func newContent() (*content, error) {
	c := &content{app: map[string]*object{}, chart: map[string]*object{}, sbom: map[string]*object{}, sig: map[string]*object{}}
	for version, tags := range map[string][]string{"1.3.0": nil, "1.4.0": nil, "1.5.0": {"1.5"}, "2.0.0": {"latest"}} {
		app, err := newApp(version)
		if err != nil {
			return nil, err
		}
		app.tags = append(app.tags, tags...)
		c.app[version], c.sbom[version] = app, newSBOM(version, app.root)
	}
	for _, version := range []string{"1.4.0", "2.0.0"} {
		c.sig[version] = newSignature(version, c.app[version].root)
	}
	for _, version := range []string{"1.2.3", "1.3.0+build.1", "2.0.0"} {
		chart, err := newChart(version)
		if err != nil {
			return nil, err
		}
		c.chart[version] = chart
	}
	return c, nil
}

// objects in an order in which they can be pushed.
func (c *content) objects() []*object {
	var all []*object
	for _, m := range []map[string]*object{c.app, c.chart, c.sbom, c.sig} {
		for _, version := range slices.Sorted(maps.Keys(m)) {
			all = append(all, m[version])
		}
	}
	return all
}

// names are the digests of roots and what to call them.
func (c *content) names() map[string]string {
	names := map[string]string{}
	for _, o := range c.objects() {
		names[o.root.digest()] = o.name
	}
	return names
}

// newApp makes an index of two platforms. All versions share a base layer.
func newApp(version string) (*object, error) {
	base, baseID, err := layer("app/base.txt", "base layer of every image\n")
	if err != nil {
		return nil, err
	}
	o := &object{repository: appRepository, name: version, version: version, tags: []string{version}, blobs: []blob{base}}
	index := manifest{MediaType: mediaIndex}
	for _, arch := range []string{"amd64", "arm64"} {
		own, ownID, err := layer("app/version.txt", "app "+version+" for "+arch+"\n")
		if err != nil {
			return nil, err
		}
		config := blob{mediaConfig, fmt.Appendf(nil, `{"architecture":%q,"os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":[%q,%q]}}`, arch, baseID, ownID)}
		d := config.descriptor()
		m := manifest{MediaType: mediaManifest, Config: &d, Layers: []descriptor{base.descriptor(), own.descriptor()}}.blob()
		o.blobs = append(o.blobs, config, own)
		o.manifests = append(o.manifests, m)
		child := m.descriptor()
		child.Platform = map[string]string{"os": "linux", "architecture": arch}
		index.Manifests = append(index.Manifests, child)
	}
	o.root = index.blob()
	amd64 := object{root: o.root, manifests: o.manifests[:1], blobs: o.blobs[:3]}
	o.amd64 = amd64.digests()
	return o, nil
}

// newSBOM makes an artifact whose subject is an image.
func newSBOM(version string, subject blob) *object {
	empty := blob{mediaEmpty, []byte("{}")}
	text := blob{mediaSBOM, fmt.Appendf(nil, "parts of app %s\n", version)}
	config, of := empty.descriptor(), subject.descriptor()
	m := manifest{MediaType: mediaManifest, ArtifactType: mediaSBOM, Config: &config, Layers: []descriptor{text.descriptor()}, Subject: &of}
	return &object{repository: appRepository, name: "sbom of " + version, version: version, root: m.blob(), blobs: []blob{empty, text}}
}

// newSignature makes what cosign long made: an image under a tag that is its subject's digest.
func newSignature(version string, subject blob) *object {
	config := blob{mediaConfig, fmt.Appendf(nil, `{"architecture":"","os":"","config":{},"rootfs":{"type":"layers","diff_ids":[]},"author":%q}`, version)}
	payload := blob{"application/vnd.dev.cosign.simplesigning.v1+json", fmt.Appendf(nil, `{"critical":{"image":{"docker-manifest-digest":%q}}}`, subject.digest())}
	d := config.descriptor()
	return &object{
		repository: appRepository, name: "signature of " + version, version: version, tags: []string{tagOf(subject, ".sig")},
		root:  manifest{MediaType: mediaManifest, Config: &d, Layers: []descriptor{payload.descriptor()}}.blob(),
		blobs: []blob{config, payload},
	}
}

// tagOf is the tag under which something about a digest is found.
func tagOf(b blob, suffix string) string { return strings.Replace(b.digest(), ":", "-", 1) + suffix }

// newChart makes what `helm package` and `helm push` make. A tag cannot have a +, so helm writes _.
func newChart(version string) (*object, error) {
	meta := fmt.Sprintf("apiVersion: v2\nname: app\nversion: %s\n", version)
	archive, _, err := layer("app/Chart.yaml", meta)
	if err != nil {
		return nil, err
	}
	archive.mediaType = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
	config := blob{"application/vnd.cncf.helm.config.v1+json", fmt.Appendf(nil, `{"name":"app","version":%q,"apiVersion":"v2"}`, version)}
	d := config.descriptor()
	return &object{
		repository: chartRepository, name: "chart " + version, version: version, tags: []string{strings.ReplaceAll(version, "+", "_")},
		root:  manifest{MediaType: mediaManifest, Config: &d, Layers: []descriptor{archive.descriptor()}}.blob(),
		blobs: []blob{config, archive},
	}, nil
}

// layer is a gzipped tar with one file. diffID is the digest of the tar.
func layer(name, text string) (_ blob, diffID string, err error) {
	var plain, zipped bytes.Buffer
	t := tar.NewWriter(&plain)
	if err := t.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(text))}); err != nil {
		return blob{}, "", err
	}
	if _, err := t.Write([]byte(text)); err != nil {
		return blob{}, "", err
	}
	if err := t.Close(); err != nil {
		return blob{}, "", err
	}
	z := gzip.NewWriter(&zipped)
	if _, err := z.Write(plain.Bytes()); err != nil {
		return blob{}, "", err
	}
	if err := z.Close(); err != nil {
		return blob{}, "", err
	}
	return blob{mediaLayer, zipped.Bytes()}, blob{"", plain.Bytes()}.digest(), nil
}
