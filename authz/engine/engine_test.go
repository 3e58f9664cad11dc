package engine

import (
	"encoding/hex"
	"slices"
	"testing"

	"github.com/pullgate/pullgate/authz"
)

func TestDecisionsOverABundle(t *testing.T) {
	a := shop(t).asks(t, nil)
	image140, image200 := digestOfName("image140"), digestOfName("image200")
	sigTag := func(name, suffix string) string { return "sha256-" + hex.EncodeToString(digestBytes(name)) + suffix }
	for _, c := range []struct {
		who              string
		kind             authz.Kind
		repository, what string
		want             string
		pinned           string
	}{
		// tags
		{"bakery", authz.KindManifest, "acme/app", "1.4.0", "allow 200 ok", image140},
		{"bakery", authz.KindManifest, "acme/app", "1.4", "allow 200 ok", image140},
		{"bakery", authz.KindManifest, "acme/app", "2.0.0", "deny 403 version_not_granted", ""},
		{"bakery", authz.KindManifest, "acme/app", "latest", "deny 403 version_not_granted", ""},
		{"mill", authz.KindManifest, "acme/app", "latest", "allow 200 ok", image200},
		// tags that the index does not have are judged by their text
		{"bakery", authz.KindManifest, "acme/app", "1.9.9", "deny 404 unknown_reference", ""},
		{"bakery", authz.KindManifest, "acme/app", "1.9.9-alpine3", "deny 404 unknown_reference", ""},
		{"bakery", authz.KindManifest, "acme/app", "1.9.9-rc.1", "deny 403 channel_not_granted", ""},
		{"bakery", authz.KindManifest, "acme/app", "9.9.9", "deny 403 version_not_granted", ""},
		{"bakery", authz.KindManifest, "acme/app", "nosuch", "deny 403 tag_not_granted", ""},
		{"bakery", authz.KindManifest, "acme/tools", "1.4", "allow 200 ok", digestOfName("tools")},
		{"bakery", authz.KindManifest, "acme/tools", "1.4.7", "deny 404 unknown_reference", ""},
		{"bakery", authz.KindManifest, "acme/tools", "stable", "deny 403 tag_not_granted", ""},
		// digests
		{"bakery", authz.KindManifest, "acme/app", image140, "allow 200 ok", ""},
		{"bakery", authz.KindManifest, "acme/app", image200, "deny 404 unknown_reference", ""},
		{"bakery", authz.KindManifest, "acme/app", digestOfName("never pushed"), "deny 404 unknown_reference", ""},
		{"bakery", authz.KindBlob, "acme/app", digestOfName("layer140"), "allow 200 ok", ""},
		{"bakery", authz.KindBlob, "acme/app", digestOfName("base"), "allow 200 ok", ""},
		{"mill", authz.KindBlob, "acme/app", digestOfName("base"), "allow 200 ok", ""},
		{"mill", authz.KindBlob, "acme/app", digestOfName("layer140"), "deny 404 unknown_reference", ""},
		// a manifest is no blob, and a blob no manifest
		{"bakery", authz.KindBlob, "acme/app", image140, "deny 404 unknown_reference", ""},
		{"bakery", authz.KindManifest, "acme/app", digestOfName("base"), "deny 404 unknown_reference", ""},
		// digest-like tags are judged as the digest they name
		{"bakery", authz.KindManifest, "acme/app", sigTag("image140", ".sig"), "allow 200 ok", digestOfName("sig140")},
		{"bakery", authz.KindManifest, "acme/app", sigTag("image140", ".att"), "deny 404 unknown_reference", ""},
		{"mill", authz.KindManifest, "acme/app", sigTag("image140", ".sig"), "deny 404 unknown_reference", ""},
		{"bakery", authz.KindManifest, "acme/app", sigTag("nothing", ".sig"), "deny 404 unknown_reference", ""},
		// repositories
		{"walkin", authz.KindManifest, "acme/app", "1.4.0", "deny 404 unknown_repository", ""},
		{"walkin", authz.KindManifest, "acme/nosuch", "1.4.0", "deny 404 unknown_repository", ""},
		{"mill", authz.KindTags, "acme/tools", "", "deny 404 unknown_repository", ""},
		{"", authz.KindManifest, "acme/app", "1.4.0", "deny 401 anonymous", ""},
		{"", authz.KindManifest, "acme/nosuch", "1.4.0", "deny 401 anonymous", ""},
		// public
		{"", authz.KindManifest, "acme/docs", "guide", "allow 200 public", digestOfName("guide")},
		{"walkin", authz.KindManifest, "acme/docs", digestOfName("guide"), "allow 200 public", ""},
		{"", authz.KindManifest, "acme/docs", digestOfName("nothing"), "deny 401 anonymous", ""},
		// login
		{"", authz.KindPing, "", "", "deny 401 anonymous", ""},
		{"walkin", authz.KindPing, "", "", "answer 200 ok", ""},
	} {
		d := a.ask(request(c.who, c.kind, c.repository, c.what))
		if got := line(d); got != c.want || d.Pinned != c.pinned {
			t.Errorf("%s %s %s %s: got %s pinned %q, want %s pinned %q", c.who, c.kind, c.repository, c.what, got, d.Pinned, c.want, c.pinned)
		}
	}
}

