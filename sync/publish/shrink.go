package publish

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pullgate/pullgate/bundle"
	"github.com/pullgate/pullgate/bundle/index"
)

// mostShrunk bounds the repositories that Shrunk names.
const mostShrunk = 5

// Shrunk says which repositories have lost more than a share of their tags from one bundle to the
// next, or are gone while their registry is not, as after a registry that answered with less than it
// has; nil when none has. What the license files no longer name is not missed: named says what they do.
func Shrunk(previous, candidate *bundle.Bundle, share float64, named func(registry, repository string) bool) error {
	before, err := index.Open(previous.File(bundle.IndexPath))
	if err != nil {
		return err
	}
	after, err := index.Open(candidate.File(bundle.IndexPath))
	if err != nil {
		return err
	}
	var registries map[string]json.RawMessage
	if err := json.Unmarshal(candidate.File("pullgate/registries/data.json"), &registries); err != nil {
		return err
	}
	var lost []string
	for _, id := range slices.Sorted(maps.Keys(registries)) {
		for r := range before.Repositories(id) {
			had, has := tags(r), 0
			if now, ok := after.Repository(id, r.Name()); ok {
				has = tags(now)
			} else if !named(id, r.Name()) {
				continue
			}
			if gone := had - has; gone > 0 && float64(gone) > share*float64(had) {
				lost = append(lost, fmt.Sprintf("%s (%d of %d tags)", r.Name(), gone, had))
			}
		}
	}
	if len(lost) == 0 {
		return nil
	}
	more := ""
	if n := len(lost) - mostShrunk; n > 0 {
		lost, more = lost[:mostShrunk], fmt.Sprintf(" and %d more", n)
	}
	return fmt.Errorf("tags are gone from %s%s", strings.Join(lost, ", "), more)
}

func tags(r index.Repo) (n int) {
	for range r.Tags() {
		n++
	}
	return n
}
