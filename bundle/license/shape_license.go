package license

// A license: what a customer may have, and until when.
type licenseShape struct {
	documentShape
	// The id of the customer who holds it.
	Customer referenceText `yaml:"customer" is:"required" example:"acme"`
	// The id of a Plan whose fields count where the license has none. Objects merge, but `updates` and `aligned`; lists are
	// replaced whole; one of `ends`, `term`, `aligned` drops the plan's, and its `minimum_term` with it.
	Plan referenceText `yaml:"plan" unset:"none" example:"gold"`
	termsShape
	// Whether it is suspended or revoked.
	Status statusField `yaml:"status" default:"active" example:"{suspended: {at: 2026-03-01, until: 2026-03-31, public_reason: invoice 1042 is open}}"`
	// The id of a license of the same customer that counts no more once this one starts.
	Replaces referenceText `yaml:"replaces" unset:"none" example:"acme-2025"`
}

// A template for licenses: any license field but `customer`, `plan`, `status` and `replaces`; none is required.
type planShape struct {
	documentShape
	termsShape
}

// The fields that licenses and plans share.
type termsShape struct {
	// What kind of right it is.
	Type typeWord `yaml:"type" unset:"required, here or in the plan"`
	// The IANA zone of the license's dates.
	Zone zoneText `yaml:"zone" unset:"the customer's" example:"Europe/Berlin"`
	// The first day or instant. Needed by `term`, `aligned` and a `period` of `updates`.
	Starts momentText `yaml:"starts" unset:"always" example:"2026-01-01"`
	// When use ends: a date, that day included, or an instant.
	Ends endsField `yaml:"ends" unset:"one of 'ends', 'term' and 'aligned' is required" example:"2026-12-31"`
	// How long use lasts from `starts` on, as a period.
	Term positivePeriodText `yaml:"term" unset:"see 'ends'" example:"P1Y"`
	// Use ends with the calendar year or fiscal year in which `starts` lies.
	Aligned alignedField `yaml:"aligned" unset:"see 'ends'" example:"{fiscal_year_ends: 06-30}"`
	// Beside `aligned`: if the end is nearer to the start than this period, it is the next year's. Exactly met is met.
	MinimumTerm positivePeriodText `yaml:"minimum_term" unset:"none" example:"P3M"`
	// Renews by itself at each end until it is cancelled. Not on a perpetual license or a trial.
	Renews renewalShape `yaml:"renews" unset:"does not renew"`
	// A period after the use end in which everything still works, with a warning. Not on a trial, where `P0D` may override a
	// plan's.
	Grace periodText `yaml:"grace" unset:"none" example:"P14D"`
	// Which versions are covered, by their date (`counts_from`, else `released`).
	Updates updatesField `yaml:"updates" unset:"'with-term'; required on a perpetual license" example:"{period: P1Y}"`
	// The hard stop after the use end: a period after it, or a date (included) or instant not before it.
	Terminates stopText `yaml:"terminates" unset:"never" example:"P60D"`
	// After use and grace ended and until `terminates`, which it needs, versions dated before both the use end and the update
	// window's end stay usable.
	KeepVersions bool `yaml:"keep_versions" default:"false"`
	// What happens to a request that the license does not cover.
	Enforcement enforcementWord `yaml:"enforcement" default:"enforce"`
	// The rights. A request must be covered by one license as a whole; `[]` grants nothing.
	Grants []grantShape `yaml:"grants" unset:"required, here or in the plan" example:"[{product: app, versions: '>=1.0.0 <2.0.0'}]"`
	// Free data for `requires`, portals and rules. A feature is held when it is there and neither false, 0 nor empty.
	Features freeObject `yaml:"features" unset:"none" example:"{sso: true, nodes: 10}"`
}

// The state of a license that is not active: one of both.
type statusShape struct {
	// Pauses the license: nothing is delivered, also no grace and no kept versions.
	Suspended suspensionShape `yaml:"suspended" unset:"one of both is required"`
	// Takes the license back for good.
	Revoked revocationShape `yaml:"revoked" unset:"one of both is required"`
}

// When a license is paused.
type suspensionShape struct {
	revocationShape
	// The date (that day included) or instant until which it is paused.
	Until momentText `yaml:"until" unset:"until further notice" example:"2026-03-31"`
}

// When a license is taken back.
type revocationShape struct {
	// The date or instant from which it is in effect; before it nothing changes.
	At momentText `yaml:"at" is:"required" example:"2026-03-01"`
	// Why, for who reads this file: it goes into no bundle, record or message.
	Reason lineText `yaml:"reason" unset:"none" example:"invoice 1042 unpaid"`
	// What the customer is told in the refusal.
	PublicReason lineText `yaml:"public_reason" unset:"none" example:"please call us"`
}

// The fiscal year that use ends with.
type alignedShape struct {
	// Month and day of its last day; `02-29` means the last day of February.
	FiscalYearEnds monthDayText `yaml:"fiscal_year_ends" is:"required" example:"06-30"`
}

// How a license renews.
type renewalShape struct {
	// The period by which the end moves. Late or early payment changes nothing.
	Every positivePeriodText `yaml:"every" unset:"required, here or in the plan" example:"P1Y"`
	// How long before the end a cancellation must arrive, as a period. Exactly then is too late.
	Notice periodText `yaml:"notice" unset:"none" example:"P30D"`
	// The instant at which the cancellation arrived; a date is an error.
	Cancelled instantText `yaml:"cancelled" unset:"not cancelled" example:"2026-11-20T10:00:00Z"`
}

// The window of versions that are covered: one of both.
type updatesShape struct {
	// The last day or instant whose versions are covered; a day is included.
	Until momentText `yaml:"until" unset:"one of both is required" example:"2026-12-31"`
	// The period from `starts` on whose versions are covered.
	Period positivePeriodText `yaml:"period" unset:"one of both is required" example:"P1Y"`
}

// One right: either a product's versions or a repository's tags.
type grantShape struct {
	// The id of a Product. Needs `versions`, and has no `tags`.
	Product referenceText `yaml:"product" unset:"one of 'product', 'repository' is required" example:"app"`
	// A constraint, or a list of exact versions; `[]` grants nothing. Channels alone decide about pre-releases; `<2.0.0` also
	// excludes those of 2.0.0.
	Versions grantedVersions `yaml:"versions" unset:"required beside 'product'" example:"'>=1.0.0 <2.0.0'"`
	// The channels of the versions; `[]` grants nothing.
	Channels []channelText `yaml:"channels" is:"unique" default:"[stable]" example:"[stable, rc]"`
	// A repository pattern: `*` stands for one whole segment, `**` for one or more. Needs `tags`, and has no `versions`.
	Repository repositoryPatternText `yaml:"repository" unset:"see 'product'" example:"acme/tools/*"`
	// Tag patterns, in which `*` stands for any run of characters, or `{current: {}}` for the tags that there were at some
	// time. `[]` grants nothing.
	Tags grantedTags `yaml:"tags" unset:"required beside 'repository'" example:"['1.4', '1.4.*', stable]"`
}

// The tags that there were at some time.
type currentTagsShape struct {
	// The tags that were first seen by then.
	Current asOfShape `yaml:"current" is:"required" example:"{as_of: 2026-02-01}"`
}

// The time at which tags must have been there.
type asOfShape struct {
	// The date (that day included) or instant.
	AsOf momentText `yaml:"as_of" unset:"the license's start" example:"2026-02-01"`
}
