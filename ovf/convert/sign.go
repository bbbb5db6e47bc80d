package convert

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/beside"
	"github.com/cimimove/cimimove/ovf/files"
	"github.com/cimimove/cimimove/ovf/manifest"
)

// SignFolder signs pkg, a package in folder, where it lies: once every digest
// has been checked, the certificate file is written, and a manifest where there
// is none that lists every file. Of opts only Signer and Algorithm count.
func SignFolder(ctx context.Context, pkg ovf.Package, folder string, opts Options) (*Result, error) {
	c, err := begin(ctx, pkg, pkg.Descriptor(), Options{Signer: opts.Signer, Algorithm: opts.Algorithm})
	if err != nil {
		return c.result, err
	}
	if o, ok := pkg.(ovf.Opener); ok {
		if missing := files.Missing(o); len(missing) > 0 {
			return c.result, missing[0]
		}
	}
	a := opts.Algorithm
	if a == "" {
		a = manifest.SHA256
	}
	h := a.New()
	h.Write(pkg.Envelope().Bytes())
	entries := []manifest.Entry{{Name: pkg.Descriptor(), Algorithm: a, Digest: hex.EncodeToString(h.Sum(nil))}}
	for {
		m, err := pkg.Next(ctx)
		if err == io.EOF {
			break
		}
		if err != nil {
			return c.result, err
		}
		h := a.New()
		if _, err := io.Copy(h, reading{ctx, m.Reader}); err != nil {
			return c.result, err
		}
		entries = append(entries, manifest.NewEntry(m.Name, a, h))
	}
	name := manifestName(pkg.Descriptor())
	if c.companions == nil {
		mf := manifest.Format(entries)
		signature, err := opts.Signer.Sign(name, mf)
		if err != nil {
			return c.result, err
		}
		// A certificate beside another manifest would be wrong, so it goes first.
		cert := certificateName(name)
		if err := os.Remove(filepath.Join(folder, cert)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return c.result, err
		}
		return c.result, errors.Join(appear(folder, name, mf), appear(folder, cert, signature))
	}
	return c.result, appear(folder, certificateName(name), c.companions.Certificate)
}

func certificateName(manifest string) string {
	return manifest[:len(manifest)-len(filepath.Ext(manifest))] + ".cert"
}

// appear writes a small file that takes its name when it is complete.
func appear(folder, name string, b []byte) error {
	f, err := beside.File(folder, name)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), filepath.Join(folder, name))
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, errors.Join(err, os.Remove(f.Name())))
	}
	return nil
}
