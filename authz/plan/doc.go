// Package plan evaluates Rego by the plan that OPA itself makes of it: its planner turns compiled rules
// into an imperative program (v1/ir, https://www.openpolicyagent.org/docs/ir), in which what has to be looked for
// by unification is decided once, when the policy is loaded. Running that program takes a tenth of the time
// that OPA's evaluator, topdown, takes for the same question.
//
// A Program answers or declines. What it cannot answer exactly as topdown would, a failing builtin, a
// conflict, a limit, anything that it does not know, it declines, and the caller asks topdown. So it never
// has to explain a failure, and nothing that goes wrong in here becomes an answer
// (docs/design/evaluation-by-plan.md).
package plan
