package bundle

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// CustomerRevocation is what is taken back from one customer: what the compiled document says after it
// is what the compiler would write after the edit of the sources.
type CustomerRevocation struct {
	Banned   bool
	Licenses map[string]LicenseRevocation // by id
}

// LicenseRevocation is that a license is revoked.
type LicenseRevocation struct {
	At           int64  // from then on, Unix seconds
	PublicReason string // what the customer is told; "" for nothing, or where nobody knows
}

// licenseClocks are those fields of a compiled license that are boundaries, but for a suspension.
var licenseClocks = []string{"starts", "ends", "updates", "grace", "terminates", "revoked", "replaced"}

// always is the instant before all others, as package authz has it.
const always int64 = -62135596800

// Apply makes the document of pullgate/customers/data.json that the compiler would make after the edit,
// of the one before. What the document does not have is not revoked.
func (r *CustomerRevocation) Apply(text []byte) ([]byte, error) {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var doc map[string]any
	if err := dec.Decode(&doc); err != nil {
		return nil, err
	}
	if r.Banned {
		doc["banned"] = true
	}
	licenses, _ := doc["licenses"].(map[string]any)
	for id, revoked := range r.Licenses {
		if l, ok := licenses[id].(map[string]any); ok {
			if err := revoked.apply(doc, id, l); err != nil {
				return nil, fmt.Errorf("license %s: %w", id, err)
			}
		}
	}
	delete(doc, "hash")
	plain, err := CanonicalJSON(doc)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(plain)
	doc["hash"] = hex.EncodeToString(sum[:])
	return CanonicalJSON(doc)
}

// apply makes a license of a customer's document revoked. It takes the place of a suspension; one that
// was revoked earlier stays as it is.
func (r LicenseRevocation) apply(doc map[string]any, id string, l map[string]any) error {
	old, err := instantOf(l["revoked"])
	if err != nil {
		return err
	}
	if old <= r.At {
		return nil
	}
	switch {
	case r.PublicReason != "":
		l["public_reason"] = r.PublicReason
	case old == Never: // else it is that of the revocation
		delete(l, "public_reason")
	}
	l["revoked"], l["suspended"] = r.At, []any{"never", "never"}
	bounds, err := licenseBoundaries(l)
	if err != nil {
		return err
	}
	for _, table := range []string{"products", "repositories"} {
		byName, _ := doc[table].(map[string]any)
		for _, grants := range byName {
			list, _ := grants.([]any)
			for _, grant := range list {
				g, _ := grant.(map[string]any)
				clocks, ok := g["clocks"].(map[string]any)
				if g["license"] != id || !ok {
					continue
				}
				clocks["revoked"], clocks["suspended"] = r.At, []any{"never", "never"}
				if g["empty"] != true {
					g["boundaries"] = bounds
				}
			}
		}
	}
	return nil
}

// licenseBoundaries are the instants at which a license may change an answer, ascending. Once it is
// replaced it has none.
func licenseBoundaries(l map[string]any) ([]int64, error) {
	replaced, err := instantOf(l["replaced"])
	if err != nil {
		return nil, err
	}
	bounds := []int64{}
	for _, name := range licenseClocks {
		at, err := instantOf(l[name])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if at != Never && at != always && at <= replaced {
			bounds = append(bounds, at)
		}
	}
	slices.Sort(bounds)
	return slices.Compact(bounds), nil
}

var errNoInstant = errors.New(`neither an integer nor "never"`)

// instantOf reads an instant of a document.
func instantOf(v any) (int64, error) {
	switch v := v.(type) {
	case int64:
		return v, nil
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n, nil
		}
	case string:
		if v == "never" {
			return Never, nil
		}
	}
	return 0, errNoInstant
}
