package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

func TestDocumentedPublishSettingsExist(t *testing.T) {
	const page = "../../docs/publishing.md"
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	addPublishFlags(flags, &settings{})
	flags.VisitAll(func(f *pflag.Flag) {
		key := settingKey(f)
		if !bytes.Contains(text, []byte("`"+key+"`")) && !strings.HasPrefix(key, "webhook_") {
			t.Errorf("%s does not document %s", page, key)
		}
	})
	n := 0
	for _, f := range readFences(t, page) {
		if !strings.HasPrefix(f.text, "bundles:\n  default:") {
			continue
		}
		n++
		file := filepath.Join(t.TempDir(), "publish.yaml")
		if err := os.WriteFile(file, []byte("signing_key: release.key\nbundle_client_ca: ca.pem\nbundle_cert: c\nbundle_cert_key: k\n"+f.text), 0o600); err != nil {
			t.Fatal(err)
		}
		var s settings
		flags := pflag.NewFlagSet("", pflag.ContinueOnError)
		addPublishFlags(flags, &s)
		if _, err := loadSettings(flags, &s, file); err != nil {
			t.Error(err)
		}
		if len(s.publish.Bundles) != 2 {
			t.Errorf("%d bundles in\n%s", len(s.publish.Bundles), f.text)
		}
	}
	if n != 1 {
		t.Errorf("%d configurations", n)
	}
}

// What must not be said of a publisher, or is dangerous, is refused with a remedy.
func TestPublishRefusesWrongSettings(t *testing.T) {
	v := newVendor(t)
	v.write("short", "short\n", 0o600)
	v.write("open", "token-of-the-sidecars\n", 0o604)
	for name, c := range map[string]struct {
		more string
		args []string
		want string
	}{
		"off loopback":            {args: []string{"--bundle-addr", "0.0.0.0:0"}, want: "set bundle-cert"},
		"nowhere":                 {args: []string{"--bundle-addr", ""}, want: "name one of bundle-addr, out and oci"},
		"half a certificate":      {args: []string{"--bundle-cert", "x"}, want: "want both or none"},
		"a CA without TLS":        {args: []string{"--bundle-client-ca", "x"}, want: "needs bundle-cert"},
		"a share":                 {args: []string{"--max-loss", "0.05"}, want: "want 0% to 100%"},
		"no such key":             {args: []string{"--signing-key", v.path("absent")}, want: "signing-key"},
		"a public key that signs": {args: []string{"--signing-key", v.path("release.pub")}, want: "signing-key"},
		"a short token":           {more: "bundles: {default: {token_file: " + v.path("short") + "}}\n", want: "at least 16"},
		"a token for all to read": {more: "bundles: {default: {token_file: " + v.path("open") + "}}\n", want: "readable by others"},
		"no customers":            {more: "bundles: {plant: {customers: []}}\n", want: "publish.yaml:9"},
		"a bad name":              {more: "bundles: {Plant: {}}\n", want: "lower-case"},
		"what serve has":          {more: "bearer: {enabled: true}\n", want: "bearer is a setting of `pullgate serve`"},
		"a bad repository":        {args: []string{"--oci", "no repository"}, want: "oci"},
	} {
		t.Run(name, func(t *testing.T) {
			args := append([]string{"publish", "--config", v.configurePublish(c.more)}, c.args...)
			if code, _, stderr := once(t, args...); code != exitUnknown || !strings.Contains(stderr, c.want) {
				t.Errorf("exit %d, want %q in\n%s", code, c.want, stderr)
			}
		})
	}
	if code, _, stderr := once(t, "serve", "--config", v.configurePublish("")); code != exitUnknown || !strings.Contains(stderr, "signing_key") {
		t.Errorf("serve with the publisher's file: %d\n%s", code, stderr)
	}
}
