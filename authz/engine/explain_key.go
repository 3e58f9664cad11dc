package engine

import (
	"encoding/binary"
	"encoding/hex"

	"github.com/pullgate/pullgate/authz"
)

// ExplainKey says what Key hashes.
func (g *generation) ExplainKey(in *authz.Input) (parts []authz.KeyPart, uncacheable string) {
	return g.keyer.explain(in)
}

// explain is key in words. A test holds that two inputs have one key if they have the same parts.
func (k *keyer) explain(in *authz.Input) (parts []authz.KeyPart, uncacheable string) {
	if k.whole != "" {
		return nil, "a rule reads " + k.whole + " as a whole"
	}
	if _, ok := k.key(in); !ok {
		return nil, "only some customers are at hand"
	}
	add := func(name, value string) { parts = append(parts, authz.KeyPart{Name: name, Value: value}) }
	hash := func(name string, sum [32]byte) { add(name, hex.EncodeToString(sum[:8])) }
	customer, _ := k.store.blob(in.Subject.Customer)
	hash("policy", k.salt)
	add("subject.customer", in.Subject.Customer)
	hash("customer", customer.hash)
	hash("repository", in.Target.Facts)
	hash("candidates", in.Target.Set)
	add("action", in.Action)
	if in.Action == "list" {
		add("resource.kind", in.Kind.String())
	}
	for i, name := range k.names {
		if i >= len(k.parts) && in.Kind != authz.KindTags {
			break
		}
		if name == "resource.kind" {
			add(name, in.Kind.String())
			continue
		}
		b := inputParts[name].append(nil, in)
		_, n := binary.Uvarint(b)
		add(name, string(b[n:]))
	}
	return parts, ""
}
