package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"sync"

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
	daemon   *containerd
}

// play returns what was played in the order of clients, scenes, registries.
func (m *matrix) play(ctx context.Context) (_ []*played, err error) {
	defer func() { err = errors.Join(err, m.close()) }()
	if err := m.start(ctx); err != nil {
		return nil, err
	}
	var (
		mu  sync.Mutex
		all []*played
	)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0) + 2) // clients wait as much as they work
	for _, c := range m.clients {
		for _, sc := range c.scenes(m.content) {
			for i, st := range m.stages {
				p := &played{}
				mu.Lock()
				all = append(all, p)
				number := len(all)
				mu.Unlock()
				g.Go(func() error {
					got, err := m.playOne(ctx, c, sc, st, fmt.Sprintf("127.%d.%d.%d", i+1, number/200, 1+number%200))
					if err != nil {
						return fmt.Errorf("%s, %s, %s: %w", c.name, sc.name, st.registry.name, err)
					}
					*p = *got
					return nil
				})
			}
		}
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	// All records are written when pullgate has ended.
	for _, st := range m.stages {
		if err := st.close(); err != nil {
			return nil, err
		}
		records, err := st.records(context.WithoutCancel(ctx))
		if err != nil {
			return nil, err
		}
		for _, p := range all {
			if p.registry == st.registry.name {
				p.judge(records[p.address], st.upstream.from(p.address))
			}
		}
	}
	return all, nil
}

func (m *matrix) playOne(ctx context.Context, c client, sc scene, st *stage, address string) (*played, error) {
	s, err := newSeat(filepath.Join(st.dir, "seat-"+address), st.front, address)
	if err != nil {
		return nil, err
	}
	defer s.close()
	s.key, s.ca, s.programs, s.content, s.daemon = st.vendor.keys[sc.who], st.certs.CA, m.programs, m.content, m.daemon
	p, err := sc.play(ctx, s)
	if err != nil {
		return nil, err
	}
	p.client, p.registry = c.name, st.registry.name
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
	m.stages = make([]*stage, len(m.registries))
	g, ctx := errgroup.WithContext(ctx)
	for i, r := range m.registries {
		g.Go(func() (err error) {
			m.stages[i], err = newStage(ctx, r, m.find, v, m.content, filepath.Join(m.dir, r.peer))
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
