package drive

import (
	"errors"
	"fmt"

	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
)

// rawCodec sends encoded CheckRequests and reads of a CheckResponse what a run counts.
type rawCodec struct{}

func (rawCodec) Name() string { return "proto" }

func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	data, ok := v.([]byte)
	if !ok {
		return nil, fmt.Errorf("%T is no encoded request", v)
	}
	return mem.BufferSlice{mem.SliceBuffer(data)}, nil
}

func (rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	a, ok := v.(*answer)
	if !ok {
		return fmt.Errorf("%T takes no answer", v)
	}
	return a.read(data.Materialize())
}

// answer is what became of a request.
type answer struct{ outcome string }

// The fields of CheckResponse, of its variants and of google.rpc.Status.
const (
	fieldStatus   = 1
	fieldDenied   = 2
	fieldOK       = 3
	fieldError    = 5
	fieldCode     = 1 // of the status, of a denied reply's status, an enum or an int32
	fieldHTTPCode = 1
)

var errTruncated = errors.New("not a CheckResponse")

// read says how Envoy takes the message: code 0 lets the request through, anything else does
// not; the reply without any status lets through as well, and is named for it.
func (a *answer) read(data []byte) error {
	code, http, has := uint64(0), uint64(0), false
	err := fields(data, func(n protowire.Number, value []byte, _ uint64) error {
		switch n {
		case fieldStatus:
			has = true
			return fields(value, func(n protowire.Number, _ []byte, v uint64) error {
				if n == fieldCode {
					code = v
				}
				return nil
			})
		case fieldDenied, fieldError:
			return fields(value, func(n protowire.Number, value []byte, _ uint64) error {
				if n != fieldHTTPCode {
					return nil
				}
				return fields(value, func(n protowire.Number, _ []byte, v uint64) error {
					if n == fieldCode {
						http = v
					}
					return nil
				})
			})
		}
		return nil
	})
	switch {
	case err != nil:
		return err
	case !has:
		a.outcome = "no status"
	case code == 0:
		a.outcome = "ok"
	case http == 0:
		a.outcome = "denied"
	default:
		a.outcome = fmt.Sprintf("denied %d", http)
	}
	return nil
}

// fields calls f for each field of a message, with its bytes or its number.
func fields(data []byte, f func(n protowire.Number, value []byte, number uint64) error) error {
	for len(data) > 0 {
		n, kind, size := protowire.ConsumeTag(data)
		if size < 0 {
			return errTruncated
		}
		data = data[size:]
		var value []byte
		var number uint64
		switch kind {
		case protowire.BytesType:
			value, size = protowire.ConsumeBytes(data)
		case protowire.VarintType:
			number, size = protowire.ConsumeVarint(data)
		default:
			size = protowire.ConsumeFieldValue(n, kind, data)
		}
		if size < 0 {
			return errTruncated
		}
		if err := f(n, value, number); err != nil {
			return err
		}
		data = data[size:]
	}
	return nil
}
