package bundle

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
)

// untar unpacks the gzip layer.
func untar(t testing.TB, data []byte) []byte {
	t.Helper()
	gz, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	tar, err := io.ReadAll(gz)
	if err != nil {
		t.Fatal(err)
	}
	return tar
}

// packed makes a gzip layer.
func packed(tar []byte) []byte {
	gz := packers.Get().(*gzip.Writer)
	defer packers.Put(gz)
	var buf bytes.Buffer
	gz.Reset(&buf)
	gz.Write(tar)
	gz.Close()
	return buf.Bytes()
}

// packers are kept because a new one costs more than everything else in most of these tests.
var packers = sync.Pool{New: func() any {
	gz, err := gzip.NewWriterLevel(nil, gzip.NoCompression)
	if err != nil {
		panic(err)
	}
	return gz
}}

// file is a member of a tar made by hand.
type file struct{ path, data string }

func tarOf(files []file) []byte {
	var out []byte
	for _, f := range files {
		h := tarHeader(f.path, int64(len(f.data)))
		out = append(out, h[:]...)
		out = append(out, f.data...)
		out = append(out, make([]byte, padding(int64(len(f.data))))...)
	}
	return append(out, endOfTar[:]...)
}

func filesOf(b *Bundle) []file {
	var out []file
	for _, p := range b.Paths() {
		out = append(out, file{p, string(b.File(p))})
	}
	return out
}

// signedBy makes a bundle of files that Write would refuse to make: the signature is over whatever is there.
func signedBy(t testing.TB, s *Signer, scope string, files []file) []byte {
	t.Helper()
	sums := map[string][sha256.Size]byte{}
	for _, f := range files {
		sums[f.path] = sha256.Sum256([]byte(f.data))
	}
	sig, err := s.signatureFile(scope, sums)
	if err != nil {
		t.Fatal(err)
	}
	return packed(tarOf(slices.Insert(slices.Clone(files), 1, file{SignaturesPath, string(sig)})))
}

func TestReadRefusesEveryChangedBit(t *testing.T) {
	k := key(t)
	data, wrote := write(t, &Content{NotAfter: Never, Files: map[string][]byte{
		"pullgate/a/data.json": []byte(`{"a":1}`),
	}}, signer(t, k))
	keys := ring(t, k)
	tar := untar(t, data)
	if b, err := Read(bytes.NewReader(packed(tar)), keys, ReadOptions{}); err != nil || b.Revision() != wrote.Revision() {
		t.Fatalf("packed again: %v", err)
	}
	var wg sync.WaitGroup
	for worker := range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			tar := bytes.Clone(tar)
			for bit := worker; bit < len(tar)*8; bit += runtime.GOMAXPROCS(0) {
				tar[bit/8] ^= 1 << (bit % 8)
				if _, err := Read(bytes.NewReader(packed(tar)), keys, ReadOptions{}); err == nil {
					t.Errorf("bit %d of byte %d is free", bit%8, bit/8)
				}
				tar[bit/8] ^= 1 << (bit % 8)
			}
		})
	}
	wg.Wait()
}

// TestReadOfChangedFileIsErrorOrSameContent: gzip has bits that mean nothing, but none that changes anything.
func TestReadOfChangedFileIsErrorOrSameContent(t *testing.T) {
	k := key(t)
	data, wrote := write(t, sample(), signer(t, k))
	keys := ring(t, k)
	for bit := range len(data) * 8 {
		data[bit/8] ^= 1 << (bit % 8)
		b, err := Read(bytes.NewReader(data), keys, ReadOptions{})
		if err == nil && !slices.Equal(filesOf(b), filesOf(wrote)) {
			t.Errorf("bit %d of byte %d changes the content", bit%8, bit/8)
		}
		data[bit/8] ^= 1 << (bit % 8)
	}
}

