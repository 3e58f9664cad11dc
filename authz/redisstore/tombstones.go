package redisstore

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// Tombstones are the stream and the heartbeat of one bundle, as texts that somebody else verifies.
// Ids name entries; they ascend.
type Tombstones struct {
	store                     *Store
	bundle, stream, heartbeat string
}

// Tombstones returns those of a bundle.
func (s *Store) Tombstones(bundle string) *Tombstones {
	return &Tombstones{store: s, bundle: bundle, stream: tombstoneStream(bundle), heartbeat: tombstoneHeartbeat(bundle)}
}

// TombstoneBundles are the names of the bundles that have had a heartbeat, which nobody has signed.
func (s *Store) TombstoneBundles(ctx context.Context) ([]string, error) {
	return s.client.SMembers(ctx, tombstoneBundles).Result()
}

const (
	page = 500 // entries that are asked for at a time
	// MaxEntries is how many entries of a stream are read at most.
	MaxEntries = 20_000
)

// errNotNew is nothing wrong: Append found nothing to append.
var errNotNew = errors.New("nothing to append")

// Read returns the entries from the one after an id on, "" for all: the first MaxEntries of them.
func (t *Tombstones) Read(ctx context.Context, after string) (ids, texts []string, err error) {
	return t.read(ctx, t.store.client, after)
}

func (t *Tombstones) read(ctx context.Context, c redis.Cmdable, after string) (ids, texts []string, err error) {
	for len(ids) < MaxEntries {
		from := "-"
		if after != "" {
			from = "(" + after
		}
		found, err := c.XRangeN(ctx, t.stream, from, "+", page).Result()
		if err != nil {
			return nil, nil, err
		}
		more, said := entries(found)
		ids, texts = append(ids, more...), append(texts, said...)
		if len(found) < page {
			break
		}
		after = ids[len(ids)-1]
	}
	return ids, texts, nil
}

// Wait returns entries after the one with an id as soon as there are some, or none when the time is
// over. "" waits for any.
func (t *Tombstones) Wait(ctx context.Context, after string, most time.Duration) (ids, texts []string, err error) {
	if after == "" {
		after = "0"
	}
	streams, err := t.store.waits.XRead(ctx, &redis.XReadArgs{Streams: []string{t.stream, after}, Count: page, Block: most}).Result()
	if errors.Is(err, redis.Nil) || err == nil && len(streams) == 0 {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	ids, texts = entries(streams[0].Messages)
	return ids, texts, nil
}

func entries(messages []redis.XMessage) (ids, texts []string) {
	for _, m := range messages {
		text, _ := m.Values[tombstoneField].(string) // "" is no tombstone
		ids, texts = append(ids, m.ID), append(texts, text)
	}
	return ids, texts
}

// Heartbeat returns the newest heartbeat, "" when there is none.
func (t *Tombstones) Heartbeat(ctx context.Context) (string, error) {
	return t.heart(ctx, t.store.client)
}

func (t *Tombstones) heart(ctx context.Context, c redis.Cmdable) (string, error) {
	text, err := c.Get(ctx, t.heartbeat).Result()
	if errors.Is(err, redis.Nil) {
		return "", nil
	}
	return text, err
}

// Beat puts a heartbeat in the place of the one before.
func (t *Tombstones) Beat(ctx context.Context, text string) error {
	_, err := t.store.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		p.Set(ctx, t.heartbeat, text, 0)
		p.SAdd(ctx, tombstoneBundles, t.bundle)
		return nil
	})
	return err
}

// attempts is how often Append begins anew because somebody else has written in between, and
// reconnects because Redis has closed the connection.
const (
	attempts   = 20
	reconnects = 5
)

// Append appends the text that next makes of all entries and the heartbeat, if neither has changed
// when it is appended; else it asks next again. Of "" nothing is appended.
func (t *Tombstones) Append(ctx context.Context, next func(texts []string, heartbeat string) (string, error)) error {
	once := func(tx *redis.Tx) error {
		_, texts, err := t.read(ctx, tx, "")
		if err != nil {
			return err
		}
		heartbeat, err := t.heart(ctx, tx)
		if err != nil {
			return err
		}
		text, err := next(texts, heartbeat)
		if err != nil {
			return err
		}
		if text == "" {
			return errNotNew
		}
		_, err = tx.TxPipelined(ctx, func(p redis.Pipeliner) error {
			return t.add(ctx, p, text)
		})
		return err
	}
	var err error
	for i := range attempts {
		err = t.store.client.Watch(ctx, once, t.stream, t.heartbeat)
		if spoilt(err) {
			err = errors.Join(redis.TxFailedErr, t.clear(ctx))
		}
		if !errors.Is(err, redis.TxFailedErr) && !(errors.Is(err, io.EOF) && i < reconnects) {
			break
		}
		time.Sleep(time.Duration(i) * rand.N(10*time.Millisecond)) // in all less than a second
	}
	if errors.Is(err, errNotNew) {
		return nil
	}
	return err
}

func (t *Tombstones) add(ctx context.Context, c redis.Cmdable, text string) error {
	return c.XAdd(ctx, &redis.XAddArgs{Stream: t.stream, Values: []string{tombstoneField, text}}).Err()
}

// Restore appends texts that have been lost.
func (t *Tombstones) Restore(ctx context.Context, texts []string) error {
	for _, text := range texts {
		if err := t.add(ctx, t.store.client, text); err != nil {
			if spoilt(err) { // what was in it is lost, too, and is restored with the rest
				err = errors.Join(err, t.clear(ctx))
			}
			return err
		}
	}
	return nil
}

// spoilt says that nothing can be appended any more: somebody has used the last id there is, or put
// something else in the place of the stream.
func spoilt(err error) bool {
	return err != nil && (strings.Contains(err.Error(), "exhausted the last possible ID") || strings.HasPrefix(err.Error(), "WRONGTYPE"))
}

// Remove removes entries.
func (t *Tombstones) Remove(ctx context.Context, ids []string) error {
	for len(ids) > 0 {
		n := min(page, len(ids))
		if err := t.store.client.XDel(ctx, t.stream, ids[:n]...).Err(); err != nil {
			return err
		}
		ids = ids[n:]
	}
	return nil
}

// clear removes the whole stream, ids included.
func (t *Tombstones) clear(ctx context.Context) error {
	return t.store.client.Del(ctx, t.stream).Err()
}
