package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/pullgate/pullgate/bundle"
	"github.com/pullgate/pullgate/bundle/compile"
	"github.com/pullgate/pullgate/policies"
	"github.com/pullgate/pullgate/sync/publish"
	"github.com/pullgate/pullgate/sync/source"
	"github.com/spf13/cobra"
)

func bundleCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "bundle", Short: "Make and look at signed bundles", Args: cobra.NoArgs}
	cmd.AddCommand(bundleKeygenCommand(), bundleBuildCommand(), bundleVerifyCommand(), bundleInspectCommand(), bundleDiffCommand())
	return cmd
}

func compileInput(snap *source.Snapshot, repositories []compile.Repository) *compile.Input {
	now := time.Now()
	return &compile.Input{
		Set: snap.Set, Catalog: repositories, Modules: policies.Modules(), Rules: snap.Rules,
		Name: bundle.DefaultName, Serial: now.Unix(), IssuedAt: now.Unix(), NotAfter: now.Add(publish.DefaultValidity).Unix(),
	}
}

func bundleKeygenCommand() *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:     "keygen --out NAME",
		Short:   "Make a signing key: NAME.key (private, 0600) and NAME.pub",
		Example: "  pullgate bundle keygen --out release",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			key, err := bundle.GenerateKey()
			if err != nil {
				return err
			}
			private, err := bundle.MarshalPrivate(key)
			if err != nil {
				return err
			}
			public, err := bundle.MarshalPublic(&key.PublicKey)
			if err != nil {
				return err
			}
			if err := writeNew(out+".key", private, 0o600); err != nil {
				return err
			}
			if err := writeNew(out+".pub", public, 0o644); err != nil {
				return errors.Join(err, os.Remove(out+".key"))
			}
			signer, err := bundle.NewSigner(key)
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s.key  private: keep it where bundles are built, nowhere else\n%s.pub  public: for --key-file; key id %s\n", out, out, signer.KeyID())
			return nil
		},
	}
	cmd.Flags().StringVar(&out, "out", "", "name of the two files without ending")
	_ = cmd.MarkFlagRequired("out")
	return cmd
}

// writeNew writes a file that must not exist yet.
func writeNew(path string, data []byte, mode os.FileMode) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("%s exists and is not overwritten", path)
	}
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Close())
}

func bundleBuildCommand() *cobra.Command {
	var licenses, catalogFile, data, keyFile, issuedAt, notAfter, name, out string
	var serial int64
	cmd := &cobra.Command{
		Use:   "build --licenses DIR --signing-key FILE --out FILE",
		Short: "Compile license files and a catalog into a signed bundle",
		Long: `Compiles the license files, the registry's catalog and the policy library into a signed OPA
bundle. The same inputs, --issued-at and --serial included, give the same bytes.`,
		Example: "  pullgate bundle build --licenses licenses --signing-key release.key --out bundle.tar.gz",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			snap, err := loadLicenses(cmd.Context(), licenses)
			if err != nil {
				return err
			}
			repositories, err := questionCatalog(snap.Set, catalogFile, data, true)
			if err != nil {
				return err
			}
			pem, err := readSecretFile(keyFile)
			if err != nil {
				return err
			}
			signer, err := bundle.ParseSigner([]byte(pem + "\n"))
			if err != nil {
				return fmt.Errorf("%s: %w", keyFile, err)
			}
			in := compileInput(snap, repositories)
			in.Name = name
			if err := setTimes(in, issuedAt, notAfter, serial); err != nil {
				return err
			}
			content, warnings, err := compile.Compile(in)
			if err != nil {
				return err
			}
			for _, w := range warnings {
				fmt.Fprintf(cmd.ErrOrStderr(), "warning: %s\n", w)
			}
			var b *bundle.Bundle
			err = replaceFile(out, func(w io.Writer) (err error) {
				b, err = bundle.Write(w, content, signer)
				return err
			})
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s\n", b.Revision())
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&licenses, "licenses", "", "`directory` of license files, or URL of a PostgreSQL database")
	addCatalogFlags(cmd, &catalogFile, &data)
	f.StringVar(&keyFile, "signing-key", "", "`file` with the private key (PEM, 0600) of pullgate bundle keygen")
	f.StringVar(&issuedAt, "issued-at", "", "instant the bundle is issued at (default: now)")
	f.StringVar(&notAfter, "not-after", "", "instant from which it must not be used (default: 72h after --issued-at)")
	f.Int64Var(&serial, "serial", 0, "serial number, higher than that of every earlier bundle of this name (default: Unix seconds of --issued-at)")
	f.StringVar(&name, "name", bundle.DefaultName, "the set of customers it serves; also the signature's scope")
	f.StringVar(&out, "out", "", "file to write")
	for _, required := range []string{"licenses", "signing-key", "out"} {
		_ = cmd.MarkFlagRequired(required)
	}
	return cmd
}