func TestReadRefusesCutAndLongerFiles(t *testing.T) {
	k := key(t)
	data, _ := write(t, sample(), signer(t, k))
	keys := ring(t, k)
	for n := range data {
		if _, err := Read(bytes.NewReader(data[:n]), keys, ReadOptions{}); !isFormatError(err) {
			t.Fatalf("cut to %d of %d bytes: %v", n, len(data), err)
		}
	}
	tar := untar(t, data)
	for n := 0; n < len(tar); n += 64 {
		if _, err := Read(bytes.NewReader(packed(tar[:n])), keys, ReadOptions{}); !isFormatError(err) {
			t.Fatalf("tar cut to %d of %d bytes: %v", n, len(tar), err)
		}
	}
	for name, longer := range map[string][]byte{
		"byte after gzip":      append(bytes.Clone(data), 0),
		"second gzip member":   append(bytes.Clone(data), packed(nil)...),
		"byte after tar":       packed(append(bytes.Clone(tar), 0)),
		"third zero block":     packed(append(bytes.Clone(tar), make([]byte, blockSize)...)),
		"second tar":           packed(append(bytes.Clone(tar), tar...)),
		"one zero block":       packed(tar[:len(tar)-blockSize]),
		"half of the end only": packed(append(bytes.Clone(tar[:len(tar)-blockSize]), 1)),
	} {
		if _, err := Read(bytes.NewReader(longer), keys, ReadOptions{}); !isFormatError(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func isFormatError(err error) bool {
	var f *FormatError
	return errors.As(err, &f)
}

func TestReadTakesOnlyWhatTheOptionsAllow(t *testing.T) {
	k, other := key(t), key(t)
	signed, _ := write(t, sample(), signer(t, k))
	unsigned, _ := write(t, sample(), nil)
	customer := sample()
	customer.Name = "acme"
	named, _ := write(t, customer, signer(t, k))

	tests := []struct {
		name string
		data []byte
		ring *KeyRing
		opts ReadOptions
		want error
	}{
		{"signed", signed, ring(t, k), ReadOptions{}, nil},
		{"one of two keys", signed, ring(t, other, k), ReadOptions{}, nil},
		{"another key", signed, ring(t, other), ReadOptions{}, ErrUnknownKey},
		{"no keys", signed, ring(t), ReadOptions{}, ErrUnknownKey},
		{"no ring", signed, nil, ReadOptions{}, ErrUnknownKey},
		{"unsigned", unsigned, ring(t, k), ReadOptions{}, ErrUnsigned},
		{"unsigned, no ring", unsigned, nil, ReadOptions{}, ErrUnsigned},
		{"unsigned allowed", unsigned, ring(t, k), ReadOptions{AllowUnsigned: true}, nil},
		{"unsigned allowed, signed by another key", signed, ring(t, other), ReadOptions{AllowUnsigned: true}, ErrUnknownKey},
		{"unsigned allowed, nobody can check", signed, nil, ReadOptions{AllowUnsigned: true}, nil},
		{"serial as low as allowed", signed, ring(t, k), ReadOptions{MinSerial: 7}, nil},
		{"serial too low", signed, ring(t, k), ReadOptions{MinSerial: 8}, ErrRollback},
		{"serial too low, unsigned", unsigned, nil, ReadOptions{MinSerial: 8, AllowUnsigned: true}, ErrRollback},
		{"name", named, ring(t, k), ReadOptions{Name: "acme"}, nil},
		{"any name", named, ring(t, k), ReadOptions{}, nil},
		{"wrong name", named, ring(t, k), ReadOptions{Name: "default"}, ErrWrongName},
		{"large enough", signed, ring(t, k), ReadOptions{MaxBytes: 8 << 10}, nil},
		{"too large", signed, ring(t, k), ReadOptions{MaxBytes: 1 << 10}, ErrTooLarge},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b, err := Read(bytes.NewReader(tt.data), tt.ring, tt.opts)
			if !errors.Is(err, tt.want) || (b == nil) != (tt.want != nil) {
				t.Fatalf("got %v, %v; want %v", b, err, tt.want)
			}
			if b != nil && (b.KeyID() != "") != (bytes.Equal(tt.data, signed) && tt.ring != nil || bytes.Equal(tt.data, named)) {
				t.Errorf("key id %q", b.KeyID())
			}
		})
	}
}

func TestReadRefusesWhatWriteDoesNotMake(t *testing.T) {
	k := key(t)
	s := signer(t, k)
	_, wrote := write(t, &Content{Serial: 1, IssuedAt: 1, NotAfter: 2, Files: map[string][]byte{
		"index.bin": []byte("i"), "pullgate/a/data.json": []byte(`{"a":1}`), "vendor/b.rego": []byte("package vendor.b\n"),
	}}, nil)
	good := filesOf(wrote)
	at := func(path string) int { return slices.IndexFunc(good, func(f file) bool { return f.path == path }) }
	with := func(path, data string) []file {
		out := slices.Clone(good)
		out[at(path)].data = data
		return out
	}
	manifest := func(old, new string) []file {
		if !strings.Contains(good[0].data, old) {
			t.Fatalf("%s not in %s", old, good[0].data)
		}
		return with(ManifestPath, strings.Replace(good[0].data, old, new, 1))
	}
	insert := func(path, data string) []file {
		i, _ := slices.BinarySearchFunc(good, path, func(f file, p string) int { return strings.Compare(f.path, p) })
		return slices.Insert(slices.Clone(good), i, file{path, data})
	}
	tests := []struct {
		name string
		data []byte
		path string // in the error
	}{
		{"JSON with white space", signedBy(t, s, DefaultName, with("pullgate/a/data.json", `{"a": 1}`)), "pullgate/a/data.json"},
		{"JSON that is no object", signedBy(t, s, DefaultName, with("pullgate/a/data.json", `[]`)), "pullgate/a/data.json"},
		{"changed content, revision as before", signedBy(t, s, DefaultName, with("index.bin", "j")), ManifestPath},
		{"file OPA reads as delta", signedBy(t, s, DefaultName, insert("pullgate/patch.json", `{}`)), "pullgate/patch.json"},
		{"YAML data", signedBy(t, s, DefaultName, insert("pullgate/data.yaml", `a: 1`)), "pullgate/data.yaml"},
		{"file outside the roots", signedBy(t, s, DefaultName, insert("other/data.json", `{}`)), "other/data.json"},
		{"data at the top", signedBy(t, s, DefaultName, insert("data.json", `{}`)), "data.json"},
		{"second manifest", signedBy(t, s, DefaultName, insert("pullgate/.manifest", `{}`)), "pullgate/.manifest"},
		{"parent directory", signedBy(t, s, DefaultName, insert("pullgate/../data.json", `{}`)), "pullgate/../data.json"},
		{"absolute path", signedBy(t, s, DefaultName, slices.Insert(slices.Clone(good), 1, file{"/a/data.json", `{}`})), "/a/data.json"},
		{"format of the future", signedBy(t, s, DefaultName, manifest(`"format":1`, `"format":2`)), ManifestPath},
		{"Rego v0", signedBy(t, s, DefaultName, manifest(`"rego_version":1`, `"rego_version":0`)), ManifestPath},
		{"more roots", signedBy(t, s, DefaultName, manifest(`"vendor"]`, `"vendor","x"]`)), ManifestPath},
		{"white space in the manifest", signedBy(t, s, DefaultName, manifest(`:1`, `: 1`)), ManifestPath},
		{"unknown field in the manifest", signedBy(t, s, DefaultName, manifest(`"name"`, `"nam":"","name"`)), ManifestPath},
		{"negative serial", signedBy(t, s, DefaultName, manifest(`"serial":1`, `"serial":-1`)), ManifestPath},
		{"deadline before issue", signedBy(t, s, DefaultName, manifest(`"not_after":2`, `"not_after":1`)), ManifestPath},
		{"deadline spelt never", signedBy(t, s, DefaultName, manifest(`"not_after":2`, `"not_after":9223372036854775807`)), ManifestPath},
		{"name with a slash", signedBy(t, s, DefaultName, manifest(`"default"`, `"a/b"`)), ManifestPath},
		{"not a manifest", signedBy(t, s, DefaultName, with(ManifestPath, `[`)), ManifestPath},
		{"empty manifest", signedBy(t, s, DefaultName, with(ManifestPath, ``)), ManifestPath},
		{"nothing", packed(nil), ""},
		{"empty tar", packed(endOfTar[:]), ""},
		{"no manifest", packed(tarOf(good[1:])), "index.bin"},
		{"not gzip", []byte("PK\x03\x04 is another format"), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b, err := Read(bytes.NewReader(tt.data), ring(t, k), ReadOptions{})
			var f *FormatError
			if b != nil || !errors.As(err, &f) {
				t.Fatalf("got %v", err)
			}
			if f.Path != tt.path {
				t.Errorf("error names %q, want %q: %v", f.Path, tt.path, err)
			}
		})
	}
	if _, err := Read(bytes.NewReader(signedBy(t, s, "acme", good)), ring(t, k), ReadOptions{}); !errors.Is(err, ErrWrongName) {
		t.Errorf("signed for another name: %v", err)
	}
}

