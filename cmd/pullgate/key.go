package main

import (
	"bufio"
	"crypto/rand"
	"fmt"
	"strings"

	"github.com/pullgate/pullgate/bundle/license"
	"github.com/spf13/cobra"
)

func keyCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "key", Short: "Make keys for customers", Args: cobra.NoArgs}
	cmd.AddCommand(keyNewCommand(), keyHashCommand())
	return cmd
}

func keyNewCommand() *cobra.Command {
	var customer, id, expires string
	cmd := &cobra.Command{
		Use:   "new --customer CUSTOMER --id KEY",
		Short: "Make a key: print its secret once, and the YAML to paste",
		Long: `Makes a key of 256 random bits. The secret is printed once and kept nowhere: hand it to the
customer, who uses it as the password of a registry login (the user name is ignored).
The YAML holds only its SHA-256 and goes below "keys:" of the Customer document.`,
		Example: "  pullgate key new --customer acme --id ci",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			extra := ""
			if expires != "" {
				extra = ", expires: " + expires
			}
			secret, hash := license.NewKey(rand.Reader)
			if _, err := license.Parse(map[string][]byte{"key.yaml": fmt.Appendf(nil, "kind: Customer\nid: %s\nkeys: [{id: %s, hash: %q%s}]\n", customer, id, hash, extra)}); err != nil {
				return fmt.Errorf("--customer, --id or --expires: %w", err)
			}
			fmt.Fprintf(cmd.OutOrStdout(), `# The secret, shown this once. The customer logs in with it:
#   docker login REGISTRY -u %s -p SECRET
%s

# Paste below "keys:" of the document {kind: Customer, id: %s}:
  - {id: %s, hash: %q%s}
`, customer, secret, customer, id, hash, extra)
			return nil
		},
	}
	cmd.Flags().StringVar(&customer, "customer", "", "id of the customer")
	cmd.Flags().StringVar(&id, "id", "", "id of the key, unique for the customer")
	cmd.Flags().StringVar(&expires, "expires", "", "last day (2027-01-31) or instant of the key (default: none)")
	_ = cmd.MarkFlagRequired("customer")
	_ = cmd.MarkFlagRequired("id")
	return cmd
}

func keyHashCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "hash",
		Short:   "Read a key from standard input and print its hash, as license files hold it",
		Example: "  pullgate key hash <key.txt",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			line, err := bufio.NewReader(cmd.InOrStdin()).ReadString('\n')
			if line = strings.TrimSpace(line); line == "" {
				return fmt.Errorf("no key on standard input: %w", err)
			}
			hash, err := license.HashKey(line)
			if err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), hash)
			return nil
		},
	}
}
