package redisstore

import (
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/pullgate/pullgate/authz"
)

// fill sets everything that v has to something that is not zero.
func fill(v reflect.Value, n *int64) {
	*n++
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), n)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 3, 3))
		for i := range v.Len() {
			fill(v.Index(i), n)
		}
	case reflect.Bool:
		v.SetBool(true)
	case reflect.String:
		v.SetString(string(rune('a' + *n)))
	default:
		v.SetInt(*n * 1_000_003)
	}
}

// A field that somebody adds to a verdict is in the encoding, or here it shows.
func TestAnEntryComesBackWhole(t *testing.T) {
	var full authz.Entry
	n := int64(0)
	fill(reflect.ValueOf(&full).Elem(), &n)
	ends := authz.Entry{From: authz.Always, Until: authz.Never, Verdict: authz.Verdict{Until: authz.Never, Ends: authz.Always, ExpiringFrom: -1}}
	empty := authz.Entry{Visible: []int{}, Verdict: authz.Verdict{Warnings: []authz.Warning{}, Headers: []authz.Header{}}}
	for _, e := range []authz.Entry{full, ends, empty, {}} {
		back, err := parseEntry(appendEntry(nil, &e))
		if diff := cmp.Diff(e, back); err != nil || diff != "" {
			t.Errorf("%v\n%s", err, diff)
		}
	}
}

func drawEntry(t *rapid.T) authz.Entry {
	text, instant := rapid.String(), rapid.Int64()
	return authz.Entry{
		From: instant.Draw(t, "from"), Until: instant.Draw(t, "until"),
		Visible: rapid.SliceOf(rapid.IntRange(0, 1<<20)).Draw(t, "visible"),
		Verdict: authz.Verdict{
			Allow: rapid.Bool().Draw(t, "allow"), Code: authz.Code(text.Draw(t, "code")),
			License: text.Draw(t, "license"), Grant: text.Draw(t, "grant"), Message: text.Draw(t, "message"),
			Until: instant.Draw(t, "verdict until"), Ends: instant.Draw(t, "ends"), ExpiringFrom: instant.Draw(t, "expiring"),
			Warnings: rapid.SliceOf(rapid.Custom(func(t *rapid.T) authz.Warning {
				return authz.Warning{Code: text.Draw(t, "code"), Message: text.Draw(t, "message")}
			})).Draw(t, "warnings"),
			Headers: rapid.SliceOf(rapid.Custom(func(t *rapid.T) authz.Header {
				return authz.Header{Name: text.Draw(t, "name"), Value: text.Draw(t, "value"), To: text.Draw(t, "to")}
			})).Draw(t, "headers"),
			Enforcement: text.Draw(t, "enforcement"),
		},
	}
}

// Entries come back whole; a value that is cut, has a bit changed or is another's counts for nothing.
func TestASealedEntryIsWholeOrNothing(t *testing.T) {
	s, err := newSecret("one", "test")
	if err != nil {
		t.Fatal(err)
	}
	other, err := newSecret("one", "another program")
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		e, key := drawEntry(t), [32]byte(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "key"))
		sealed := s.seal(nil, &key, appendEntry(nil, &e))
		plain, err := s.open(&key, sealed)
		if err != nil {
			t.Fatal(err)
		}
		back, err := parseEntry(plain)
		if diff := cmp.Diff(e, back); err != nil || diff != "" {
			t.Fatalf("%v\n%s", err, diff)
		}
		refuse := func(what string, s *secret, key [32]byte, sealed []byte) {
			if _, err := s.open(&key, sealed); err != ErrNotAuthentic {
				t.Fatalf("%s: %v", what, err)
			}
		}
		bit := rapid.IntRange(0, 8*len(sealed)-1).Draw(t, "bit")
		changed := append([]byte(nil), sealed...)
		changed[bit/8] ^= 1 << (bit % 8)
		refuse("a bit changed", s, key, changed)
		refuse("cut", s, key, sealed[:rapid.IntRange(0, len(sealed)-1).Draw(t, "cut")])
		refuse("with more behind it", s, key, append(changed[:0:0], append(sealed, 0)...))
		moved := key
		moved[rapid.IntRange(0, 31).Draw(t, "byte")]++
		refuse("moved", s, moved, sealed)
		refuse("of another program", other, key, sealed)
		if s.name(&key) == s.name(&moved) || s.name(&key) == other.name(&key) {
			t.Fatal("names are not told apart")
		}
	})
}

// What is parsed is an entry that can be encoded; what is not leaves nothing behind; nothing makes it panic.
func FuzzParseEntry(f *testing.F) {
	var full authz.Entry
	n := int64(0)
	fill(reflect.ValueOf(&full).Elem(), &n)
	f.Add(appendEntry(nil, &full))
	f.Add(appendEntry(nil, &authz.Entry{}))
	f.Add([]byte{entryFormat, 1, 0x80, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := parseEntry(b)
		if err != nil {
			if diff := cmp.Diff(authz.Entry{}, e); diff != "" {
				t.Error(diff)
			}
			return
		}
		back, err := parseEntry(appendEntry(nil, &e))
		if diff := cmp.Diff(e, back); err != nil || diff != "" {
			t.Errorf("%v\n%s", err, diff)
		}
	})
}

func TestSecretsOfAFile(t *testing.T) {
	long := "0123456789abcdef0123456789abcdef"
	for text, want := range map[string]int{
		long: 1, long + "\n": 1, "\n " + long + " \r\n": 1, long + "\nx" + long: 2,
		"": 0, "\n\n": 0, long[1:]: 0, long + "\nshort": 0, long + "\n" + long: 0, long + "\n1" + long + "\n2" + long: 0,
	} {
		got, err := ParseSecrets(text)
		if len(got) != want || (err == nil) != (want > 0) {
			t.Errorf("%q: %d secrets, %v", text, len(got), err)
		}
	}
}
