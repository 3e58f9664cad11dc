package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/pullgate/pullgate/authz"
	"github.com/pullgate/pullgate/authz/memstore"
	"github.com/pullgate/pullgate/authz/redisstore"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// cacheFlags ask how the caches of a sidecar keep an answer.
type cacheFlags struct {
	cache    bool
	config   string
	settings *settings // after load; nil unless asked for
}

func (f *cacheFlags) add(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.cache, "cache", false, "say how a sidecar's caches keep the answer: what the key is made of, until when, and where")
	cmd.Flags().StringVar(&f.config, "config", "", "with --cache: configuration `file` of the sidecar, which says what caches it has")
}

// load reads the settings of the sidecar as it does itself, with the environment.
func (f *cacheFlags) load() error {
	if !f.cache {
		if f.config != "" {
			return errors.New("--config says what caches there are: give --cache, too")
		}
		return nil
	}
	f.settings = &settings{}
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	addServeFlags(flags, f.settings)
	_, err := loadSettings(flags, f.settings, f.config)
	return err
}

type explainCacheDoc struct {
	Key         string            `json:"key,omitempty"`
	Parts       []authz.KeyPart   `json:"parts,omitempty"`
	KeptUntil   *string           `json:"kept_until"`
	Because     string            `json:"because,omitempty"`
	Tiers       []string          `json:"tiers"`
	Why         map[string]string `json:"why,omitempty"` // of a tier that is not among them, or not always
	Uncacheable string            `json:"uncacheable,omitempty"`
}

// A tier is one of the caches that a verdict can be kept in.
type tier struct {
	name, what string
	not        string // why this one is not; "" when it is
	while      string // when only; "" is always
}

// tiersOf are the caches of a sidecar with such settings, and whether a verdict of an instant is kept there.
func (s *settings) tiersOf(k *authz.Kept, at time.Time) []tier {
	l1 := tier{name: "l1", what: "the memory of each sidecar"}
	l2 := tier{name: "l2", what: "Redis, which sidecars share"}
	switch {
	case s.CacheBytes == 0:
		l1.not = "cache_bytes is 0"
	case int64(memstore.Weight(&k.Entry)) > s.CacheBytes:
		l1.not = "it is larger than cache_bytes"
	}
	switch short := redisstore.NotWritten(&k.Entry, at); {
	case !s.redis.has():
		l2.not = "redis is not set"
	case s.shared.RedisCache == "off":
		l2.not = "redis_cache is off"
	case short == "large":
		l2.not = "it is larger than 64 KiB"
	case short != "":
		l2.not = "it is true for less than 250 ms more"
	case s.shared.RedisCache == "auto":
		l2.while = "while asking takes less time than evaluating, which the sidecar measures, and else of one question in 32 (redis_cache is auto)"
	}
	return []tier{l1, l2}
}

// tiers are those that the answer can be kept in at all; none when it is not true beyond its own instant.
func (e *explanation) tiers(k *authz.Kept) []tier {
	if k == nil || k.Uncacheable != "" || k.Until <= e.d.Time.Unix() {
		return nil
	}
	return e.caches.tiersOf(k, e.d.Time)
}

func (e *explanation) cacheDoc(re *authz.Reasoning) *explainCacheDoc {
	if e.caches == nil {
		return nil
	}
	k := re.Kept
	doc := &explainCacheDoc{Tiers: []string{}}
	for _, t := range e.tiers(k) {
		if t.not == "" {
			doc.Tiers = append(doc.Tiers, t.name)
		}
		if why := t.not + t.while; why != "" {
			if doc.Why == nil {
				doc.Why = map[string]string{}
			}
			doc.Why[t.name] = why
		}
	}
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
	e.printTiers(p, re.Kept)
	p.field("key", "%s, of", doc.Key)
	for _, part := range doc.Parts {
		value := part.Value
		if value == "" {
			value = "(none)"
		}
		p.line("    ", "%s: %s", part.Name, value)
	}
}

func (e *explanation) printTiers(p *page, k *authz.Kept) {
	all := e.tiers(k)
	var in []string
	for _, t := range all {
		if t.not == "" {
			in = append(in, t.name+", "+t.what)
		}
	}
	switch {
	case len(all) == 0:
		p.field("tiers", "none: that is now")
	case len(in) == 0:
		p.field("tiers", "none")
	default:
		p.field("tiers", "%s", strings.Join(in, "; "))
	}
	for _, t := range all {
		switch {
		case t.not != "":
			p.field("not "+t.name, "%s", t.not)
		case t.while != "":
			p.field(t.name+" only", "%s", t.while)
		}
	}
}
