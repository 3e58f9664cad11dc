package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pullgate/pullgate/authz/redisstore"
	"github.com/pullgate/pullgate/bundle"
	"github.com/pullgate/pullgate/sync/source"
	"github.com/pullgate/pullgate/sync/tombstone"
	"github.com/spf13/pflag"
)

// tellSettings say how sidecars are told of a revocation through Redis.
type tellSettings struct {
	redis      redisSettings
	signingKey string
	keyFile    []string
	bundles    []string
	hold       time.Duration
}

// tellTimeout bounds how long Redis is waited for.
const tellTimeout = 3 * time.Second

func (s *tellSettings) addFlags(f *pflag.FlagSet) {
	addRedisFlags(f, &s.redis, "through which sidecars and the publisher are told")
	f.StringVar(&s.signingKey, "signing-key", "", "`file` with a private key (PEM, 0600) that sidecars trust for bundles, to sign what they are told with")
	f.StringSliceVar(&s.keyFile, "key-file", nil, "public key (PEM) of the publisher, when --signing-key is another; repeatable")
	f.StringSliceVar(&s.bundles, "bundle", nil, "`name` of a bundle whose sidecars are told (default: the one named default, and all that Redis, or the database of --licenses, knows a publisher of); repeatable")
	f.DurationVar(&s.hold, "hold", tombstone.DefaultHold, "how long it may take until the publisher reads what is written, as from a Git repository")
}

// teller tells sidecars of one revocation.
type teller struct {
	store   *redisstore.Store
	by      tombstone.Revoker
	bundles []string
	hold    time.Duration
	what    string
	known   func(context.Context) ([]string, error) // names of bundles that the source of licenses knows; nil: none
	said    bytes.Buffer                            // what was told, a line each
}

// teller is nil without Redis.
func (s *tellSettings) teller(what string) (*teller, error) {
	errs := s.redis.validate()
	switch {
	case len(errs) > 0:
		return nil, errors.Join(errs...)
	case !s.redis.has() && (s.signingKey != "" || len(s.keyFile) > 0 || len(s.bundles) > 0):
		return nil, errors.New("--signing-key, --key-file, --bundle: they are for --redis: name it, too")
	case !s.redis.has():
		return nil, nil
	case s.signingKey == "":
		return nil, errors.New("no --signing-key: what is told through Redis counts only if it is signed with a key that sidecars trust for bundles")
	case s.hold < 0 || s.hold > tombstone.MaxHold:
		return nil, fmt.Errorf("--hold %s: want at most %s", s.hold, tombstone.MaxHold)
	}
	signer, ring, err := signingKeys(s.signingKey, s.keyFile)
	if err != nil {
		return nil, err
	}
	store, err := redisstore.Open(s.redis.config())
	if err != nil {
		return nil, err
	}
	return &teller{
		store: store, by: tombstone.Revoker{Signer: signer, Ring: ring, Hold: s.hold},
		bundles: s.bundles, hold: s.hold, what: what,
	}, nil
}

func (t *teller) Close() {
	if t != nil {
		_ = closeRedis(t.store)
	}
}

// tell appends a tombstone for each bundle; written says whether the edit is done.
func (t *teller) tell(ctx context.Context, r source.Revocation, target source.Target, written bool) error {
	ctx, cancel := context.WithTimeout(ctx, tellTimeout)
	defer cancel()
	names, unserved := t.bundles, []string(nil)
	if len(names) == 0 {
		var err error
		if names, unserved, err = t.inUse(ctx); err != nil {
			return err
		}
	}
	t.by.Written = written
	t.said.Reset()
	for _, name := range names {
		if err := t.tellBundle(ctx, r, target, name); err != nil {
			return err
		}
	}
	for _, name := range unserved {
		if name != bundle.DefaultName {
			fmt.Fprintf(&t.said, "%s: bundle %s: no publisher of it was ever heard of in this Redis, and nobody is told: it counts there when it is published\n", t.what, name)
			continue
		}
		t.by.Written = true // there is no publisher to wait for, and the others are told by now
		if err := t.tellBundle(ctx, r, target, name); err != nil {
			return err
		}
	}
	return nil
}

