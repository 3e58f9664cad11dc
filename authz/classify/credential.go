package classify

import (
	"crypto/sha256"
	"encoding/base64"
	"hash/crc32"
	"strings"

	"github.com/pullgate/pullgate/authz"
)

// The form of a key (docs/design/key-hashes.md): "pg_", 32 bytes in lower-case Crockford base32, "_", and
// in hex the CRC-32 (IEEE) of everything before the last underscore.
const (
	keyPrefix = "pg_"
	keySecret = 52
	keySum    = 8
	keySize   = len(keyPrefix) + keySecret + 1 + keySum
)

// maxAuthorization is the longest Authorization value that is decoded.
const maxAuthorization = 2048

// basic is strict: padding is required and its spare bits are zero.
var basic = base64.StdEncoding.Strict()

// credential reduces an Authorization value to what may be kept of it. Bearer holds a token, where
// there are any. Only Basic can hold a key, as the password, which is everything behind the first
// colon (RFC 7617); the user name is ignored but may not hold control characters. An empty password
// is no credential: containers/image sends one to be challenged.
func (c *Classifier) credential(value string) authz.Credential {
	invalid := authz.Credential{Kind: authz.CredentialInvalid}
	scheme, token, ok := strings.Cut(value, " ")
	if ok && c.TokenPath != "" && strings.EqualFold(scheme, "bearer") {
		if read, ok := c.Tokens.Read(strings.TrimLeft(token, " ")); ok || read.Kind == authz.CredentialForgedToken {
			return read
		}
		return authz.Credential{Kind: authz.CredentialInvalidToken}
	}
	if !ok || !strings.EqualFold(scheme, "basic") || len(value) > maxAuthorization {
		return invalid
	}
	token = strings.TrimLeft(token, " ") // credentials = auth-scheme 1*SP token68 (RFC 9110, 11.4)
	if strings.ContainsAny(token, "\r\n") {
		return invalid // the decoder would skip them
	}
	var buffer [maxAuthorization]byte // on the stack
	room := buffer[:basic.DecodedLen(len(token))]
	defer clear(room)
	plain, err := basic.AppendDecode(room[:0], []byte(token))
	if err != nil {
		return invalid
	}
	colon := -1
	for i, c := range plain {
		if c < 0x20 || c == 0x7f {
			return invalid
		}
		if c == ':' && colon < 0 {
			colon = i
		}
	}
	if colon < 0 {
		return invalid
	}
	return password(plain[colon+1:])
}

// password reduces what should be a key.
func password(plain []byte) authz.Credential {
	switch {
	case len(plain) == 0:
		return authz.Credential{Kind: authz.CredentialNone}
	case !isKey(plain):
		return authz.Credential{Kind: authz.CredentialInvalid}
	}
	return authz.Credential{Kind: authz.CredentialKey, Hash: sha256.Sum256(plain)}
}

// isKey reports whether b has the form of a key and the right checksum.
func isKey[T string | []byte](b T) bool {
	if len(b) != keySize || string(b[:len(keyPrefix)]) != keyPrefix {
		return false
	}
	body, tail := b[:keySize-keySum-1], b[keySize-keySum:]
	if b[keySize-keySum-1] != '_' {
		return false
	}
	for i := len(keyPrefix); i < len(body); i++ {
		c := body[i]
		if !(c >= '0' && c <= '9' || c >= 'a' && c <= 'z') || c == 'i' || c == 'l' || c == 'o' || c == 'u' {
			return false
		}
	}
	var sum uint32
	for i := range keySum {
		c := tail[i]
		switch {
		case c >= '0' && c <= '9':
			sum = sum<<4 | uint32(c-'0')
		case c >= 'a' && c <= 'f':
			sum = sum<<4 | uint32(c-'a'+10)
		default:
			return false
		}
	}
	return checksum(body) == sum
}

// checksum is crc32.ChecksumIEEE, which would move what it is given to the heap.
func checksum[T string | []byte](b T) uint32 {
	sum := ^uint32(0)
	for i := range len(b) {
		sum = crc32.IEEETable[byte(sum)^b[i]] ^ sum>>8
	}
	return ^sum
}

// tokenPrefix is how every token of ours begins: {"alg":"EdDSA","kid": in base64url.
const tokenPrefix = "eyJhbGciOiJFZERTQSIsImtpZCI6"

// redact cuts every key and every token out of a request target or host and reports whether there was one.
// People paste keys into URLs; a record must not keep them. Where one only appears when
// percent-encoding is undone, the query or, if it is before that, all of it is cut.
func redact(target string) (string, bool) {
	target, leaks := redactPlain(target)
	if strings.IndexByte(target, '%') < 0 {
		return target, leaks
	}
	path, query, _ := strings.Cut(target, "?")
	switch {
	case hidesKey(path):
		return "REDACTED", true
	case hidesKey(query):
		return path + "?REDACTED", true
	default:
		return target, leaks
	}
}

func redactPlain(target string) (string, bool) {
	target, leaks := redactTokens(target)
	at := strings.Index(target, keyPrefix)
	for at >= 0 && at+keySize <= len(target) {
		next := at + len(keyPrefix)
		if isKey(target[at : at+keySize]) {
			target = target[:next] + "REDACTED" + target[at+keySize:]
			leaks = true
		}
		if at = strings.Index(target[next:], keyPrefix); at >= 0 {
			at += next
		}
	}
	return target, leaks
}

// redactTokens cuts tokens, from their beginning to the first byte that a token cannot have.
func redactTokens(target string) (string, bool) {
	before, rest, leaks := strings.Cut(target, tokenPrefix)
	if !leaks {
		return target, false
	}
	var b strings.Builder
	for found := true; found; {
		b.WriteString(before + "REDACTED")
		before, rest, found = strings.Cut(strings.TrimLeft(rest, tokenBytes), tokenPrefix)
	}
	b.WriteString(before)
	return b.String(), true
}

const tokenBytes = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_."

// encodings is how often percent-encoding is undone in search of a key: programs that encode
// what is encoded already do it once or twice.
const encodings = 3

// hidesKey reports whether undoing percent-encoding brings a key to light. What is no escape
// stays as it is.
func hidesKey(s string) bool {
	if len(s) < keySize+2 {
		return false // an escape is longer than what it stands for
	}
	out := []byte(s)
	for range encodings {
		n := 0
		for i := 0; i < len(out); i, n = i+1, n+1 {
			out[n] = out[i]
			if out[i] != '%' || i+2 >= len(out) {
				continue
			}
			if hi, lo := unhex(out[i+1]), unhex(out[i+2]); hi >= 0 && lo >= 0 {
				out[n] = byte(hi<<4 | lo)
				i += 2
			}
		}
		if n == len(out) {
			return false // there is no escape
		}
		out = out[:n]
		if _, leaks := redactPlain(string(out)); leaks {
			return true
		}
	}
	return false
}
