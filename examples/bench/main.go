// Command bench measures pullgate as users run it: the built binary, over gRPC, from a load of
// another process, and prints each figure beside its budget. Every ratio comes from one run in
// which the two sides take turns, so that what else the machine does falls on both.
//
//	make bench                                                        # all of it, six rounds, into docs/benchmarks.md
//	go run ./examples/bench --rounds 2 --requests 2000 --parts served # a quick look
//
// A part that fails keeps no other from being measured and written; the run fails in the end. It fails by
// what was measured only with --check.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/pullgate/pullgate/examples/load/drive"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	switch args := os.Args[1:]; {
	case len(args) == 1 && services[args[0]] != nil:
		err = serveHere(ctx, args[0])
	case len(args) == 2 && args[0] == "make":
		err = makeHere(args[1])
	default:
		err = run(ctx, args, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// again runs this program in another process, asked for something else.
func again(ctx context.Context, args ...string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	out, err := exec.CommandContext(ctx, self, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", args[0], err, out)
	}
	return nil
}

// services are what this program can be asked to serve, in processes of their own.
var services = map[string]func(context.Context, net.Listener) error{
	"empty": func(ctx context.Context, l net.Listener) error { return drive.Empty{}.Serve(ctx, l) },
	"upstream": func(ctx context.Context, l net.Listener) error {
		s := &http.Server{Handler: http.HandlerFunc(upstreamHandler), ReadHeaderTimeout: time.Second}
		stop := context.AfterFunc(ctx, func() { _ = s.Close() })
		defer stop()
		return s.Serve(l)
	},
}

func serveHere(ctx context.Context, name string) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println("serves", l.Addr())
	return services[name](ctx, l)
}

// options are the sizes of a run.
type options struct {
	pullgate  string
	rounds    int
	requests  int           // of a round and side
	customers int           // of a vendor whose decisions are measured
	crowd     int           // customers of a vendor whose bundle is measured
	digests   int           // in the index of that
	spell     time.Duration // of a load that lasts for a time
	tags      []int         // of two repositories that are listed
	growth    []int         // numbers of customers
	edits     int           // of licenses
}

// A bench is one run.
type bench struct {
	o   options
	dir string
	say func(string, ...any)

	// In processes of their own; tests have them in theirs.
	serve func(ctx context.Context, service string) (*server, error)
	make  func(context.Context, *crowd) error
}

// result are the rows of a part, and how they were made.
type result struct {
	rows []row
	note string
}

// A part is a group of rows, with a place of its own in docs/benchmarks.md.
type part struct {
	name string
	run  func(*bench, context.Context) (*result, error)
}

var parts = []part{
	{"served", (*bench).served},
	{"overload", (*bench).overload},
	{"activation", (*bench).activation},
	{"recording", (*bench).recording},
	{"envoy", (*bench).proxied},
	{"counts", (*bench).counts},
	{"sizes", (*bench).sizes},
	{"growth", (*bench).growth},
	{"effect", (*bench).effect},
	{"revocation", (*bench).revocation},
	{"push", (*bench).pushed},
}

func run(ctx context.Context, args []string, out io.Writer) (err error) {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	o := options{tags: []int{1000, 10_000}, growth: []int{1000, 10_000, 100_000, 300_000}}
	flags.StringVar(&o.pullgate, "pullgate", filepath.Join("bin", "pullgate"), "the binary to measure")
	flags.IntVar(&o.rounds, "rounds", 6, "rounds; a figure is the median")
	flags.IntVar(&o.requests, "requests", 20_000, "requests of a round and side; fewer of what is slow, twice as many of what differs little")
	flags.IntVar(&o.customers, "customers", 10_000, "customers of the vendor whose decisions are measured")
	flags.IntVar(&o.crowd, "crowd", 100_000, "customers of the vendor whose bundle is measured")
	flags.IntVar(&o.digests, "digests", 1_000_000, "digests in that bundle's index")
	flags.DurationVar(&o.spell, "spell", 4*time.Second, "how long a load lasts that lasts for a time")
	flags.IntVar(&o.edits, "edits", 100, "edits of a license; fewer revocations and pushes")
	limit := flags.Duration("timeout", 40*time.Minute, "ends a run that takes longer")
	names := flags.String("parts", "", "parts to run, comma-separated; all without it: "+partNames())
	check := flags.Bool("check", false, "fail when a must is missed, of a size or time by more than three times")
	file := flags.String("write", "", "Markdown file whose parts between the marks <!-- PART --> get the tables")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return nil
	} else if err != nil {
		return err
	}
	chosen, err := choose(*names)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "pullgate-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	ctx, cancel := context.WithTimeout(ctx, *limit)
	defer cancel()
	began := time.Now()
	b := &bench{o: o, dir: dir, serve: serveElsewhere, make: makeElsewhere, say: func(format string, args ...any) {
		fmt.Fprintf(os.Stderr, "· %4.0f s  "+format+"\n", append([]any{time.Since(began).Seconds()}, args...)...)
	}}
	all, err := b.each(ctx, chosen, out, *file)
	fmt.Fprintf(out, "\n%s\n", summary(all))
	if missed := failing(all); *check && len(missed) > 0 {
		err = errors.Join(err, fmt.Errorf("missed: %s", strings.Join(missed, "; ")))
	}
	return err
}

// each runs parts, prints and writes them, and returns all their rows. A part that fails keeps no other from
// being run; nothing is run when the run itself ends.
func (b *bench) each(ctx context.Context, chosen []part, out io.Writer, file string) (all []row, err error) {
	for _, p := range chosen {
		if ctx.Err() != nil {
			return all, errors.Join(err, fmt.Errorf("%s and what comes after it was not run: %w", p.name, ctx.Err()))
		}
		b.say("part %s", p.name)
		r, failed := p.run(b, ctx)
		if failed != nil {
			b.say("part %s failed: %v", p.name, failed)
			err = errors.Join(err, fmt.Errorf("%s: %w", p.name, failed))
			continue
		}
		fmt.Fprintf(out, "\n%s: %s\n\n", p.name, r.note)
		writeTable(out, r.rows)
		all = append(all, r.rows...)
		if file != "" {
			err = errors.Join(err, writeInto(file, p.name, r))
		}
	}
	return all, err
}

func partNames() string {
	var names []string
	for _, p := range parts {
		names = append(names, p.name)
	}
	return strings.Join(names, ",")
}

// choose finds parts by their names.
func choose(names string) (chosen []part, err error) {
	if names == "" {
		return parts, nil
	}
	for name := range strings.SplitSeq(names, ",") {
		i := slices.IndexFunc(parts, func(p part) bool { return p.name == name })
		if i < 0 {
			return nil, fmt.Errorf("--parts %s: there are %s", name, partNames())
		}
		chosen = append(chosen, parts[i])
	}
	return chosen, nil
}
