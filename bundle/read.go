package bundle

import (
	"bufio"
	"compress/flate"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
)

// ReadOptions say which bundles Read takes. The zero value takes signed bundles of any name and serial.
type ReadOptions struct {
	// Name, when not empty, is the only name taken.
	Name string
	// MinSerial is the lowest serial taken.
	MinSerial int64
	// AllowUnsigned takes bundles without a signature, and with an empty ring also those whose
	// signature nobody can check. A signature that can be checked must still be right.
	AllowUnsigned bool
	// MaxBytes caps the unpacked size; 0 means the package's MaxBytes.
	MaxBytes int64
	// Like are objects that the bundle's may be much like, by path: where they are the same, the bundle
	// shares them. It changes nothing else.
	Like map[string]*Object
	// Dense is the size from which objects are kept compressed, member by member, and read without
	// their whole text in memory; 0 for none. Where members are much alike that takes a tenth of the
	// memory. It changes nothing else.
	Dense int64
	// GiveWay, when it is set, is called after every part of the content that was read, of some 32 KiB, and may
	// pause there. It changes nothing else.
	GiveWay func()
}

const maxSmallFile = 16 << 20 // of manifest and signature, which are read before anything is verified

// Read reads and verifies the bundle in r, to r's end. The signature is checked before any
// content is read, and content is hashed as it arrives. Errors: ErrUnsigned, ErrUnknownKey,
// ErrBadSignature, ErrRollback, ErrWrongName, ErrTooLarge, a *FormatError naming the path, or what
// r returns. On error the Bundle is nil.
func Read(r io.Reader, ring *KeyRing, opts ReadOptions) (*Bundle, error) {
	in := bufio.NewReaderSize(r, 64<<10)
	gz, err := gzip.NewReader(in)
	if err != nil {
		return nil, readError("", err)
	}
	gz.Multistream(false)
	t := &tarReader{r: gz, left: opts.MaxBytes}
	if opts.GiveWay != nil {
		t.r = &givingWay{gz, opts.GiveWay}
	}
	if t.left <= 0 {
		t.left = MaxBytes
	}
	b := &Bundle{files: map[string]body{}}
	if err := b.read(t, ring, opts); err != nil {
		return nil, err
	}
	if _, err := in.ReadByte(); !errors.Is(err, io.EOF) {
		if err != nil {
			return nil, readError("", err)
		}
		return nil, formatError("", "bytes after the end of the file")
	}
	return b, nil
}

// givingWay is a reader of small parts, who calls a function after each.
type givingWay struct {
	io.Reader
	giveWay func()
}

func (g *givingWay) Read(p []byte) (int, error) {
	n, err := g.Reader.Read(p[:min(len(p), 32<<10)])
	g.giveWay()
	return n, err
}

// entries are the files of a bundle in order. next announces the next one ("" at the end), which file
// then reads, with the SHA-256 of its bytes.
type entries interface {
	next() (string, error)
	file(limit int64) (body, [sha256.Size]byte, error)
}

// read reads the files. Manifest and signature sort before everything else and so come first.
func (b *Bundle) read(t entries, ring *KeyRing, opts ReadOptions) error {
	name, err := t.next()
	if err != nil {
		return err
	}
	if name != ManifestPath {
		return formatError(printable(name), "first file; want %s", ManifestPath)
	}
	text, manifestSum, err := t.file(maxSmallFile)
	if err != nil {
		return err
	}
	if b.manifest, err = readManifest(text.data); err != nil {
		return err
	}
	b.add(ManifestPath, text)

	name, err = t.next()
	if err != nil {
		return err
	}
	var sig *signed
	switch {
	case name == SignaturesPath:
		data, _, err := t.file(maxSmallFile)
		if err != nil {
			return err
		}
		check := !opts.AllowUnsigned || len(ring.KeyIDs()) > 0
		if sig, err = readSignature(data.data, ring, check); err != nil {
			return err
		}
		if check {
			b.keyID = sig.kid
		}
		b.add(SignaturesPath, data)
		if name, err = t.next(); err != nil {
			return err
		}
	case !opts.AllowUnsigned:
		return ErrUnsigned
	}
	if err := b.admit(sig, manifestSum, opts); err != nil {
		return err
	}
	return b.readContent(t, name, sig, &opts)
}

// admit checks the manifest against the signature and against what the caller takes.
func (b *Bundle) admit(sig *signed, manifestSum [sha256.Size]byte, opts ReadOptions) error {
	m := &b.manifest
	if sig != nil {
		if sig.scope != m.Name {
			return fmt.Errorf("%w: signed for %q, named %q", ErrWrongName, sig.scope, m.Name)
		}
		if sum, ok := sig.sums[ManifestPath]; !ok || sum != manifestSum {
			return formatError(ManifestPath, "not what was signed")
		}
		delete(sig.sums, ManifestPath)
	}
	if opts.Name != "" && m.Name != opts.Name {
		return fmt.Errorf("%w: named %q, want %q", ErrWrongName, m.Name, opts.Name)
	}
	if m.Serial < opts.MinSerial {
		return fmt.Errorf("%w: serial %d, at least %d", ErrRollback, m.Serial, opts.MinSerial)
	}
	return nil
}

