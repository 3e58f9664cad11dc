//go:build !race

package policies_test

// everyMutant is how far apart the mutants are that are tried: all of them.
const everyMutant = 1
