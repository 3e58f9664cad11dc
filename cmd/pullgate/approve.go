package main

import (
	"bytes"
	"cmp"
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

// mostComparing bounds how long a publication waits to be compared. Nothing else is published
// meanwhile, and where vendor rules tell every customer from the others it could be hours.
const mostComparing = 3 * time.Minute

// mostLosers bounds the customers that a held bundle's reason names.
const mostLosers = 5

// approve compares a bundle with the one before, logs who gains and who loses, and says why it is not
// published without being accepted: it takes something from too many customers, or a registry has too
// few of the tags that it had. What was taken back in so many words is not counted: that is no accident.
func (pub *publisher) approve(ctx context.Context, set *license.Set, previous, candidate *bundle.Bundle) error {
	if previous == nil {
		if pub.settings.share >= 1 {
			return nil
		}
		return errors.New("there is nothing to compare it with")
	}
	var losers, keyless []string
	public := false
	revoked := revokedDigests(set, candidate.IssuedAt())
	ctx, cancel := context.WithTimeoutCause(ctx, mostComparing, fmt.Errorf("it took more than %s", mostComparing))
	defer cancel()
	diff, err := compare(ctx, previous, candidate, compareOptions{
		At: time.Unix(candidate.IssuedAt(), 0), Engine: pub.comparing, WithoutReasons: true,
		Each: func(c *customerChange) error {
			switch tags := c.losesTags(revoked); {
			case c.id() == "":
				public = tags
			case c.takenBack():
			case tags || c.losesBy(func(f *factChange) bool { return f.Kind != "key" }) || c.sooner():
				losers = append(losers, c.id())
			case c.losesBy(func(f *factChange) bool { return f.Kind == "key" }):
				keyless = append(keyless, c.id())
			}
			return nil
		},
	})
	if err != nil {
		return fmt.Errorf("it cannot be compared with the one before: %w", err)
	}
	pub.log.Info("bundle differs from the one before", "bundle", candidate.Name(), "revision", candidate.Revision(), "difference", diff.sum(),
		"lose", named(diff.LoseIDs, diff.Lose), "gain", named(diff.GainIDs, diff.Gain), "sooner", named(diff.SoonerIDs, diff.Sooner))
	if len(keyless) > mostKeyless {
		losers = append(losers, keyless...)
	}
	var reasons []error
	if before := max(diff.Customers[0], 1); float64(len(losers)) > pub.settings.share*float64(before) {
		reasons = append(reasons, fmt.Errorf("%d of %d customers would lose something (%s), more than max-loss %s", len(losers), before, named(losers, len(losers)), pub.settings.MaxLoss))
	}
	if public {
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

// mostKeyless bounds the customers of whom one edit takes keys, and nothing else, on purpose.
const mostKeyless = 10

// revokedDigests says what of a registry was revoked by an instant.
func revokedDigests(set *license.Set, at int64) func(registry, repository, digest string) bool {
	return func(registry, repository, digest string) bool {
		r := set.Registry(registry)
		return r != nil && slices.ContainsFunc(r.RevokedDigests, func(d license.RevokedDigest) bool {
			return d.Repository == repository && d.Digest == digest && d.At <= at
		})
	}
}

// losesTags says that a tag is lost whose digest was not revoked.
func (c *customerChange) losesTags(revoked func(registry, repository, digest string) bool) bool {
	return slices.ContainsFunc(c.repositories, func(r repositoryChange) bool {
		return slices.ContainsFunc(r.delta.lost, func(l lostTags) bool {
			return slices.ContainsFunc(l.tags, func(i int) bool {
				t := cmp.Or(r.tag(1, i), r.tag(0, i))
				return t == nil || !revoked(r.registry, r.name, t.target.Resource.Digest)
			})
		})
	})
}

func (c *customerChange) losesBy(is func(*factChange) bool) bool {
	return slices.ContainsFunc(c.facts, func(f factChange) bool { return f.loses && is(&f) })
}

// sooner says that something other than a key is had less long: a date that is wrong takes nothing today.
func (c *customerChange) sooner() bool {
	return slices.ContainsFunc(c.facts, func(f factChange) bool { return f.sooner && f.Kind != "key" })
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
