package license

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
	_ "time/tzdata" // for machines without a zone database
)

// zone reads an IANA zone name.
func (v value) zone() (*time.Location, bool) {
	s, ok := v.textLike("a zone like Europe/Berlin, or UTC")
	if !ok {
		return nil, false
	}
	loc, err := v.p.zones.load(s)
	if err != nil {
		v.fail("unknown zone %q: %s", s, v.p.zones.instead(s))
		return nil, false
	}
	return loc, true
}

// zones remembers the zones that a set uses.
type zones map[string]*time.Location

func (z zones) load(name string) (*time.Location, error) {
	if loc := z[name]; loc != nil {
		return loc, nil
	}
	for _, machine := range []string{"Local", "localtime", "posixrules", "posix/", "right/", "Factory"} {
		// What the zone database of one machine says, or counts leap seconds.
		if name == "" || strings.HasPrefix(name, machine) {
			return nil, errors.New("not the same everywhere")
		}
	}
	loc, err := time.LoadLocation(name)
	if err != nil {
		return nil, err
	}
	if name == "UTC" {
		loc = time.UTC
	}
	z[name] = loc
	return loc, nil
}

var offsetZone = regexp.MustCompile(`^(?i:UTC|GMT)?([+-])(\d{1,2})(?::?00)?$`)

// instead says what would be right for a name that is no zone.
func (z zones) instead(name string) string {
	const like = "write an IANA name like Europe/Berlin, or UTC"
	if m := offsetZone.FindStringSubmatch(name); m != nil {
		sign := map[string]string{"+": "-", "-": "+"}[m[1]] // the names of these zones count westwards
		return fmt.Sprintf("an offset knows no daylight saving time: %s; Etc/GMT%s%s is this offset all year", like, sign, strings.TrimLeft(m[2], "0"))
	}
	// Continents and cities have capitals, and so have UTC and GMT.
	parts := strings.FieldsFunc(name, func(r rune) bool { return r == '/' || r == '_' || r == ' ' })
	for i, p := range parts {
		parts[i] = strings.ToUpper(p[:1]) + strings.ToLower(p[1:])
	}
	var tries []string
	if len(parts) > 1 {
		tries = append(tries, parts[0]+"/"+strings.Join(parts[1:], "_"))
	}
	for _, try := range append(tries, strings.ToUpper(name)) {
		if _, err := z.load(try); err == nil && try != name {
			return fmt.Sprintf("did you mean %s? ", try) + like
		}
	}
	return like
}
