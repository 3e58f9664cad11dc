package main

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"

	"github.com/pullgate/pullgate/authz/engine"
	"github.com/pullgate/pullgate/bundle"
	"github.com/pullgate/pullgate/bundle/license"
)

// customerDocument is a customer's compiled document, cut into what a comparison needs of it.
type customerDocument struct {
	id                               string
	place                            int    // among the side's customers, -1 for nobody
	raw                              []byte // nil: there is no such customer
	banned                           []byte
	licenses, products, repositories []bundle.Member
	others                           []bundle.Member // members but these, and hash
}

func readCustomer(id string, place int, raw []byte) (*customerDocument, error) {
	d := &customerDocument{id: id, place: place, raw: raw}
	members, err := bundle.Members(raw)
	if err != nil {
		return nil, fmt.Errorf("customer %s: %w", id, err)
	}
	for _, m := range members {
		switch m.Name {
		case "banned":
			d.banned = m.Value
		case "licenses":
			d.licenses, err = bundle.Members(m.Value)
		case "products":
			d.products, err = bundle.Members(m.Value)
		case "repositories":
			d.repositories, err = bundle.Members(m.Value)
		case "hash":
		default:
			d.others = append(d.others, m)
		}
		if err != nil {
			return nil, fmt.Errorf("customer %s: %s: %w", id, m.Name, err)
		}
	}
	return d, nil
}

// bare is a document without its grants.
func (d *customerDocument) bare() *customerDocument {
	out := *d
	out.products, out.repositories = nil, nil
	return &out
}

// memberOf is the value of a member, nil when there is none.
func memberOf(members []bundle.Member, name string) []byte {
	i, ok := slices.BinarySearchFunc(members, name, func(m bundle.Member, name string) int { return cmp.Compare(m.Name, name) })
	if !ok {
		return nil
	}
	return members[i].Value
}

// A portion is what of a customer's document decides about one repository, with ids of licenses
// and instants taken out: customers whose portions are alike get answers that are alike
// (engine.Alike).
type portion struct {
	shape    uint64   // stands for the rest, with the places of ids and instants
	licenses []string // ascending
	instants []int64  // ascending
	// over says which of these count for nothing but that they are over, whatever is asked about.
	over    []bool
	reaches []reach // of the grants, where they are taken out, too
}

// noPortion is the portion of who has none.
var noPortion = &portion{}

// cutter makes portions. It keeps room between uses and belongs to one goroutine.
type cutter struct {
	alike   engine.Alike
	at      int64                       // the clock
	own     bool                        // what grants reach is taken out
	shapes  *memoized[[32]byte, uint64] // those of all cutters
	number  func() uint64               // a new one each time
	text    []byte
	ids     []string // as they occur
	moments []int64
	limits  []int64 // of moments, those that versions are dated by
	reaches []reach
}

// Members of grants and licenses that hold instants.
var instantFields = map[string]bool{
	"starts": true, "ends": true, "updates": true, "grace": true, "terminates": true, "revoked": true, "suspended": true, "replaced": true, "expiring_from": true,
}

// portion is what decides about a repository of a product ("" for none).
func (c *cutter) portion(d *customerDocument, product, repository string) (*portion, error) {
	c.text, c.ids, c.moments, c.limits, c.reaches = c.text[:0], c.ids[:0], c.moments[:0], c.limits[:0], c.reaches[:0]
	c.bytes(d.banned)
	c.bytes([]byte(strconv.FormatBool(len(d.licenses) > 0)))
	for _, name := range c.alike.Fields {
		c.bytes(memberOf(d.others, name))
	}
	var ofProduct []byte
	if product != "" {
		ofProduct = memberOf(d.products, product)
	}
	for _, grants := range [][]byte{ofProduct, memberOf(d.repositories, repository)} {
		if err := c.grants(grants); err != nil {
			return nil, fmt.Errorf("customer %s: grants: %w", d.id, err)
		}
	}
	out := &portion{licenses: slices.Compact(slices.Sorted(slices.Values(c.ids)))}
	for _, id := range out.licenses {
		if err := c.license(memberOf(d.licenses, id)); err != nil {
			return nil, fmt.Errorf("customer %s: license %s: %w", d.id, id, err)
		}
	}
	out.instants = slices.Compact(slices.Sorted(slices.Values(c.moments)))
	for _, id := range c.ids {
		i, _ := slices.BinarySearch(out.licenses, id)
		c.text = binary.AppendUvarint(c.text, uint64(i))
	}
	for _, at := range c.moments {
		i, _ := slices.BinarySearch(out.instants, at)
		c.text = binary.AppendUvarint(c.text, uint64(i))
	}
	out.over = make([]bool, len(out.instants))
	for i, at := range out.instants {
		out.over[i] = c.own && at < c.at && !slices.Contains(c.limits, at)
	}
	out.reaches = slices.Clone(c.reaches)
	sum, ok := sha256.Sum256(c.text), false
	if out.shape, ok = c.shapes.get(sum); !ok {
		out.shape = c.shapes.put(sum, c.number())
	}
	return out, nil
}

