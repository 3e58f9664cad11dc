package reply

import (
	"bytes"
	"encoding/json"
	"sort"
	"strconv"

	"github.com/pullgate/pullgate/authz"
)

// wholeList is how many names a list has at most when the client gave no n.
const wholeList = 10_000

const imageIndex = "application/vnd.oci.image.index.v1+json"

// tagList is the body of end-8 and its Link.
func tagList(r *authz.Request, names []string) ([]byte, []Header) {
	names, link := page(r, "/v2/"+r.Repository+"/tags/list", names)
	b := make([]byte, 0, 32+len(r.Repository)+16*len(names))
	b = append(b, `{"name":`...)
	b = appendString(b, r.Repository)
	b = append(b, `,"tags":`...)
	b = appendStrings(b, names)
	return append(b, '}'), link
}

// catalog is the body of GET /v2/_catalog and its Link.
func catalog(r *authz.Request, names []string) ([]byte, []Header) {
	names, link := page(r, "/v2/_catalog", names)
	b := make([]byte, 0, 32+24*len(names))
	b = append(b, `{"repositories":`...)
	b = appendStrings(b, names)
	return append(b, '}'), link
}

// page returns the names after r.Last, at most r.N of them, and a Link to the next page when there
// is one. names are all that the customer may see, sorted bytewise, so a Link never names
// anything else. r.Last need not be among them.
func page(r *authz.Request, path string, names []string) ([]string, []Header) {
	if r.Last != "" {
		names = names[sort.Search(len(names), func(i int) bool { return names[i] > r.Last }):]
	}
	size, query := r.N, "?n="+strconv.Itoa(r.N)+"&last="
	if size < 0 {
		size, query = wholeList, "?last="
	}
	if len(names) <= size {
		return names, nil
	}
	names = names[:size]
	if size == 0 {
		return names, nil
	}
	return names, []Header{{"link", printable("<" + path + query + names[size-1] + `>; rel="next"`)}}
}

// referrers is the body of end-12: an image index, all on one page. The nil body and an
// error cannot occur for descriptors that came from JSON.
func referrers(r *authz.Request, all []authz.Descriptor) ([]byte, []Header) {
	index := struct {
		SchemaVersion int                `json:"schemaVersion"`
		MediaType     string             `json:"mediaType"`
		Manifests     []authz.Descriptor `json:"manifests"`
	}{2, imageIndex, make([]authz.Descriptor, 0, len(all))}
	var headers []Header
	if r.ArtifactType != "" {
		headers = []Header{{"oci-filters-applied", "artifactType"}}
	}
	for i := range all {
		if r.ArtifactType == "" || all[i].ArtifactType == r.ArtifactType {
			index.Manifests = append(index.Manifests, all[i])
		}
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(&index); err != nil {
		return nil, nil
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), headers
}

func appendStrings(b []byte, all []string) []byte {
	b = append(b, '[')
	for i, s := range all {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, s)
	}
	return append(b, ']')
}

// appendString appends s as a JSON string, without HTML escapes. Whatever is not printable
// ASCII becomes '?': no list or message holds such bytes unless somebody put them there.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < 0x20 || c >= 0x7f:
			b = append(b, '?')
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}
