// Package engine evaluates the policy of the active bundle.
//
// An [Engine] takes verified bundles only. Activate turns one into a generation, which is
// everything a decision needs, made ready: compiled rules, prepared queries, the registry
// index, license data, keys. A generation is immutable, so a request keeps the one it started
// with and an activation in between changes nothing for it. A bundle that cannot be made
// ready leaves the active generation in place.
package engine
