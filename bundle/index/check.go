package index

import (
	"bytes"
)

// checkOffsets checks a table of n+1 positions that cut items into n pieces.
func (x *Index) checkOffsets(section, items int) error {
	s := x.sec[section]
	if len(s) < 4 || u32(s, 0) != 0 {
		return bad(section, -1, "does not begin at 0")
	}
	for i := 4; i < len(s); i += 4 {
		if u32(s, i) < u32(s, i-4) {
			return bad(section, i/4, "position goes back")
		}
	}
	if int64(u32(s, len(s)-4)) != int64(x.count(items)) {
		return bad(section, -1, "does not end where %s ends", names[items])
	}
	return nil
}

func (x *Index) checkStrings() error {
	if err := x.checkOffsets(secStrings, secText); err != nil {
		return err
	}
	n := x.strings()
	if n == 0 || len(x.textBytes(0)) != 0 {
		return bad(secStrings, 0, "is not empty")
	}
	for i := 1; i < n; i++ {
		if bytes.Compare(x.textBytes(uint32(i-1)), x.textBytes(uint32(i))) >= 0 {
			return bad(secStrings, i, "is not after the one before")
		}
	}
	return nil
}

func (x *Index) checkLists() error {
	if err := x.checkOffsets(secLists, secListItems); err != nil {
		return err
	}
	if x.lists() == 0 || u32(x.sec[secLists], 4) != 0 {
		return bad(secLists, 0, "is not empty")
	}
	return x.checkIDs(secListItems, []int{0}, nil)
}

// checkIDs checks, in every entry of a section, the string ids and list ids at these offsets.
func (x *Index) checkIDs(section int, strings, lists []int) error {
	ns, nl := uint32(x.strings()), uint32(x.lists())
	for i := range x.count(section) {
		e := x.entry(section, i)
		for _, at := range strings {
			if u32(e, at) >= ns {
				return bad(section, i, "names string %d of %d", u32(e, at), ns)
			}
		}
		for _, at := range lists {
			if u32(e, at) >= nl {
				return bad(section, i, "names list %d of %d", u32(e, at), nl)
			}
		}
	}
	return nil
}

// checkZero checks that the bytes of every entry from at to end are 0.
func (x *Index) checkZero(section, at, end int) error {
	for i := range x.count(section) {
		for _, c := range x.entry(section, i)[at:end] {
			if c != 0 {
				return bad(section, i, "reserved bytes are not 0")
			}
		}
	}
	return nil
}

// checkAscending checks entries [from, from+n) by the order that less gives neighbours.
func (x *Index) checkAscending(section, from, n int, less func(a, b []byte) bool) error {
	for i := from + 1; i < from+n; i++ {
		if !less(x.entry(section, i-1), x.entry(section, i)) {
			return bad(section, i, "is not after the one before")
		}
	}
	return nil
}

func (x *Index) checkCandidates() error {
	if err := x.checkIDs(secCandidates, []int{0, 4, 8, 12, 16}, []int{20, 24}); err != nil {
		return err
	}
	return x.checkZero(secCandidates, 28, 32)
}

func (x *Index) checkSets() error {
	if err := x.checkOffsets(secSets, secSetItems); err != nil {
		return err
	}
	n := uint32(x.count(secCandidates))
	for s := range x.sets() {
		members := x.members(SetID(s))
		for i := 0; i < len(members); i += 4 {
			switch {
			case u32(members, i) >= n:
				return bad(secSets, s, "names candidate %d of %d", u32(members, i), n)
			case i > 0 && u32(members, i-4) >= u32(members, i):
				return bad(secSets, s, "members do not ascend")
			}
		}
	}
	if x.count(secSetHashes) != x.sets() {
		return bad(secSetHashes, -1, "%d hashes for %d sets", x.count(secSetHashes), x.sets())
	}
	return x.checkAscending(secSetHashes, 0, x.sets(), digestLess)
}

func digestLess(a, b []byte) bool { return bytes.Compare(a[:digestLen], b[:digestLen]) < 0 }

func idLess(a, b []byte) bool { return u32(a, 0) < u32(b, 0) }

func pairLess(a, b []byte) bool {
	return u32(a, 0) < u32(b, 0) || u32(a, 0) == u32(b, 0) && u32(a, 4) < u32(b, 4)
}

func (x *Index) checkProducts() error {
	if err := x.checkIDs(secProducts, []int{0}, []int{4, 8}); err != nil {
		return err
	}
	if err := x.checkZero(secProducts, 12, 16); err != nil {
		return err
	}
	return x.checkAscending(secProducts, 0, x.count(secProducts), idLess)
}

