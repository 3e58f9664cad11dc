//go:build !formatnext

package bundle

// Format is the version of the bundle format that Write writes. Read takes it and those before, back
// to oldestFormat.
const Format = 1
