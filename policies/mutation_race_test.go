//go:build race

package policies_test

// Under the race detector an evaluation takes ten times as long and finds the same: a sample of
// the mutants is enough.
const everyMutant = 25
