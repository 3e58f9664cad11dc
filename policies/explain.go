package policies

// ExplainEntrypoint says how the decision about the same question came about. No request waits
// for it.
const ExplainEntrypoint = "data.pullgate.explanation"

// ExplainContributed is a function of the name of a vendor's package and one of ContributionKinds:
// what the package contributes of that kind, and what is wrong with it.
const ExplainContributed = "data.pullgate.explain.contributed"

// ContributionKinds are the names of the sets that vendor rules contribute to, in the order of
// the alphabet.
func ContributionKinds() []string { return []string{"boundary", "deny", "grant", "header", "warn"} }
