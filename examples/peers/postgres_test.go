package peers

import (
	"net"
	"os"
	"path/filepath"
	"testing"
)

func TestPostgresStartsAgainWithItsData(t *testing.T) {
	program, dir := Postgres(t), t.TempDir()
	var made os.FileInfo
	for range 2 {
		p, err := StartPostgres(t.Context(), program, dir)
		if err != nil {
			t.Fatal(err)
		}
		conn, err := net.Dial("tcp", p.Addr)
		if err != nil {
			t.Errorf("it takes no connections: %v", err)
		} else {
			conn.Close()
		}
		info, err := os.Stat(filepath.Join(dir, "data", "PG_VERSION"))
		if err != nil {
			t.Fatal(err)
		}
		if made != nil && !info.ModTime().Equal(made.ModTime()) {
			t.Error("its data were made anew")
		}
		made = info
		p.Kill() // as a crash would
		if _, err := net.Dial("tcp", p.Addr); err == nil {
			t.Error("it takes connections after its end")
		}
	}
}

func TestPostgresLeavesNothingBehind(t *testing.T) {
	p, err := StartPostgres(t.Context(), Postgres(t), "")
	if err != nil {
		t.Fatal(err)
	}
	p.Close()
	if _, err := os.Stat(p.dir); !os.IsNotExist(err) {
		t.Errorf("%s is still there: %v", p.dir, err)
	}
}
