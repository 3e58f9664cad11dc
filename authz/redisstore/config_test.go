package redisstore

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestConfigNamesOneRedis(t *testing.T) {
	for _, tt := range []struct {
		urls string
		want string // kind, tls, user, addresses, master, database
	}{
		{"redis://127.0.0.1", " false  127.0.0.1:6379  0"},
		{"redis://gate@localhost:7000/3", " false gate localhost:7000  3"},
		{"rediss://redis.example", " true  redis.example:6379  0"},
		{"redis://[::1]:7000/", " false  [::1]:7000  0"},
		{"redis+sentinel://127.0.0.1/main redis+sentinel://127.0.0.2:7000/main", "sentinel false  127.0.0.1:26379,127.0.0.2:7000 main 0"},
		{"rediss+sentinel://gate@a.example/main/2", "sentinel true gate a.example:26379 main 2"},
		{"redis+cluster://127.0.0.1:1 redis+cluster://127.0.0.1:2", "cluster false  127.0.0.1:1,127.0.0.1:2  0"},
	} {
		e, err := (&Config{URLs: strings.Fields(tt.urls)}).endpoints()
		if err != nil {
			t.Errorf("%s: %v", tt.urls, err)
			continue
		}
		got := strings.Join([]string{e.kind, map[bool]string{true: "true", false: "false"}[e.tls], e.user, strings.Join(e.addrs, ","), e.master, string(rune('0' + e.db))}, " ")
		if got != tt.want {
			t.Errorf("%s: %q, want %q", tt.urls, got, tt.want)
		}
	}
}

func TestConfigSaysWhatIsWrong(t *testing.T) {
	for urls, want := range map[string]string{
		"":                                    "no URL of a Redis",
		"http://127.0.0.1":                    "want redis://",
		"redis+other://127.0.0.1":             "want redis://",
		"redis+://127.0.0.1":                  "want redis://",
		"redis://":                            "want SCHEME://",
		"redis:127.0.0.1":                     "want SCHEME://",
		"redis://127.0.0.1?db=1":              "want SCHEME://",
		"redis://127.0.0.1/one":               "want the number of a database",
		"redis://127.0.0.1/1/2":               "want the number of a database",
		"redis://u:secret@127.0.0.1":          "put it into a file",
		"redis://redis.example":               "would cross the network in the open",
		"redis://127.0.0.1 redis://127.0.0.2": "there is one Redis otherwise",
		"redis+sentinel://127.0.0.1":          "as the path",
		"redis+cluster://127.0.0.1/1":         "none for a Cluster",
		"redis+cluster://127.0.0.1 redis+sentinel://127.0.0.1/main":      "differs from the first",
		"redis+cluster://127.0.0.1 rediss+cluster://127.0.0.1":           "differs from the first",
		"redis+sentinel://127.0.0.1/a redis+sentinel://127.0.0.1/b":      "differs from the first",
		"redis+cluster://a@127.0.0.1 redis+cluster://b@127.0.0.1":        "differs from the first",
		"redis+sentinel://127.0.0.1/main redis+sentinel://10.0.0.1/main": "would cross the network in the open",
	} {
		err := (&Config{URLs: strings.Fields(urls)}).Check()
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v, want %q", urls, err, want)
		}
	}
	if err := (&Config{URLs: []string{"redis://redis.example"}, Insecure: true}).Check(); err != nil {
		t.Error(err)
	}
	if err := (&Config{URLs: []string{"redis://127.0.0.1"}, CertFile: "a"}).Check(); err == nil {
		t.Error("a certificate without a key is none")
	}
}

func TestFilesThatCannotBeRead(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "bad.pem")
	if err := os.WriteFile(bad, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, cfg := range map[string]Config{
		"password":          {URLs: []string{"redis://127.0.0.1"}, PasswordFile: "/nowhere"},
		"sentinel password": {URLs: []string{"redis+sentinel://127.0.0.1/main"}, SentinelPasswordFile: "/nowhere"},
		"ca":                {URLs: []string{"rediss://127.0.0.1"}, CAFile: bad},
		"certificate":       {URLs: []string{"rediss://127.0.0.1"}, CertFile: bad, KeyFile: bad},
		"secret": {URLs: []string{"redis://127.0.0.1"}, PasswordFile: bad, Secret: func(string) (string, error) {
			return "", errors.New("readable by others")
		}},
	} {
		if s, err := Open(cfg); err == nil {
			s.Close()
			t.Errorf("%s: opened", name)
		}
	}
}
