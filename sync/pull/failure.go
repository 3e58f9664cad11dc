package pull

import (
	"context"
	"errors"
	"net"
	"net/url"
	"strings"

	"github.com/pullgate/pullgate/bundle"
)

// Reason classes why a publisher's answer was not taken. Reasons are values of the metric's label.
type Reason string

const (
	Unreachable  Reason = "unreachable"   // no answer, or it broke off
	Slow         Reason = "slow"          // no answer in time, or a body that trickles
	Failing      Reason = "failing"       // 429, 5xx and other statuses
	Unauthorized Reason = "unauthorized"  // 401, 403
	NotFound     Reason = "not_found"     // 404, 410, no such file
	Redirected   Reason = "redirected"    // to another origin
	Unprepared   Reason = "unprepared"    // the sidecar's own token, certificate or CA cannot be read
	Garbage      Reason = "garbage"       // no bundle: a page of a proxy, a cut or altered file
	TooLarge     Reason = "too_large"     // more bytes than are taken
	Unsigned     Reason = "unsigned"      // no signature
	UnknownKey   Reason = "unknown_key"   // signed with a key that is not configured
	BadSignature Reason = "bad_signature" // the signature is wrong
	WrongName    Reason = "wrong_name"    // for other customers
	Rollback     Reason = "rollback"      // a serial lower than one seen
	Changed      Reason = "changed"       // the serial that was seen last, with other bytes
	Future       Reason = "future"        // issued ahead of the clock
	Expired      Reason = "expired"       // past its not_after
	Refused      Reason = "refused"       // it could not be made active
	Newer        Reason = "newer"         // in a format that only newer programs read
)

var reasons = []Reason{
	Unreachable, Slow, Failing, Unauthorized, NotFound, Redirected, Unprepared, Garbage, TooLarge, Unsigned,
	UnknownKey, BadSignature, WrongName, Rollback, Changed, Future, Expired, Refused, Newer,
}

// Failure says what went wrong with a publisher, or with the bundle on disk, and what to do. Its text
// holds no secret, and of what a publisher wrote at most names of files, printable.
type Failure struct {
	Reason Reason
	Source string // URL or path, as configured
	Err    error
}

// Error is one line.
func (f *Failure) Error() string { return f.Source + ": " + line(f.Err) + "; " + f.Remedy() }

func (f *Failure) Unwrap() error { return f.Err }

// passing reports whether this happens to every publisher now and then: while it is restarted, or
// the network is.
func (f *Failure) passing() bool {
	return f.Reason == Unreachable || f.Reason == Slow || f.Reason == Failing
}

// Remedy is what an operator can do about it.
func (f *Failure) Remedy() string {
	switch f.Reason {
	case Slow:
		return "look at the publisher's load and the network; it is asked again"
	case Failing:
		return "look at the publisher's own log; it is asked again"
	case Unauthorized:
		return "check the token or the client certificate, and what the publisher lets them have"
	case NotFound:
		return "check the URL, the bundle's name in it, and that the publisher has published it"
	case Redirected:
		return "name the address that serves the bundle itself in bundle_url; no other origin is asked"
	case Unprepared:
		return "mend the file; it is read again with each request"
	case Garbage:
		return "check that the URL serves a bundle, and nothing in between answers for it"
	case TooLarge:
		return "check what the URL serves; bundle_max_bytes is the limit"
	case Unsigned, UnknownKey, BadSignature:
		return "check bundle_key_file against the publisher's key, and who else may answer at this address"
	case WrongName:
		return "check bundle_name and the bundle's name in the URL"
	case Rollback:
		return "the publisher was set back: let it publish again with a higher serial (it goes by the time and what it published last)"
	case Changed:
		return "two publishers use the same serial, or one lost its state: let one publish again, with a higher serial"
	case Future:
		return "set the clock of this machine, or of the publisher"
	case Expired:
		return "let the publisher issue a new one, or, if this machine's clock is ahead, set it"
	case Refused:
		return "it may be of a newer pullgate: then update this one; the log says why"
	case Newer:
		return "until it is updated, or the publisher set back, no edit and no revocation counts here"
	}
	return "check the address, the network and the certificate; it is asked again"
}

// failed makes a *Failure of an error of a request or of bundle.Read.
func failed(source string, err error) *Failure {
	if f, ok := errors.AsType[*Failure](err); ok {
		return f
	}
	f := &Failure{Reason: Unreachable, Source: source, Err: err}
	var form *bundle.FormatError
	for _, known := range []struct {
		err    error
		reason Reason
	}{
		{errSlow, Slow},
		{errRedirect, Redirected},
		{errUnprepared, Unprepared},
		{bundle.ErrTooLarge, TooLarge},
		{bundle.ErrUnsigned, Unsigned},
		{bundle.ErrUnknownKey, UnknownKey},
		{bundle.ErrBadSignature, BadSignature},
		{bundle.ErrWrongName, WrongName},
		{bundle.ErrRollback, Rollback},
		{errChanged, Changed},
		{errFuture, Future},
		{errExpired, Expired},
		{errRefused, Refused},
		{bundle.ErrNewer, Newer},
	} {
		if errors.Is(err, known.err) {
			f.Reason = known.reason
			return f
		}
	}
	switch {
	case errors.As(err, &form):
		f.Reason = Garbage
	case refusesCertificate(err):
		f.Reason = Unauthorized
	}
	return f
}

// refusesCertificate reports whether a publisher has ended the connection because of the client
// certificate, or for want of one, as TLS alerts say it (RFC 8446, section 6.2).
func refusesCertificate(err error) bool {
	remote, ok := errors.AsType[*net.OpError](err)
	if !ok || remote.Op != "remote error" { // package crypto/tls
		return false
	}
	text := remote.Err.Error()
	return strings.Contains(text, "certificate") || strings.Contains(text, "access denied")
}

var (
	errSlow       = errors.New("too slow")
	errRedirect   = errors.New("redirects")
	errUnprepared = errors.New("not ready to ask")
	errChanged    = errors.New("the same serial as one seen before, with other bytes")
	errFuture     = errors.New("issued in the future")
	errExpired    = errors.New("past its not_after")
	errRefused    = errors.New("not made active")
)

// line is an error as one line without the URL that the HTTP client quotes: it stands before it.
func line(err error) string {
	if ue, ok := errors.AsType[*url.Error](err); ok && !errors.Is(err, context.Canceled) {
		err = ue.Err
	}
	text, _, _ := strings.Cut(err.Error(), "\n")
	if len(text) > 300 {
		text = text[:300] + "…"
	}
	return strings.ToValidUTF8(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, text), "?")
}
