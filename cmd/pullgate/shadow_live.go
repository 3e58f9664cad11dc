package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/pullgate/pullgate/authz/engine"
	"github.com/pullgate/pullgate/authz/shadow"
	"github.com/pullgate/pullgate/bundle"
)

// shadowEvery is how often it is looked for another candidate.
const shadowEvery = time.Second

// watchShadow keeps the bundle file of shadow-bundle as the candidate, while it is there and can be
// verified: another file takes its place, with counts of its own.
func (sc *sidecar) watchShadow(ctx context.Context) error {
	if sc.cfg.ShadowBundle == "" {
		return nil
	}
	var active *engine.Engine
	use := func(e *engine.Engine, c *shadow.Candidate) {
		sc.shadow.Use(c)
		if active != nil {
			active.Close()
		}
		active = e
	}
	defer func() { use(nil, nil) }()
	var seen fs.FileInfo
	tick := time.NewTicker(shadowEvery)
	defer tick.Stop()
	for {
		info, err := os.Stat(sc.cfg.ShadowBundle)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			if seen != nil {
				seen = nil
				use(nil, nil)
				sc.log.Info("the candidate bundle is gone", "file", sc.cfg.ShadowBundle)
			}
		case err != nil:
			sc.log.Error("no candidate bundle", "error", err)
		case seen == nil || !os.SameFile(seen, info) || seen.ModTime() != info.ModTime() || seen.Size() != info.Size():
			seen = info
			e, c, err := sc.readCandidate(ctx)
			if err != nil {
				use(nil, nil)
				sc.log.Error("candidate bundle refused; there is none now", "file", sc.cfg.ShadowBundle, "error", err)
				break
			}
			use(e, c)
			sc.log.Info("candidate bundle in use beside the active one", "file", sc.cfg.ShadowBundle, "revision", e.Generation().Revision())
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (sc *sidecar) readCandidate(ctx context.Context) (*engine.Engine, *shadow.Candidate, error) {
	b, err := readBundle(sc.cfg.ShadowBundle, sc.cfg.ShadowKeyFile, bundle.ReadOptions{})
	if err != nil {
		return nil, nil, err
	}
	e := engine.New(engine.Config{Workers: 1})
	if err := e.Activate(ctx, b); err != nil {
		e.Close()
		return nil, nil, err
	}
	return e, &shadow.Candidate{Engine: forever{e}, Since: time.Now().UTC(), Name: sc.cfg.ShadowBundle}, nil
}

// validateShadow says what is wrong with the settings of a candidate.
func (s *settings) validateShadow() []error {
	if (s.ShadowBundle == "") != (len(s.ShadowKeyFile) == 0) {
		return []error{fmt.Errorf("shadow-bundle, shadow-key-file: want both or none: an unverified bundle is not asked")}
	}
	return nil
}
