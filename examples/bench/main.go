// Command bench measures pullgate as users run it: the built binary, over gRPC, from a load of
// another process, and prints each figure beside its budget. Every ratio comes from one run in
// which the two sides take turns, so that what else the machine does falls on both.
//
//	make bench-served                                  # all of it, six rounds
//	go run ./examples/bench --rounds 2 --requests 2000 # a quick look
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/pullgate/pullgate/examples/load/drive"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	if len(os.Args) == 2 && os.Args[1] == "empty" {
		err = serveEmpty(ctx)
	} else {
		err = run(ctx, os.Args[1:], os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func serveEmpty(ctx context.Context) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println("grpc", l.Addr())
	return drive.Empty{}.Serve(ctx, l)
}

// options are the sizes of a run.
type options struct {
	pullgate  string
	rounds    int
	requests  int
	customers int
}

func run(ctx context.Context, args []string, out io.Writer) (err error) {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	var o options
	flags.StringVar(&o.pullgate, "pullgate", filepath.Join("bin", "pullgate"), "the binary to measure")
	flags.IntVar(&o.rounds, "rounds", 6, "rounds; a figure is the median")
	flags.IntVar(&o.requests, "requests", 20_000, "requests of a round and side")
	flags.IntVar(&o.customers, "customers", 10_000, "customers of the vendor")
	file := flags.String("write", "", "Markdown file whose part between the marks <!-- served --> gets the table")
	if err := flags.Parse(args); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "pullgate-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	empty := func() (*server, error) { return startEmpty(ctx) }
	rows, err := served(ctx, &o, dir, empty, func(format string, args ...any) { fmt.Fprintf(os.Stderr, "· "+format+"\n", args...) })
	if err != nil {
		return err
	}
	writeTable(out, rows)
	if *file != "" {
		return writeInto(*file, &o, rows)
	}
	return nil
}
