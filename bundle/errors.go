package bundle

import (
	"errors"
	"fmt"
)

// Reasons to refuse a bundle that callers tell apart. What is wrong with its form is a *FormatError.
var (
	ErrUnsigned     = errors.New("bundle is not signed")
	ErrUnknownKey   = errors.New("bundle is signed with a key that is not configured")
	ErrBadSignature = errors.New("bundle signature is wrong")
	ErrRollback     = errors.New("bundle serial is lower than one seen before")
	ErrWrongName    = errors.New("bundle is for other customers")
	ErrTooLarge     = errors.New("bundle is too large")
	ErrNewer        = errors.New("bundle is of a newer pullgate")
)

// FormatError says what in a file is not as Write makes it.
type FormatError struct {
	Path    string // of the file in the bundle; "" when it is not about one
	Problem string
}

func (e *FormatError) Error() string {
	if e.Path == "" {
		return "bundle: " + e.Problem
	}
	return fmt.Sprintf("bundle: %s: %s", e.Path, e.Problem)
}

func formatError(path, format string, args ...any) error {
	return &FormatError{Path: path, Problem: fmt.Sprintf(format, args...)}
}
