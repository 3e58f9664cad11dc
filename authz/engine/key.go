package engine

import (
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/pullgate/pullgate/authz"
)

// keyFormat changes whenever what a key or a verdict means changes, so that old entries are
// never found.
const keyFormat = "pullgate verdict 1\n"

// keyer makes cache keys: a hash of everything a verdict can depend on but the time. Which
// fields of the input that is says the analysis of the compiled rules; license data counts by the
// content of the customer's document and by Target.Facts.
type keyer struct {
	salt  [32]byte // format, policy, and data documents that the rules read as a whole
	parts []part
	names []string // of parts, then of listed
	// listed are further parts of the keys of tag lists: what decides about their entries.
	listed []part
	// fields are those of inputParts that decisions and what is visible read.
	fields map[string]bool
	// whole is the ref that makes answers uncacheable, "" when there is none.
	whole string
	store *store
}

// text appends a string so that no two lists of strings run into each other.
func text(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

// inputParts are the fields that rules may read, but for those that are in every key (subject.customer,
// action, resource.candidates) and time. A field that is not here is absent from every input.
var inputParts = map[string]part{
	"subject.key": subjectKey, "subject.via": subjectVia,
	"resource.kind": resourceKind, "resource.host": requestHost, "resource.registry": resourceRegistry,
	"resource.repository": resourceRepository, "resource.product": resourceProduct,
	"resource.tag": resourceTag, "resource.digest": resourceDigest, "resource.path": requestPath,
	"request.method": requestMethod, "request.host": requestHost, "request.path": requestPath,
	"request.via": requestVia, "request.address": requestAddress,
}

// A part is one field of the input as it stands in a key.
type part uint8

const (
	_ part = iota
	subjectKey
	subjectVia
	resourceKind
	resourceRegistry
	resourceRepository
	resourceProduct
	resourceTag
	resourceDigest
	requestMethod
	requestHost
	requestPath
	requestVia
	requestAddress
)

// append appends what the field contributes. It is a switch and no table of functions so that keys are
// made on the stack.
func (p part) append(b []byte, in *authz.Input) []byte {
	switch p {
	case subjectKey:
		return text(b, in.Subject.Key)
	case subjectVia:
		return text(b, in.Subject.Via)
	case resourceKind:
		return append(b, byte(in.Kind))
	case resourceRegistry:
		return text(b, in.Target.Resource.Registry)
	case resourceRepository:
		return text(b, in.Target.Resource.Repository)
	case resourceProduct:
		return text(b, in.Target.Resource.Product)
	case resourceTag:
		return text(b, in.Target.Resource.Tag)
	case resourceDigest:
		return text(b, in.Target.Resource.Digest)
	case requestMethod:
		return text(b, in.Request.Method)
	case requestHost:
		return text(b, in.Request.Host)
	case requestPath:
		return text(b, in.Request.Path)
	case requestVia:
		return text(b, in.Request.Via)
	case requestAddress:
		if !in.Request.Address.IsValid() {
			return text(b, "")
		}
		return text(b, in.Request.Address.String())
	default:
		panic("a part of a key without a field") // of inputParts there is none
	}
}

// newKeyer makes the keyer of a policy over the data in s.
func newKeyer(p *policy, s *store) *keyer {
	k := &keyer{store: s, whole: p.allData}
	salt := sha256.New()
	salt.Write([]byte(keyFormat))
	hash := func(name string, data []byte) {
		sum := sha256.Sum256(data)
		salt.Write(text(nil, name))
		salt.Write(sum[:])
	}
	for _, name := range slices.Sorted(maps.Keys(p.modules)) {
		hash(name, p.modules[name])
	}

	docs := map[string]bool{}
	read := func(refs []ast.Ref) map[string]bool {
		fields := map[string]bool{}
		for _, ref := range refs {
			switch words := constantWords(ref); words[0] {
			case "input":
				k.reads(words[1:], fields)
			case "data":
				switch {
				case len(words) > 3 && strings.Join(words[1:3], "/") == customersDir:
					b, _ := s.blob(words[3]) // one that a rule names itself
					hash("customer "+words[3], b.json())
				default:
					s.documents(words[1:], docs)
				}
			}
		}
		return fields
	}
	fields := read(p.refs)
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		k.parts, k.names = append(k.parts, inputParts[name]), append(k.names, name)
	}
	k.fields = fields
	for _, name := range slices.Sorted(maps.Keys(read(p.listRefs))) {
		if !fields[name] {
			k.listed, k.names = append(k.listed, inputParts[name]), append(k.names, name)
			k.fields[name] = true
		}
	}
	for _, dir := range slices.Sorted(maps.Keys(docs)) {
		if dir != publicDir { // what Public says of a repository is in Target.Facts
			hash(dir, s.docs[dir].object.Bytes())
		}
	}
	salt.Sum(k.salt[:0])
	return k
}

