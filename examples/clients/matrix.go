package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"

	"golang.org/x/sync/errgroup"
)

// finder returns the path of a peer. The error says what to do.
type finder func(ctx context.Context, name string) (string, error)

// A matrix plays every scene of every client against every registry.
type matrix struct {
	find       finder
	clients    []client
	registries []registry
	dir        string // for everything, removed by the caller
	pullgate   string // the program

	content  *content
	programs map[string]string
	stages   []*stage
	daemon   *containerd // nil when no client needs it
	signer   *signer     // likewise
}

// play returns what was played in the order of clients, scenes, registries.
func (m *matrix) play(ctx context.Context) (_ []*played, err error) {
	defer func() { err = errors.Join(err, m.close()) }()
	if err := m.start(ctx); err != nil {
		return nil, err
	}
	all, err := m.playAll(ctx)
	if err != nil {
		return nil, err
	}
	for _, st := range m.stages {
		// All records are written when pullgate has ended.
		if err := st.close(); err != nil {
			return nil, err
		}
		records, err := st.records(ctx)
		if err != nil {
			return nil, err
		}
		for _, p := range all {
			if p.stage == st {
				p.judge(records[p.address], st.upstream.from(p.address))
			}
		}
	}
	return all, nil
}

// playAll plays some scenes at a time.
func (m *matrix) playAll(ctx context.Context) ([]*played, error) {
	var all []*played
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0) + 1) // clients also wait
	for _, c := range m.clients {
		for _, sc := range c.scenes(m.content) {
			for i, st := range m.stages {
				if sc.token != st.tokens {
					continue
				}
				p := &played{}
				all = append(all, p)
				address := fmt.Sprintf("127.%d.%d.%d", i+1, len(all)/200, 1+len(all)%200)
				g.Go(func() error {
					got, err := m.playOne(ctx, c, sc, st, address)
					if err != nil {
						return fmt.Errorf("%s, %s, %s: %w", c.name, sc.name, st.registry.name, err)
					}
					*p = *got
					return nil
				})
			}
		}
	}
	return all, g.Wait()
}

func (m *matrix) playOne(ctx context.Context, c client, sc scene, st *stage, address string) (*played, error) {
	s, err := newSeat(filepath.Join(st.dir, "seat-"+address), st.front, address)
	if err != nil {
		return nil, err
	}
	defer s.close()
	s.key, s.ca, s.programs, s.content, s.daemon, s.signer = st.vendor.keys[sc.who], st.certs.CA, m.programs, m.content, m.daemon, m.signer
	var p *played
	for range 3 {
		if p, err = sc.play(ctx, s); err != nil {
			return nil, err
		}
		if !p.unavailable() {
			break
		}
	}
	p.client, p.stage, p.registry = c.name, st, st.registry.name
	return p, nil
}

// start finds the programs and starts all stages at once.
func (m *matrix) start(ctx context.Context) error {
	m.programs = map[string]string{}
	for _, c := range m.clients {
		for _, name := range c.peers {
			path, err := m.find(ctx, name)
			if err != nil {
				return err
			}
			m.programs[name] = path
		}
	}
	var err error
	if m.content, err = newContent(); err != nil {
		return err
	}
	v, err := newVendor(ctx, m.pullgate)
	if err != nil {
		return err
	}
	if path, ok := m.programs["cosign"]; ok {
		if m.signer, err = newSigner(ctx, path, filepath.Join(m.dir, "signer")); err != nil {
			return err
		}
	}
	// Tokens are between customers and pullgate: one kind of registry is enough for them.
	m.stages = make([]*stage, len(m.registries)+1)
	g, ctx := errgroup.WithContext(ctx)
	for i := range m.stages {
		tokens := i == len(m.registries)
		r, dir := m.registries[0], "with-tokens"
		if !tokens {
			r = m.registries[i]
			dir = r.peer
		}
		g.Go(func() (err error) {
			m.stages[i], err = newStage(ctx, m, r, tokens, v, filepath.Join(m.dir, dir))
			return err
		})
	}
	if path, ok := m.programs["containerd-1.6"]; ok {
		g.Go(func() (err error) {
			m.daemon, err = startContainerd(ctx, path, filepath.Join(m.dir, "containerd"))
			return err
		})
	}
	return g.Wait()
}

func (m *matrix) close() error {
	var errs []error
	for _, st := range m.stages {
		if st != nil {
			errs = append(errs, st.close())
		}
	}
	if m.daemon != nil {
		errs = append(errs, m.daemon.Close())
	}
	return errors.Join(errs...)
}
