package cert

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/smallstep/pkcs7"

	"github.com/cimimove/cimimove/ovf"
)

// signed is a certificate file for mf, the certificate of it as change leaves it,
// and the pool that trusts it.
func signed(t *testing.T, name string, mf []byte, change func(*x509.Certificate)) ([]byte, *x509.CertPool) {
	t.Helper()
	rootKey, err1 := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	key, err2 := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	root := selfSigned(t, rootKey)
	template := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "leaf"}, NotBefore: from, NotAfter: to}
	if change != nil {
		change(template)
	}
	der, err := x509.CreateCertificate(rand.Reader, template, root, key.Public(), rootKey)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	file, err := Signer{Key: key, Chain: []*x509.Certificate{leaf}}.Sign(name, mf)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(root)
	return file, roots
}

// longKey is a certificate, in DER, with an RSA key of so many bits.
func longKey(t *testing.T, bits uint) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	n := new(big.Int).Lsh(big.NewInt(1), bits-1)
	c := &x509.Certificate{SerialNumber: big.NewInt(3), Subject: pkix.Name{CommonName: "long"}, NotBefore: from, NotAfter: to}
	der, err := x509.CreateCertificate(rand.Reader, c, selfSigned(t, key), &rsa.PublicKey{N: n.SetBit(n, 0, 1), E: 65537}, key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// TestLongKeys: who wrote a package does not keep us busy with a signature that
// takes minutes to check.
func TestLongKeys(t *testing.T) {
	mf := []byte("SHA256(a)= 00\n")
	head := []byte("SHA256(app.mf)= 01\n")
	long := longKey(t, 20_000)
	if _, err := Parse(append(head, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: long})...)); err == nil || !strings.Contains(err.Error(), "20000 bits") {
		t.Errorf("a key of 20000 bits: %v", err)
	}
	if _, err := Parse(append(head, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: longKey(t, 16_384)})...)); err != nil {
		t.Errorf("a key of 16384 bits: %v", err)
	}
	file, roots := signed(t, "app.mf", mf, nil)
	cms, err := pkcs7.DegenerateCertificate(long)
	if err != nil {
		t.Fatal(err)
	}
	for want, der := range map[string][]byte{"20000 bits": cms, "the limit is": bytes.Repeat([]byte{0x30, 0x80}, maxCMS)} {
		s, err := Parse(append(slices.Clone(file), pem.EncodeToMemory(&pem.Block{Type: "CMS", Bytes: der})...))
		if err != nil {
			t.Fatal(err)
		}
		r := s.Verify("pkg", mf, Options{Roots: roots, Now: from.AddDate(1, 0, 0)})
		if r.Signature != nil || r.Time == nil || !strings.Contains(r.Time.Error(), want) {
			t.Errorf("signature %v, time %v, want %s", r.Signature, r.Time, want)
		}
	}
}

// TestNamesAndMarks: the name in a certificate file is what a manifest may be
// called, and a byte order mark is none of it.
func TestNamesAndMarks(t *testing.T) {
	mf := []byte("SHA256(a)= 00\n")
	for _, name := range []string{"app (1).mf", "a((1)).mf", "a (1.mf", "a)=(.mf", "é.mf"} {
		file, _ := signed(t, name, mf, nil)
		for _, mark := range []string{"", "\ufeff"} {
			s, err := Parse(append([]byte(mark), file...))
			if err != nil {
				t.Errorf("%q, mark %q: %v", name, mark, err)
			} else if s.Manifest != name {
				t.Errorf("%q is read as %q", name, s.Manifest)
			}
		}
	}
}

// TestKeyUsage: a key that its certificate does not let sign has not signed,
// where it matters who did.
func TestKeyUsage(t *testing.T) {
	mf := []byte("SHA256(a)= 00\n")
	for _, c := range []struct {
		name            string
		change          func(*x509.Certificate)
		strict, lenient ovf.Severity
	}{
		{"nothing said", nil, "", ""},
		{"signatures", func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageDigitalSignature }, "", ""},
		{"content commitment", func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageContentCommitment }, "", ""},
		{"encipherment", func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyEncipherment }, ovf.Error, ovf.Warning},
		{"code signing", func(c *x509.Certificate) {
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageCodeSigning}
		}, "", ""},
		{"a web server", func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }, ovf.Warning, ovf.Warning},
	} {
		t.Run(c.name, func(t *testing.T) {
			file, roots := signed(t, "app.mf", mf, c.change)
			for policy, want := range map[Policy]ovf.Severity{Require: c.strict, Verify: c.lenient} {
				d := Demand{Policy: policy, Now: from.AddDate(1, 0, 0)}
				if policy == Require {
					d.Trust = roots
				}
				_, findings, err := d.Judge("pkg", "app.mf", mf, file)
				var got ovf.Severity
				for _, f := range findings {
					if f.ID == RuleUsage {
						got = f.Severity
					}
				}
				if got != want || (err != nil) != (want == ovf.Error) {
					t.Errorf("%s: severity %q, want %q; error %v", policy, got, want, err)
				}
			}
		})
	}
}
