package main

import (
	"io"
	"time"

	"github.com/pullgate/pullgate/bundle"
)

// The lines of -o json (docs/bundle-diff.md).

// customerLine is a customer who is not as before, or what anyone may pull.
type customerLine struct {
	Kind         string           `json:"kind"` // customer or anyone
	Customer     string           `json:"customer,omitempty"`
	Change       string           `json:"change"` // added, removed or changed
	Repositories []repositoryLine `json:"repositories"`
	Facts        []factChange     `json:"facts"`
}

type repositoryLine struct {
	Registry   string    `json:"registry"`
	Repository string    `json:"repository"`
	Product    string    `json:"product,omitempty"`
	Lost       []tagLine `json:"lost"`
	Gained     []tagLine `json:"gained"`
	Changed    []tagLine `json:"changed"`
}

type tagLine struct {
	Tag     string      `json:"tag"`
	Version string      `json:"version,omitempty"`
	Before  *answerLine `json:"before,omitempty"`
	After   *answerLine `json:"after,omitempty"`
}

type answerLine struct {
	Allow       bool    `json:"allow"`
	Code        string  `json:"code"`
	License     string  `json:"license,omitempty"`
	Enforcement string  `json:"enforcement,omitempty"`
	Until       *string `json:"until"`
}

func lineOf(a tagAnswer) *answerLine {
	return &answerLine{Allow: a.Allow, Code: string(a.Code), License: a.License, Enforcement: a.Enforcement, Until: instant(a.Until)}
}

// line spells a change out.
func (c *customerChange) line() *customerLine {
	out := &customerLine{
		Kind: "customer", Customer: c.id(), Change: changeOf(c.before.raw != nil, c.after.raw != nil),
		Repositories: []repositoryLine{}, Facts: append([]factChange{}, c.facts...),
	}
	if c.before.place < 0 && c.after.place < 0 {
		out.Kind = "anyone"
	}
	for i := range c.repositories {
		out.Repositories = append(out.Repositories, c.repositories[i].line())
	}
	return out
}

func (r *repositoryChange) line() repositoryLine {
	line := repositoryLine{Registry: r.registry, Repository: r.name, Product: r.product(), Lost: []tagLine{}, Gained: []tagLine{}, Changed: []tagLine{}}
	for _, l := range r.delta.lost {
		var after *answerLine
		if l.code != "" {
			after = &answerLine{Code: string(l.code)}
		}
		for _, t := range l.tags {
			line.Lost = append(line.Lost, tagLine{Tag: r.tags[t], Version: r.version(0, t), Before: lineOf(r.delta.before.at(t).of(r.before)), After: after})
		}
	}
	for _, t := range r.delta.gained {
		line.Gained = append(line.Gained, tagLine{Tag: r.tags[t], Version: r.version(1, t), After: lineOf(r.delta.after.at(t).of(r.after))})
	}
	for _, k := range r.changed {
		kept := &r.delta.kept[k]
		before, after := lineOf(kept.before.of(r.before)), lineOf(kept.after.of(r.after))
		for _, t := range kept.tags {
			line.Changed = append(line.Changed, tagLine{Tag: r.tags[t], Version: r.version(1, t), Before: before, After: after})
		}
	}
	return line
}

// summaryLine is the last one.
type summaryLine struct {
	Kind      string                        `json:"kind"`
	Different bool                          `json:"different"`
	Loses     bool                          `json:"loses"`
	At        string                        `json:"at"`
	Before    bundleLine                    `json:"before"`
	After     bundleLine                    `json:"after"`
	Customers customersLine                 `json:"customers"`
	Products  map[string]*productDifference `json:"products"`
	Moved     []movedTags                   `json:"moved"`
	Facts     []factChange                  `json:"facts"`
}

type bundleLine struct {
	Name     string  `json:"name"`
	Serial   int64   `json:"serial"`
	Revision string  `json:"revision"`
	IssuedAt *string `json:"issued_at"`
	Verified bool    `json:"verified"`
}

type customersLine struct {
	Before  int `json:"before"`
	After   int `json:"after"`
	Added   int `json:"added"`
	Removed int `json:"removed"`
	Changed int `json:"changed"`
	Lose    int `json:"lose"`
	Sooner  int `json:"sooner"`
	Gain    int `json:"gain"`
}

func (d *difference) printJSON(w io.Writer, verified bool) error {
	of := func(b *bundle.Bundle) bundleLine {
		return bundleLine{b.Name(), b.Serial(), b.Revision(), instant(b.IssuedAt()), verified}
	}
	return printJSON(w, &summaryLine{
		Kind: "summary", Different: d.Different(), Loses: d.Loses(), At: d.At.UTC().Format(time.RFC3339),
		Before: of(d.Before), After: of(d.After),
		Customers: customersLine{d.Customers[0], d.Customers[1], d.Added, d.Removed, d.Changed, d.Lose, d.Sooner, d.Gain},
		Products:  d.Products, Moved: append([]movedTags{}, d.Moved...), Facts: append([]factChange{}, d.Facts...),
	})
}
