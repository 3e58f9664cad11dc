package index

// Index is an opened index. It is immutable and safe for concurrent use.
type Index struct {
	size int
	sec  [lastSection + 1][]byte
	repo []repoText       // as repos, ascending
	fans []fan            // as repos
	at   map[repoName]int // in repo

	giveWay func() // while it is being opened
}

// repoText has the strings of a repository, which requests need again and again.
type repoText struct {
	repoName
	product string
}

type repoName struct{ registry, name string }

// Open reads the index in data, which it keeps: data must not be changed as long as the index
// is in use. Every offset, id and order is checked here, in one pass over data, so that no
// lookup can fail later whatever the bytes are. Lookups copy what they return, so that results
// do not keep data alive. Errors are *FormatError.
func Open(data []byte) (*Index, error) { return OpenGivingWay(data, func() {}) }

// OpenGivingWay is Open that calls a function again and again, which may pause there.
func OpenGivingWay(data []byte, giveWay func()) (*Index, error) {
	x := &Index{size: len(data), giveWay: giveWay}
	defer func() { x.giveWay = nil }()
	if err := x.sections(data); err != nil {
		return nil, err
	}
	for _, check := range []func(*Index) error{
		(*Index).checkStrings, (*Index).checkLists, (*Index).checkCandidates, (*Index).checkSets,
		(*Index).checkProducts, (*Index).checkReleases, (*Index).checkDescriptors, (*Index).checkRepos,
	} {
		if err := check(x); err != nil {
			return nil, err
		}
		giveWay()
	}
	return x, nil
}

// Size is the number of bytes of the file.
func (x *Index) Size() int { return x.size }

// sections finds the sections.
func (x *Index) sections(data []byte) error {
	switch {
	case len(data) > MaxBytes:
		return bad(0, -1, "%d bytes, more than %d", len(data), MaxBytes)
	case len(data) < headerLen || string(data[:len(magic)]) != magic:
		return bad(0, -1, "not an index")
	case u32(data, 8) != version:
		return bad(0, -1, "version %d, this program reads version %d", u32(data, 8), version)
	}
	n := int(u32(data, 12))
	if n > maxSections || len(data) < headerLen+n*tableEntry {
		return bad(0, -1, "%d sections do not fit", n)
	}
	at := headerLen + n*tableEntry
	last := uint32(0)
	for i := range n {
		e := data[headerLen+i*tableEntry:]
		id, flags, offset, length := u32(e, 0), u32(e, 4), i64(e, 8), i64(e, 16)
		start := align(at)
		switch {
		case id <= last:
			return bad(0, i, "section %d is not after section %d", id, last)
		case flags&^flagRequired != 0:
			return bad(0, i, "unknown flags %d", flags)
		case id > lastSection && flags&flagRequired != 0:
			return bad(0, i, "section %d needs a newer program", id)
		case id <= lastSection && flags&flagRequired == 0:
			return bad(0, i, "section %d lacks its flag", id)
		case offset != int64(start) || length < 0 || length > int64(len(data)-start):
			return bad(0, i, "section %d is not in its place", id)
		}
		for _, p := range data[at:start] {
			if p != 0 {
				return bad(0, i, "bytes between sections")
			}
		}
		at = start + int(length)
		last = id
		if id <= lastSection {
			if int(length)%unit[id] != 0 {
				return bad(int(id), -1, "%d bytes are not whole entries", length)
			}
			x.sec[id] = data[start:at:at]
		}
	}
	if at != len(data) {
		return bad(0, -1, "%d bytes after the last section", len(data)-at)
	}
	for id := 1; id <= lastSection; id++ {
		if x.sec[id] == nil {
			return bad(id, -1, "missing")
		}
	}
	return nil
}

// count is the number of entries of a section.
func (x *Index) count(section int) int { return len(x.sec[section]) / unit[section] }

// entry is the i-th entry of a section.
func (x *Index) entry(section, i int) []byte {
	n := unit[section]
	return x.sec[section][i*n : i*n+n]
}

func (x *Index) strings() int { return x.count(secStrings) - 1 }
func (x *Index) lists() int   { return x.count(secLists) - 1 }
func (x *Index) sets() int    { return x.count(secSets) - 1 }

// textBytes is a string's bytes in the file.
func (x *Index) textBytes(id uint32) []byte {
	at := int(id) * 4
	return x.sec[secText][u32(x.sec[secStrings], at):u32(x.sec[secStrings], at+4)]
}

func (x *Index) text(id uint32) string { return string(x.textBytes(id)) }

// listItems is a list's string ids in the file.
func (x *Index) listItems(id uint32) []byte {
	at := int(id) * 4
	return x.sec[secListItems][4*int(u32(x.sec[secLists], at)) : 4*int(u32(x.sec[secLists], at+4))]
}

func (x *Index) list(id uint32) []string {
	items := x.listItems(id)
	if len(items) == 0 {
		return nil
	}
	out := make([]string, 0, len(items)/4)
	for i := 0; i < len(items); i += 4 {
		out = append(out, x.text(u32(items, i)))
	}
	return out
}

// members is a set's candidate ids in the file.
func (x *Index) members(id SetID) []byte {
	at := int(id) * 4
	return x.sec[secSetItems][4*int(u32(x.sec[secSets], at)) : 4*int(u32(x.sec[secSets], at+4))]
}
