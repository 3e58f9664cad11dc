package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v4"
)

type fileValue struct{ text, where string }

// readConfigFile reads pullgate.yaml: one key per flag, with _ for -, plus credentials, webhooks,
// client_address and bearer. Every mistake is reported with its place.
func readConfigFile(f *pflag.FlagSet, s *settings, path string) (map[string]fileValue, error) {
	if path == "" {
		return nil, nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var doc, second yaml.Node
	documents := yaml.NewDecoder(bytes.NewReader(data))
	if err := documents.Decode(&doc); err != nil && err != io.EOF {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if len(doc.Content) == 0 {
		return nil, nil
	}
	root := doc.Content[0]
	at := func(n *yaml.Node, format string, args ...any) error {
		return fmt.Errorf("%s:%d:%d: %s", path, n.Line, n.Column, fmt.Sprintf(format, args...))
	}
	switch err := documents.Decode(&second); {
	case err == nil:
		return nil, at(&second, "a second document: write all settings into one")
	case err != io.EOF:
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if root.Kind != yaml.MappingNode {
		return nil, at(root, "want `name: value` lines; see `pullgate config print`")
	}
	values := map[string]fileValue{}
	seen := map[string]bool{}
	var errs []error
	for i := 0; i < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		if seen[key.Value] {
			errs = append(errs, at(key, "%s comes twice", key.Value))
			continue
		}
		seen[key.Value] = true
		// A file may hold the sections of one command only.
		sections := map[string]any{"credentials": &s.Credentials, "webhooks": &s.Webhooks, "client_address": &s.ClientAddress, "bearer": &s.Bearer}
		other := map[string]string{"bundles": "pullgate publish"}
		if s.publish != nil {
			sections = map[string]any{"credentials": &s.Credentials, "webhooks": &s.Webhooks, "bundles": &s.publish.Bundles}
			other = map[string]string{"client_address": "pullgate serve", "bearer": "pullgate serve"}
		}
		if of := other[key.Value]; of != "" {
			errs = append(errs, at(key, "%s is a setting of `%s`", key.Value, of))
			continue
		}
		if into := sections[key.Value]; into != nil {
			errs = append(errs, decodeStrict(value, into, at)...)
			s.place(key, value, at)
			continue
		}
		fl := settingFlag(f, key.Value)
		if fl == nil {
			errs = append(errs, at(key, "unknown setting %q; `pullgate config print` lists them", key.Value))
			continue
		}
		text := value.Value
		if value.Kind == yaml.SequenceNode {
			var list []string
			for _, item := range value.Content {
				list = append(list, item.Value)
			}
			text = strings.Join(list, ",")
		} else if value.Kind != yaml.ScalarNode {
			errs = append(errs, at(value, "%s: want a plain value", key.Value))
			continue
		}
		values[fl.Name] = fileValue{text, fmt.Sprintf("%s:%d", path, key.Line)}
	}
	return values, errors.Join(errs...)
}

// decodeStrict decodes a node and refuses unknown fields.
func decodeStrict(n *yaml.Node, into any, at func(*yaml.Node, string, ...any) error) []error {
	errs := unknownFields(n, reflect.TypeOf(into).Elem(), at)
	if err := n.Decode(into); err != nil && len(errs) == 0 {
		return []error{at(n, "%s", strings.Join(strings.Fields(err.Error()), " "))}
	}
	return errs
}

// unknownFields returns an error for each key that has no field in t, a struct with yaml tags
// or a map of such structs.
func unknownFields(n *yaml.Node, t reflect.Type, at func(*yaml.Node, string, ...any) error) []error {
	if n.Kind != yaml.MappingNode {
		return nil // decoding says what is wrong
	}
	var known []string
	if t.Kind() == reflect.Struct {
		for i := range t.NumField() {
			known = append(known, t.Field(i).Tag.Get("yaml"))
		}
	}
	var errs []error
	for i := 0; i < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		switch {
		case t.Kind() == reflect.Map:
			errs = append(errs, unknownFields(value, t.Elem(), at)...)
		case t.Kind() == reflect.Struct && !slices.Contains(known, key.Value):
			errs = append(errs, at(key, "unknown field %q; known here: %s", key.Value, strings.Join(known, ", ")))
		}
	}
	return errs
}

// place remembers where a section of the configuration file and each of its keys are written: "bearer" and
// "bearer.path".
func (s *settings) place(section, value *yaml.Node, at func(*yaml.Node, string, ...any) error) {
	if s.places == nil {
		s.places = map[string]string{}
	}
	s.places[section.Value] = at(section, "").Error()
	for i := 0; value.Kind == yaml.MappingNode && i < len(value.Content); i += 2 {
		s.places[section.Value+"."+value.Content[i].Value] = at(value.Content[i], "").Error()
	}
}

// placed is an error about a key, with its place in the configuration file; that of the section when the key is
// not there.
func (s *settings) placed(key, format string, args ...any) error {
	section, _, _ := strings.Cut(key, ".")
	where, ok := s.places[key]
	if !ok {
		where = s.places[section]
	}
	return fmt.Errorf("%s"+format, append([]any{where}, args...)...)
}
