package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/pullgate/pullgate/bundle"
	"github.com/pullgate/pullgate/sync/postgres"
	"github.com/pullgate/pullgate/sync/publish"
)

// errDeposed ends a publisher that another was elected in place of. Whatever runs it starts it again,
// and then it waits to be elected.
var errDeposed = errors.New("this publisher leads no more: another was elected, or the database was not to be had for too long; start it again, so that it stands by")

// lead waits until this publisher is elected among all that publish from one database, then lets it
// begin, and ends with an error when it leads no more. Who stands by follows the licenses and reads the
// registries all the same: what a tag named earlier is only learned by looking. Licenses in files have
// one publisher, which begins at once.
func (pub *publisher) lead(ctx context.Context) error {
	db, ok := pub.compiled.source.(*postgres.DB)
	if !ok {
		pub.begin(ctx, nil)
		return nil
	}
	lease, err := pub.elected(ctx, db)
	if err != nil || lease == nil {
		return err
	}
	defer lease.Close()
	newest := map[string]publish.Newest{}
	for _, name := range slices.Sorted(maps.Keys(pub.settings.Bundles)) {
		last, err := db.LastPublished(ctx, name)
		if err != nil {
			return err
		}
		if last != nil {
			newest[name] = publish.Newest{Serial: last.Serial, Revision: last.Revision, Held: last.Held}
		}
	}
	pub.lease.Store(lease)
	pub.log.Info("this publisher leads", "fence", lease.Fence())
	pub.begin(ctx, newest)
	select {
	case <-ctx.Done():
		return nil
	case <-lease.Lost():
		return errDeposed
	}
}

// begin publishes what was published last, by name with at least the serial newest, and then what the
// sources say.
func (pub *publisher) begin(ctx context.Context, newest map[string]publish.Newest) {
	p := pub.compiled.publisher
	if err := p.Restore(ctx, newest); err != nil {
		pub.log.Error("what was published last is not used; a new bundle is made", "error", err)
	}
	if err := p.Begin(ctx); err != nil {
		pub.status.licensesLoaded(err)
		pub.log.Error("licenses refused", "error", fewLines(err))
	}
}

// elected waits for the election; nil when ctx is done before.
func (pub *publisher) elected(ctx context.Context, db *postgres.DB) (*postgres.Lease, error) {
	said := ""
	waits := func() {
		said = ""
		pub.status.standBy("waits to be elected: another publisher of this database leads, or the database is not to be had")
	}
	waits()
	defer pub.status.standBy("")
	pub.log.Info("waits to be elected", "database", db.String())
	for {
		lease, err := db.Lead(ctx, "publish", waits)
		switch {
		case err == nil:
			return lease, nil
		case ctx.Err() != nil:
			return nil, nil
		case err.Error() != said:
			said = err.Error()
			pub.status.standBy("waits to be elected: " + said)
			pub.log.Error("nobody can be elected; it is tried again", "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(jitter(leastRetry)):
		}
	}
}

// nextSerial is from the database when that elects publishers: it counts for all of them.
func (pub *publisher) nextSerial(name string) func(context.Context, int64) (int64, error) {
	return func(ctx context.Context, atLeast int64) (int64, error) {
		lease, err := pub.leads()
		if lease == nil || err != nil {
			return atLeast, err
		}
		serial, err := lease.Reserve(ctx, name, atLeast)
		if err != nil {
			return 0, fmt.Errorf("not published: %w", err)
		}
		return serial, nil
	}
}

// announce tells the database, which refuses when another publisher was elected.
func (pub *publisher) announce(ctx context.Context, b *bundle.Bundle) error {
	lease, err := pub.leads()
	if lease == nil || err != nil {
		return err
	}
	return lease.Published(ctx, b.Name(), b.Serial(), b.Revision())
}

// hold tells the database what is held back, for whoever is elected next.
func (pub *publisher) hold(name string) func(context.Context, string) error {
	return func(ctx context.Context, revision string) error {
		lease, err := pub.leads()
		if lease == nil || err != nil {
			return err
		}
		return lease.Hold(ctx, name, revision)
	}
}

// leads is the lease of who leads; nil where nobody is elected.
func (pub *publisher) leads() (*postgres.Lease, error) {
	if _, ok := pub.compiled.source.(*postgres.DB); !ok {
		return nil, nil
	}
	if lease := pub.lease.Load(); lease != nil {
		return lease, nil
	}
	return nil, publish.ErrStandsBy
}

// whileLeading runs what nobody but the leader may do, while no other is elected.
func (pub *publisher) whileLeading(ctx context.Context, step func(context.Context) error) error {
	lease, err := pub.leads()
	switch {
	case err != nil:
		return err
	case lease == nil:
		return step(ctx)
	}
	return lease.While(ctx, step)
}

// current reports whether what was published last is sure to be the newest: not so in a process that
// was frozen for as long as it takes to elect another.
func (pub *publisher) current() bool {
	lease := pub.lease.Load()
	return lease == nil || lease.Holds()
}
