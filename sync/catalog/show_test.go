package catalog

import (
	"errors"
	"strings"
	"testing"
)

func TestShow(t *testing.T) {
	cats, err := Read("c.yaml", []byte(`
kind: Catalog
repositories:
  acme/app:
    tags: {1.4.0: I1, latest: I1}
    history: {1.4.0: [{digest: I0, until: 2026-01-10T00:00:00Z}], old: [{digest: M1, until: 2026-01-11T00:00:00Z}]}
    seen: {latest: 2026-01-10T00:00:00Z}
    manifests:
      I0: {index: [I0]}
      I1: {index: [M1, M2], created: 2026-02-01T00:00:00Z, annotations: {org.opencontainers.image.version: 1.4.0}}
      M1: {config: C1, layers: [B, F], media_type: application/vnd.oci.image.manifest.v1+json, size: 7}
      S1: {subject: I1, artifact_type: application/vnd.example.sbom}
`))
	if err != nil {
		t.Fatal(err)
	}
	var pairs []string
	for _, n := range []string{"I0", "I1", "M1", "M2", "S1", "C1", "B", "F"} {
		pairs = append(pairs, DigestOf(n), "@"+n)
	}
	names := strings.NewReplacer(pairs...)
	below := `@I1 created 2026-02-01T00:00:00Z
  annotation org.opencontainers.image.version = "1.4.0"
  manifest @M1 application/vnd.oci.image.manifest.v1+json 7 bytes
    config @C1
    layer @B
    layer @F
  manifest @M2
reached by tag 1.4.0
reached by tag latest
referred to by @S1 application/vnd.example.sbom
`
	for ref, want := range map[string]string{
		"acme/app": `TAG DIGEST CREATED FIRST SEEN
1.4.0 @I1 2026-02-01T00:00:00Z -
latest @I1 2026-02-01T00:00:00Z 2026-01-10T00:00:00Z

EARLIER DIGEST CREATED UNTIL
1.4.0 @I0 - 2026-01-10T00:00:00Z
old @M1 - 2026-01-11T00:00:00Z
`,
		"acme/app:1.4.0":            "acme/app:1.4.0 first seen unknown\n" + below + "until 2026-01-10T00:00:00Z it named @I0\n",
		"acme/app:latest":           "acme/app:latest first seen 2026-01-10T00:00:00Z\n" + below,
		"acme/app:old":              "acme/app:old is gone\nuntil 2026-01-11T00:00:00Z it named @M1\n",
		"acme/app@I1":               below,
		"acme/app@I0":               "@I0\n  manifest @I0 (a cycle, cut)\nreached by tag 1.4.0 until 2026-01-10T00:00:00Z\n",
		"acme/app@" + DigestOf("F"): "@F\nreached by tag 1.4.0\nreached by tag latest\nreached by tag old until 2026-01-11T00:00:00Z\n",
	} {
		var b strings.Builder
		if err := Show(&b, cats[0], ref); err != nil {
			t.Fatal(err)
		}
		if g, w := squeeze(names.Replace(b.String())), squeeze(want); g != w {
			t.Errorf("%s:\n%s\nwant:\n%s", ref, g, w)
		}
	}
	for _, ref := range []string{"acme/other", "acme/app:9", "acme/app@Nothing", "acme/app@" + DigestOf("x")} {
		if err := Show(&strings.Builder{}, cats[0], ref); !errors.Is(err, ErrUnknown) {
			t.Errorf("%s: %v", ref, err)
		}
	}
}

// squeeze makes column padding one space and keeps indentation.
func squeeze(s string) string {
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		text := strings.TrimLeft(l, " ")
		lines[i] = l[:len(l)-len(text)] + strings.Join(strings.Fields(text), " ")
	}
	return strings.Join(lines, "\n")
}
