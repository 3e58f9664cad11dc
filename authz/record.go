package authz

import "time"

// Record is one audited decision (docs/records.md). The JSON names are API. It holds no secret:
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

// record hands a decision to the Recorder. A Recorder that panics loses the record, not the
// answer.
func (g *Gate) record(r *Request, d *Decision) {
	if g.cfg.Recorder == nil {
		return
	}
	defer func() {
		if p := recover(); p != nil {
			g.cfg.Logger.Error("panic while recording", "id", d.ID, "panic", p)
		}
	}()
	g.cfg.Recorder.Record(recordOf(g.cfg.Instance, r, d))
}

// recordOf says a decision as a record.
func recordOf(instance string, r *Request, d *Decision) *Record {
	// One allocation for both: the record points to its own instant.
	rec := &struct {
		Record
		until time.Time
	}{}
	rec.Record = Record{
		ID: d.ID, Time: d.Time, Instance: instance, Revision: d.Revision,
		Subject:    RecordSubject(d.Subject),
		Request:    RecordRequest{Method: r.Method, Host: r.Host, Path: r.Path, Via: r.Via},
		Action:     r.Kind.Action(),
		Repository: d.Resource.Repository, Reference: referenceOf(r),
		Product: d.Resource.Product, Version: d.Resource.Version,
		Verdict: "deny", Code: d.Code, PolicyCode: d.PolicyCode,
		License: d.Verdict.License, Grant: d.Verdict.Grant, Enforcement: d.Verdict.Enforcement,
		Cached: d.Cached, DurationUS: d.Duration.Microseconds(), Status: d.Status,
		Pinned: d.Pinned, Detail: d.Detail,
	}
	if d.Outcome == OutcomeAllow || d.Outcome == OutcomeAnswer {
		rec.Verdict = "allow"
	}
	if r.Address.IsValid() {
		rec.Request.Address = r.Address.String()
	}
	if d.Verdict.Until != Never {
		rec.until = time.Unix(d.Verdict.Until, 0).UTC()
		rec.Until = &rec.until
	}
	return &rec.Record
}

// referenceOf is what was asked for, in the words of the request.
func referenceOf(r *Request) string {
	switch {
	case r.Kind == KindVersion:
		return r.Product + "@" + r.Version
	case r.Tag != "":
		return r.Tag
	default:
		return r.Digest
	}
}
