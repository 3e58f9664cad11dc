package classify

import "strings"

// pathBytes are the bytes of a registry path; queryBytes those that a query may hold
// unencoded. '!' is in neither: Envoy writes it for a byte that is not UTF-8.
var (
	pathBytes  = set("._:/@-")
	queryBytes = set("._:/@-~+%=&")
)

func set(extra string) (t [256]bool) {
	for c := 0; c < 256; c++ {
		t[c] = c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9' ||
			strings.IndexByte(extra, byte(c)) >= 0
	}
	return t
}

// validName reports whether s is a repository name: at most 255 bytes of
// [a-z0-9]+((\.|_|__|-+)[a-z0-9]+)* joined by slashes (OCI distribution-spec, "Pulling manifests").
func validName(s string) bool {
	if len(s) == 0 || len(s) > maxName {
		return false
	}
	alnum := func(c byte) bool { return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' }
	for i := 0; i < len(s); {
		if !alnum(s[i]) {
			return false
		}
		for i < len(s) && alnum(s[i]) {
			i++
		}
		if i == len(s) {
			return true
		}
		switch s[i] {
		case '/', '.':
			i++
		case '_':
			i++
			if i < len(s) && s[i] == '_' {
				i++
			}
		case '-':
			for i < len(s) && s[i] == '-' {
				i++
			}
		default:
			return false
		}
	}
	return false // ends in a separator
}

// validTag reports whether s is [A-Za-z0-9_][A-Za-z0-9._-]{0,127}.
func validTag(s string) bool {
	if len(s) == 0 || len(s) > maxTag || s[0] == '.' || s[0] == '-' {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '_' || c == '.' || c == '-' {
			continue
		}
		return false
	}
	return true
}

// validDigest reports whether s is "sha256:" and 64 lower-case hex digits.
func validDigest(s string) bool {
	hex, ok := strings.CutPrefix(s, "sha256:")
	return ok && len(hex) == 64 && isHex(hex)
}

// digestTag returns the hex digits of a tag of the form sha256-HEX or
// sha256-HEX.sig|.att|.sbom: the referrers tag schema of the OCI distribution-spec and the
// names that cosign gives.
func digestTag(tag string) (string, bool) {
	rest, ok := strings.CutPrefix(tag, "sha256-")
	if !ok || len(rest) < 64 || !isHex(rest[:64]) {
		return "", false
	}
	switch rest[64:] {
	case "", ".sig", ".att", ".sbom":
		return rest[:64], true
	default:
		return "", false
	}
}

func isHex(s string) bool {
	for i := range len(s) {
		if !(s[i] >= '0' && s[i] <= '9' || s[i] >= 'a' && s[i] <= 'f') {
			return false
		}
	}
	return true
}

// validMediaType reports whether s is a type and a subtype of RFC 6838, section 4.2,
// without parameters.
func validMediaType(s string) bool {
	major, minor, ok := strings.Cut(s, "/")
	return ok && restrictedName(major) && restrictedName(minor)
}

func restrictedName(s string) bool {
	if len(s) == 0 || len(s) > 127 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9' {
			continue
		}
		if i == 0 || strings.IndexByte("!#$&-^_.+", c) < 0 {
			return false
		}
	}
	return true
}
