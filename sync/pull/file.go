package pull

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/pullgate/pullgate/sync/durable"
)

// errDamaged: a file is not what was written.
var errDamaged = errors.New("damaged")

// maxChecked bounds the small files.
const maxChecked = 64 << 10

// writeChecked writes a small file that readChecked can tell from a damaged one: a line of JSON and
// a line with its SHA-256. It is whole or as before, also when the machine stops.
func writeChecked(path string, v any) error {
	line, err := json.Marshal(v)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(line)
	text := append(append(line, '\n'), hex.EncodeToString(sum[:])+"\n"...)
	return durable.Replace(path, text, 0o600)
}

// readChecked reads what writeChecked has written. Errors: errDamaged, or the file's.
func readChecked(path string, v any) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxChecked))
	if err != nil {
		return err
	}
	line, sum, ok := bytes.Cut(text, []byte("\n"))
	want := sha256.Sum256(line)
	if !ok || string(sum) != hex.EncodeToString(want[:])+"\n" {
		return errDamaged
	}
	if err := json.Unmarshal(line, v); err != nil {
		return fmt.Errorf("%w: %w", errDamaged, err)
	}
	return nil
}
