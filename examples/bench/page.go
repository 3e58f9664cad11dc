package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"
)

// writeInto replaces what stands between a part's marks in a file with its table and how it was made.
func writeInto(file, part string, r *result) error {
	begin, end := "<!-- "+part+" -->", "<!-- /"+part+" -->"
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	before, rest, ok := strings.Cut(string(text), begin)
	_, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		return fmt.Errorf("%s: no %s … %s to write between", file, begin, end)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s%s\n\n%s; %s\n\n", before, begin, machine(), r.note)
	writeTable(&b, r.rows)
	fmt.Fprintf(&b, "\n%s%s", end, after)
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