// allData is a ref to everybody's licenses, and more, in any of the rules; "" when there is
// none. The analysis above takes a document above rules for those rules and forgets the data
// beside them.
func allData(c *ast.Compiler) (found string) {
	for _, name := range slices.Sorted(maps.Keys(c.Modules)) {
		for _, rule := range c.Modules[name].Rules {
			ast.WalkRefs(rule, func(ref ast.Ref) bool {
				if words := constantWords(ref); words[0] == "data" && (len(words) == 1 || len(words) == 2 && words[1] == "pullgate") {
					found = strings.Join(words, ".")
				}
				return found != ""
			})
		}
	}
	return found
}

// constantWords are the leading strings of a ref.
func constantWords(ref ast.Ref) []string {
	words := []string{ref[0].String()}
	for _, t := range ref[1:] {
		s, ok := t.Value.(ast.String)
		if !ok {
			break
		}
		words = append(words, string(s))
	}
	return words
}

// reads notes that rules read a part of the input.
func (k *keyer) reads(words []string, fields map[string]bool) {
	switch {
	case len(words) == 0, len(words) == 1 && (words[0] == "resource" || words[0] == "request"):
		k.whole = strings.Join(append([]string{"input"}, words...), ".")
	case len(words) == 1: // subject as a whole; time and action are no objects
		for name := range inputParts {
			if strings.HasPrefix(name, words[0]+".") {
				fields[name] = true
			}
		}
	default:
		if name := words[0] + "." + words[1]; inputParts[name] != 0 {
			fields[name] = true
		}
	}
}

// documents notes which documents, other than customers, a path leads into.
func (s *store) documents(words []string, docs map[string]bool) {
	at := strings.Join(words, "/") + "/"
	for dir := range s.docs {
		if at == "/" || strings.HasPrefix(at, dir+"/") || strings.HasPrefix(dir+"/", at) {
			docs[dir] = true
		}
	}
}

// inputs are the fields of the input that a question reads, nil for all.
func (k *keyer) inputs(query string) map[string]bool {
	if k.whole != "" || query != decisionQuery && query != visibleQuery && query != visibleUntilQuery {
		return nil
	}
	return k.fields
}

// key returns the cache key of a question, false when its answer must not be cached.
func (k *keyer) key(in *authz.Input) ([32]byte, bool) {
	if k.whole != "" || k.store.some != nil && in.Subject.Customer != "" {
		return [32]byte{}, false
	}
	var buf [512]byte
	b := append(buf[:0], k.salt[:]...)
	customer, _ := k.store.blob(in.Subject.Customer) // zero for nobody
	b = append(b, customer.hash[:]...)
	b = append(b, in.Target.Facts[:]...)
	b = append(b, in.Target.Set[:]...)
	b = text(b, in.Subject.Customer)
	b = text(b, in.Action)
	if in.Action == "list" {
		b = append(b, byte(in.Kind)) // an entry of a tag list also says what is visible
	}
	if in.Kind == authz.KindTags {
		for _, p := range k.listed {
			b = p.append(b, in)
		}
	}
	for _, p := range k.parts {
		b = p.append(b, in)
	}
	return sha256.Sum256(b), true
}