// readContent reads the other files, beginning with name, up to the end of the tar.
func (b *Bundle) readContent(t entries, name string, sig *signed, opts *ReadOptions) error {
	sums := map[string][sha256.Size]byte{}
	last := b.paths[len(b.paths)-1]
	for name != "" {
		if name <= last {
			return formatError(printable(name), "twice, or not in its place")
		}
		if err := checkPath(name); err != nil {
			return err
		}
		var want [sha256.Size]byte
		if sig != nil {
			var ok bool
			if want, ok = sig.sums[name]; !ok {
				return formatError(name, "not signed")
			}
		}
		var f body
		var sum [sha256.Size]byte
		var bad, err error
		if tar, ok := t.(*tarReader); ok && opts.Dense > 0 && structured(name) && tar.size >= opts.Dense {
			f.object, sum, bad, err = tar.object(MaxBytes, opts.Like[name])
		} else {
			f, sum, err = t.file(MaxBytes)
		}
		if err != nil {
			return err
		}
		if sig != nil && sum != want {
			return formatError(name, "not what was signed")
		}
		if bad != nil {
			return formatError(name, "%v", bad)
		}
		if f, err = checkFile(name, f, opts.Like[name]); err != nil {
			return err
		}
		b.add(name, f)
		sums[name] = sum
		last = name
		if name, err = t.next(); err != nil {
			return err
		}
	}
	if sig != nil && len(sums) != len(sig.sums) {
		for p := range sig.sums {
			if _, ok := sums[p]; !ok {
				return formatError(printable(p), "signed but missing")
			}
		}
	}
	if r := revision(sums); r != b.manifest.Revision {
		return formatError(ManifestPath, "revision is not that of the content")
	}
	return nil
}

func (b *Bundle) add(path string, f body) {
	b.files[path] = f
	b.paths = append(b.paths, path)
}

// tarReader reads a tar as writeTar writes it and nothing else.
type tarReader struct {
	r    io.Reader
	left int64 // bytes of content that may still come
	name string
	size int64
}

// next reads the header of the next file; "" at the end, after which nothing may follow.
func (t *tarReader) next() (string, error) {
	var block [blockSize]byte
	if _, err := io.ReadFull(t.r, block[:]); err != nil {
		return "", readError("", err)
	}
	if block == [blockSize]byte{} {
		return "", t.end()
	}
	var err error
	t.name, t.size, err = parseTarHeader(&block)
	if err == nil && t.name == "" {
		err = formatError("", "a file without a name")
	}
	return t.name, err
}

func (t *tarReader) end() error {
	var block [blockSize]byte
	if _, err := io.ReadFull(t.r, block[:]); err != nil {
		return readError("", err)
	}
	if block != [blockSize]byte{} {
		return formatError("", "tar does not end as it is written")
	}
	// This also reads and checks gzip's own checksum.
	n, err := io.ReadFull(t.r, block[:1])
	switch {
	case n != 0:
		return formatError("", "bytes after the end of the tar")
	case !errors.Is(err, io.EOF):
		return readError("", err)
	}
	return nil
}

// file reads the file that next has announced.
func (t *tarReader) file(limit int64) (f body, sum [sha256.Size]byte, err error) {
	if err := t.admit(limit); err != nil {
		return f, sum, err
	}
	// A header is cheap to write: the whole room is made when a first part has arrived.
	const chunk = 1 << 20
	data := make([]byte, min(t.size, chunk))
	h := sha256.New()
	for at := int64(0); at < t.size; {
		if at == int64(len(data)) {
			data = append(make([]byte, 0, t.size), data...)[:t.size]
		}
		end := min(at+chunk, t.size)
		if _, err := io.ReadFull(t.r, data[at:end]); err != nil {
			return f, sum, readError(t.name, err)
		}
		h.Write(data[at:end])
		at = end
	}
	h.Sum(sum[:0])
	return body{data: data}, sum, t.padding()
}

// object reads the file that next has announced into dense sections. bad is what is wrong with its
// text, of which sum is all the same.
func (t *tarReader) object(limit int64, like *Object) (o *Object, sum [sha256.Size]byte, bad, err error) {
	if err := t.admit(limit); err != nil {
		return nil, sum, nil, err
	}
	h := sha256.New()
	if o, bad, err = readDensely(t.r, t.size, h, like); err != nil {
		return nil, sum, nil, readError(t.name, err)
	}
	h.Sum(sum[:0])
	return o, sum, bad, t.padding()
}

// admit counts the file that next has announced against what may still come.
func (t *tarReader) admit(limit int64) error {
	if t.size > min(limit, t.left) {
		return fmt.Errorf("%w: %s has %d bytes, %d are left", ErrTooLarge, printable(t.name), t.size, min(limit, t.left))
	}
	t.left -= t.size
	return nil
}

// padding reads what fills the file's last block.
func (t *tarReader) padding() error {
	var rest [blockSize]byte
	if _, err := io.ReadFull(t.r, rest[:padding(t.size)]); err != nil {
		return readError(t.name, err)
	}
	if rest != [blockSize]byte{} {
		return formatError(printable(t.name), "padding is not zero")
	}
	return nil
}

// readError tells a file that is broken from a source that fails.
func readError(path string, err error) error {
	var corrupt flate.CorruptInputError
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return formatError(printable(path), "the file ends early")
	case errors.Is(err, gzip.ErrHeader), errors.Is(err, gzip.ErrChecksum), errors.As(err, &corrupt):
		return formatError(printable(path), "not gzip: %v", err)
	}
	return fmt.Errorf("read bundle: %w", err)
}
