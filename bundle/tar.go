package bundle

import (
	"bytes"
	"fmt"
	"strconv"
)

// A bundle's tar is POSIX ustar, regular files only, every header the same but for name and
// size. The reader makes the header it expects and compares, so that no field can differ.

const (
	blockSize = 512
	maxPath   = 100 // ustar's name field
	mtime     = 0
)

var endOfTar [2 * blockSize]byte

// tarHeader is the header block of a file. Field places: POSIX.1-1988, "ustar Interchange Format".
func tarHeader(name string, size int64) (block [blockSize]byte) {
	copy(block[0:100], name)
	copy(block[100:108], "0000644\x00") // mode
	copy(block[108:116], "0000000\x00") // uid
	copy(block[116:124], "0000000\x00") // gid
	copy(block[124:136], fmt.Sprintf("%011o\x00", size))
	copy(block[136:148], fmt.Sprintf("%011o\x00", mtime))
	copy(block[148:156], "        ")               // checksum, counted as spaces
	block[156] = '0'                               // regular file
	copy(block[257:265], "ustar\x0000")            // magic and version
	copy(block[329:345], "0000000\x000000000\x00") // device numbers
	sum := 0
	for _, c := range block {
		sum += int(c)
	}
	copy(block[148:156], fmt.Sprintf("%06o\x00 ", sum))
	return block
}

// parseTarHeader returns name and size of a block that tarHeader made.
func parseTarHeader(block *[blockSize]byte) (name string, size int64, err error) {
	name = string(bytes.TrimRight(block[0:100], "\x00"))
	size, err = strconv.ParseInt(string(block[124:135]), 8, 64)
	if err != nil || size < 0 || tarHeader(name, size) != *block {
		return "", 0, formatError(printable(name), "tar header is not as it is written")
	}
	return name, size, nil
}

// printable makes a name from an unverified header fit for an error message.
func printable(name string) string {
	for i := range len(name) {
		if name[i] < ' ' || name[i] >= 0x7f {
			return strconv.QuoteToASCII(name)
		}
	}
	return name
}

// padding is the number of zero bytes after a file of this size.
func padding(size int64) int64 { return -size & (blockSize - 1) }