func (x *Index) checkReleases() error {
	if err := x.checkIDs(secReleases, []int{0, 4, 8}, []int{12, 16}); err != nil {
		return err
	}
	if err := x.checkZero(secReleases, 20, 24); err != nil {
		return err
	}
	return x.checkAscending(secReleases, 0, x.count(secReleases), pairLess)
}

// checkDescriptors checks subjects and their descriptors; checkRepos checks the subjects' order.
func (x *Index) checkDescriptors() error {
	if err := x.checkIDs(secDescriptors, []int{40, 44}, []int{48}); err != nil {
		return err
	}
	if err := x.checkZero(secDescriptors, 52, 56); err != nil {
		return err
	}
	for i := range x.count(secDescriptors) {
		pairs := x.listItems(u32(x.entry(secDescriptors, i), 48))
		if len(pairs)%8 != 0 {
			return bad(secDescriptors, i, "an annotation lacks its value")
		}
		for j := 8; j < len(pairs); j += 8 {
			if u32(pairs, j-8) >= u32(pairs, j) {
				return bad(secDescriptors, i, "annotations do not ascend")
			}
		}
	}
	end := 0
	for i := range x.count(secSubjects) {
		e := x.entry(secSubjects, i)
		n, err := x.part(secSubjects, i, u32(e, 32), u32(e, 36), end, secDescriptors)
		if err != nil {
			return err
		}
		if err := x.checkAscending(secDescriptors, end, n, digestLess); err != nil {
			return err
		}
		end += n
	}
	return x.used(secDescriptors, end)
}

// part checks that an entry's part of another section begins at end and fits; it returns its length.
func (x *Index) part(section, i int, first, n uint32, end, of int) (int, error) {
	if int64(first) != int64(end) || int64(n) > int64(x.count(of)-end) {
		return 0, bad(section, i, "its part of %s is not in its place", names[of])
	}
	return int(n), nil
}

func (x *Index) used(section, end int) error {
	if end != x.count(section) {
		return bad(section, end, "belongs to nothing")
	}
	return nil
}

func (x *Index) checkRepos() error {
	sets := uint32(x.sets())
	for i := range x.count(secNodes) {
		e := u32(x.entry(secNodes, i), digestLen)
		if k := Kind(e & (1<<kindBits - 1)); e>>kindBits >= sets || k != Manifest && k != Blob {
			return bad(secNodes, i, "kind %d, set %d of %d", k, e>>kindBits, sets)
		}
	}
	if err := x.checkIDs(secTags, []int{0}, nil); err != nil {
		return err
	}
	for i := range x.count(secTags) {
		if e := x.entry(secTags, i); u32(e, 4) >= sets || u32(e, 8)&^hiddenFlag != 0 {
			return bad(secTags, i, "flags %d, set %d of %d", u32(e, 8), u32(e, 4), sets)
		}
	}
	if err := x.checkIDs(secRepos, []int{0, 4, 8}, nil); err != nil {
		return err
	}
	if err := x.checkZero(secRepos, 72, repoLen); err != nil {
		return err
	}
	if err := x.checkAscending(secRepos, 0, x.count(secRepos), pairLess); err != nil {
		return err
	}
	parts := []struct {
		of, end int
		less    func(a, b []byte) bool
	}{{of: secTags, less: idLess}, {of: secNodes, less: digestLess}, {of: secSubjects, less: digestLess}}
	texts := map[uint32]string{} // each once, however many repositories name it
	text := func(id uint32) string {
		s, ok := texts[id]
		if !ok {
			s = x.text(id)
			texts[id] = s
		}
		return s
	}
	x.at = map[repoName]int{}
	for i := range x.count(secRepos) {
		e := x.entry(secRepos, i)
		if u32(e, 12)&^chartFlag != 0 {
			return bad(secRepos, i, "unknown flags %d", u32(e, 12))
		}
		for j := range parts {
			p := &parts[j]
			n, err := x.part(secRepos, i, u32(e, 48+8*j), u32(e, 52+8*j), p.end, p.of)
			if err != nil {
				return err
			}
			if err := x.checkAscending(p.of, p.end, n, p.less); err != nil {
				return err
			}
			if p.of == secNodes {
				x.fans = append(x.fans, newFan(x.sec[secNodes][p.end*nodeLen:(p.end+n)*nodeLen]))
			}
			p.end += n
		}
		name := repoName{text(u32(e, 0)), text(u32(e, 4))}
		x.at[name] = i
		x.giveWay()
		x.repo = append(x.repo, repoText{name, text(u32(e, 8))})
	}
	for _, p := range parts {
		if err := x.used(p.of, p.end); err != nil {
			return err
		}
	}
	return nil
}