func TestListsOverABundle(t *testing.T) {
	a := shop(t).asks(t, nil)
	for _, c := range []struct {
		who  string
		kind authz.Kind
		repo string
		want []string
	}{
		{"bakery", authz.KindTags, "acme/app", []string{"1.4", "1.4.0"}},
		{"mill", authz.KindTags, "acme/app", []string{"2.0.0", "latest"}},
		{"bakery", authz.KindTags, "acme/tools", []string{"1.4"}},
		{"", authz.KindTags, "acme/docs", []string{"guide"}},
		{"bakery", authz.KindCatalog, "", []string{"acme/app", "acme/docs", "acme/tools"}},
		{"mill", authz.KindCatalog, "", []string{"acme/app", "acme/docs"}},
		{"walkin", authz.KindCatalog, "", []string{"acme/docs"}},
		{"", authz.KindCatalog, "", []string{"acme/docs"}},
	} {
		d := a.ask(request(c.who, c.kind, c.repo, ""))
		if d.Outcome != authz.OutcomeAnswer || !slices.Equal(d.Names, c.want) {
			t.Errorf("%s %s %s: %s %v, want %v", c.who, c.kind, c.repo, line(d), d.Names, c.want)
		}
	}
	d := a.ask(request("bakery", authz.KindReferrers, "acme/app", digestOfName("image140")))
	if d.Outcome != authz.OutcomeAnswer || len(d.Referrers) != 2 {
		t.Errorf("referrers: %s %v", line(d), d.Referrers)
	}
	r := request("bakery", authz.KindReferrers, "acme/app", digestOfName("image140"))
	r.ArtifactType = "application/vnd.example.sbom"
	if d := a.ask(r); len(d.Referrers) != 1 || d.Referrers[0].Digest != digestOfName("sbom140") {
		t.Errorf("referrers by type: %v", d.Referrers)
	}
	if d := a.ask(request("mill", authz.KindReferrers, "acme/app", digestOfName("image140"))); line(d) != "deny 404 unknown_reference" {
		t.Errorf("referrers of an uncovered image: %s", line(d))
	}
}

func TestVersionsWithoutHTTP(t *testing.T) {
	a := shop(t).asks(t, nil)
	for _, c := range []struct{ who, product, version, want string }{
		{"bakery", "app", "1.4.0", "allow 200 ok"},
		{"bakery", "app", "v1.4.0-alpine3.20", "allow 200 ok"},
		{"bakery", "app", "1.7.3", "allow 200 ok"}, // nothing knows it: its text
		{"bakery", "app", "2.0.0", "deny 403 version_not_granted"},
		{"bakery", "app", "latest", "deny 403 tag_not_granted"},
		{"bakery", "nosuch", "1.0.0", "deny 403 not_granted"},
		{"walkin", "app", "1.4.0", "deny 403 no_license"},
		{"", "app", "1.4.0", "deny 401 anonymous"},
	} {
		r := request(c.who, authz.KindVersion, "", "")
		r.Host, r.Product, r.Version = "", c.product, c.version
		if d := a.ask(r); line(d) != c.want {
			t.Errorf("%s %s@%s: %s, want %s", c.who, c.product, c.version, line(d), c.want)
		}
	}
}