func TestReadRefusesFilesThatAreNotThoseSigned(t *testing.T) {
	k := key(t)
	_, b := write(t, sample(), signer(t, k))
	good := filesOf(b)
	last := len(good) - 1
	swapped := slices.Clone(good)
	swapped[last], swapped[last-1] = swapped[last-1], swapped[last]
	for name, files := range map[string][]file{
		"missing file":        good[:last],
		"missing content":     good[:2],
		"added file":          append(slices.Clone(good), file{"vendor/z.rego", "package vendor.z\n"}),
		"duplicate file":      append(slices.Clone(good), good[last]),
		"duplicate manifest":  slices.Insert(slices.Clone(good), 1, good[0]),
		"duplicate signature": slices.Insert(slices.Clone(good), 2, good[1]),
		"other order":         swapped,
		"renamed file":        append(slices.Clone(good[:last]), file{"vendor/z.rego", good[last].data}),
		"emptied file":        append(slices.Clone(good[:last]), file{good[last].path, ""}),
	} {
		if _, err := Read(bytes.NewReader(packed(tarOf(files))), ring(t, k), ReadOptions{}); !isFormatError(err) && !errors.Is(err, ErrUnsigned) {
			t.Errorf("%s: %v", name, err)
		}
	}
	late := slices.Concat(good[:1], good[2:], good[1:2])
	if _, err := Read(bytes.NewReader(packed(tarOf(late))), ring(t, k), ReadOptions{}); !errors.Is(err, ErrUnsigned) {
		t.Errorf("signature at the end: %v", err)
	}
	if _, err := Read(bytes.NewReader(packed(tarOf(late))), nil, ReadOptions{AllowUnsigned: true}); !isFormatError(err) {
		t.Errorf("signature at the end, unsigned allowed: %v", err)
	}
}

