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
// channels decide separately whether it is granted (design §5). Against Masterminds with
// IncludePrerelease the intended differences are these; everything else is held equal by
// TestRangesAgreeWithMasterminds:
//
//   - <X.Y.Z excludes the pre-releases of X.Y.Z too, as <X.Y.Z-0 does: <2.0.0 never admits
//     2.0.0-alpha. The same holds for <2 and <2.0.
//   - != with a wildcard in the patch (!=1.2.x) excludes every version that begins with 1.2,
//     its pre-releases included, as != with a wildcard in the minor already does there.
//     Masterminds keeps the pre-releases, and with a pre-release of its own (!=1.2-rc) excludes
//     that of every 1.2.Z, neither of which half-open ranges can say. Ours exclude more, so
//     that a grant never gets larger.
//   - Numeric pre-release identifiers compare as numbers whatever their size; Masterminds
//     compares those above 64 bits as text.
package version