// bytes adds a text so that no two lists of texts run into each other.
func (c *cutter) bytes(b []byte) {
	c.text = binary.AppendUvarint(c.text, uint64(len(b)))
	c.text = append(c.text, b...)
}

// grants adds a list of grants; nil is an empty one.
func (c *cutter) grants(list []byte) error {
	var grants [][]byte
	if list != nil {
		var err error
		if grants, err = bundle.Elements(list); err != nil {
			return err
		}
	}
	c.text = binary.AppendUvarint(c.text, uint64(len(grants)))
	for _, g := range grants {
		members, err := bundle.Members(g)
		if err != nil {
			return err
		}
		c.text = binary.AppendUvarint(c.text, uint64(len(members)))
		for _, m := range members {
			c.bytes([]byte(m.Name))
			switch {
			case m.Name == "license" && len(m.Value) > 2 && m.Value[0] == '"' && bytes.IndexByte(m.Value, '\\') < 0:
				c.text = append(c.text, 'l')
				c.ids = append(c.ids, string(m.Value[1:len(m.Value)-1]))
			case c.own && (m.Name == "ranges" || m.Name == "tags" || m.Name == "patterns"):
				c.reaches = append(c.reaches, reach{m.Name, string(m.Value)})
			case c.own && m.Name == "constraint": // is in messages
			case m.Name == "boundaries":
				err = c.instants(m.Value)
			case m.Name == "clocks":
				var clocks []bundle.Member
				clocks, err = bundle.Members(m.Value)
				c.text = binary.AppendUvarint(c.text, uint64(len(clocks)))
				for _, clock := range clocks {
					c.bytes([]byte(clock.Name))
					n := len(c.moments)
					err = cmp.Or(err, c.instants(clock.Value))
					if clock.Name == "ends" || clock.Name == "updates" {
						c.limits = append(c.limits, c.moments[n:]...)
					}
				}
			default:
				c.text = append(c.text, 'w')
				c.bytes(m.Value)
			}
			if err != nil {
				return fmt.Errorf("%s: %w", m.Name, err)
			}
		}
	}
	return nil
}

// license adds what counts of a license.
func (c *cutter) license(doc []byte) error {
	if doc == nil {
		c.bytes(nil)
		return nil
	}
	members, err := bundle.Members(doc)
	if err != nil {
		return err
	}
	c.bytes([]byte("license"))
	for _, name := range c.alike.LicenseFields {
		value := memberOf(members, name)
		if !instantFields[name] || value == nil {
			c.bytes(value)
		} else if err := c.instants(value); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// instants adds an instant or a list of them.
func (c *cutter) instants(value []byte) error {
	list := [][]byte{value}
	if value[0] == '[' {
		var err error
		if list, err = bundle.Elements(value); err != nil {
			return err
		}
	}
	c.text = binary.AppendUvarint(c.text, uint64(len(list)))
	for _, v := range list {
		// What is no number of seconds stays as it is written, and so does the beginning of time.
		if at, err := strconv.ParseInt(string(v), 10, 64); err == nil && c.alike.Order && at != license.Always {
			c.text = append(c.text, 'i')
			c.moments = append(c.moments, at)
		} else {
			c.text = append(c.text, 'w')
			c.bytes(v)
		}
	}
	return nil
}

// key says which portions get the same answers about what has these instants (ascending), as far
// as reaches do not count.
func (p *portion) key(instants []int64) []byte {
	h := binary.AppendUvarint(make([]byte, 0, 64), p.shape)
	for n, at := range p.instants {
		if p.over[n] {
			h = append(h, 0) // as before all instants
			continue
		}
		i, equal := slices.BinarySearch(instants, at)
		i *= 2
		if equal {
			i++
		}
		h = binary.AppendUvarint(h, uint64(i))
	}
	return h
}
