package engine

import (
	"errors"
	"math"
	"net/netip"
	"strings"

	"github.com/pullgate/pullgate/authz"
)

// keys are the keys that customers have, by hash. However many there are, the collector has nothing to
// follow in them but the limits that few have: it goes through all keys with each collection, and requests
// are late meanwhile (docs/design/pauses-for-requests.md).
type keys struct {
	at     map[[32]byte]keyPlace // without pointers
	text   strings.Builder       // customers and ids, one after the other
	limits []keyLimits
}

// keyPlace is one key: where in the text its customer and its id are.
type keyPlace struct {
	expires      int64
	customer, id uint32 // where they begin
	end          uint32 // of the id
	limits       uint32 // counted from 1; 0: none
}

type keyLimits struct {
	inScope   func(string) bool
	addresses []netip.Prefix
}

// newKeys has room for so many keys, with a text of that length.
func newKeys(n, text int) *keys {
	k := &keys{at: make(map[[32]byte]keyPlace, n)}
	k.text.Grow(text)
	return k
}

func (k *keys) len() int {
	if k == nil {
		return 0
	}
	return len(k.at)
}

func (k *keys) size() int {
	if k == nil {
		return 0
	}
	return k.text.Len()
}

// get returns a key. Its texts are the keyring's, which stays as long as they do.
func (k *keys) get(hash [32]byte) (authz.Key, bool) {
	if k == nil {
		return authz.Key{}, false
	}
	p, ok := k.at[hash]
	if !ok {
		return authz.Key{}, false
	}
	text := k.text.String()
	key := authz.Key{Customer: text[p.customer:p.id], ID: text[p.id:p.end], Expires: p.expires}
	if p.limits > 0 {
		l := &k.limits[p.limits-1]
		key.InScope, key.Addresses = l.inScope, l.addresses
	}
	return key, true
}

var (
	errKeysTooLong = errors.New("names of customers and keys have more than 4 GiB together")
	errNoSuchKey   = errors.New("a key of the bundle before is not there")
)

func (k *keys) put(hash [32]byte, key authz.Key) error {
	if int64(k.text.Len())+int64(len(key.Customer))+int64(len(key.ID)) > math.MaxUint32 {
		return errKeysTooLong
	}
	p := keyPlace{expires: key.Expires, customer: uint32(k.text.Len())}
	k.text.WriteString(key.Customer)
	p.id = uint32(k.text.Len())
	k.text.WriteString(key.ID)
	p.end = uint32(k.text.Len())
	if key.InScope != nil || key.Addresses != nil {
		k.limits = append(k.limits, keyLimits{key.InScope, key.Addresses})
		p.limits = uint32(len(k.limits))
	}
	k.at[hash] = p
	return nil
}

// take puts a key that another keyring has.
func (k *keys) take(hash [32]byte, from *keys) error {
	key, ok := from.get(hash)
	if !ok {
		return errNoSuchKey
	}
	return k.put(hash, key)
}