// zeros is a reader of n zero bytes.
func zeros(n int64) io.Reader {
	return io.LimitReader(readerFunc(func(p []byte) (int, error) { clear(p); return len(p), nil }), n)
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// TestReadIsNotBlownUp: a small file that unpacks to much is refused by its headers, before its content is read.
func TestReadIsNotBlownUp(t *testing.T) {
	k := key(t)
	_, b := write(t, sample(), signer(t, k))
	good := filesOf(b)
	bomb := func(before []file, path string, size int64) []byte {
		var buf bytes.Buffer
		gz := gzip.NewWriter(&buf)
		tar := tarOf(before)
		gz.Write(tar[:len(tar)-len(endOfTar)])
		h := tarHeader(path, size)
		gz.Write(h[:])
		io.Copy(gz, zeros(16<<20))
		gz.Close()
		return buf.Bytes()
	}
	for name, data := range map[string][]byte{
		"manifest":  bomb(nil, ManifestPath, 8<<30-1),
		"signature": bomb(good[:1], SignaturesPath, maxSmallFile+1),
		"content":   bomb(good[:2], "index.bin", MaxBytes),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := Read(bytes.NewReader(data), ring(t, k), ReadOptions{})
		runtime.ReadMemStats(&after)
		if !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: %v", name, err)
		}
		if n := after.TotalAlloc - before.TotalAlloc; n > 4<<20 {
			t.Errorf("%s: %d bytes for a refusal", name, n)
		}
	}
	if _, err := Read(bytes.NewReader(packed(append(tarOf(nil), make([]byte, 1<<20)...))), nil, ReadOptions{}); !isFormatError(err) {
		t.Errorf("zeros: %v", err)
	}
}

func TestReadReportsASourceThatFails(t *testing.T) {
	k := key(t)
	data, _ := write(t, sample(), signer(t, k))
	broken := errors.New("connection reset")
	for _, n := range []int{0, 5, len(data) / 2, len(data)} {
		r := io.MultiReader(bytes.NewReader(data[:n]), readerFunc(func([]byte) (int, error) { return 0, broken }))
		if _, err := Read(r, ring(t, k), ReadOptions{}); !errors.Is(err, broken) {
			t.Errorf("after %d bytes: %v", n, err)
		}
	}
}

// FuzzRead: whatever the bytes, Read returns a bundle or an error, never both or a panic; and what
// it takes is, written again from its own content, the same tar.
func FuzzRead(f *testing.F) {
	k := key(f)
	data, _ := write(f, sample(), nil)
	f.Add(untar(f, data))
	data, _ = write(f, sample(), signer(f, k))
	f.Add(untar(f, data))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, tar []byte) {
		b, err := Read(bytes.NewReader(packed(tar)), nil, ReadOptions{AllowUnsigned: true, MaxBytes: 1 << 20})
		if (b == nil) != (err != nil) {
			t.Fatalf("%v, %v", b, err)
		}
		if b == nil {
			return
		}
		m := b.manifest
		c := &Content{Name: m.Name, Serial: m.Serial, IssuedAt: m.IssuedAt, NotAfter: m.NotAfter, PolicyDigest: m.PolicyDigest, Files: map[string][]byte{}}
		for _, p := range b.Paths() {
			if p != ManifestPath && p != SignaturesPath {
				c.Files[p] = b.File(p)
			}
		}
		files := filesOf(b)
		again, _, err := assemble(c, nil)
		if err != nil {
			t.Fatalf("taken but not writable: %v", err)
		}
		if string(again.File(ManifestPath)) != files[0].data || !bytes.Equal(tarOf(files), tar) {
			t.Error("taken but written differently")
		}
	})
}

// Who reads a bundle gives way after every 32 KiB of it, at least.
func TestReadingGivesWay(t *testing.T) {
	k := key(t)
	file, _ := write(t, customers(1_000), signer(t, k))
	for name, opts := range map[string]ReadOptions{"whole": {}, "densely": {Dense: 1}} {
		times := 0
		opts.GiveWay = func() { times++ }
		b, err := Read(bytes.NewReader(file), ring(t, k), opts)
		if err != nil {
			t.Fatal(err)
		}
		if want := b.Object("pullgate/customers/data.json").Size() / (32 << 10); times < want {
			t.Errorf("%s: %d times, want %d", name, times, want)
		}
	}
}
