package bundle

import (
	"encoding/json"
	"errors"
	"math/big"
	"strings"
	"testing"
)

func someTombstone() *Tombstone {
	return &Tombstone{Kind: TombstoneLicense, Bundle: DefaultName, Customer: "globex", License: "globex-2026", At: 1780000000, Made: 1780000001, Hold: 600, Number: 7, Serial: 41}
}

func newSigner(t *testing.T) (*Signer, *KeyRing) {
	t.Helper()
	key, err := GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	s, err := NewSigner(key)
	if err != nil {
		t.Fatal(err)
	}
	ring, err := NewKeyRing(s.Public())
	if err != nil {
		t.Fatal(err)
	}
	return s, ring
}

func TestTombstonesComeBackAsTheyWere(t *testing.T) {
	s, ring := newSigner(t)
	hex64 := strings.Repeat("0123456789abcdef", 4)
	for _, want := range []*Tombstone{
		someTombstone(),
		{Kind: TombstoneCustomer, Bundle: "plant-7", Customer: "globex", Made: 1, Number: 1, Serial: 1},
		{Kind: TombstoneKey, Bundle: DefaultName, Customer: "globex", Key: "ci", Made: 1, Number: 1, Serial: 1},
		{Kind: TombstoneKey, Bundle: DefaultName, Customer: "globex", Key: "ci", Hash: hex64, Made: 1, Number: 1, Serial: 1},
		{Kind: TombstoneDigest, Bundle: DefaultName, Registry: "main", Repository: "acme/app", Digest: "sha256:" + hex64, At: -5, Made: 1, Number: 1, Serial: 1},
	} {
		text, err := want.Sign(s)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := want.Sign(s); err != nil || again != text {
			t.Errorf("%s: signed again it is another text: %v", want.Target(), err)
		}
		got, err := ReadTombstone(text, want.Bundle, ring)
		if err != nil || *got != *want {
			t.Errorf("%s: %+v, %v", want.Target(), got, err)
		}
	}
}

func TestTombstonesThatSayTooMuchOrTooLittle(t *testing.T) {
	s, _ := newSigner(t)
	for name, change := range map[string]func(*Tombstone){
		"no kind":        func(t *Tombstone) { t.Kind = "" },
		"no license":     func(t *Tombstone) { t.License = "" },
		"no customer":    func(t *Tombstone) { t.Customer = "" },
		"a key, too":     func(t *Tombstone) { t.Key = "ci" },
		"no serial":      func(t *Tombstone) { t.Serial = 0 },
		"no number":      func(t *Tombstone) { t.Number = 0 },
		"not made":       func(t *Tombstone) { t.Made = 0 },
		"held for less":  func(t *Tombstone) { t.Hold = -1 },
		"no bundle":      func(t *Tombstone) { t.Bundle = "" },
		"at of a banned": func(t *Tombstone) { t.Kind, t.License = TombstoneCustomer, "" },
		"digest of none": func(t *Tombstone) {
			*t = Tombstone{Kind: TombstoneDigest, Bundle: t.Bundle, Made: 1, Number: 1, Serial: 1, Registry: "main", Repository: "a", Digest: "sha256:12"}
		},
		"hash of nothing": func(t *Tombstone) {
			*t = Tombstone{Kind: TombstoneKey, Bundle: t.Bundle, Made: 1, Number: 1, Serial: 1, Customer: "a", Key: "b", Hash: "sha256:12"}
		},
	} {
		bad := someTombstone()
		change(bad)
		if text, err := bad.Sign(s); err == nil {
			t.Errorf("%s: signed: %s", name, text)
		}
	}
}

// Whoever writes to Redis can make nothing of the texts there are.
func TestTombstonesCannotBeForged(t *testing.T) {
	s, ring := newSigner(t)
	other, otherRing := newSigner(t)
	text, err := someTombstone().Sign(s)
	if err != nil {
		t.Fatal(err)
	}
	for i := range len(text) {
		for _, c := range []byte{text[i] ^ 1, '.', '='} {
			altered := []byte(text)
			if altered[i] = c; string(altered) == text {
				continue
			}
			if got, err := ReadTombstone(string(altered), DefaultName, ring); err == nil {
				t.Fatalf("byte %d may be %q: %+v", i, c, got)
			}
		}
	}
	if _, err := ReadTombstone(text, DefaultName, otherRing); !errors.Is(err, ErrForeignKey) {
		t.Errorf("with another ring: %v", err)
	}
	if _, err := ReadTombstone(text, "plant-7", ring); err == nil || !strings.Contains(err.Error(), "about bundle default") {
		t.Errorf("for another bundle: %v", err)
	}
	if _, err := ReadTombstone(text, DefaultName, nil); err == nil {
		t.Error("without a ring it is good")
	}

	// The same signature in its other form.
	parts := strings.Split(text, ".")
	raw, err := b64.DecodeString(parts[2])
	if err != nil {
		t.Fatal(err)
	}
	new(big.Int).Sub(order, new(big.Int).SetBytes(raw[32:])).FillBytes(raw[32:])
	if _, err := ReadTombstone(parts[0]+"."+parts[1]+"."+b64.EncodeToString(raw), DefaultName, ring); err == nil {
		t.Error("a high s is good")
	}

	// Its claims under somebody else's signature, and under the name of the trusted key.
	theirs, err := someTombstone().Sign(other)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ReadTombstone(theirs, DefaultName, ring); !errors.Is(err, ErrForeignKey) {
		t.Errorf("signed by somebody else: %v", err)
	}
	if _, err := ReadTombstone(parts[0]+"."+parts[1]+"."+strings.Split(theirs, ".")[2], DefaultName, ring); err == nil {
		t.Error("somebody else's signature is good under the name of a trusted key")
	}
}

// No kind of signed text can be taken for another.
func TestSignedTextsAreOfOneKind(t *testing.T) {
	s, ring := newSigner(t)
	tombstone, err := someTombstone().Sign(s)
	if err != nil {
		t.Fatal(err)
	}
	beat, err := (&Heartbeat{At: 1, Bundle: DefaultName, Bundles: []string{DefaultName}, First: 5, Last: 4, Serial: 3}).Sign(s)
	if err != nil {
		t.Fatal(err)
	}
	file, err := s.signatureFile(DefaultName, nil)
	if err != nil {
		t.Fatal(err)
	}
	var outer signatures
	if err := json.Unmarshal(file, &outer); err != nil {
		t.Fatal(err)
	}
	ofBundle := outer.Signatures[0]
	for name, text := range map[string]string{"heartbeat": beat, "bundle": ofBundle} {
		if got, err := ReadTombstone(text, DefaultName, ring); err == nil {
			t.Errorf("a %s is a tombstone: %+v", name, got)
		}
	}
	for name, text := range map[string]string{"tombstone": tombstone, "bundle": ofBundle} {
		if got, err := ReadHeartbeat(text, DefaultName, ring); err == nil {
			t.Errorf("a %s is a heartbeat: %+v", name, got)
		}
	}
	for name, text := range map[string]string{"tombstone": tombstone, "heartbeat": beat} {
		data, err := CanonicalJSON(signatures{Signatures: []string{text}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := readSignature(data, ring, true); err == nil {
			t.Errorf("a %s is the signature of a bundle", name)
		}
	}
	h, err := ReadHeartbeat(beat, DefaultName, ring)
	if err != nil || h.Last != 4 || h.Serial != 3 {
		t.Errorf("%+v, %v", h, err)
	}
	if _, err := ReadHeartbeat(beat, "plant-7", ring); err == nil {
		t.Error("a heartbeat of another bundle is good")
	}
}
