package authz

import (
	"math"
	"time"
)

// Outcome is what a transport does with a request. The zero Outcome is an error: a
// Decision nobody filled in refuses with 503.
type Outcome uint8

const (
	OutcomeError  Outcome = iota // pullgate failed or is not ready: 503, never let through
	OutcomeDeny                  // refused: Status is 4xx
	OutcomeAllow                 // hand the request to the registry
	OutcomeAnswer                // pullgate answers itself with 200: ping, lists and tokens
)

// Instants in decisions and bundles are Unix seconds. Never stands for an instant that
// does not come (the string "never" in a bundle), Always for one before all others.
const (
	Never  int64 = math.MaxInt64
	Always int64 = -62135596800 // 0001-01-01T00:00:00Z
)

// Warning is something the customer is told although the request is allowed.
type Warning struct {
	Code    string `json:"code"` // expiring_soon, grace, kept_version, enforcement, or a vendor code
	Message string `json:"message"`
}

// Header is a header that a vendor rule adds. Without a value it is one that a rule may set
// and did not: the client's own is removed.
type Header struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	To    string `json:"to"` // "upstream" or "client"
}

// Verdict is what the policy said: the value of data.pullgate.decision. The zero Verdict
// denies without a code and is turned into internal_error by the Gate.
type Verdict struct {
	Allow   bool
	Code    Code
	License string // the reported license, or ""
	Grant   string // "LICENSE/N": the reported grant, counted from 0 in its file, or ""
	Message string // one ASCII line for the customer: what, why, what next; "" when allowed
	Until   int64  // earliest instant at which the answer may change; Never when there is none
	Ends    int64  // use end of the reported license, Never when it has none
	// ExpiringFrom is from when the warning expiring_soon is told, Never when it will not be.
	ExpiringFrom int64
	Warnings     []Warning
	Headers      []Header
	// Enforcement is that of the reported license when it let a denial through: "warn" or "observe", else "".
	Enforcement string
}

// Decision is one answer, complete: everything a reply and a record need. It is made by
// Gate.Decide and immutable afterwards. The zero Decision is an error.
type Decision struct {
	ID      string    // UUIDv7
	Time    time.Time // the clock the decision was made by
	Outcome Outcome
	Status  int  // HTTP status of the reply; that of OutcomeAllow is 200
	Code    Code // what the customer is told, as recorded
	// PolicyCode is the policy's own code where Code hides it (a 404), else equal to Code, or
	// "" when the policy was not asked.
	PolicyCode Code

	// Verdict is the policy's. When the policy was not asked it is zero but for Until and Ends,
	// which are Never. Its Message explains PolicyCode: it is for the customer only while Code
	// says the same. Its Until is already cut at the key's expiry and the bundle's deadline.
	Verdict  Verdict
	Subject  Subject
	Resource Resource
	Revision string // of the bundle that decided; "" without one

	// Candidates are what the policy judged the resource by; shared, not to be changed. Lists
	// have none.
	Candidates []Candidate

	// Pinned is the digest that a manifest request by tag is rewritten to: what the tag names
	// in the index. "" when nothing is rewritten.
	Pinned string
	// Names is the whole filtered list, sorted bytewise, for OutcomeAnswer of KindTags and
	// KindCatalog; never nil there. Paging is left to package reply.
	Names []string
	// Referrers is the filtered list for OutcomeAnswer of KindReferrers; never nil there.
	Referrers []Descriptor

	Cached   string        // none, l1, l2
	Duration time.Duration // of Gate.Decide, without recording
	// Detail is the internal cause of an OutcomeError for logs. It never reaches a client.
	Detail string
}

// Resource is what a request is about, as the index resolved it.
type Resource struct {
	Registry   string // id; "" for an unknown host
	Repository string
	Product    string // "" when the repository's tags are not versions of a product
	Tag        string
	Digest     string // what was asked, or what the tag names; "" when unknown
	Version    string // of a version tag, or of the only version that reaches the digest; for records
}

// Descriptor describes a referrer (OCI image-spec descriptor).
type Descriptor struct {
	MediaType    string            `json:"mediaType"`
	Digest       string            `json:"digest"`
	Size         int64             `json:"size"`
	ArtifactType string            `json:"artifactType,omitempty"`
	Annotations  map[string]string `json:"annotations,omitempty"`
}
