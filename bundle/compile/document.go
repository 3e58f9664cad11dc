package compile

import (
	"encoding/json"
	"strconv"

	"github.com/pullgate/pullgate/bundle/license"
)

// The compiled documents. Fields are declared in the order of their JSON names, because the
// bundle's JSON is canonical: keys sorted. A test holds that.

// instant is Unix seconds, or the string "never": greater than every number in Rego's order
// of values, so that comparisons and min need no test.
type instant int64

const never = instant(license.Never)

func (i instant) MarshalJSON() ([]byte, error) {
	if i == never {
		return []byte(`"never"`), nil
	}
	return strconv.AppendInt(nil, int64(i), 10), nil
}

// customerDoc is data.pullgate.customers[id].
type customerDoc struct {
	Banned       bool                   `json:"banned"`
	Hash         string                 `json:"hash,omitempty"` // SHA-256 of this document without it
	ID           string                 `json:"id"`
	Labels       map[string]any         `json:"labels"`
	Licenses     map[string]licenseDoc  `json:"licenses"`
	Name         string                 `json:"name"`
	Products     map[string][]*grantDoc `json:"products"`
	Repositories map[string][]*grantDoc `json:"repositories"`
}

// licenseDoc is one license of a customer.
type licenseDoc struct {
	Ends         instant        `json:"ends"`
	Enforcement  string         `json:"enforcement"`
	ExpiringFrom instant        `json:"expiring_from"`
	Features     map[string]any `json:"features"`
	Grace        instant        `json:"grace"`
	PublicReason string         `json:"public_reason,omitempty"`
	Replaced     instant        `json:"replaced"`
	Revoked      instant        `json:"revoked"`
	Starts       instant        `json:"starts"`
	Suspended    [2]instant     `json:"suspended"`
	Terminates   instant        `json:"terminates"`
	Type         license.Type   `json:"type"`
	Updates      instant        `json:"updates"`
	Zone         string         `json:"zone"` // IANA name of its calendar, for days in texts
}

// grantDoc is one grant with everything of its license that a decision needs, so that a
// decision reads only what names its resource.
type grantDoc struct {
	Boundaries  []int64              `json:"boundaries"`
	Channels    []string             `json:"channels,omitzero"`
	Clocks      clocksDoc            `json:"clocks"`
	Constraint  *string              `json:"constraint,omitempty"`
	Empty       bool                 `json:"empty"`
	Enforcement string               `json:"enforcement"`
	Grant       int                  `json:"grant"`
	Held        []string             `json:"held"`
	Keep        bool                 `json:"keep"`
	License     string               `json:"license"`
	Patterns    []string             `json:"patterns,omitzero"`
	Ranges      [][2]json.RawMessage `json:"ranges,omitzero"`
	Tags        map[string]bool      `json:"tags,omitzero"`
	Type        license.Type         `json:"type"`
}

// clocksDoc are the instants of a grant's license in one object, which the policy library
// takes apart with one pattern.
type clocksDoc struct {
	Ends       instant    `json:"ends"`
	Grace      instant    `json:"grace"`
	Replaced   instant    `json:"replaced"`
	Revoked    instant    `json:"revoked"`
	Starts     instant    `json:"starts"`
	Suspended  [2]instant `json:"suspended"`
	Terminates instant    `json:"terminates"`
	Updates    instant    `json:"updates"`
}

// keyDoc is data.pullgate.keys[hash].
type keyDoc struct {
	Addresses    []string `json:"addresses,omitzero"` // nil: from everywhere; empty: from nowhere
	Customer     string   `json:"customer"`
	Expires      instant  `json:"expires"`
	Key          string   `json:"key"`
	Repositories []string `json:"repositories,omitzero"` // patterns; nil: all; empty: none
}

// publicDoc is one Public document of data.pullgate.public[repository].
type publicDoc struct {
	ID       string          `json:"id"`
	Patterns []string        `json:"patterns"`
	Tags     map[string]bool `json:"tags"`
}

// registryDoc is data.pullgate.registries[id].
type registryDoc struct {
	Hosts    []string `json:"hosts"`
	Listed   bool     `json:"listed"`
	Upstream string   `json:"upstream"` // for credentials; customers never see it
}

// identitiesDoc is data.pullgate.identities.
type identitiesDoc struct {
	JWT  []jwtDoc  `json:"jwt"`
	MTLS []mtlsDoc `json:"mtls"`
}

type jwtDoc struct {
	Customer string `json:"customer"`
	Issuer   string `json:"issuer"`
	Subject  string `json:"subject"`
}

type mtlsDoc struct {
	Customer string `json:"customer"`
	SAN      string `json:"san"`
}
