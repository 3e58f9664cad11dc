package authztest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// NameDigest is the digest that a name stands for in scripts and hand-written catalogs.
func NameDigest(name string) string {
	sum := sha256.Sum256([]byte(name))
	return "sha256:" + hex.EncodeToString(sum[:])
}

var (
	nameRef  = regexp.MustCompile(`(sha256-)?@([A-Za-z0-9]+)`)
	yamlName = regexp.MustCompile(`(^|[\s"'\[{,])(sha256-)?@([A-Za-z0-9]+)`)
	byteRef  = regexp.MustCompile(`\\x([0-9A-Fa-f]{2})(?:\{([0-9]{1,5})\})?`)
)

// expandNames replaces @NAME by its digest and sha256-@NAME by its tag form.
func expandNames(s string) string {
	return nameRef.ReplaceAllStringFunc(s, func(m string) string {
		p := nameRef.FindStringSubmatch(m)
		if p[1] != "" {
			return "sha256-" + strings.TrimPrefix(NameDigest(p[2]), "sha256:")
		}
		return NameDigest(p[2])
	})
}

// nameDigests does the same in YAML, where @ counts only at the start of a value.
func nameDigests(data []byte) []byte {
	return yamlName.ReplaceAllFunc(data, func(m []byte) []byte {
		p := yamlName.FindSubmatch(m)
		return append(bytes.Clone(p[1]), expandNames(string(p[2])+"@"+string(p[3]))...)
	})
}

// unescape replaces \xNN and \xNN{count} by their bytes.
func unescape(s string) (string, error) {
	var err error
	out := byteRef.ReplaceAllStringFunc(s, func(m string) string {
		p := byteRef.FindStringSubmatch(m)
		b, _ := strconv.ParseUint(p[1], 16, 8)
		n := 1
		if p[2] != "" {
			n, _ = strconv.Atoi(p[2])
		}
		if n > 65536 {
			err = fmt.Errorf("%s: more than 65536 bytes", m)
			return ""
		}
		return strings.Repeat(string([]byte{byte(b)}), n)
	})
	return out, err
}
