package policies

// ExplainEntrypoint says how the decision about the same question came about. No request waits
// for it.
const ExplainEntrypoint = "data.pullgate.explanation"
