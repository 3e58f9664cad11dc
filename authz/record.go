package authz

import "time"

// Record is one audited decision (design §11). The JSON names are API. It holds no secret:
// there is no field to put one in.
type Record struct {
	ID         string        `json:"id"` // UUIDv7
	Time       time.Time     `json:"time"`
	Instance   string        `json:"instance"`
	Revision   string        `json:"revision"`
	Subject    RecordSubject `json:"subject"`
	Request    RecordRequest `json:"request"`
	Action     string        `json:"action"`
	Repository string        `json:"repository"`
	Reference  string        `json:"reference"` // tag or digest as asked, or product@version
	Product    string        `json:"product"`
	Version    string        `json:"version"`
	Verdict    string        `json:"verdict"` // allow or deny
	Code       Code          `json:"code"`
	PolicyCode Code          `json:"policy_code"`
	License    string        `json:"license"`
	Grant      string        `json:"grant"`
	Until      *time.Time    `json:"until"` // null: nothing will change the answer
	// Enforcement is "warn" or "observe" when it let a denial through.
	Enforcement string `json:"enforcement"`
	Cached      string `json:"cached"` // none, l1, l2
	DurationUS  int64  `json:"duration_us"`
	Status      int    `json:"status"`
	Pinned      string `json:"pinned,omitempty"`
	Detail      string `json:"detail,omitempty"` // the cause of an internal_error; names rules, never values
}

// RecordSubject is who asked.
type RecordSubject struct {
	Customer string `json:"customer"`
	Key      string `json:"key"`
	Via      string `json:"via"`
}

// RecordRequest is what was asked, as received.
type RecordRequest struct {
	Method  string `json:"method"`
	Host    string `json:"host"`
	Path    string `json:"path"`
	Address string `json:"address"`
	Via     string `json:"via"`
}

// Recorder takes records. Record must not block on I/O and must not fail a request; what
// it cannot keep it counts.
type Recorder interface {
	Record(*Record)
}
