package license

// State is what a license is good for at an instant, whatever is asked for.
type State string

// The states of a license, in order of the checks (docs/codes.md): the first that is true.
const (
	StateBanned     State = "customer_banned"
	StateReplaced   State = "replaced"
	StateRevoked    State = "revoked"
	StateSuspended  State = "suspended"
	StateNotStarted State = "not_started"
	StateTerminated State = "terminated"
	StateRunning    State = "running"
	StateGrace      State = "grace"
	StateKept       State = "kept_versions"
	StateEnded      State = "ended"
)

// over reports whether nothing about the license counts any more.
func (s State) over() bool {
	switch s {
	case StateBanned, StateReplaced, StateRevoked, StateTerminated, StateEnded:
		return true
	}
	return false
}

// Code is the code of decisions that the license alone leads to, or "" for a replaced one,
// which is as if it were not there.
func (tl *Timeline) Code() string {
	switch tl.State {
	case StateRunning:
		return "ok"
	case StateKept:
		return "kept_version"
	case StateEnded:
		if tl.License.Type == Trial {
			return "trial_ended"
		}
		return "expired"
	case StateReplaced:
		return ""
	}
	return string(tl.State)
}

// Check is one of the checks of a decision that asks only about the license and the time.
type Check struct {
	Number int // in the order of checks
	Name   string
	Pass   bool
}

// checks lists all of them; a decision stops at the first that fails. Number 9 is left out: it
// asks about the version (CoversBefore).
func (tl *Timeline) checks() []Check {
	l, s, at := tl.License, &tl.Schedule, tl.At
	covered := at < s.Ends || l.Type != Trial && (at < s.Grace || l.KeepVersions)
	return []Check{
		{2, "customer_not_banned", !tl.Customer.Banned},
		{3, "not_replaced", at < l.ReplacedAt},
		{4, "not_revoked", !l.revoked(at)},
		{5, "not_suspended", !l.suspended(at)},
		{6, "started", s.Starts <= at},
		{7, "not_terminated", at < s.Terminates},
		{12, "term_grace_or_kept_versions", covered},
	}
}

func (l *License) revoked(at int64) bool { return l.Revoked != nil && l.Revoked.At <= at }

func (l *License) suspended(at int64) bool {
	return l.Suspended != nil && l.Suspended.At <= at && at < l.Suspended.Until
}

// standing is the state at an instant under a bundle that was issued then, and before when a
// version must be dated to be covered.
func (tl *Timeline) standing(at int64) (State, int64) {
	l := tl.License
	s := l.Schedule(at)
	switch {
	case tl.Customer.Banned:
		return StateBanned, Always
	case at >= l.ReplacedAt:
		return StateReplaced, Always
	case l.revoked(at):
		return StateRevoked, Always
	case l.suspended(at):
		return StateSuspended, Always
	case at < s.Starts:
		return StateNotStarted, Always
	case at >= s.Terminates:
		return StateTerminated, Always
	case at < s.Ends:
		return StateRunning, s.Updates
	case l.Type != Trial && at < s.Grace:
		return StateGrace, min(s.Ends, s.Updates)
	case l.Type != Trial && l.KeepVersions:
		return StateKept, min(s.Ends, s.Updates)
	}
	return StateEnded, Always
}
