package main

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/pullgate/pullgate/examples/peers"
)

// A second crawl of distribution costs one list, one 304 for each tag, and one question for the
// referrers API, which it does not have.
func TestSecondCrawlOfDistributionIsConditional(t *testing.T) {
	v := newVendor(t)
	v.configure()
	crawl := func() (log []string) {
		t.Helper()
		before, err := v.registry.Requests(t.Context())
		v.must(err)
		if code, out, errs := once(t, "catalog", "crawl", "--config", v.path("pullgate.yaml")); code != exitYes {
			t.Fatalf("exit code %d: %s%s", code, out, errs)
		}
		after, err := v.registry.Requests(t.Context())
		v.must(err)
		for _, r := range after[len(before):] {
			path, _, _ := strings.Cut(r.Path, "?")
			if i := strings.Index(path, "/sha256:"); i > 0 {
				path = path[:i] + "/DIGEST"
			}
			log = append(log, r.Method+" "+path+" "+http.StatusText(r.Status))
		}
		slices.Sort(log)
		return log
	}
	crawl()
	want := []string{
		"GET /v2/ OK", "GET /v2/ Unauthorized",
		"GET /v2/acme/app/referrers/DIGEST Not Found",
		"GET /v2/acme/app/tags/list OK",
		"HEAD /v2/acme/app/manifests/1.4.0 Not Modified", "HEAD /v2/acme/app/manifests/2.0.0 Not Modified",
	}
	if got := crawl(); !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

// What a registry with the referrers API knows about an image is listed whole, can be pulled, and is
// not there for a version that the license does not cover.
func TestReferrersOfOlaregAreListedWhole(t *testing.T) {
	v := newVendor(t)
	v.must(os.Mkdir(v.path("olareg"), 0o700))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	registry, err := peers.StartOlareg(ctx, peers.Find(t, "olareg"), v.path("olareg"), map[string]string{registryUser: registryPassword})
	v.must(err)
	t.Cleanup(func() { registry.Close() })
	v.write("licenses/vendor.yaml", strings.Replace(string(v.read("licenses/vendor.yaml")), v.front.URL, "http://"+registry.Addr, 1), 0o644)

	options := []remote.Option{
		remote.WithAuth(&authn.Basic{Username: registryUser, Password: registryPassword}),
		remote.WithTransport(&http.Transport{DisableKeepAlives: true}),
	}
	push := func(tag string) (subject, sbom v1.Descriptor) {
		repo, err := name.NewRepository(registry.Addr + "/acme/app")
		v.must(err)
		image, err := random.Image(64, 2)
		v.must(err, remote.Write(repo.Tag(tag), image, options...))
		about, err := partial.Descriptor(image)
		v.must(err)
		layer, err := random.Layer(32, "application/spdx+json")
		v.must(err)
		artifact, err := mutate.AppendLayers(mutate.MediaType(mutate.ConfigMediaType(empty.Image, "application/vnd.example.sbom"), types.OCIManifestSchema1), layer)
		v.must(err)
		artifact = mutate.Annotations(artifact, map[string]string{"org.example.of": tag}).(v1.Image)
		artifact = mutate.Subject(artifact, *about).(v1.Image)
		desc, err := partial.Descriptor(artifact)
		v.must(err, remote.Write(repo.Digest(desc.Digest.String()), artifact, options...))
		desc.ArtifactType, desc.Annotations = "application/vnd.example.sbom", map[string]string{"org.example.of": tag}
		return *about, *desc
	}
	one, sbom := push("1.4.0")
	two, other := push("2.0.0")

	s := v.serve()
	s.awaitReady()
	a := s.ask(s.key, http.MethodGet, "/v2/acme/app/referrers/"+one.Digest.String())
	var list v1.IndexManifest
	v.must(json.Unmarshal([]byte(a.Body), &list))
	if diff := cmp.Diff([]v1.Descriptor{sbom}, list.Manifests); a.Status != http.StatusOK || diff != "" {
		t.Errorf("%d %s\n%s", a.Status, a.Body, diff)
	}
	for path, want := range map[string]int{
		"/v2/acme/app/manifests/" + sbom.Digest.String():  http.StatusOK,
		"/v2/acme/app/referrers/" + two.Digest.String():   http.StatusNotFound,
		"/v2/acme/app/manifests/" + other.Digest.String(): http.StatusNotFound,
	} {
		if a := s.ask(s.key, http.MethodGet, path); a.Status != want {
			t.Errorf("%s: %d %s, want %d", path, a.Status, a.Body, want)
		}
	}
}
