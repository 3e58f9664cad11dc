package bundle

import "crypto/sha256"

// Seal makes a bundle that does not leave the process: it signs as Write does and then takes what it
// signed as Read takes a file, but there is no file. Errors are those of both. Content is hashed once,
// for the signature; the hashes are checked against what is read back from the signature.
func Seal(c *Content, s *Signer, ring *KeyRing, opts ReadOptions) (*Bundle, error) {
	made, sums, err := assemble(c, s)
	if err != nil {
		return nil, err
	}
	b := &Bundle{files: map[string]body{}}
	if err := b.read(&sealed{b: made, sums: sums, at: -1}, ring, opts); err != nil {
		return nil, err
	}
	return b, nil
}

// sealed are the files of a bundle that was just made.
type sealed struct {
	b    *Bundle
	sums map[string][sha256.Size]byte // of the bytes that b has
	at   int
}

func (s *sealed) next() (string, error) {
	if s.at++; s.at == len(s.b.paths) {
		return "", nil
	}
	return s.b.paths[s.at], nil
}

func (s *sealed) file(int64) (body, [sha256.Size]byte, error) {
	p := s.b.paths[s.at]
	return s.b.files[p], s.sums[p], nil
}
