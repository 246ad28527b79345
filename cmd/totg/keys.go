package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/totg/totg/handshake"
)

// maxKeyInput bounds what pubkey reads, in bytes: a key has 44.
const maxKeyInput = 4096

func newKeygenCmd() *cobra.Command {
	output, shared := "", false
	cmd := &cobra.Command{
		Use:                   "keygen [-o FILE] [--psk]",
		DisableFlagsInUseLine: true,
		Short:                 "Make a private key, or a preshared key",
		Long: `Makes a new private key. With -o it goes into a new file that its owner alone can
read, and the public key, which the other end needs, is printed. Without -o the
private key itself is printed.

With --psk it makes a preshared key, which both ends need and nobody else may see.`,
		Example: `  totg keygen -o totg.key                       # prints the public key
  totg keygen --psk -o office.psk               # for preshared_key_file
  (umask 077; totg keygen > totg.key); totg pubkey < totg.key`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			secret, public, err := generate(shared)
			if err != nil {
				return err
			}
			if output == "" && !cmd.Flags().Changed("output") {
				warnOpen(cmd)
				return show(cmd, secret)
			}
			if err := writeSecret(output, secret); err != nil {
				return err
			}
			if public == "" {
				return nil
			}
			return show(cmd, public)
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "", "write the key to a new `FILE` of mode 0600")
	cmd.Flags().BoolVar(&shared, "psk", false, "make a preshared key")
	return cmd
}

// generate makes a private key with its public part, or a preshared key.
func generate(shared bool) (secret, public string, err error) {
	if shared {
		k, err := handshake.GeneratePresharedKey(rand.Reader)
		return k.Base64(), "", err
	}
	k, err := handshake.GenerateKey(rand.Reader)
	if err != nil {
		return "", "", err
	}
	return k.Base64(), k.Public().Base64(), nil
}

// writeSecret writes a new file for the owner's eyes. It never replaces one: a lost key cannot be made again.
func writeSecret(path, secret string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s exists already; remove it first, or choose another name", path)
	}
	if err != nil {
		return err
	}
	_, err = io.WriteString(f, secret+"\n")
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

// warnOpen warns when standard output is a file that others can read: the umask made it, not this program.
func warnOpen(cmd *cobra.Command) {
	f, ok := cmd.OutOrStdout().(*os.File)
	if !ok {
		return
	}
	if info, err := f.Stat(); err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o077 != 0 {
		cmd.PrintErrf("totg: warning: others can read the file that the key goes to (mode %04o); better: totg keygen -o FILE\n",
			info.Mode().Perm())
	}
}

func newPubkeyCmd() *cobra.Command {
	return &cobra.Command{
		Use:                   "pubkey [FILE]",
		DisableFlagsInUseLine: true,
		Short:                 "Print the public key of a private key",
		Long:                  `Reads a private key from a file or from standard input and prints its public key.`,
		Example: `  totg pubkey totg.key
  totg pubkey < totg.key`,
		Args: atMostOne,
		RunE: func(cmd *cobra.Command, args []string) error {
			in, name := cmd.InOrStdin(), "standard input"
			if len(args) == 1 && args[0] != "-" {
				f, err := os.Open(args[0])
				if err != nil {
					return err
				}
				defer f.Close() //nolint:errcheck // nothing was written
				in, name = f, args[0]
			} else if isTerminal(in) {
				cmd.PrintErrln("type or paste the private key:")
			}
			data, err := io.ReadAll(io.LimitReader(in, maxKeyInput))
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			key, err := handshake.ParsePrivateKey(strings.TrimSpace(string(data)))
			if err != nil {
				return fmt.Errorf("%s holds no private key; make one: totg keygen -o FILE", name)
			}
			return show(cmd, key.Public().Base64())
		},
	}
}

// show prints a line to standard output.
func show(cmd *cobra.Command, line string) error {
	_, err := fmt.Fprintln(cmd.OutOrStdout(), line)
	return err
}

// isTerminal says whether a person is at the other end.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}
