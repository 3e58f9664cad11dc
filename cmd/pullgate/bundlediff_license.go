package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/pullgate/pullgate/authz"
	"github.com/pullgate/pullgate/bundle"
	"github.com/pullgate/pullgate/bundle/license"
)

// documentChanges are the differences of a customer's documents: of the customer's own fields, and
// of licenses. There are none of a customer who comes or goes.
func documentChanges(before, after *customerDocument) (out []factChange, err error) {
	if before.raw == nil || after.raw == nil {
		return nil, nil
	}
	if !bytes.Equal(before.banned, after.banned) {
		is := bytes.Equal(after.banned, []byte("true"))
		out = append(out, factChange{Field: "banned", Before: rawText(before.banned), After: rawText(after.banned), loses: is, gains: !is})
	}
	out = append(out, fieldChanges(before.others, after.others)...)
	for i := range out {
		out[i].Kind, out[i].ID, out[i].Change = "customer", before.id, "changed"
	}
	grants, err := grantChanges(before, after)
	if err != nil {
		return nil, fmt.Errorf("customer %s: %w", before.id, err)
	}
	for _, id := range namesOfMembers(before.licenses, after.licenses) {
		b, a := memberOf(before.licenses, id), memberOf(after.licenses, id)
		if b == nil || a == nil {
			out = append(out, factChange{Kind: "license", ID: id, Change: changeOf(b != nil, a != nil)})
			continue
		}
		var changes []factChange
		if !bytes.Equal(b, a) {
			if changes, err = licenseChanges(b, a); err != nil {
				return nil, fmt.Errorf("customer %s: license %s: %w", before.id, id, err)
			}
		}
		if g, ok := grants[id]; ok {
			changes = append(changes, g)
		}
		for _, f := range changes {
			f.Kind, f.ID, f.Change = "license", id, "changed"
			out = append(out, f)
		}
	}
	return out, nil
}

func namesOfMembers(lists ...[]bundle.Member) (names []string) {
	for _, list := range lists {
		for _, m := range list {
			names = append(names, m.Name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// fieldChanges compares members as they are written.
func fieldChanges(before, after []bundle.Member) (out []factChange) {
	for _, name := range namesOfMembers(before, after) {
		b, a := memberOf(before, name), memberOf(after, name)
		switch {
		case bytes.Equal(b, a):
		case instantFields[name]:
			out = append(out, factChange{Field: name, Before: instantsText(b), After: instantsText(a)})
		default:
			out = append(out, factChange{Field: name, Before: rawText(b), After: rawText(a)})
		}
	}
	return out
}

// rawText is a JSON value for people: a text without its quotes.
func rawText(value []byte) *string {
	if value == nil {
		return nil
	}
	var text string
	if json.Unmarshal(value, &text) != nil {
		text = string(value)
	}
	return &text
}

// licenseChanges compares two documents of a license. What only follows the end is not told.
func licenseChanges(before, after []byte) ([]factChange, error) {
	b, err := bundle.Members(before)
	if err != nil {
		return nil, err
	}
	a, err := bundle.Members(after)
	if err != nil {
		return nil, err
	}
	follows := func(field string) bool {
		return field == "expiring_from" || (field == "grace" || field == "updates") &&
			bytes.Equal(memberOf(b, field), memberOf(b, "ends")) && bytes.Equal(memberOf(a, field), memberOf(a, "ends"))
	}
	out := slices.DeleteFunc(fieldChanges(b, a), func(f factChange) bool { return follows(f.Field) })
	for i := range out {
		f := &out[i]
		was, is := memberOf(b, f.Field), memberOf(a, f.Field)
		switch f.Field {
		case "ends", "updates", "grace", "terminates", "revoked", "replaced":
			f.sooner = secondsOf(is) < secondsOf(was)
		case "starts":
			f.sooner = secondsOf(was) < secondsOf(is)
		case "suspended":
			f.sooner = !bytes.HasPrefix(is, []byte(`["never"`))
		}
	}
	return out, nil
}

// grantChanges says by license which grants came and went, as texts. Which tags that gives or takes
// is told by the tags.
func grantChanges(before, after *customerDocument) (map[string]factChange, error) {
	b, err := grantTexts(before, after)
	if err != nil {
		return nil, err
	}
	a, err := grantTexts(after, before)
	if err != nil {
		return nil, err
	}
	out := map[string]factChange{}
	only := func(texts, without map[[2]string]bool, put func(*factChange, *string)) {
		byLicense := map[string][]string{}
		for _, g := range sortedPairs(texts) {
			if !without[g] {
				byLicense[g[0]] = append(byLicense[g[0]], g[1])
			}
		}
		for id, list := range byLicense {
			f, text := out[id], strings.Join(list, "; ")
			f.Field = "grants"
			put(&f, &text)
			out[id] = f
		}
	}
	only(b, a, func(f *factChange, text *string) { f.Before = text })
	only(a, b, func(f *factChange, text *string) { f.After = text })
	return out, nil
}

// grantTexts are the grants of a document that are not written the same in another one, each with
// its license.
func grantTexts(d, other *customerDocument) (map[[2]string]bool, error) {
	texts := map[[2]string]bool{}
	for _, table := range [][2][]bundle.Member{{d.products, other.products}, {d.repositories, other.repositories}} {
		for _, m := range table[0] {
			if bytes.Equal(m.Value, memberOf(table[1], m.Name)) {
				continue
			}
			var grants []struct {
				License, Constraint string
				Channels, Patterns  []string
				Tags                map[string]bool
			}
			if err := json.Unmarshal(m.Value, &grants); err != nil {
				return nil, fmt.Errorf("grants of %s: %w", m.Name, err)
			}
			for _, g := range grants {
				text := fmt.Sprintf("%s %s %v", m.Name, g.Constraint, g.Channels)
				if g.Tags != nil {
					tags := slices.Sorted(slices.Values(append(slices.Collect(maps.Keys(g.Tags)), g.Patterns...)))
					text = fmt.Sprintf("%s tags %s", m.Name, shortList(tags, 20))
				}
				texts[[2]string{g.License, text}] = true
			}
		}
	}
	return texts, nil
}

// instantsText says an instant or a span, as JSON has them, for people.
func instantsText(value []byte) *string {
	if value == nil {
		return nil
	}
	text := instantText(secondsOf(value))
	if secondsOf(value) == license.Always {
		text = "always"
	}
	if span, err := bundle.Elements(value); err == nil && len(span) == 2 {
		if text = *instantsText(span[0]); text != "never" {
			text += " to " + *instantsText(span[1])
		}
	}
	return &text
}

// secondsOf reads an instant as JSON has it.
func secondsOf(value []byte) int64 {
	at, err := strconv.ParseInt(string(value), 10, 64)
	if err != nil {
		return authz.Never
	}
	return at
}