// tellBundle appends the tombstone for one bundle.
func (t *teller) tellBundle(ctx context.Context, r source.Revocation, target source.Target, name string) error {
	a, err := t.by.Append(ctx, t.store.Tombstones(name), tombstoneOf(r, target, name), time.Now())
	if errors.Is(err, tombstone.ErrForeignHeartbeat) {
		err = fmt.Errorf("%w; name the publisher's public key with --key-file", err)
	}
	if err != nil {
		return fmt.Errorf("bundle %s: %w", name, err)
	}
	said := "denied at once by sidecars that follow Redis"
	if a.Before {
		said = "sidecars have been told"
	}
	fmt.Fprintf(&t.said, "%s: %s: bundle %s, number %d, until the bundle with serial %d\n", t.what, said, name, a.Number, a.Serial)
	if a.Beat < 0 {
		fmt.Fprintf(&t.said, "%s: bundle %s: no publisher of it was ever heard of in this Redis; it needs --redis, too, and another bundle is named with --bundle\n", t.what, name)
	} else if a.Beat > tombstone.Missed {
		fmt.Fprintf(&t.said, "%s: bundle %s: its publisher was last heard of %s ago: see whether it runs\n", t.what, name, a.Beat.Round(time.Second))
	}
	return nil
}

// inUse are the bundles that some publisher has been heard of, and those that are known otherwise, as the
// default one always is. Where nobody was heard of, the first are those.
func (t *teller) inUse(ctx context.Context) (names, unserved []string, err error) {
	ask := []string{bundle.DefaultName}
	if t.known != nil {
		more, err := t.known(ctx)
		if err != nil {
			return nil, nil, err
		}
		ask = append(ask, more...)
	}
	published := map[string]bool{}
	for _, name := range ask {
		published[name] = true
	}
	more, err := t.store.TombstoneBundles(ctx)
	if err != nil {
		return nil, nil, err
	}
	ask = append(ask, more...) // last: nobody has signed them
	asked := map[string]bool{}
	for len(ask) > 0 {
		name := ask[0]
		if ask = ask[1:]; asked[name] || !bundle.ValidName(name) || len(asked) >= mostAsked {
			continue
		}
		asked[name] = true
		heard, others, err := tombstone.Bundles(ctx, t.store.Tombstones(name), name, t.by.Ring)
		if err != nil {
			return nil, nil, err
		}
		ask = append(ask, others...)
		if heard {
			names = append(names, name)
		} else if published[name] {
			unserved = append(unserved, name)
		}
	}
	if len(names) == 0 {
		names, unserved = unserved, nil
	}
	slices.Sort(names)
	slices.Sort(unserved)
	return names, unserved, nil
}

// mostAsked bounds the bundles whose publishers are asked for: nobody has signed their names.
const mostAsked = 1000

// tombstoneOf says what a revocation denies.
func tombstoneOf(r source.Revocation, target source.Target, name string) bundle.Tombstone {
	t := bundle.Tombstone{Bundle: name, Kind: bundle.TombstoneKind(r.Kind), Customer: target.Customer}
	switch r.Kind {
	case source.RevokeLicense:
		t.License, t.At = r.ID, r.At.Unix()
	case source.RevokeKey:
		t.Key, t.Hash = r.Key, strings.TrimPrefix(target.Hash, "sha256:")
	case source.RevokeDigest:
		t.Registry, t.Repository, t.Digest, t.At = r.Registry, r.Repository, r.Digest, r.At.Unix()
	}
	return t
}

// signingKeys are the signer of a private key file, and the ring that verifies what it and the keys of
// some public key files have signed.
func signingKeys(private string, public []string) (*bundle.Signer, *bundle.KeyRing, error) {
	text, err := readSecretFile(private)
	if err != nil {
		return nil, nil, fmt.Errorf("signing-key: %w", err)
	}
	signer, err := bundle.ParseSigner([]byte(text + "\n"))
	if err != nil {
		return nil, nil, fmt.Errorf("signing-key: %s: %w", private, err)
	}
	own, err := bundle.MarshalPublic(signer.Public())
	if err != nil {
		return nil, nil, err
	}
	ring, err := ringOf("key-file", public, own)
	return signer, ring, err
}
