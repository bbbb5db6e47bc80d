package convert_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/cert"
	"github.com/cimimove/cimimove/ovf/convert"
	"github.com/cimimove/cimimove/ovf/disk"
	"github.com/cimimove/cimimove/ovf/edit"
	"github.com/cimimove/cimimove/ovf/files"
	"github.com/cimimove/cimimove/ovf/manifest"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

func signer(t testing.TB) (*cert.Signer, *x509.CertPool) {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "maker"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	if c, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(c)
	return &cert.Signer{Key: key, Chain: []*x509.Certificate{c}}, pool
}

func verified(t testing.TB, name string, pool *x509.CertPool) bool {
	t.Helper()
	p := open(t, name)
	_, _, err := cert.Demand{Policy: cert.Require, Trust: pool}.Judge(name, cert.ManifestName(p), p.Manifest(), p.Certificate())
	return err == nil
}

// AC-30: a signature is made, stays where nothing that it proves changes, and is
// said to be void where something does.
func TestAC30SignaturesOnTheWay(t *testing.T) {
	ovftest.Slow(t)
	folder := sample(t).WriteFolder(t)
	s, pool := signer(t)
	signed := filepath.Join(t.TempDir(), "signed.ova")
	do(t, folder, signed, convert.Options{Signer: s})
	if !verified(t, signed, pool) {
		t.Fatal("the signature is not right")
	}
	for i, o := range []convert.Options{{}, {KeepSignature: true}, {Algorithm: manifest.SHA256}} {
		for _, target := range []string{"kept.ova", "kept"} {
			out := filepath.Join(t.TempDir(), target)
			if res := do(t, signed, out, o); !verified(t, out, pool) || len(res.Findings) > 0 {
				t.Errorf("%d %s: the signature is lost: %v", i, target, res.Findings)
			}
			equal(t, contents(t, out), contents(t, folder))
		}
	}
	for name, o := range map[string]convert.Options{
		"edited": {Edit: edit.Options{Name: "n"}}, "disks": {DiskFormat: disk.Raw}, "algorithm": {Algorithm: manifest.SHA512},
		"chunks": {ChunkSize: convert.JoinChunks}, "version": {Version: ovf.V2}, "file": {Edit: edit.Options{Remove: []string{"a.iso"}}},
	} {
		out := filepath.Join(t.TempDir(), "void.ova")
		res := do(t, signed, out, o)
		if !slices.ContainsFunc(res.Findings, func(f ovf.Finding) bool { return f.ID == convert.RuleSignature }) || open(t, out).Certificate() != nil {
			t.Errorf("%s: findings %v", name, res.Findings)
		}
		o.KeepSignature = true
		var refused *edit.Error
		if _, err := convert.Package(t.Context(), open(t, signed), out, o); !errors.As(err, &refused) {
			t.Errorf("%s: %v", name, err)
		}
		o.KeepSignature, o.Signer = false, s
		if do(t, signed, out, o); !verified(t, out, pool) {
			t.Errorf("%s: not signed anew", name)
		}
	}
	if _, err := convert.Package(t.Context(), open(t, folder), filepath.Join(t.TempDir(), "x.ova"), convert.Options{KeepSignature: true}); err == nil {
		t.Error("a signature that is not there is kept")
	}
}

// A folder is signed where it lies, and nothing else of it is written.
func TestSignFolder(t *testing.T) {
	folder := sample(t).WriteFolder(t)
	s, pool := signer(t)
	before, _ := os.ReadFile(filepath.Join(folder, "app.mf"))
	if _, err := convert.SignFolder(t.Context(), open(t, folder), folder, convert.Options{Signer: s}); err != nil {
		t.Fatal(err)
	}
	after, _ := os.ReadFile(filepath.Join(folder, "app.mf"))
	if !verified(t, folder, pool) || !bytes.Equal(before, after) {
		t.Error("not signed, or the manifest has changed")
	}
	if err := os.Remove(filepath.Join(folder, "app.mf")); err != nil {
		t.Fatal(err)
	}
	p, err := files.Open(t.Context(), folder, files.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if _, err := convert.SignFolder(t.Context(), p, folder, convert.Options{Signer: s, Algorithm: manifest.SHA384}); err != nil || !verified(t, folder, pool) {
		t.Errorf("without a manifest: %v", err)
	}
	flipped := sample(t)
	flipped.Flip = "a.iso"
	bad := flipped.WriteFolder(t)
	var integrity *ovf.IntegrityError
	if _, err := convert.SignFolder(t.Context(), open(t, bad), bad, convert.Options{Signer: s}); !errors.As(err, &integrity) {
		t.Errorf("a package with a wrong digest is signed: %v", err)
	}
	if _, err := os.Stat(filepath.Join(bad, "app.cert")); err == nil {
		t.Error("a certificate was written")
	}
}
