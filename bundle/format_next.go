//go:build formatnext

package bundle

// Format is that of a program after this one. Only tests build it, to run both side by side.
const Format = 2
