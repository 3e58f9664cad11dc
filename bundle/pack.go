package bundle

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"hash/crc32"
	"io"
)

// packer writes a gzip file (RFC 1952) of parts that are compressed one by one: each begins without a
// history and ends with a flush, so that a part that is the same gives the same bytes wherever it
// stands. Those of a Section are kept, and a bundle in which one customer has changed costs one section.
type packer struct {
	w    io.Writer
	err  error // the first one of w
	crc  uint32
	size uint32 // modulo 2^32

	flate *flate.Writer
	out   bytes.Buffer // of flate
	plain []byte       // not written yet
}

// plainSize is about how much of what is no section is compressed as one part.
const plainSize = 1 << 20

func newPacker(w io.Writer) (*packer, error) {
	p := &packer{w: w}
	var err error
	if p.flate, err = flate.NewWriter(&p.out, flate.BestSpeed); err != nil {
		return nil, err
	}
	// Deflate, no name, no time, fastest, unknown system: what compress/gzip writes at BestSpeed.
	p.write([]byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 4, 255})
	return p, p.err
}

func (p *packer) write(b []byte) {
	if p.err == nil {
		_, p.err = p.w.Write(b)
	}
}

func (p *packer) count(b []byte) {
	p.crc = crc32.Update(p.crc, crc32.IEEETable, b)
	p.size += uint32(len(b))
}

// Write takes what is no section.
func (p *packer) Write(b []byte) (int, error) {
	n := len(b)
	p.count(b)
	for p.err == nil && len(p.plain)+len(b) >= plainSize {
		room := plainSize - len(p.plain)
		p.plain = append(p.plain, b[:room]...)
		b = b[room:]
		p.rest()
	}
	p.plain = append(p.plain, b...)
	return n, p.err
}

// rest writes what was taken and not written.
func (p *packer) rest() {
	if len(p.plain) > 0 {
		p.write(p.pack(p.plain))
		p.plain = p.plain[:0]
	}
}

// pack compresses a part. The result is good until the next one.
func (p *packer) pack(part []byte) []byte {
	p.out.Reset()
	p.flate.Reset(&p.out)
	_, err := p.flate.Write(part)
	if err == nil {
		err = p.flate.Flush()
	}
	if p.err == nil {
		p.err = err
	}
	return p.out.Bytes()
}

// section writes a section, which is compressed once in its life.
func (p *packer) section(s *Section) error {
	p.rest()
	part := s.text()
	p.count(part)
	packed := s.packed.Load()
	if packed == nil {
		text := bytes.Clone(p.pack(part))
		if p.err != nil {
			return p.err
		}
		packed = &text
		s.packed.Store(packed)
	}
	p.write(*packed)
	return p.err
}

// Close ends the file.
func (p *packer) Close() error {
	p.rest()
	end := []byte{0x03, 0x00} // a last block without content
	end = binary.LittleEndian.AppendUint32(end, p.crc)
	p.write(binary.LittleEndian.AppendUint32(end, p.size))
	return p.err
}
