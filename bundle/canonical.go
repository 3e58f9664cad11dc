package bundle

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// CanonicalJSON encodes v as bundles need it: exactly as Go's encoding/json writes maps (keys
// sorted, no white space), HTML escaping off, no final newline. The fields of structs are sorted
// too, and strings that are not UTF-8 get U+FFFD. Numbers stay as they are written. Because of
// this form, OPA's hash of the JSON is the SHA-256 of its bytes.
func CanonicalJSON(v any) ([]byte, error) {
	data, err := marshal(v)
	if err != nil {
		return nil, err
	}
	if CheckCanonical(data) == nil {
		return data, nil
	}
	var tree any
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if err := d.Decode(&tree); err != nil {
		return nil, err
	}
	if data, err = marshal(tree); err != nil {
		return nil, err
	}
	if err := CheckCanonical(data); err != nil {
		return nil, err
	}
	return data, nil
}

func marshal(v any) ([]byte, error) {
	var buf bytes.Buffer
	e := json.NewEncoder(&buf)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}

// CheckCanonical says whether data is what CanonicalJSON makes of its value. The error names the
// offset of the first byte that is not.
func CheckCanonical(data []byte) error {
	var tree any
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if err := d.Decode(&tree); err != nil {
		return err
	}
	again, err := marshal(tree)
	if err != nil {
		return err
	}
	if !bytes.Equal(again, data) {
		return fmt.Errorf("not canonical JSON")
	}
	return nil
}