func setTimes(in *compile.Input, issuedAt, notAfter string, serial int64) error {
	if issuedAt != "" {
		t, err := parseInstant("--issued-at", issuedAt)
		if err != nil {
			return err
		}
		in.IssuedAt, in.Serial = t.Unix(), t.Unix()
		in.NotAfter = t.Add(publish.DefaultValidity).Unix()
	}
	if notAfter != "" {
		t, err := parseInstant("--not-after", notAfter)
		if err != nil {
			return err
		}
		in.NotAfter = t.Unix()
	}
	if in.NotAfter <= in.IssuedAt {
		return errors.New("--not-after is not after --issued-at; give a later one")
	}
	if serial != 0 {
		in.Serial = serial
	}
	return nil
}

func bundleVerifyCommand() *cobra.Command {
	var keys []string
	var name string
	var minSerial int64
	cmd := &cobra.Command{
		Use:     "verify --key-file PUB FILE",
		Short:   "Verify a bundle: signature, every file's hash, format",
		Example: "  pullgate bundle verify --key-file release.pub bundle.tar.gz",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			b, err := readBundle(args[0], keys, bundle.ReadOptions{Name: name, MinSerial: minSerial})
			var unread *unreadError
			if errors.As(err, &unread) {
				return err
			}
			if err != nil {
				fmt.Fprintf(cmd.OutOrStdout(), "%s: refused: %v\n", args[0], err)
				return errNo
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: ok: name %s, serial %d, revision %s\n", args[0], b.Name(), b.Serial(), b.Revision())
			return nil
		},
	}
	cmd.Flags().StringSliceVar(&keys, "key-file", nil, "public key (PEM); repeatable, for rotation")
	cmd.Flags().StringVar(&name, "name", bundle.DefaultName, "name the bundle must have")
	cmd.Flags().Int64Var(&minSerial, "min-serial", 0, "lowest serial to accept")
	_ = cmd.MarkFlagRequired("key-file")
	return cmd
}

// unreadError is why a bundle could not be verified at all: nothing is known of it.
type unreadError struct{ error }

func (e *unreadError) Unwrap() error { return e.error }

// readBundle reads and verifies a bundle file. What keeps it from verifying is an *unreadError.
func readBundle(path string, keyFiles []string, opts bundle.ReadOptions) (*bundle.Bundle, error) {
	ring, err := readKeyRing(keyFiles)
	if err != nil {
		return nil, &unreadError{err}
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, &unreadError{err}
	}
	defer f.Close()
	b, err := bundle.Read(f, ring, opts)
	var io *fs.PathError
	if errors.As(err, &io) {
		return nil, &unreadError{err}
	}
	return b, err
}

func bundleInspectCommand() *cobra.Command {
	var keys []string
	cmd := &cobra.Command{
		Use:     "inspect FILE",
		Short:   "Print what a bundle says of itself and what is in it",
		Long:    "Prints the manifest and the files of a bundle. Without --key-file the signature is not checked, and the output says so.",
		Example: "  pullgate bundle inspect bundle.tar.gz",
		Args:    cobra.ExactArgs(1),
	}
	cmd.Flags().StringSliceVar(&keys, "key-file", nil, "public key (PEM) to verify with; repeatable")
	output := addOutput(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		format, err := output()
		if err != nil {
			return err
		}
		b, err := readBundle(args[0], keys, bundle.ReadOptions{AllowUnsigned: len(keys) == 0})
		if err != nil {
			return err
		}
		return printBundle(cmd.OutOrStdout(), format, b, len(keys) > 0)
	}
	return cmd
}

func readKeyRing(files []string) (*bundle.KeyRing, error) { return ringOf("key-file", files) }

func printBundle(w io.Writer, format string, b *bundle.Bundle, verified bool) error {
	type file struct {
		Path  string `json:"path"`
		Bytes int    `json:"bytes"`
	}
	var files []file
	for _, p := range b.Paths() {
		files = append(files, file{p, len(b.File(p))})
	}
	if format == "json" {
		return printJSON(w, map[string]any{
			"name": b.Name(), "serial": b.Serial(), "revision": b.Revision(), "policy_digest": b.PolicyDigest(),
			"issued_at": instant(b.IssuedAt()), "not_after": instant(b.NotAfter()), "key": b.KeyID(), "verified": verified, "files": files,
		})
	}
	signature := "NOT CHECKED; give --key-file"
	if verified {
		signature = "ok, key " + b.KeyID()
	}
	t := newTable(w)
	fmt.Fprintf(t, "name\t%s\nserial\t%d\nissued at\t%s\nnot after\t%s\nrevision\t%s\npolicy\t%s\nsignature\t%s\n\n",
		b.Name(), b.Serial(), instantText(b.IssuedAt()), instantText(b.NotAfter()), b.Revision(), b.PolicyDigest(), signature)
	for _, f := range files {
		fmt.Fprintf(t, "%s\t%d bytes\n", f.Path, f.Bytes)
	}
	return t.Flush()
}
