package main

import (
	"encoding/hex"
	"fmt"

	"github.com/pullgate/pullgate/authz"
)

type explainCacheDoc struct {
	Key         string          `json:"key,omitempty"`
	Parts       []authz.KeyPart `json:"parts,omitempty"`
	KeptUntil   *string         `json:"kept_until"`
	Because     string          `json:"because,omitempty"`
	Tiers       []string        `json:"tiers"`
	Uncacheable string          `json:"uncacheable,omitempty"`
}

// tiers are the caches that a verdict is kept in. What is not true at all is in none; nothing that
// the Gate makes ends within the quarter of a second for which Redis is not worth it.
func tiers(k *authz.Kept, at int64) []string {
	if k == nil || k.Uncacheable != "" || k.Until <= at {
		return []string{}
	}
	return []string{"l1", "l2"}
}

func (e *explanation) cacheDoc(re *authz.Reasoning) *explainCacheDoc {
	if !e.cache {
		return nil
	}
	k := re.Kept
	doc := &explainCacheDoc{Tiers: tiers(k, e.d.Time.Unix())}
	switch {
	case k == nil:
		doc.Uncacheable = "what fails is not kept"
	case k.Uncacheable != "":
		doc.Uncacheable = k.Uncacheable
	default:
		doc.Key, doc.Parts, doc.KeptUntil, doc.Because = hex.EncodeToString(k.Key[:]), k.Parts, dated(k.Until), k.Because
	}
	return doc
}

// keptBecause says why a verdict is not used any more from an instant on.
func keptBecause(k *authz.Kept, at int64) string {
	switch k.Because {
	case "boundary":
		return "the answer may change"
	case "warning":
		return "a warning begins"
	}
	return fmt.Sprintf("%d s, the most", k.Until-at)
}

func (e *explanation) printCache(p *page, re *authz.Reasoning) {
	doc := e.cacheDoc(re)
	p.line("", "")
	if doc.Uncacheable != "" {
		p.line("", "Not kept in any cache: %s", doc.Uncacheable)
		return
	}
	p.line("", "Kept in caches")
	p.field("until", "%s: %s", p.moment(re.Kept.Until), keptBecause(re.Kept, e.d.Time.Unix()))
	if len(doc.Tiers) > 0 {
		p.field("tiers", "l1, the memory of each sidecar; l2, Redis, where sidecars share one")
	} else {
		p.field("tiers", "none: that is now")
	}
	p.field("key", "%s, of", doc.Key)
	for _, part := range doc.Parts {
		value := part.Value
		if value == "" {
			value = "(none)"
		}
		p.line("    ", "%s: %s", part.Name, value)
	}
}
