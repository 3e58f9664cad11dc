package license

// choice is a word with its meaning.
type choice struct{ word, meaning string }

type kindWord string

type catalogWord string

func (catalogWord) choices() []choice {
	return []choice{{"off", "it is refused with 403"}, {"listed", "it lists what the customer may see"}}
}

type repositoryTypeWord string

func (repositoryTypeWord) choices() []choice {
	return []choice{{"image", "tags are versions as they are"}, {"chart", "a `_` in a tag means `+`, as Helm writes it"}}
}

type repositoryVersionsWord string

func (repositoryVersionsWord) choices() []choice {
	return []choice{{"tags", "tags that are versions are versions of the product"}, {"none", "its tags are no versions, only tag grants reach it"}}
}

type customerStatusWord string

func (customerStatusWord) choices() []choice {
	return []choice{{"active", "served"}, {"banned", "every license stops; login still answers, and what is Public stays open"}}
}

type typeWord string

func (typeWord) choices() []choice {
	return []choice{
		{string(Perpetual), "use never ends: it has `ends: never` and says how long updates last"},
		{string(Subscription), "use ends, and may renew"},
		{string(Trial), "use ends, without grace and renewal"},
	}
}

type enforcementWord string

func (enforcementWord) choices() []choice {
	return []choice{
		{"enforce", "it is refused"},
		{"warn", "what the checks from `not_started` on refuse is let through, and the customer is told"},
		{"observe", "the same, and only records tell"},
	}
}

type activeWord string

func (activeWord) choices() []choice { return []choice{{"active", "neither suspended nor revoked"}} }

type neverWord string

func (neverWord) choices() []choice {
	return []choice{{"never", "on a perpetual license, which must say so"}}
}

type alignedWord string

func (alignedWord) choices() []choice {
	return []choice{{"calendar-year", "with the year in which `starts` lies"}}
}

type updatesWord string

func (updatesWord) choices() []choice {
	return []choice{
		{"with-term", "versions dated before the use end; the window follows renewals"},
		{"forever", "versions of any date"},
	}
}

type allVersionsWord string

func (allVersionsWord) choices() []choice {
	return []choice{{"all", "every version of the channels, future ones too"}}
}

type allTagsWord string

func (allTagsWord) choices() []choice { return []choice{{"all", "every tag, future ones too"}} }

// What follows are fields with several forms, one per field of the shape.

type statusField struct {
	Word   activeWord
	Object statusShape
}

type endsField struct {
	Moment endText
	Word   neverWord
}

type alignedField struct {
	Word   alignedWord
	Object alignedShape
}

type updatesField struct {
	Word   updatesWord
	Object updatesShape
}

type grantedVersions struct {
	Constraint constraintText
	List       []versionText
	Word       allVersionsWord
}

type grantedTags struct {
	Word   allTagsWord
	List   tagPatterns
	Object currentTagsShape
}

type publicTags struct {
	Word allTagsWord
	List tagPatterns
}

// tagPatterns is a list in which nothing comes twice.
type tagPatterns []tagPatternText

func (statusField) either()     {}
func (endsField) either()       {}
func (alignedField) either()    {}
func (updatesField) either()    {}
func (grantedVersions) either() {}
func (grantedTags) either()     {}
func (publicTags) either()      {}
