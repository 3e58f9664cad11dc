package catalog

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	docker     = "application/vnd.docker.distribution.events.v2+json"
	structured = "application/cloudevents+json; charset=UTF-8"
)

func dockerEvent(action, mediaType, repository, tag, digest string) string {
	b, _ := json.Marshal(map[string]any{
		"id": "320678d8-ca14-430f-8bb6-4ca139cd83f7", "timestamp": "2026-03-09T14:44:26.402973972-08:00", "action": action,
		"target":  map[string]any{"mediaType": mediaType, "size": 708, "digest": digest, "repository": repository, "tag": tag, "url": "http://evil.example/v2/"},
		"request": map[string]any{"host": "registry.example", "method": "PUT"}, "actor": map[string]any{}, "source": map[string]any{"addr": "x:5000"},
	})
	return string(b)
}

func envelope(events ...string) string { return `{"events":[` + strings.Join(events, ",") + `]}` }

func TestParseEvent(t *testing.T) {
	one := DigestOf("one")
	harbor := func(kind, tag, digest string) string {
		return `{"type":"` + kind + `","occur_at":1680501893,"operator":"admin","event_data":{"resources":[{"digest":"` + digest + `","tag":"` + tag +
			`","resource_url":"harbor.example/acme/app:1.0.0"}],"repository":{"date_created":1680501893,"name":"app","namespace":"acme","repo_full_name":"acme/app","repo_type":"private"}}}`
	}
	harborCE := func(kind, tag, digest string) string {
		return `{"specversion":"1.0","requestid":"r","id":"i","source":"/projects/2/webhook/policies/15","type":"` + kind + `","datacontenttype":"application/json","time":"2026-04-03T06:04:53Z","data":{"resources":[{"digest":"` +
			digest + `","tag":"` + tag + `","resource_url":"x"}],"repository":{"name":"app","namespace":"acme","repo_full_name":"acme/app","repo_type":"private"}},"operator":"admin"}`
	}
	zot := func(reference string) string {
		return `{"name":"acme/app","reference":"` + reference + `","digest":"` + one + `","mediaType":"` + typeOCIManifest + `","manifest":"{\"schemaVersion\":2}","actor":{"name":"ci"}}`
	}
	tag, digest, whole := Hint{"acme/app", "1.0.0", ""}, Hint{"acme/app", "", one}, Hint{"acme/app", "", ""}
	for _, c := range []struct {
		name, contentType, ceType, body string
		want                            []Hint
	}{
		{"distribution: a tag", docker, "", envelope(dockerEvent("push", typeOCIIndex, "acme/app", "1.0.0", one)), []Hint{tag}},
		{"distribution: version 1", "application/vnd.docker.distribution.events.v1+json", "", envelope(dockerEvent("push", typeDockerManifest, "acme/app", "1.0.0", one)), []Hint{tag}},
		{"distribution: a manifest without a tag", docker, "", envelope(dockerEvent("push", typeOCIManifest, "acme/app", "", one)), []Hint{digest}},
		{"distribution: blobs, pulls, mounts", docker, "", envelope(
			dockerEvent("push", "application/octet-stream", "acme/app", "", one), dockerEvent("pull", typeOCIIndex, "acme/app", "1.0.0", one),
			dockerEvent("mount", "application/octet-stream", "acme/app", "", one)), nil},
		{"distribution: a deletion", docker, "", envelope(dockerEvent("delete", "", "acme/app", "", one)), []Hint{whole}},
		{"distribution: several", docker, "", envelope(dockerEvent("push", typeOCIIndex, "acme/app", "1.0.0", one), dockerEvent("push", typeOCIIndex, "acme/tools/x", "stable", one)), []Hint{tag, {"acme/tools/x", "stable", ""}}},
		{"distribution: names that are none", docker, "", envelope(
			dockerEvent("push", typeOCIIndex, "../etc", "1.0.0", one), dockerEvent("push", typeOCIIndex, "Acme/App", "1.0.0", one), dockerEvent("push", typeOCIIndex, "", "1.0.0", one),
			dockerEvent("push", typeOCIIndex, "acme/app", "1.0.0/../../x", one), dockerEvent("push", typeOCIIndex, "acme/app", "", "sha256:x"),
			dockerEvent("push", typeOCIIndex, "acme/app@"+one, "1.0.0", one), dockerEvent("push", typeOCIIndex, "evil.example:80/app", "1.0.0", one)), nil},
		{"distribution: nothing", docker, "", `{"events":[]}`, nil},
		{"Harbor: push", "application/json", "", harbor("PUSH_ARTIFACT", "1.0.0", one), []Hint{tag}},
		{"Harbor: push without a tag", "application/json", "", harbor("PUSH_ARTIFACT", one, one), []Hint{digest}},
		{"Harbor: delete", "application/json", "", harbor("DELETE_ARTIFACT", "1.0.0", one), []Hint{whole}},
		{"Harbor: pull", "application/json", "", harbor("PULL_ARTIFACT", "1.0.0", one), nil},
		{"Harbor: scan", "application/json", "", harbor("SCANNING_COMPLETED", "1.0.0", one), nil},
		{"Harbor, CloudEvents: push", structured, "", harborCE("harbor.artifact.pushed", "1.0.0", one), []Hint{tag}},
		{"Harbor, CloudEvents: tag", structured, "", harborCE("harbor.tag.created", "1.0.0", one), []Hint{tag}},
		{"Harbor, CloudEvents: delete", structured, "", harborCE("harbor.artifact.deleted", "1.0.0", one), []Hint{whole}},
		{"Harbor, CloudEvents: pull", structured, "", harborCE("harbor.artifact.pulled", one, one), nil},
		{"zot, binary: push", "application/json", "zotregistry.image.updated", zot("1.0.0"), []Hint{tag}},
		{"zot, binary: push by digest", "application/json", "zotregistry.image.updated", zot(one), []Hint{digest}},
		{"zot, binary: delete", "application/json", "zotregistry.image.deleted", zot("1.0.0"), []Hint{whole}},
		{"zot, binary: a repository", "application/json", "zotregistry.repository.created", `{"name":"acme/app"}`, []Hint{whole}},
		{"zot, binary: lint", "application/json", "zotregistry.image.lint_failed", zot("1.0.0"), nil},
		{"zot, structured", structured, "", `{"specversion":"1.0","type":"zotregistry.image.updated","source":"zotregistry.dev","id":"1","data":` + zot("1.0.0") + `}`, []Hint{tag}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := ParseEvent(eventHeader(c.contentType, c.ceType), []byte(c.body))
			if diff := cmp.Diff(c.want, got); err != nil || diff != "" {
				t.Fatal(err, diff)
			}
		})
	}
	for name, c := range map[string]struct{ contentType, ceType, body string }{
		"empty":                      {"application/json", "", ""},
		"not JSON":                   {docker, "", "<html>"},
		"an object":                  {"application/json", "", "{}"},
		"a list":                     {docker, "", "[]"},
		"events of another type":     {docker, "", `{"events":{}}`},
		"events as text":             {"text/plain", "", envelope(dockerEvent("push", typeOCIIndex, "acme/app", "1.0.0", one))},
		"another vendor's":           {structured, "", `{"specversion":"1.0","type":"com.example.push","data":{"name":"acme/app","reference":"1"}}`},
		"no data":                    {structured, "", `{"specversion":"1.0","type":"harbor.artifact.pushed"}`},
		"binary, another vendor's":   {"application/json", "com.example.push", "{}"},
		"binary, not JSON":           {"application/json", "zotregistry.image.updated", "x"},
		"Harbor without a type":      {"application/json", "", `{"event_data":{}}`},
		"types that are no strings":  {"application/json", "", `{"type":7,"event_data":{"repository":[]}}`},
		"zot's without a spec":       {"application/json", "", `{"type":"zotregistry.image.updated","data":{"name":"acme/app","reference":"1"}}`},
		"a deeply nested list":       {docker, "", `{"events":` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + `}`},
		"an unfinished list of them": {docker, "", `{"events":[` + dockerEvent("push", typeOCIIndex, "acme/app", "1.0.0", one)},
	} {
		if got, err := ParseEvent(eventHeader(c.contentType, c.ceType), []byte(c.body)); !errors.Is(err, ErrNotAnEvent) || got != nil {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

func eventHeader(contentType, ceType string) http.Header {
	h := http.Header{"Content-Type": {contentType}}
	if ceType != "" {
		h.Set("Ce-Type", ceType)
		h.Set("Ce-Specversion", "1.0")
	}
	return h
}

// FuzzParseEvent: whatever a body says, a hint has a repository by the grammar and at most one of
// a tag and a digest, by theirs.
func FuzzParseEvent(f *testing.F) {
	f.Add(docker, "", []byte(envelope(dockerEvent("push", typeOCIIndex, "acme/app", "1.0.0", DigestOf("x")))))
	f.Add("application/json", "", []byte(`{"type":"PUSH_ARTIFACT","event_data":{"resources":[{"digest":"d","tag":"t"}],"repository":{"repo_full_name":"acme/app"}}}`))
	f.Add(structured, "", []byte(`{"specversion":"1.0","type":"harbor.artifact.deleted","data":{"repository":{"repo_full_name":"acme/app"}}}`))
	f.Add("application/json", "zotregistry.image.updated", []byte(`{"name":"acme/app","reference":"1.0.0"}`))
	f.Fuzz(func(t *testing.T, contentType, ceType string, body []byte) {
		hints, err := ParseEvent(eventHeader(contentType, ceType), body)
		if err != nil && (hints != nil || !errors.Is(err, ErrNotAnEvent)) {
			t.Fatal(hints, err)
		}
		for _, h := range hints {
			if !validRepository(h.Repository) || h.Tag != "" && !validTag(h.Tag) || h.Digest != "" && !ValidDigest(h.Digest) || h.Tag != "" && h.Digest != "" {
				t.Fatalf("%+v", h)
			}
		}
	})
}
