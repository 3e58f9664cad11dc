// Package authz has the words of a decision and the one pipeline that makes it.
//
// A transport turns a message into a [Request] (package classify), hands it to
// [Gate.Decide] and says the [Decision] in its own protocol (package reply).
// Decide never returns an error: whatever goes wrong becomes a Decision that
// refuses, with a [Code] that says so. The zero Decision is such a refusal.
//
// Everything that a decision depends on comes from a [Generation]: an immutable,
// verified bundle made ready to evaluate. A request holds the generation it
// started with, so an activation in between changes nothing for it.
package authz
