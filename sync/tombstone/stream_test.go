package tombstone

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// memory is a Stream in memory, of which everything can be done that somebody can who writes to Redis.
type memory struct {
	mu        sync.Mutex
	next      int
	ids       []string
	texts     []string
	heartbeat string
	changes   int
	away      error
	wake      chan struct{}
	between   func() // between reading and appending, once
}

func newMemory() *memory { return &memory{wake: make(chan struct{})} }

var errAway = errors.New("connection refused")

func (m *memory) Read(_ context.Context, after string) (ids, texts []string, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.away != nil {
		return nil, nil, m.away
	}
	i := 0
	for i < len(m.ids) && m.ids[i] <= after {
		i++
	}
	return slices.Clone(m.ids[i:]), slices.Clone(m.texts[i:]), nil
}

func (m *memory) Wait(ctx context.Context, after string, most time.Duration) (ids, texts []string, err error) {
	timer := time.NewTimer(most)
	defer timer.Stop()
	for {
		m.mu.Lock()
		wake := m.wake
		m.mu.Unlock()
		ids, texts, err := m.Read(ctx, after)
		if err != nil || len(ids) > 0 {
			return ids, texts, err
		}
		select {
		case <-wake:
		case <-timer.C:
			return nil, nil, nil
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		}
	}
}

func (m *memory) Append(ctx context.Context, next func([]string, string) (string, error)) error {
	for {
		_, texts, err := m.Read(ctx, "")
		if err != nil {
			return err
		}
		m.mu.Lock()
		before, heartbeat, between := m.changes, m.heartbeat, m.between
		m.between = nil
		m.mu.Unlock()
		text, err := next(texts, heartbeat)
		if err != nil || text == "" {
			return err
		}
		if between != nil {
			between()
		}
		m.mu.Lock()
		same := m.changes == before
		m.mu.Unlock()
		if same {
			m.put(text)
			return nil
		}
	}
}

// put adds entries as anybody can.
func (m *memory) put(texts ...string) {
	m.change(func() {
		for _, text := range texts {
			m.next++
			m.ids, m.texts = append(m.ids, fmt.Sprintf("%09d", m.next)), append(m.texts, text)
		}
	})
}

func (m *memory) change(f func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f()
	m.changes++
	close(m.wake)
	m.wake = make(chan struct{})
}

func (m *memory) Restore(_ context.Context, texts []string) error {
	if m.gone() != nil {
		return m.gone()
	}
	m.put(texts...)
	return nil
}

func (m *memory) Remove(_ context.Context, ids []string) error {
	m.change(func() {
		for _, id := range ids {
			if i := slices.Index(m.ids, id); i >= 0 {
				m.ids, m.texts = slices.Delete(m.ids, i, i+1), slices.Delete(m.texts, i, i+1)
			}
		}
	})
	return nil
}

func (m *memory) Heartbeat(context.Context) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.heartbeat, m.away
}

func (m *memory) Beat(_ context.Context, text string) error {
	if err := m.gone(); err != nil {
		return err
	}
	m.change(func() { m.heartbeat = text })
	return nil
}

func (m *memory) gone() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.away
}

// flush empties it.
func (m *memory) flush() { m.change(func() { m.ids, m.texts, m.heartbeat = nil, nil, "" }) }

func (m *memory) setAway(err error) { m.change(func() { m.away = err }) }

func (m *memory) all() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.texts)
}
