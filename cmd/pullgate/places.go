package main

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v4"
)

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
