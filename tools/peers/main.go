// Command peers installs the programs that pullgate is checked and tested with, at pinned
// versions, into a cache outside the clone, so that a second clone finds them there.
//
//	go -C tools run ./peers install [NAME...]   install what is missing; without a NAME all peers but the extra ones
//	go -C tools run ./peers path NAME           print the path of an installed program
//	go -C tools run ./peers list                name, version, state
//
// The cache is $PULLGATE_CACHE, else $XDG_CACHE_HOME, else ~/.cache; programs lie in
// pullgate/peers/NAME-VERSION below it. Progress goes to standard error. Installing the
// same peer twice at once is safe: the second waits for the first and then finds it done.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run returns 0 when done, 1 when a peer is missing or could not be installed, 2 for wrong use.
func run(args []string, stdout, stderr io.Writer) int {
	usage := func() int {
		fmt.Fprintln(stderr, "usage: go -C tools run ./peers install [NAME...] | path NAME | list")
		return 2
	}
	if len(args) == 0 {
		return usage()
	}
	in, err := newInstaller(stderr)
	if err != nil {
		fmt.Fprintln(stderr, "peers:", err)
		return 2
	}
	switch cmd, args := args[0], args[1:]; {
	case cmd == "install":
		var chosen []peer
		for _, p := range peers {
			if len(args) == 0 && !p.extra {
				chosen = append(chosen, p)
			}
		}
		for _, name := range args {
			p, ok := find(name)
			if !ok {
				fmt.Fprintf(stderr, "peers: no peer is called %q; there are %s\n", name, names())
				return 2
			}
			chosen = append(chosen, p)
		}
		code := 0
		for _, p := range chosen {
			if err := in.install(p); err != nil {
				fmt.Fprintf(stderr, "peers: %s: %v\n", p.name, err)
				if !p.optional || len(args) > 0 {
					code = 1
				}
			}
		}
		return code
	case cmd == "path" && len(args) == 1:
		p, ok := find(args[0])
		if !ok {
			fmt.Fprintf(stderr, "peers: no peer is called %q; there are %s\n", args[0], names())
			return 2
		}
		path, err := in.path(p)
		if errors.Is(err, errMissing) {
			fmt.Fprintf(stderr, "peers: %s is not installed; run: go -C tools run ./peers install %s\n", p.name, p.name)
			return 1
		}
		if err != nil {
			fmt.Fprintf(stderr, "peers: %s: %v\n", p.name, err)
			return 1
		}
		fmt.Fprintln(stdout, path)
		return 0
	case cmd == "list" && len(args) == 0:
		for _, p := range peers {
			state := "missing"
			if path, err := in.path(p); err == nil {
				state = path
			}
			fmt.Fprintf(stdout, "%-14s %-36s %s\n", p.name, in.version(p), state)
		}
		return 0
	}
	return usage()
}

func names() string {
	var s []string
	for _, p := range peers {
		s = append(s, p.name)
	}
	return strings.Join(s, ", ")
}
