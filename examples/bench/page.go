package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"
)

const (
	markBegin = "<!-- served -->"
	markEnd   = "<!-- /served -->"
)

// writeInto replaces what stands between the marks of a file with the table and how it was made.
func writeInto(file string, o *options, rows []row) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	before, rest, ok := strings.Cut(string(text), markBegin)
	_, after, closed := strings.Cut(rest, markEnd)
	if !ok || !closed {
		return fmt.Errorf("%s: no %s … %s to write between", file, markBegin, markEnd)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s%s\n\n%s, %d rounds of %d requests a side, %d customers with %d licenses each, %d products with %d versions of two images.\n\n",
		before, markBegin, machine(), o.rounds, o.requests, o.customers, licenses, products, versions)
	writeTable(&b, rows)
	fmt.Fprintf(&b, "\n%s%s", markEnd, after)
	return os.WriteFile(file, []byte(b.String()), 0o644)
}

// machine is its class: what a reader compares by.
func machine() string {
	name := "an unnamed processor"
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if _, rest, ok := strings.Cut(string(text), "model name"); ok {
			line, _, _ := strings.Cut(rest, "\n")
			name = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(line), ":"))
		}
	}
	return fmt.Sprintf("%d cores of %s, %s, %s/%s", runtime.NumCPU(), name, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
