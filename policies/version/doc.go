// Package version knows what a version, a version constraint, a tag pattern and a repository
// pattern mean. Nothing else in pullgate parses one.
//
// Everything compiles to plain JSON that a policy compares with Rego's own operators: a
// version to its order (see Version.Order), a constraint to half-open ranges of orders (see
// Ranges). In Rego's value order numbers sort before strings, strings before arrays and arrays
// before objects, arrays element by element and then by length; that is SemVer's precedence
// when a release ends in {} and a pre-release in the array of its identifiers. A policy
// therefore needs no SemVer builtin.
//
// # Constraints
//
// The syntax is that of Masterminds/semver and is validated by it: = != > < >= <= ~ ^ with
// their aliases, wildcards (1.2.x, *), hyphen ranges, comma or space for AND, || for OR.
// Versions compare by precedence only: a pre-release is in a range like any other version, and
// channels decide separately whether it is granted. The intended differences to Masterminds are
// listed in differences_test.go and docs/versions.md; everything else is held equal by
// TestRangesAgreeWithMasterminds and TestOrderAgreesWithMastermindsAndRego.
//
// What versions, tags, constraints and patterns mean is written down once, by example, in
// testdata/versions.json; tests of the compiler, the engine and the policy read it too.
package version
