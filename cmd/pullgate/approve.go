package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pullgate/pullgate/bundle"
	"github.com/pullgate/pullgate/bundle/license"
	"github.com/pullgate/pullgate/sync/publish"
)

// mostLosers bounds the customers that a held bundle's reason names.
const mostLosers = 5

// approve compares a bundle with the one before, logs who gains and who loses, and says why it is not
// published without being accepted: it takes something from too many customers, or a registry has too
// few of the tags that it had. Who was revoked or banned in so many words is not counted: that is no
// accident.
func (pub *publisher) approve(ctx context.Context, set *license.Set, previous, candidate *bundle.Bundle) error {
	var losers []string
	diff, err := compare(ctx, previous, candidate, compareOptions{
		At: time.Unix(candidate.IssuedAt(), 0), Engine: pub.comparing,
		Each: func(c *customerChange) error {
			if c.id() != "" && c.loses() && !c.takenBack() {
				losers = append(losers, c.id())
			}
			return nil
		},
	})
	if err != nil {
		return fmt.Errorf("it cannot be compared with the one before: %w", err)
	}
	pub.log.Info("bundle differs from the one before", "bundle", candidate.Name(), "revision", candidate.Revision(), "difference", diff.sum(),
		"lose", named(diff.LoseIDs, diff.Lose), "gain", named(diff.GainIDs, diff.Gain), "sooner", named(diff.SoonerIDs, diff.Sooner))
	var reasons []error
	if before := max(diff.Customers[0], 1); float64(len(losers)) > pub.settings.share*float64(before) {
		reasons = append(reasons, fmt.Errorf("%d of %d customers would lose something (%s), more than max-loss %s", len(losers), before, named(losers, len(losers)), pub.settings.MaxLoss))
	}
	if diff.AnyoneLost.any() {
		reasons = append(reasons, errors.New("everybody would lose something that was public"))
	}
	reasons = append(reasons, publish.Shrunk(previous, candidate, pub.settings.share, func(registry, repository string) bool {
		return isTarget(targets(set, registry), repository)
	}))
	var text []string
	for _, r := range reasons {
		if r != nil {
			text = append(text, r.Error())
		}
	}
	if len(text) == 0 {
		return nil
	}
	return errors.New(strings.Join(text, "; "))
}

// loses says that a customer loses something.
func (c *customerChange) loses() bool {
	return slices.ContainsFunc(c.repositories, func(r repositoryChange) bool { return len(r.delta.lost) > 0 }) ||
		slices.ContainsFunc(c.facts, func(f factChange) bool { return f.loses })
}

// takenBack says that a customer was banned, or one of their licenses revoked or suspended, by this
// very change.
func (c *customerChange) takenBack() bool {
	if c.before.raw == nil || c.after.raw == nil {
		return false
	}
	if !bytes.Equal(c.before.banned, c.after.banned) && string(c.after.banned) == "true" {
		return true
	}
	was := map[string][]byte{}
	for _, l := range c.before.licenses {
		was[l.Name] = l.Value
	}
	return slices.ContainsFunc(c.after.licenses, func(l bundle.Member) bool {
		before, ok := was[l.Name]
		return ok && (stopped(l.Value, "revoked") && !stopped(before, "revoked") || stopped(l.Value, "suspended") && !stopped(before, "suspended"))
	})
}

// stopped says that a license's document has an instant in a member that is "never" where nothing was
// taken back.
func stopped(doc []byte, name string) bool {
	members, err := bundle.Members(doc)
	if err != nil {
		return false
	}
	for _, m := range members {
		if m.Name == name {
			return !bytes.HasPrefix(bytes.TrimLeft(m.Value, "["), []byte(`"never"`))
		}
	}
	return false
}

// named are the first of some ids, and how many more there are.
func named(ids []string, n int) string {
	shown := ids[:min(len(ids), mostLosers)]
	text := strings.Join(shown, ", ")
	if more := n - len(shown); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
