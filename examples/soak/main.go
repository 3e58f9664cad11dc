// Soak runs pullgate for a long time under load, while bundles change, Redis goes and returns and memory is
// hard to come by, and checks every answer against what it must be. It fails on a wrong answer, on answers that
// come late, and on a process that grows.
//
//	go run ./examples/soak --pullgate bin/pullgate --duration 1h
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/pullgate/pullgate/examples/peers"
)

// options say how long and how hard.
type options struct {
	pullgate  string
	duration  time.Duration
	rate      float64       // requests a second, all kinds together
	customers int           // whose licenses do not change
	pause     time.Duration // between two bundles, two losses of Redis, two crowds
	late      time.Duration // which all but one in a thousand answers must come before; 0: not asked
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var o options
	flag.StringVar(&o.pullgate, "pullgate", "bin/pullgate", "the `program`")
	flag.DurationVar(&o.duration, "duration", time.Hour, "of the load")
	flag.Float64Var(&o.rate, "rate", 400, "requests a second")
	flag.IntVar(&o.customers, "customers", 2000, "with three licenses each")
	flag.DurationVar(&o.pause, "pause", 100*time.Millisecond, "between two bundles, two losses of Redis, two crowds: longer for a machine that has other things to do")
	flag.DurationVar(&o.late, "late", time.Second, "all but one in a thousand answers of any minute come before this; 0 does not ask")
	flag.Parse()
	say := func(format string, args ...any) {
		fmt.Printf(time.Now().Format("15:04:05 ")+format+"\n", args...)
	}
	dir, err := os.MkdirTemp("", "pullgate-soak-")
	if err == nil {
		err = errors.Join(run(ctx, o, dir, say), os.RemoveAll(dir))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

// run soaks once and says what is wrong.
func run(ctx context.Context, o options, dir string, say func(string, ...any)) (err error) {
	redisPath, err := peers.Path(ctx, "redis")
	if err != nil {
		return err
	}
	redis, err := peers.StartRedis(ctx, redisPath, peers.RedisConfig{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, redis.Close()) }()
	v := &vendor{pullgate: o.pullgate, dir: dir, customers: o.customers}
	if err := v.make(ctx); err != nil {
		return err
	}
	neighbour, err := v.serve(ctx, redis.Addr, "neighbour") // who finds in Redis what the other has put there
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, neighbour.Close()) }()
	p, err := v.serve(ctx, redis.Addr, "sidecar")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("%w\n%s", err, tail(p.Output()))
		}
		err = errors.Join(err, p.Close())
	}()
	say("%d customers; pullgate %d at %s, Redis at %s", o.customers, p.PID(), p.GRPC, redis.Addr)

	s := &soak{o: o, vendor: v, process: p, neighbour: neighbour, redis: redis, say: say}
	if err := s.prepare(ctx); err != nil {
		return err
	}
	before, err := s.settled(ctx, nil)
	if err != nil {
		return err
	}
	if err := s.load(ctx); err != nil {
		return err
	}
	after, err := s.settled(ctx, &before)
	say("before: %s", before)
	say("after:  %s", after)
	return errors.Join(err, before.grown(after), s.verdict(ctx))
}

// tail is the end of a log.
func tail(text string) string {
	const most = 4000
	return text[max(0, len(text)-most):]
}

func (v *vendor) path(name string) string { return filepath.Join(v.dir, name) }
