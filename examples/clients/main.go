// Command clients tries every client that people pull with against every kind of registry,
// through a real Envoy and pullgate, and prints what happened and what the person read: the
// client matrix.
//
// It needs nothing installed: `make clients` fetches the pinned peers. Every scene is checked
// four ways: the client's exit code and words, what it pulled (digest by digest), what pullgate
// recorded, and what arrived at the registry. The program exits with 1 when any differs from
// what the licenses say. Arguments are names of clients; without any, all are tried, cosign
// only with COSIGN=1 in the environment.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/pullgate/pullgate/examples/peers"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	verbose := flag.Bool("v", false, "print all that the clients printed")
	flag.Parse()
	if err := run(ctx, filepath.Join("bin", "pullgate"), *verbose, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "clients:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, pullgate string, verbose bool, names []string) error {
	began := time.Now()
	pullgate, err := filepath.Abs(pullgate)
	if err != nil {
		return err
	}
	if _, err := os.Stat(pullgate); err != nil {
		return fmt.Errorf("%w; run `make build`, or `make clients`, which does", err)
	}
	dir, err := os.MkdirTemp("", "pullgate-clients-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	m := &matrix{find: peers.Path, registries: registries, dir: dir, pullgate: pullgate}
	for _, c := range clients {
		wanted := slices.Contains(names, c.name)
		if len(names) == 0 {
			wanted = !c.extra || os.Getenv("COSIGN") != ""
		}
		if !wanted {
			continue
		}
		if err := c.usable(ctx, m.find); err != nil {
			fmt.Fprintf(os.Stderr, "clients: %s is left out: %v\n", c.name, err)
			continue
		}
		m.clients = append(m.clients, c)
	}
	all, err := m.play(ctx)
	if err != nil {
		return err
	}
	print(os.Stdout, all, verbose)
	if len(all) == 0 {
		return errors.New("nothing was tried")
	}
	wrong := 0
	for _, p := range all {
		if len(p.wrong) > 0 {
			wrong++
		}
	}
	fmt.Printf("\n%d scenes in %s\n", len(all), time.Since(began).Round(100*time.Millisecond))
	if wrong > 0 {
		return fmt.Errorf("%d scenes are not as the licenses say", wrong)
	}
	return nil
}
