package classify

import (
	"strings"

	"github.com/pullgate/pullgate/authz"
)

// parseTarget sets r's kind and what it is about from the raw request target. The path is
// read from its end, because a repository's name may itself contain "manifests", "blobs"
// or "tags" (OCI distribution-spec, end-1, end-2, end-3, end-8, end-12). On anything
// outside the grammar r is left KindMalformed with none of those fields set.
func parseTarget(r *authz.Request, target string) {
	path, query, hasQuery := strings.Cut(target, "?")
	p, ok := parsePath(path)
	if !ok {
		return
	}
	q := queryOf{n: -1}
	if hasQuery {
		if q, ok = parseQuery(p.kind, query); !ok {
			return
		}
	}
	r.Kind = p.kind
	r.Repository = p.name
	if q.elsewhere {
		r.Kind = authz.KindUnsupported
	}
	if r.Kind == authz.KindUnsupported {
		return
	}
	r.Tag, r.Digest, r.DigestTag = p.tag, p.digest, p.digestTag
	r.N, r.Last, r.ArtifactType = q.n, q.last, q.artifactType
}

// route is a path taken apart.
type route struct {
	kind      authz.Kind
	name      string
	tag       string
	digest    string
	digestTag bool
}

func parsePath(path string) (route, bool) {
	for i := range len(path) {
		if !pathBytes[path[i]] {
			return route{}, false
		}
	}
	if path == "/v2/" || path == "/v2" {
		return route{kind: authz.KindPing}, true
	}
	rest, ok := strings.CutPrefix(path, "/v2/")
	if !ok {
		return route{}, false
	}
	if rest == "_catalog" {
		return route{kind: authz.KindCatalog}, true
	}
	rest, last, ok := cutLast(rest)
	if !ok {
		return route{}, false
	}
	name, word, ok := cutLast(rest)
	if !ok {
		return route{}, false
	}
	p := route{name: name}
	switch word {
	case "manifests":
		p.kind = authz.KindManifest
		switch {
		case validDigest(last):
			p.digest = last
		case validTag(last):
			p.tag = last
			if hex, ok := digestTag(last); ok {
				p.digest, p.digestTag = "sha256:"+hex, true
			}
		default:
			return route{}, false
		}
	case "blobs", "referrers":
		if !validDigest(last) {
			return route{}, false
		}
		p.kind, p.digest = authz.KindBlob, last
		if word == "referrers" {
			p.kind = authz.KindReferrers
		}
	case "tags":
		if last != "list" {
			return route{}, false
		}
		p.kind = authz.KindTags
	case "uploads":
		// end-5, end-6, end-13: the location of an upload, named by the registry.
		p.kind = authz.KindUnsupported
		if p.name, ok = strings.CutSuffix(name, "/blobs"); !ok || last == "" || last == "." || last == ".." {
			return route{}, false
		}
	default:
		return route{}, false
	}
	return p, validName(p.name)
}

func cutLast(s string) (before, after string, ok bool) {
	i := strings.LastIndexByte(s, '/')
	if i < 0 {
		return "", "", false
	}
	return s[:i], s[i+1:], true
}

// queryOf is a query taken apart.
type queryOf struct {
	n            int
	last         string
	artifactType string
	elsewhere    bool // ns, mount or from: it asks a registry to read somewhere else
}

// parseQuery reads what stands behind the question mark. Keys are compared as sent; values
// are percent-decoded once ('+' stays) and then checked. Each key may be given once.
func parseQuery(kind authz.Kind, query string) (queryOf, bool) {
	q := queryOf{n: -1}
	for i := range len(query) {
		if !queryBytes[query[i]] {
			return q, false
		}
	}
	lists := kind == authz.KindTags || kind == authz.KindCatalog
	var seen [6]bool
	for more := true; more; {
		var pair string
		pair, query, more = strings.Cut(query, "&")
		key, raw, _ := strings.Cut(pair, "=")
		value, ok := decode(raw)
		if !ok {
			return q, false
		}
		var slot int
		switch {
		case key == "n" && lists:
			slot = 0
			q.n, ok = pageSize(value)
		case key == "last" && lists:
			slot = 1
			q.last, ok = value, kind == authz.KindTags && validTag(value) || kind == authz.KindCatalog && validName(value)
		case key == "artifactType" && kind == authz.KindReferrers:
			slot = 2
			q.artifactType, ok = value, validMediaType(value)
		case key == "ns":
			slot, q.elsewhere = 3, true
		case key == "mount":
			slot, q.elsewhere = 4, true
		case key == "from":
			slot, q.elsewhere = 5, true
		default:
			return q, false
		}
		if !ok || seen[slot] {
			return q, false
		}
		seen[slot] = true
	}
	return q, true
}

// pageSize reads n: 1 to 10 digits, more than 1,000 is 1,000.
func pageSize(s string) (int, bool) {
	if len(s) < 1 || len(s) > 10 {
		return 0, false
	}
	n := 0
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = min(n*10+int(s[i]-'0'), 1000)
	}
	return n, true
}

// decode undoes percent-encoding once.
func decode(s string) (string, bool) {
	if strings.IndexByte(s, '%') < 0 {
		return s, true
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			out = append(out, s[i])
			continue
		}
		if i+2 >= len(s) {
			return "", false
		}
		hi, lo := unhex(s[i+1]), unhex(s[i+2])
		if hi < 0 || lo < 0 {
			return "", false
		}
		out = append(out, byte(hi<<4|lo))
		i += 2
	}
	return string(out), true
}

func unhex(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	default:
		return -1
	}
}
