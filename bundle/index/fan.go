package index

import (
	"bytes"
	"encoding/binary"
	"math/bits"
)

// fan narrows a search among sorted digests down to those that begin with the same bits: two cache
// misses where bisection costs twenty. There is a bucket for about eight digests, so digests that
// are chosen instead of hashed can only make it as slow as bisection.
type fan struct {
	first []uint32 // by leading bits: the first node with these or greater ones; one more than there are buckets
	shift uint     // of a digest's first 8 bytes, to get its leading bits
}

const perBucket = 8

// newFan makes a fan of nodes, sorted by digest.
func newFan(nodes []byte) fan {
	n := len(nodes) / nodeLen
	width := uint(bits.Len(uint(n) / perBucket)) // at most half as many digests as buckets × perBucket
	f := fan{first: make([]uint32, 1<<width+1), shift: 64 - width}
	at := 0
	for b := range f.first {
		for at < n && binary.BigEndian.Uint64(nodes[at*nodeLen:])>>f.shift < uint64(b) {
			at++
		}
		f.first[b] = uint32(at)
	}
	f.first[len(f.first)-1] = uint32(n)
	return f
}

// find returns the place of d among the nodes that f was made of.
func (f *fan) find(nodes []byte, d *Digest) (int, bool) {
	b := binary.BigEndian.Uint64(d[:8]) >> f.shift
	lo, hi := int(f.first[b]), int(f.first[b+1])
	for lo < hi {
		i := lo + (hi-lo)/2
		switch c := bytes.Compare(d[:], nodes[i*nodeLen:i*nodeLen+digestLen]); {
		case c == 0:
			return i, true
		case c < 0:
			hi = i
		default:
			lo = i + 1
		}
	}
	return 0, false
}
