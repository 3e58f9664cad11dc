package postgres

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestURLs(t *testing.T) {
	for url, want := range map[string]string{
		"postgres://pullgate@db.internal/licenses":             "",
		"postgresql:///licenses?host=/run/postgresql":          "",
		"postgres://db.internal:5433/licenses?sslmode=require": "",
		"licenses":                            "begins with postgres://",
		"postgres://u:SECRET@db/licenses":     "holds a password",
		"postgres://u:@db/licenses":           "holds a password",
		"postgres://db/x?password=SECRET":     "holds a password",
		"postgres://db/x?sslpassword=SECRET":  "holds a password",
		"postgres://u:SECRET%ZZ@db/x":         "cannot be read",
		"postgres://u@db:SECRET/x":            "cannot be read",
		"postgres://db/x?sslmode=SECRETLY":    "sslmode is invalid",
		"postgres://db/x?connect_timeout=abc": "invalid syntax",
	} {
		db, err := Open(Config{URL: url})
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", url, err, want)
		}
		for _, text := range []string{fmt.Sprint(err), fmt.Sprint(db)} {
			if strings.Contains(text, "SECRET") && !strings.Contains(text, "sslmode") {
				t.Errorf("%s: printed: %s", url, text)
			}
		}
	}
}

func TestPasswordFilesOfOthersAreRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pgpass")
	must(t, os.WriteFile(file, []byte("*:*:*:*:x\n"), 0o644))
	t.Setenv("PGPASSFILE", file)
	if _, err := Open(Config{URL: "postgres://db/x"}); err == nil || !strings.Contains(err.Error(), "readable by others") {
		t.Errorf("error %v", err)
	}
	must(t, os.Chmod(file, 0o640))
	if _, err := Open(Config{URL: "postgres://db/x"}); err != nil {
		t.Error(err)
	}
}

// A wrong password is told as such, and not repeated.
func TestWrongPassword(t *testing.T) {
	p := running(t)
	file := filepath.Join(t.TempDir(), "pgpass")
	must(t, os.WriteFile(file, []byte("*:*:*:*:not-the-password\n"), 0o600))
	db := open(t, "postgres://postgres@"+p.Addr+"/empty?sslmode=disable&passfile="+file)
	_, err := db.Load(t.Context())
	if err == nil || !strings.Contains(err.Error(), "password authentication failed") || strings.Contains(err.Error(), "not-the-password") {
		t.Errorf("error %v", err)
	}
}

// Tables of another version are refused with what to do.
func TestOtherSchemas(t *testing.T) {
	for sql, want := range map[string]string{
		"UPDATE pullgate.migrations SET number = 0":                                                   "have schema 0, this pullgate needs 1: run `pullgate licenses migrate --to URL`",
		"INSERT INTO pullgate.migrations VALUES (99, 99)":                                             "have schema 99, which this pullgate cannot read (it knows 1): upgrade pullgate",
		"INSERT INTO pullgate.migrations VALUES (99, 1); UPDATE pullgate.revision SET revision = 100": "",
	} {
		url := filled(t, small())
		db := open(t, url)
		_, err := db.Load(t.Context())
		must(t, err)
		execute(t, url, sql)
		if _, err := db.Load(t.Context()); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", sql, err, want)
		}
	}
}

func TestMigrateTwiceIsOnce(t *testing.T) {
	db := open(t, database(t))
	before, after, err := db.Migrate(t.Context())
	if before != 1 || after != 1 || err != nil {
		t.Errorf("from %d to %d, %v", before, after, err)
	}
}
