package cert

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cimimove/cimimove/ovf"
	"github.com/cimimove/cimimove/ovf/manifest"
	"github.com/cimimove/cimimove/ovf/ova"
	"github.com/cimimove/cimimove/ovf/ovftest"
)

var (
	from = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	to   = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
)

// selfSigned is a certificate that is its own root.
func selfSigned(t *testing.T, key crypto.Signer) *x509.Certificate {
	t.Helper()
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "signer"}, NotBefore: from, NotAfter: to,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	if c, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return c
}

func keys(t *testing.T) map[string]crypto.Signer {
	r, err1 := rsa.GenerateKey(rand.Reader, 2048)
	e, err2 := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	_, ed, err3 := ed25519.GenerateKey(rand.Reader)
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	return map[string]crypto.Signer{"rsa": r, "ecdsa": e, "ed25519": ed}
}

func TestAC30SignAndVerify(t *testing.T) {
	mf := manifest.Format([]manifest.Entry{{Name: "app.ovf", Algorithm: manifest.SHA256, Digest: strings.Repeat("ab", 32)}})
	other := bytes.Replace(mf, []byte("ab"), []byte("ac"), 1)
	for name, key := range keys(t) {
		for _, a := range []manifest.Algorithm{"", manifest.SHA1, manifest.SHA512} {
			c := selfSigned(t, key)
			s := Signer{Key: key, Chain: []*x509.Certificate{c}, Algorithm: a}
			file, err := s.Sign("app.mf", mf)
			if err != nil {
				t.Fatal(name, err)
			}
			if n := s.Size("app.mf"); int64(len(file)) > n || n-int64(len(file)) > 30 {
				t.Errorf("%s: %d bytes, %d to reserve", name, len(file), n)
			}
			p, err := Parse(append(bytes.ReplaceAll(file, []byte("\n"), []byte("\r\n")), "   \n\n"...))
			if err != nil {
				t.Fatal(name, err)
			}
			roots := x509.NewCertPool()
			roots.AddCert(c)
			now := from.AddDate(1, 0, 0)
			if r := p.Verify("pkg", mf, Options{Roots: roots, Now: now}); r.Signature != nil || r.Trust != nil || r.Expired || r.Signer != "CN=signer" {
				t.Errorf("%s: %+v", name, r)
			}
			var i *ovf.IntegrityError
			if r := p.Verify("pkg", other, Options{Roots: roots, Now: now}); !errors.As(r.Signature, &i) || r.Trust != nil {
				t.Errorf("%s: another manifest: %+v", name, r)
			}
			if r := p.Verify("pkg", mf, Options{Roots: x509.NewCertPool(), Now: now}); r.Signature != nil || r.Trust == nil {
				t.Errorf("%s: nobody trusted: %+v", name, r)
			}
			if r := p.Verify("pkg", mf, Options{Roots: roots, Now: to.AddDate(1, 0, 0)}); r.Signature != nil || r.Trust != nil || !r.Expired {
				t.Errorf("%s: expired: %+v", name, r)
			}
		}
	}
	k := keys(t)
	if _, err := (Signer{Key: k["rsa"], Chain: []*x509.Certificate{selfSigned(t, k["ecdsa"])}}).Sign("app.mf", mf); err == nil {
		t.Error("the certificate of another key is taken")
	}
}

func TestParseRefuses(t *testing.T) {
	for _, text := range []string{"", "SHA1(a.mf)= 00", "SHA1(a.mf)= 0\n-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----",
		"MD5(a.mf)= 00\n-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
		"SHA1(a.mf)= 00 nonsense\n-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
		"SHA1(a.mf)= 00\n-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"} {
		var d *ovf.DescriptorError
		if _, err := Parse([]byte(text)); !errors.As(err, &d) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// Packages signed by other producers.
func TestCorpus(t *testing.T) {
	for _, name := range []string{"t4", "t4-ovftool-4.1.0"} {
		b, err := os.ReadFile(filepath.Join(ovftest.Corpus(t, "ova"), "krjdev-VirtualBox__src_VBox_ValidationKit_tests_api_tdAppliance1-"+name+".ova"))
		if err != nil {
			t.Fatal(err)
		}
		p, err := ova.Open(t.Context(), bytes.NewReader(b), int64(len(b)), name, ova.Options{})
		if err != nil {
			t.Fatal(err)
		}
		s, err := Parse(p.Certificate())
		if err != nil {
			t.Fatal(err)
		}
		// Signed with SHA-1 by a key of 1024 bits, by nobody we know.
		if r := s.Verify(name, p.Manifest(), Options{Roots: x509.NewCertPool(), Now: to}); r.Signature != nil || r.Trust == nil || r.Expired {
			t.Errorf("%s: %+v", name, r)
		}
		if r := s.Verify(name, append(p.Manifest(), ' '), Options{Roots: x509.NewCertPool(), Now: to}); r.Signature == nil {
			t.Errorf("%s: another manifest is taken", name)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("SHA1(a.mf)= 00\n-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := Parse(b); err == nil {
			s.Verify("pkg", b, Options{Roots: x509.NewCertPool()})
		}
	})
}
