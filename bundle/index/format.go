package index

import (
	"encoding/binary"
	"fmt"
)

// The file, version 1. All integers are little-endian; uN is an unsigned, i64 a two's
// complement integer. Nothing in it is a pointer: ids are positions in a table.
//
//	header    magic [8]byte, version u32, sections u32
//	table     sections × {id u32, flags u32, offset u64, length u64}, ids ascending
//	sections  each starts at the next multiple of 8 after the one before (the first after the
//	          table), filled up with zero bytes; the file ends where the last one ends
//
// Flag 1 marks a section that changes what lookups mean: a reader that does not know its id
// refuses the file. Unknown sections without it are skipped, their bytes unread. Every section
// named below is always present and has the flag. Ids 16 to 63 are kept for what comes later
// (files of portals, seats), 64 and above are free for experiments and never have the flag.
//
//	 1 text        bytes of all strings, one after the other
//	 2 strings     n+1 × u32: string i is text[strings[i]:strings[i+1]]; string 0 is ""; ascending bytewise
//	 3 listItems   u32 string ids
//	 4 lists       n+1 × u32 into listItems; list 0 is empty
//	 5 candidates  72 bytes: product, version, order, tag, channel u32 strings; except, requires u32 lists;
//	               zero u32; released, counts from, withdrawn at, retires at, revoked at i64
//	 6 setItems    u32 candidate ids
//	 7 sets        n+1 × u32 into setItems; the members of a set ascend
//	 8 setHashes   32 bytes a set, ascending; see hashSet
//	 9 repos       96 bytes: registry, name, product u32 strings; flags u32 (1 chart); facts [32]byte;
//	               first and number (u32 each) of its tags, nodes and subjects; 24 zero bytes;
//	               ascending by registry, name; each takes its parts from where the one before ended
//	10 tags        44 bytes: name u32 string, set u32, flags u32 (1 hidden), digest [32]byte; ascending in a repository
//	11 nodes       36 bytes: digest [32]byte, u32 set id × 4 + kind; ascending in a repository
//	12 subjects    40 bytes: digest [32]byte, first and number (u32 each) of its descriptors; ascending in a repository
//	13 descriptors 56 bytes: digest [32]byte, size i64, media type, artifact type u32 strings,
//	               annotations u32 list (key, value, key, value …, keys ascending), zero u32; ascending for a subject
//	14 products    16 bytes: id u32 string, variants, requires u32 lists, zero u32; ascending by id
//	15 releases    48 bytes: product, version, channel u32 strings, except, requires u32 lists, zero u32,
//	               released, counts from, withdrawn at i64; ascending by product, version
const (
	secText = iota + 1
	secStrings
	secListItems
	secLists
	secCandidates
	secSetItems
	secSets
	secSetHashes
	secRepos
	secTags
	secNodes
	secSubjects
	secDescriptors
	secProducts
	secReleases

	lastSection = secReleases
)

const (
	magic   = "PGINDEX\x00"
	version = 1

	headerLen   = 16
	tableEntry  = 24
	maxSections = 64

	flagRequired = 1

	chartFlag  = 1 // in repos
	hiddenFlag = 1 // in tags

	digestLen = 32

	kindBits = 2
	maxSetID = 1<<(32-kindBits) - 1
)

// Sizes of one entry of each section.
const (
	candidateLen  = 72
	repoLen       = 96
	tagLen        = 44
	nodeLen       = 36
	subjectLen    = 40
	descriptorLen = 56
	productLen    = 16
	releaseLen    = 48
)

// unit is the entry size of each section; a section's length is a multiple of it.
var unit = [lastSection + 1]int{
	secText: 1, secStrings: 4, secListItems: 4, secLists: 4, secCandidates: candidateLen,
	secSetItems: 4, secSets: 4, secSetHashes: 32, secRepos: repoLen, secTags: tagLen,
	secNodes: nodeLen, secSubjects: subjectLen, secDescriptors: descriptorLen,
	secProducts: productLen, secReleases: releaseLen,
}

// names are for error messages.
var names = [lastSection + 1]string{
	"header", "text", "strings", "listItems", "lists", "candidates", "setItems", "sets", "setHashes",
	"repos", "tags", "nodes", "subjects", "descriptors", "products", "releases",
}

// MaxBytes is the size of the largest index that Builder makes and Open takes.
const MaxBytes = 1 << 30

// FormatError says why a file is not an index.
type FormatError struct {
	Section string // "header" for the header and the section table
	Entry   int    // position in the section, -1 when the section as a whole is wrong
	Problem string
}

func (e *FormatError) Error() string {
	if e.Entry < 0 {
		return fmt.Sprintf("index: %s: %s", e.Section, e.Problem)
	}
	return fmt.Sprintf("index: %s %d: %s", e.Section, e.Entry, e.Problem)
}

func bad(section, entry int, format string, args ...any) error {
	return &FormatError{Section: names[section], Entry: entry, Problem: fmt.Sprintf(format, args...)}
}

func u32(b []byte, at int) uint32 { return binary.LittleEndian.Uint32(b[at:]) }
func i64(b []byte, at int) int64  { return int64(binary.LittleEndian.Uint64(b[at:])) }

func put32(b []byte, vs ...uint32) []byte {
	for _, v := range vs {
		b = binary.LittleEndian.AppendUint32(b, v)
	}
	return b
}

func put64(b []byte, vs ...int64) []byte {
	for _, v := range vs {
		b = binary.LittleEndian.AppendUint64(b, uint64(v))
	}
	return b
}

// align is n rounded up to the next multiple of 8.
func align(n int) int { return (n + 7) &^ 7 }
