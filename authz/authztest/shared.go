package authztest

import (
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/pullgate/pullgate/bundle"
	"github.com/pullgate/pullgate/bundle/compile"
	"github.com/pullgate/pullgate/policies"
)

// Shared is what runners share that run at the same time. The zero Shared is ready for use.
type Shared struct {
	// compiling is held for writing while Rego is compiled, and for reading while queries are
	// prepared: OPA's compilers write to types that all of a process have in common
	// (v1.22.2, ast.mergeTypes changes the types of builtins).
	compiling sync.RWMutex

	mu    sync.Mutex
	rules map[[sha256.Size]byte]map[string][]byte // what rules that were checked add to a bundle
}

// Compile runs f while nobody else compiles Rego or prepares queries.
func (s *Shared) Compile(f func()) {
	s.compiling.Lock()
	defer s.compiling.Unlock()
	f()
}

// Prepare runs f, which prepares queries or evaluates them, while nobody compiles Rego.
func (s *Shared) Prepare(f func()) {
	s.compiling.RLock()
	defer s.compiling.RUnlock()
	f()
}

// compile is compile.Compile, which checks the same rules once for all instants and scripts:
// that takes far longer than everything else.
func (s *Shared) compile(ctx context.Context, in *compile.Input) (content *bundle.Content, err error) {
	if len(in.Rules) == 0 {
		content, _, err = compile.Compile(in)
		return content, err
	}
	key := rulesKey(in.Rules)
	s.mu.Lock()
	added, checked := s.rules[key]
	s.mu.Unlock()
	plain := *in
	plain.Rules = nil
	if !checked {
		s.Compile(func() { content, _, err = compile.Compile(in) })
		if err != nil {
			return nil, err
		}
		without, _, err := compile.Compile(&plain)
		if err != nil {
			return nil, err
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.rules == nil {
			s.rules = map[[sha256.Size]byte]map[string][]byte{}
		}
		s.rules[key] = whatRulesAdd(content.Files, without.Files)
		return content, ctx.Err()
	}
	if content, _, err = compile.Compile(&plain); err != nil {
		return nil, err
	}
	content.Files = maps.Clone(content.Files)
	maps.Copy(content.Files, added)
	content.PolicyDigest = bundle.PolicyDigest(content.Files)
	return content, ctx.Err()
}

// whatRulesAdd are the files that a bundle has for its rules: their modules and the list of
// their packages. A test holds it against compile.Compile.
func whatRulesAdd(with, without map[string][]byte) map[string][]byte {
	added := map[string][]byte{}
	for name, data := range with {
		if plain, ok := without[name]; !ok || strings.HasPrefix(name, policies.RulesDir) || string(plain) != string(data) {
			added[name] = data
		}
	}
	return added
}

func rulesKey(rules map[string][]byte) (key [sha256.Size]byte) {
	h := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(rules)) {
		fmt.Fprintf(h, "%q %d\n%s\n", name, len(rules[name]), rules[name])
	}
	h.Sum(key[:0])
	return key
}
