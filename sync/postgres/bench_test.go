package postgres

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pullgate/pullgate/sync/source"
)

// large fills a database with customers that have a key and three licenses each, two of them by plan.
func large(b *testing.B, customers int) string {
	url := filled(b, map[string]string{"base.yaml": base})
	conn, err := pgx.Connect(b.Context(), url)
	must(b, err)
	defer conn.Close(context.Background())
	for _, s := range []string{
		fmt.Sprintf(`INSERT INTO pullgate.customers (id, zone) SELECT 'c' || i, 'Europe/Berlin' FROM generate_series(1, %d) i`, customers),
		`INSERT INTO pullgate.keys (customer, id, hash) SELECT id, 'ci', 'sha256:' || encode(sha256(id::bytea), 'hex') FROM pullgate.customers`,
		`INSERT INTO pullgate.licenses (id, customer, plan, starts, renews_every, renews_notice) SELECT id || '-a', id, 'gold', '2026-01-01', 'P1Y', 'P30D' FROM pullgate.customers`,
		`INSERT INTO pullgate.licenses (id, customer, plan, starts, ends) SELECT id || '-b', id, 'gold', '2026-01-01', '2026-12-31' FROM pullgate.customers`,
		`INSERT INTO pullgate.licenses (id, customer, type, ends, updates, grants) SELECT id || '-c', id, 'perpetual', 'never', '2026-12-31',
			'[{"repository": "acme/tools/*", "tags": ["1.4", "1.4.*", "stable"]}]' FROM pullgate.customers`,
		"ANALYZE",
	} {
		_, err := conn.Exec(b.Context(), s)
		must(b, err)
	}
	return url
}

// BenchmarkLoad reads everything, as at the start.
func BenchmarkLoad(b *testing.B) {
	for _, customers := range []int{1_000, 100_000} {
		b.Run(fmt.Sprintf("customers=%d", customers), func(b *testing.B) {
			url := large(b, customers)
			b.ReportAllocs()
			for b.Loop() {
				s, err := open(b, url).Load(b.Context())
				if err != nil || len(s.Set.Licenses) != 3*customers {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkEdit is an edit of one license, until the new set is reported.
func BenchmarkEdit(b *testing.B) {
	for _, customers := range []int{1_000, 100_000} {
		b.Run(fmt.Sprintf("customers=%d", customers), func(b *testing.B) {
			url := large(b, customers)
			reports := make(chan error, 10)
			ctx, cancel := context.WithCancel(b.Context())
			defer cancel()
			db := open(b, url)
			go db.Watch(ctx, func(s *source.Snapshot, err error) { reports <- err })
			if err := <-reports; err != nil {
				b.Fatal(err)
			}
			conn, err := pgx.Connect(b.Context(), url)
			must(b, err)
			defer conn.Close(context.Background())
			i := 0
			for b.Loop() {
				i++
				_, err := conn.Exec(b.Context(), fmt.Sprintf("UPDATE pullgate.licenses SET revoked_at = '2026-01-%02d' WHERE id = 'c%d-a'", 1+i%28, i%1000+1))
				must(b, err)
				select {
				case err := <-reports:
					if err != nil {
						b.Fatal(err)
					}
				case <-time.After(time.Minute):
					b.Fatal("no report")
				}
			}
			if db.wholes != 1 {
				b.Errorf("everything was read %d times", db.wholes)
			}
		})
	}
}
