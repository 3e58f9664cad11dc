package catalog

import (
	"encoding/json"
	"errors"
	"mime"
	"net/http"
	"strings"
)

// ErrNotAnEvent: a body that is none of the notifications that ParseEvent knows.
var ErrNotAnEvent = errors.New("not a notification that is understood; known are those of distribution, Harbor (default and CloudEvents) and zot (CloudEvents)")

// ParseEvent reads a registry's notification: distribution's envelope of events (media types
// application/vnd.docker.distribution.events.v1+json and v2+json), Harbor's webhook payloads in
// the default format and as CloudEvents, zot's CloudEvents. CloudEvents are read in structured and
// in binary mode. The hints have names that follow the OCI grammar; events that change nothing
// (pulls, scans, quotas) and events about blobs give none. Errors: ErrNotAnEvent.
func ParseEvent(header http.Header, body []byte) ([]Hint, error) {
	mediaType, _, _ := mime.ParseMediaType(header.Get("Content-Type"))
	var e struct {
		// distribution
		Events *[]distributionEvent `json:"events"`
		// Harbor
		Type      string     `json:"type"`
		EventData *eventData `json:"event_data"`
		// CloudEvents
		SpecVersion string     `json:"specversion"`
		Data        *eventData `json:"data"`
	}
	var hints []Hint
	switch kind := header.Get("Ce-Type"); {
	case kind != "": // binary mode: the body is the data
		data := &eventData{}
		if json.Unmarshal(body, data) != nil {
			return nil, ErrNotAnEvent
		}
		e.Type, e.Data, e.SpecVersion = kind, data, header.Get("Ce-Specversion")
	case json.Unmarshal(body, &e) != nil:
		return nil, ErrNotAnEvent
	}
	switch {
	case e.Events != nil && (strings.HasPrefix(mediaType, "application/vnd.docker.distribution.events.") || mediaType == "application/json"):
		for _, event := range *e.Events {
			hints = append(hints, event.hints()...)
		}
	case e.SpecVersion != "" && e.Data != nil && strings.HasPrefix(e.Type, "zotregistry."):
		hints = e.Data.zot(strings.TrimPrefix(e.Type, "zotregistry."))
	case e.SpecVersion != "" && e.Data != nil && strings.HasPrefix(e.Type, "harbor."):
		hints = e.Data.harbor(strings.TrimPrefix(e.Type, "harbor."))
	case e.SpecVersion == "" && e.EventData != nil && e.Type != "":
		hints = e.EventData.harbor(e.Type)
	default:
		return nil, ErrNotAnEvent
	}
	return hints, nil
}

// distributionEvent is one event of an envelope. The events of one envelope need not belong
// together, and their order means nothing.
type distributionEvent struct {
	Action string `json:"action"`
	Target struct {
		MediaType  string `json:"mediaType"`
		Repository string `json:"repository"`
		Digest     string `json:"digest"`
		Tag        string `json:"tag"`
	} `json:"target"`
}

func (e distributionEvent) hints() []Hint {
	t := e.Target
	switch e.Action {
	case "push":
		if t.Tag == "" && !known(t.MediaType) {
			return nil // a blob
		}
		return hint(t.Repository, t.Tag, t.Digest)
	case "delete": // of a tag, a manifest or a blob: the list of tags tells
		return hint(t.Repository, "", "")
	}
	return nil // pulls, mounts of blobs
}

// eventData is what zot and Harbor say about an event.
type eventData struct {
	// zot
	Name      string `json:"name"`
	Reference string `json:"reference"` // a tag or a digest
	// Harbor
	Repository struct {
		FullName string `json:"repo_full_name"`
	} `json:"repository"`
	Resources []struct {
		Tag    string `json:"tag"` // a tag, or the digest again
		Digest string `json:"digest"`
	} `json:"resources"`
}

func (d *eventData) zot(kind string) []Hint {
	switch kind {
	case "image.updated":
		return hint(d.Name, d.Reference, "")
	case "image.deleted", "repository.created":
		return hint(d.Name, "", "")
	}
	return nil
}

// harbor knows the types of both formats: PUSH_ARTIFACT is artifact.pushed.
func (d *eventData) harbor(kind string) []Hint {
	switch kind {
	case "PUSH_ARTIFACT", "artifact.pushed", "CREATE_TAG", "tag.created":
		var out []Hint
		for _, r := range d.Resources {
			out = append(out, hint(d.Repository.FullName, r.Tag, r.Digest)...)
		}
		return out
	case "DELETE_ARTIFACT", "artifact.deleted":
		return hint(d.Repository.FullName, "", "")
	}
	return nil
}

// hint is a hint at a reference; where that is a digest, or empty, at the digest.
func hint(repository, reference, digest string) []Hint {
	h := Hint{Repository: repository}
	switch {
	case validTag(reference):
		h.Tag = reference
	case ValidDigest(reference):
		h.Digest = reference
	case reference != "": // of another grammar: nothing that a crawl would ask about
		return nil
	case ValidDigest(digest):
		h.Digest = digest
	case digest != "":
		return nil
	}
	if !validRepository(repository) {
		return nil
	}
	return []Hint{h}
}
