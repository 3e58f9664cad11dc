// Command pullgate decides, for every request, whether a license covers this version of
// this product now: it compiles licenses into signed bundles and serves decisions to Envoy.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	os.Exit(program(groupLimitFile))
}

// program is the whole of it, in a control group whose limit is in a file. It returns the exit code.
func program(limitFile string) int {
	tuneMemory(limitFile)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
}
