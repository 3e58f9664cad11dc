package authz

import "context"

// Explainer is a Generation that can say how its policy comes to a verdict. It takes far longer
// than Evaluate; it is for people's questions, never for a request.
type Explainer interface {
	// Explain explains the verdict that Evaluate gives. failed is the error of Evaluate, or of
	// Visible, when there is none: then the Reasoning has Failure and, as far as it can be told,
	// the rules at fault and how grants fare without them.
	Explain(ctx context.Context, in *Input, failed error) (*Reasoning, error)
	// ExplainKey says what the cache key of a question is made of, in its order, or why there is none.
	ExplainKey(in *Input) (parts []KeyPart, uncacheable string)
}

// KeyPart is one of the things that a cache key is a hash of.
type KeyPart struct {
	Name  string `json:"name"`  // policy, customer, repository, candidates, action, or a field of the input
	Value string `json:"value"` // of a hash the first 16 hex digits
}

// Kept says how caches keep a verdict.
type Kept struct {
	Uncacheable string // why they do not; else ""
	Key         [32]byte
	Parts       []KeyPart
	Entry       Entry  // what they keep
	Until       int64  // from when it is not used any more
	Because     string // of that instant: "cap" of its class, "boundary" of the answer, or "warning" that begins then
}

// Explanation says how a decision came about: what was found out about the question, and what
// the policy considered.
type Explanation struct {
	// Caller is who asks. It differs from Decision.Subject where the answer is for anyone.
	Caller     Subject
	Refusal    Code  // why the caller is no known customer: anonymous, unknown_key, key_expired; else ""
	KeyExpires int64 // of the key that was used; Never without one
	// OutOfScope says which limit of the key leaves this request out: "address" or "repository";
	// else "". The policy is then asked as about nobody.
	OutOfScope string

	Repository bool // the index knows the repository
	Reference  bool // the index knows the tag or digest, as the kind that was asked for
	// Named says that a license of the caller, in any state, names the repository. Without one
	// the repository is as good as absent to the caller.
	Named bool
	Tags  int // of a tag list: how many tags could be listed

	// Asked is what the policy was asked: nothing when the request was answered before, once for
	// most kinds, once for each repository for KindCatalog, and for KindReferrers once more for
	// those referrers that have the same candidates. Where it came to no verdict about a resource that is not the customer's, it
	// was asked again, as about nobody.
	Asked []Reasoning
}

// Reasoning is what the policy considered for one verdict: the value of
// data.pullgate.explanation. For the repositories of KindCatalog, and for referrers, it has
// Repository, Digest, Subject and Verdict only, unless there is a Failure.
type Reasoning struct {
	Repository string
	Digest     string  // of a referrer, the first of those asked about together; else ""
	Subject    Subject // as whom the policy was asked
	Verdict    Verdict
	// Failure is why the policy came to no verdict, with values of the request; else "". The
	// Verdict then refuses with internal_error, and there is no Reported.
	Failure    string
	Candidates []Candidate // shared, not to be changed
	Kept       *Kept       // nil where there is a Failure: what fails is not kept

	Banned   bool
	Licenses int      // how many the customer has
	Unnamed  []string // licenses that do not name the resource, ascending
	// Grants are those that name the resource, in the order of reporting: what passes, then what
	// misses, the furthest first, then what does not count.
	Grants   []ConsideredGrant
	Reported *ReportedGrant // nil when the verdict names none
	Gone     []int          // indexes of candidates whose history is over
	Public   []PublicDocument
	Vendor   VendorReasoning
}

// ConsideredGrant is a grant with its license's clocks and how it fares. Exactly one of Passes,
// Misses and Inert is set.
type ConsideredGrant struct {
	License     string
	Grant       int    // its number in the license, from 0
	Type        string // perpetual, subscription, trial
	Zone        string // of the license's calendar
	Covers      string // the versions as written, or tags and patterns
	Channels    []string
	Held        []string // features
	Keep        bool
	Enforcement string
	Clocks      Clocks

	Passes Code   // the code with which it allows
	Misses *Miss  // the first check that leaves no candidate
	Inert  string // why it does not count: "replaced", "empty"
	// Outcomes are the candidates that fare alike, those that pass first, then those that came
	// furthest.
	Outcomes []GrantOutcome
}

// Clocks are the instants of a license (Unix seconds, Always, Never).
type Clocks struct {
	Starts, Ends, Updates, Grace, Terminates, Revoked, Replaced int64
	Suspended                                                   [2]int64 // [from, to)
}

// Miss is a check that fails. Checks are numbered as in docs/codes.md.
type Miss struct {
	Check int  `json:"check"`
	Code  Code `json:"code"`
}

// GrantOutcome is how candidates fare with a grant. Candidates is empty for a list, which has none,
// and where nothing reaches the resource.
type GrantOutcome struct {
	Candidates []int // indexes into Reasoning.Candidates, ascending
	Passes     Code  // "" when checks fail
	Failed     []FailedCheck
}

// FailedCheck is one check that a pair of a grant and a candidate fails.
type FailedCheck struct {
	Miss
	Why    string // with the values that were compared, about the first candidate
	Change string // what would make it pass
}

// ReportedGrant is the grant that a verdict names.
type ReportedGrant struct {
	License   string
	Grant     int
	Candidate int    // index of the candidate that it is about, -1 without one
	Because   string // why this one and no other
}

// PublicDocument is a Public document that names the repository.
type PublicDocument struct {
	ID         string
	Candidates []int // those that it opens
}

// VendorReasoning is what vendor rules contribute that is true now.
type VendorReasoning struct {
	Rules  []string // packages that were asked, without "vendor."
	Deny   []Warning
	Grant  []Code
	Warn   []Warning
	Header []Header
	// Boundary are the instants at which they may change, past ones too.
	Boundary []int64
	// Faults are rules that contribute nothing because they fail, or something of another shape
	// than their kind has. Where the verdict depends on one there is a Failure.
	Faults []RuleFault
}

// RuleFault is what is wrong with a vendor rule.
type RuleFault struct {
	Rule string // vendor.<package>.<kind>
	Why  string // with the values
}
